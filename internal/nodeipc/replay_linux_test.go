package nodeipc

import (
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// successor attaches a new primary to a worker whose daemon has just died with the given state.
// Before that, unread is put into the channel again: lines that were acted on but not consumed.
func successor(t *testing.T, s *sockets, old *peer, ours *os.File, saved []byte, save func([]byte), unread string) *peer {
	t.Helper()
	old.write(unread)
	p := NewPrimary(PrimaryOptions{Open: s.Open})
	t.Cleanup(p.Close)
	x := &peer{tb: t, ev: newEvents(t), fd: old.fd, seq: old.seq, buf: old.buf, taken: old.taken}
	var err error
	x.Worker, err = Attach(WorkerOptions{Channel: ours, Primary: p, Event: x.ev.add, Saved: saved, Save: save})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// mortal is a worker of a first daemon, and a duplicate of its channel for the second.
func mortal(t *testing.T, s *sockets, saved *[]byte) (x *peer, kill func(), ours *os.File) {
	t.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	dup, err := dupFile(ours)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPrimary(PrimaryOptions{Open: s.Open})
	x = attachPeerOn(t, p, ours, theirs, nil, func(b []byte) { *saved = append([]byte(nil), b...) })
	return x, p.Close, dup
}

func TestActedTwice(t *testing.T) {
	s := newSockets(true)
	t.Cleanup(s.Close)
	var saved []byte
	x, kill, ours := mortal(t, s, &saved)
	x.send(`"act":"online"`)
	first := x.listen(anyPort)
	x.send(fmt.Sprintf(`"act":"close","key":%q`, first.Key))
	x.ev.kind(Closed)
	again := x.listen(anyPort)
	refused := x.listen(`"address":"127.0.0.1","port":-1,"addressType":4,"fd":9`)
	x.send(`"act":"listening",` + strings.Replace(anyPort, `"port":0`, fmt.Sprintf(`"port":%d`, again.port()), 1))
	x.ev.kind(Listening)
	conn := dial(t, again.addr(), 1)[0]
	stale := x.take(patience)
	kill()

	replay := fmt.Sprintf(`{"cmd":"NODE_CLUSTER","act":"close","key":%q,"seq":%d}`, first.Key, first.Ack+1) + "\n" +
		fmt.Sprintf(`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,%s,"seq":%d}`, anyPort, again.Ack) + "\n" +
		fmt.Sprintf(`{"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"fd":9,"seq":%d}`, refused.Ack) + "\n"
	y := successor(t, s, x, ours, saved, nil, replay)
	y.ev.kind(Online)
	if addr := y.ev.kind(Listening).Addr.String(); addr != again.addr() {
		t.Errorf("told to listen on %s, want %s", addr, again.addr())
	}
	if g := y.mustNext("answer"); g.Ack != again.Ack || g.Key != again.Key || g.port() != again.port() {
		t.Errorf("answered %s, want the same as before: %s", g.raw, again.raw)
	}
	if g := y.mustNext("refusal"); g.Ack != refused.Ack || g.Errno == nil || *g.Errno != *refused.Errno {
		t.Errorf("answered %s, want the same as before: %s", g.raw, refused.raw)
	}
	for _, ev := range y.ev.snapshot() {
		if ev.Kind == Closed {
			t.Error("a close that was acted on before closed the listener of the same key")
		}
	}
	// What the dead daemon had handed over is the worker's; its confirmations mean nothing now.
	y.write(`{"cmd":"NODE_HANDLE_NACK"}` + "\n")
	y.reply(stale, true)
	if err := greeted(conn); err != nil {
		t.Error(err)
	}
	conns := dial(t, again.addr(), 3)
	for _, c := range conns {
		g := y.take(patience)
		if g == nil {
			t.Fatal("no connection after the restart")
		}
		if g.Msg.Seq <= stale.Msg.Seq {
			t.Errorf("seq %d after %d of the earlier daemon", g.Msg.Seq, stale.Msg.Seq)
		}
		y.reply(g, true)
		if err := greeted(c); err != nil {
			t.Error(err)
		}
	}
}

func TestTornLineAfterRestart(t *testing.T) {
	tail := `xxxx"}` + "\n"
	for _, test := range []struct {
		name    string
		state   workerState
		warning bool
		ack     bool
	}{
		{"line", workerState{Torn: tornLine}, true, false},
		{"handle", workerState{Torn: tornHandle}, true, true},
		{"done", workerState{Torn: tornDone, Tail: crc32.ChecksumIEEE([]byte(tail))}, false, false},
		{"done and consumed", workerState{Torn: tornDone, Tail: 1}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSockets(true)
			t.Cleanup(s.Close)
			var saved []byte
			x, kill, ours := mortal(t, s, &saved)
			kill()
			unread := tail
			if test.name == "done and consumed" {
				unread = ""
			}
			var last []byte
			y := successor(t, s, x, ours, test.state.encode(), func(b []byte) { last = b }, unread+`"next"`+"\n")
			y.ev.message(`"next"`)
			warned := false
			for _, ev := range y.ev.snapshot() {
				warned = warned || ev.Kind == Warning
			}
			if warned != test.warning {
				t.Errorf("warned %v, want %v: %v", warned, test.warning, y.ev.describe())
			}
			g := y.next(50 * time.Millisecond)
			if got := g != nil && g.Cmd == "NODE_HANDLE_ACK"; got != test.ack {
				t.Errorf("acknowledged %v, want %v", got, test.ack)
			}
			y.p.Close()
			if st, _ := decodeWorkerState(last); st.Torn != "" {
				t.Errorf("still torn: %s", last)
			}
		})
	}
}

// The mode that the worker was told stays, even if another one is configured after the restart.
func TestModeOutlivesRestart(t *testing.T) {
	for _, handOff := range []bool{true, false} {
		s := newSockets(handOff)
		t.Cleanup(s.Close)
		var saved []byte
		x, kill, ours := mortal(t, s, &saved)
		g := x.listen(anyPort)
		key := g.Key
		if !handOff {
			key = g.Msg.Key
			unix.Close(g.fd)
			x.write(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")
		}
		addr := s.address(key)
		kill()
		s.handOff = !handOff
		y := successor(t, s, x, ours, saved, nil, `"hello"`+"\n")
		y.ev.message(`"hello"`)
		dial(t, addr, 1)
		if got := y.take(200*time.Millisecond) != nil; got != handOff {
			t.Errorf("hand-off %v: connection handed over %v", handOff, got)
		}
	}
}
