package nodeipc

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestListenErrors(t *testing.T) {
	p, s := newPrimary(t, true)
	a := attachPeer(t, p, nil, nil)
	for _, test := range []struct {
		fields string
		errno  syscall.Errno
	}{
		{`"address":"127.0.0.1","port":-1,"addressType":4,"fd":0`, syscall.EINVAL},
		{`"address":"127.0.0.1","port":-1,"addressType":4,"fd":7`, syscall.EINVAL},
		{`"address":"203.0.113.7","port":0,"addressType":4`, syscall.EADDRNOTAVAIL},
	} {
		if g := a.listen(test.fields); g.Errno == nil || *g.Errno != -int(test.errno) || g.fd >= 0 {
			t.Errorf("listen(%s) answered %s, want errno %d", test.fields, g.raw, -test.errno)
		}
	}
	for _, r := range s.requests() {
		if r.FD >= 0 {
			t.Errorf("Open was asked for descriptor %d", r.FD)
		}
	}
	port := a.listen(anyPort).port()
	fixed := fmt.Sprintf(`"address":"127.0.0.1","port":%d,"addressType":4`, port)
	if g := a.listen(fixed); g.Errno == nil || *g.Errno != -int(syscall.EADDRINUSE) {
		t.Errorf("listen on a port in use answered %s", g.raw)
	}
}

