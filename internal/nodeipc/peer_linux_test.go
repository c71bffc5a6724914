package nodeipc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer plays a worker, so that it can do what Node does rarely.
type peer struct {
	*Worker
	tb    testing.TB
	ev    *events
	fd    int
	buf   []byte
	fds   []int // received and not yet claimed by a line
	seq   int64
	taken map[int]bool // connections not yet replied to
}

func attachPeer(tb testing.TB, p *Primary, saved []byte, save func([]byte)) *peer {
	tb.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		tb.Fatal(err)
	}
	return attachPeerOn(tb, p, ours, theirs, saved, save)
}

func attachPeerOn(tb testing.TB, p *Primary, ours, theirs *os.File, saved []byte, save func([]byte)) *peer {
	tb.Helper()
	fd, err := takeFD(theirs)
	if err != nil {
		tb.Fatal(err)
	}
	x := &peer{tb: tb, ev: newEvents(tb), fd: fd, taken: map[int]bool{}}
	x.Worker, err = Attach(WorkerOptions{Channel: ours, Primary: p, Event: x.ev.add, Saved: saved, Save: save})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(x.hangUp)
	return x
}

func (x *peer) hangUp() {
	if x.fd >= 0 {
		unix.Close(x.fd)
		for _, fd := range x.fds {
			unix.Close(fd)
		}
		for fd := range x.taken {
			unix.Close(fd)
		}
		x.fd, x.fds, x.taken = -1, nil, nil
	}
}

func (x *peer) write(text string) { x.tb.Helper(); x.writeWith(text, -1) }

func (x *peer) writeWith(text string, fd int) {
	x.tb.Helper()
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	for b := []byte(text); len(b) > 0; oob = nil {
		n, err := unix.SendmsgN(x.fd, b, oob, nil, 0)
		if err != nil {
			x.tb.Fatal(err)
		}
		b = b[n:]
	}
}

// send writes a NODE_CLUSTER message with the next number.
func (x *peer) send(fields string) int64 {
	x.tb.Helper()
	x.seq++
	x.write(fmt.Sprintf(`{"cmd":"NODE_CLUSTER",%s,"seq":%d}`+"\n", fields, x.seq))
	return x.seq
}

type got struct {
	Cmd, Act, Key, Type string
	Seq, Ack            int64
	Errno               *int
	Data                json.RawMessage
	Sockname            *struct {
		Address, Family string
		Port            int
	}
	Msg *got
	raw string
	fd  int
}