func TestCloseAndListenAgain(t *testing.T) {
	modes(t, func(t *testing.T, handOff bool) {
		p, s := newPrimary(t, handOff)
		a := attachPeer(t, p, nil, nil)
		port := func(g *got) (int, string) {
			if g.Msg != nil {
				unix.Close(g.fd)
				a.write(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")
				return 0, g.Msg.Key
			}
			return g.port(), g.Key
		}
		n, key := port(a.listen(anyPort))
		_ = n
		a.send(fmt.Sprintf(`"act":"close","key":%q`, key))
		_, again := port(a.listen(anyPort))
		if again != key {
			t.Errorf("key after listening again is %q, want %q", again, key)
		}
		// The same address twice, as Node <= 20 may ask with another index.
		fixed := `"address":"127.0.0.1","port":0,"addressType":4,"index":0`
		g := a.listen(fixed)
		if g.Errno == nil {
			t.Errorf("second listen with one index answered %s, want an error", g.raw)
		}
		a.ev.kind(Closed)
		if s.closes() != 1 {
			t.Errorf("Close called %d times, want once", s.closes())
		}
		a.hangUp()
		a.ev.kind(Disconnected)
		if s.closes() != 1 {
			t.Errorf("Close called for a dead worker")
		}
		p.Trim()
		done := make(chan bool)
		p.loop.do(func() { close(done) })
		<-done
		if handOff && s.closes() != 2 {
			t.Errorf("Trim did not let go of the dead worker's address")
		}
	})
}

func TestTicketKeysAreShared(t *testing.T) {
	var saved []byte
	s := newSockets(true)
	t.Cleanup(s.Close)
	p := NewPrimary(PrimaryOptions{Open: s.Open, Save: func(b []byte) { saved = b }})
	query := func(x *peer, data string) string {
		x.send(`"act":"queryServer","index":0,"data":` + data + `,` + anyPort)
		return string(x.mustNext("answer").Data)
	}
	a, b, c := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	if got := query(a, `null`); got != "null" && got != "" {
		t.Errorf("data = %s, want null", got)
	}
	first := `{"ticketKeys":"one"}`
	if got := query(b, first); got != first {
		t.Errorf("data = %s, want %s", got, first)
	}
	if got := query(c, `{"ticketKeys":"two"}`); got != first {
		t.Errorf("data = %s, want the first worker's %s", got, first)
	}
	p.Close()
	p = NewPrimary(PrimaryOptions{Open: s.Open, Saved: saved})
	defer p.Close()
	if got := query(attachPeer(t, p, nil, nil), `{"ticketKeys":"three"}`); got != first {
		t.Errorf("data after a restart = %s, want %s", got, first)
	}
}

func TestLongLines(t *testing.T) {
	p, _ := newPrimary(t, true)
	a := attachPeer(t, p, nil, nil)
	long := `"` + strings.Repeat("a", 1<<20) + `"`
	go a.write(long + "\n" + `"after"` + "\n")
	a.ev.message(`"after"`)
	if ev := a.ev.kind(Message); string(ev.Message) != long {
		t.Errorf("got a message of %d bytes, want %d", len(ev.Message), len(long))
	}
	go a.write(`"` + strings.Repeat("b", maxLineBytes) + `"` + "\n" + `"still here"` + "\n")
	a.ev.message(`"still here"`)
	a.ev.kind(Warning)

	// With a descriptor, and longer than what is peeked: one acknowledgement all the same.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	a.writeWith(`{"cmd":"NODE_HANDLE","type":"net.Socket","msg":`+long+"}\n"+`"more"`+"\n", int(r.Fd()))
	r.Close()
	a.ev.message(`"more"`)
	if g := a.mustNext("acknowledgement"); g.Cmd != "NODE_HANDLE_ACK" {
		t.Errorf("got %s, want NODE_HANDLE_ACK", g.raw)
	}
	if g := a.next(50 * time.Millisecond); g != nil {
		t.Errorf("got %s, want nothing more", g.raw)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("the received descriptor is still open")
	}
}

// What a worker does not read is bounded, costs nobody else anything, and is whole when it comes.
func TestWorkerThatDoesNotRead(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	sent := 0
	for i := 0; ; i++ {
		size := 10
		if i%7 == 0 {
			size = 150 << 10
		}
		err := a.Send([]byte(`"` + strings.Repeat("m", size) + `"`))
		if err != nil {
			if !strings.Contains(err.Error(), ErrBusy.Error()) {
				t.Fatalf("Send: %v, want ErrBusy", err)
			}
			break
		}
		sent++
	}
	conns := dial(t, addr, 6)
	for range conns {
		g := b.take(patience)
		if g == nil {
			t.Fatal("a worker that does not read keeps connections from the other")
		}
		b.reply(g, true)
	}
	// It asks while its answers cannot be written: they come in the end.
	ask := a.send(`"act":"exitedAfterDisconnect"`)
	for range sent {
		if g := a.mustNext("message"); g.raw[0] != '"' {
			t.Fatalf("got %.80s, want a message", g.raw)
		}
	}
	for {
		g := a.mustNext("answer")
		if g.Ack == ask {
			break
		}
	}
	if err := a.Send([]byte(`"` + strings.Repeat("m", 1<<20) + `"`)); err == nil {
		t.Error("Send of 1 MiB succeeded; it cannot be written whole")
	}
	if err := a.Send([]byte(`{"a":`)); err == nil {
		t.Error("Send of half a value succeeded; it kills the worker")
	}
}

func TestSlowOpenDelaysNobody(t *testing.T) {
	release := make(chan struct{})
	s := newSockets(true)
	t.Cleanup(s.Close)
	p := NewPrimary(PrimaryOptions{Open: func(r Request) (*Socket, error) {
		if r.Address == "127.0.0.2" {
			<-release
		}
		return s.Open(r)
	}})
	t.Cleanup(p.Close)
	slow, quick := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	ask := slow.send(`"act":"queryServer","index":0,"data":null,"address":"127.0.0.2","port":0,"addressType":4`)
	addr := quick.listen(anyPort).addr()
	dial(t, addr, 1)
	quick.reply(quick.take(patience), true)
	close(release)
	if g := slow.mustNext("answer"); g.Ack != ask || g.Sockname == nil {
		t.Errorf("got %s, want the answer", g.raw)
	}
}

// Bun puts a byte before internal lines and wants it back.
func TestBunPrefix(t *testing.T) {
	p, _ := newPrimary(t, true)
	a := attachPeer(t, p, nil, nil)
	a.write("\x02" + `{"cmd":"NODE_CLUSTER","act":"online","seq":0}` + "\n")
	a.ev.kind(Online)
	a.Disconnect()
	if g := a.mustNext("disconnect"); g.raw[0] != bunPrefix || g.Act != "disconnect" {
		t.Errorf("got %q, want a disconnect with Bun's prefix", g.raw)
	}
}

func TestNoiseIsTolerated(t *testing.T) {
	p, _ := newPrimary(t, true)
	a := attachPeer(t, p, nil, nil)
	a.write("hello\n\n{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_HANDLE_NACK\"}\n" +
		`{"cmd":"NODE_CLUSTER","ack":5,"accepted":false,"seq":1}` + "\n" +
		`{"cmd":"NODE_CLUSTER","act":"close","key":"none","seq":2}` + "\n" +
		`{"cmd":"NODE_CLUSTER","act":"queryServer","seq":3}` + "\n" +
		`{"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"k"}` + "\n\"fine\"\n")
	a.ev.message(`"fine"`)
	a.ev.kind(Warning)
	a.write(`"half`)
	a.hangUp()
	a.ev.kind(Disconnected)
	if err := a.Send([]byte(`1`)); err == nil {
		t.Error("Send to a closed channel succeeded")
	}
}