// next returns the next line, or nil if none comes within d.
func (x *peer) next(d time.Duration) *got {
	x.tb.Helper()
	late := time.Now().Add(d)
	for {
		if i := bytes.IndexByte(x.buf, '\n'); i >= 0 {
			g := &got{raw: string(x.buf[:i]), fd: -1}
			x.buf = x.buf[i+1:]
			raw := []byte(g.raw)
			if len(raw) > 0 && raw[0] == bunPrefix {
				raw = raw[1:]
			}
			if err := json.Unmarshal(raw, g); err != nil && raw[0] == '{' {
				x.tb.Fatalf("torn or wrong line %.100q: %v", g.raw, err)
			}
			if !json.Valid(raw) {
				x.tb.Fatalf("torn or wrong line %.100q", g.raw)
			}
			if g.Cmd == "NODE_HANDLE" && len(x.fds) > 0 {
				g.fd, x.fds = x.fds[0], x.fds[1:]
			}
			return g
		}
		left := time.Until(late)
		if left <= 0 {
			return nil
		}
		poll := []unix.PollFd{{Fd: int32(x.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(left.Milliseconds())+1); n == 0 || err != nil {
			continue
		}
		buf, oob := make([]byte, 64<<10), make([]byte, 64)
		n, oobn, _, _, err := unix.Recvmsg(x.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return nil
		}
		if oobn > 0 {
			msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
			fds, _ := unix.ParseUnixRights(&msgs[0])
			if len(fds) != 1 {
				x.tb.Fatalf("%d descriptors in one message, Node aborts", len(fds))
			}
			x.fds = append(x.fds, fds...)
		}
		x.buf = append(x.buf, buf[:n]...)
	}
}

func (x *peer) mustNext(what string) *got {
	x.tb.Helper()
	g := x.next(5 * time.Second)
	if g == nil {
		x.tb.Fatalf("no %s came", what)
	}
	return g
}

// listen asks for a port and returns the answer.
func (x *peer) listen(fields string) *got {
	x.tb.Helper()
	seq := x.send(`"act":"queryServer","index":0,"data":null,` + fields)
	g := x.mustNext("answer to queryServer")
	inner := g
	if g.Cmd == "NODE_HANDLE" {
		inner = g.Msg
	}
	if inner.Ack != seq {
		x.tb.Fatalf("answer %s, want ack %d", g.raw, seq)
	}
	return g
}

const anyPort = `"address":"127.0.0.1","port":0,"addressType":4,"fd":null,"backlog":false`

// take receives a handed-off connection and confirms the descriptor; accept or refuse it with reply.
func (x *peer) take(d time.Duration) *got {
	x.tb.Helper()
	g := x.next(d)
	if g == nil {
		return nil
	}
	if g.Cmd != "NODE_HANDLE" || g.Msg == nil || g.Msg.Act != "newconn" || g.fd < 0 {
		x.tb.Fatalf("got %s with descriptor %d, want a new connection", g.raw, g.fd)
	}
	x.taken[g.fd] = true
	return g
}

func (x *peer) reply(g *got, accepted bool) {
	x.tb.Helper()
	x.write(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")
	x.send(fmt.Sprintf(`"ack":%d,"accepted":%v`, g.Msg.Seq, accepted))
	if accepted {
		unix.Write(g.fd, []byte("hello"))
	}
	x.drop(g)
}

func (x *peer) drop(g *got) {
	delete(x.taken, g.fd)
	unix.Close(g.fd)
}

// dial connects n times, in the order of the results.
func dial(tb testing.TB, addr string, n int) []net.Conn {
	tb.Helper()
	var all []net.Conn
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

func greeted(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 5)
	_, err := c.Read(b)
	return err
}

func newPrimary(tb testing.TB, handOff bool) (*Primary, *sockets) {
	s := newSockets(handOff)
	tb.Cleanup(s.Close)
	p := NewPrimary(PrimaryOptions{Open: s.Open})
	tb.Cleanup(p.Close)
	return p, s
}

func (g *got) port() int { return g.Sockname.Port }

func (g *got) addr() string { return fmt.Sprintf("127.0.0.1:%d", g.Sockname.Port) }

func TestHandleNotReceivedIsSentAgain(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conn := dial(t, addr, 1)[0]
	seqs := map[int64]bool{}
	for range 1 + maxResends {
		g := a.take(5 * time.Second)
		if g == nil {
			t.Fatal("connection was not sent again")
		}
		if seqs[g.Msg.Seq] {
			t.Errorf("seq %d was used twice", g.Msg.Seq)
		}
		seqs[g.Msg.Seq] = true
		a.drop(g)
		a.write(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
	}
	g := b.take(5 * time.Second)
	if g == nil {
		t.Fatal("connection that worker a cannot receive did not go to b")
	}
	b.reply(g, true)
	if err := greeted(conn); err != nil {
		t.Error(err)
	}
}

func TestSharedHandleNotReceived(t *testing.T) {
	p, _ := newPrimary(t, false)
	a := attachPeer(t, p, nil, nil)
	a.send(`"act":"queryServer","index":0,"data":null,` + anyPort)
	for i := range 1 + maxResends {
		g := a.mustNext("answer")
		if g.Cmd != "NODE_HANDLE" || g.fd < 0 {
			t.Fatalf("answer %d is %s, want a handle", i, g.raw)
		}
		unix.Close(g.fd)
		a.write(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
	}
	if g := a.mustNext("error"); g.Ack != 1 || g.Errno == nil || *g.Errno != -int(syscall.EMFILE) {
		t.Errorf("got %s, want errno EMFILE", g.raw)
	}
}

// Two full workers: Node's primary passes the connection between them at full speed.
func TestRefusedConnectionDoesNotCircle(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conns := dial(t, addr, 3)
	offers := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		for _, x := range []*peer{a, b} {
			for g := x.take(10 * time.Millisecond); g != nil; g = x.take(0) {
				offers++
				x.reply(g, false)
			}
		}
	}
	if offers < 4 || offers > 60 {
		t.Errorf("%d offers of refused connections in a second, want a few", offers)
	}
	for taken := 0; taken < len(conns); {
		for _, x := range []*peer{a, b} {
			if g := x.take(10 * time.Millisecond); g != nil {
				x.reply(g, true)
				taken++
			}
		}
	}
	for _, c := range conns {
		if err := greeted(c); err != nil {
			t.Error(err)
		}
	}
}

func TestDeadWorkersConnectionsGoToOthers(t *testing.T) {
	p, _ := newPrimary(t, true)
	a, b := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := a.listen(anyPort).addr()
	b.listen(anyPort)
	conns := dial(t, addr, 2)
	ga, gb := a.take(5*time.Second), b.take(5*time.Second)
	if ga == nil || gb == nil {
		t.Fatal("connections were not spread")
	}
	a.hangUp()
	b.reply(gb, true)
	g := b.take(5 * time.Second)
	if g == nil {
		t.Fatal("the dead worker's connection did not go to the other")
	}
	b.reply(g, true)
	for _, c := range conns {
		if err := greeted(c); err != nil {
			t.Error(err)
		}
	}
	a.ev.kind(Disconnected)

	// The last one dies as well: its connection and new ones wait for a successor.
	more := dial(t, addr, 2)
	if b.take(5*time.Second) == nil {
		t.Fatal("no connection")
	}
	b.hangUp()
	c := attachPeer(t, p, nil, nil)
	c.send(`"act":"queryServer","index":0,"data":null,` + anyPort)
	for i := 0; i < len(more); {
		g := c.mustNext("answer or connection")
		if g.Cmd == "NODE_CLUSTER" {
			continue
		}
		c.reply(g, true)
		i++
	}
	for _, conn := range more {
		if err := greeted(conn); err != nil {
			t.Error(err)
		}
	}
}

func TestDepthAdapts(t *testing.T) {
	p, _ := newPrimary(t, true)
	blocked, quick := attachPeer(t, p, nil, nil), attachPeer(t, p, nil, nil)
	addr := blocked.listen(anyPort).addr()
	quick.listen(anyPort)
	dial(t, addr, 40)
	if blocked.take(5*time.Second) == nil {
		t.Fatal("no connection")
	}
	most := 0
	for served := 0; served < 39; {
		var batch []*got
		for g := quick.take(50 * time.Millisecond); g != nil; g = quick.take(5 * time.Millisecond) {
			batch = append(batch, g)
		}
		most = max(most, len(batch))
		for _, g := range batch {
			quick.reply(g, true)
			served++
		}
		if len(batch) == 0 {
			t.Fatalf("only %d connections came", served)
		}
	}
	if g := blocked.take(50 * time.Millisecond); g != nil {
		t.Error("a worker that does not answer got more than one connection")
	}
	if most > maxDepth {
		t.Errorf("%d connections at once, want at most %d", most, maxDepth)
	}
	t.Logf("at most %d at once", most)
}

// A worker that answers at once gets several while connections wait.
func TestDepthGrowsUnderLoad(t *testing.T) {
	p, _ := newPrimary(t, true)
	x := attachPeer(t, p, nil, nil)
	addr := x.listen(anyPort).addr()
	x.Rotate(false)
	sync := make(chan bool)
	p.loop.do(func() { close(sync) })
	<-sync
	dial(t, addr, 20)
	if x.take(100*time.Millisecond) != nil {
		t.Fatal("got a connection while out of rotation")
	}
	x.Rotate(true)
	x.reply(x.take(5*time.Second), true)
	n := 0
	for g := x.take(100 * time.Millisecond); g != nil; g = x.take(20 * time.Millisecond) {
		n++
	}
	if n != maxDepth {
		t.Errorf("%d unacknowledged connections, want %d", n, maxDepth)
	}
}

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
		g := b.take(5 * time.Second)
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
	quick.reply(quick.take(5*time.Second), true)
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
