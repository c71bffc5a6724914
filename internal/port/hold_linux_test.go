package port

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrives connects, in the background, and reports whether the connection could be
// accepted within a moment in which it surely would be.
func arrives(t testing.TB, s *Set, port int) bool {
	t.Helper()
	dialled := make(chan net.Conn, 1)
	go func() {
		c, err := net.DialTimeout("tcp", at(port).String(), patient)
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	t.Cleanup(func() {
		if c := <-dialled; c != nil {
			_ = c.Close()
		}
	})
	time.Sleep(50 * time.Millisecond) // it is to see that nothing comes
	return s.Queue()[0].Waiting > 0
}

func waits(t testing.TB, s *Set, n int) {
	t.Helper()
	eventually(t, "connection that was held", func() bool { return s.Queue()[0].Waiting == n })
}

// What comes to a held socket is late, and not lost.
func TestHold(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	port := freePort(t)
	for seat := range 2 {
		_, f := program(t, s, seat, port)
		_ = f.Close()
	}
	first, err := s.Hold(0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Hold(1)
	if err != nil {
		t.Fatal(err)
	}
	if arrives(t, s, port) {
		t.Error("a connection arrived at a held socket")
	}
	first()
	first()
	if arrives(t, s, port) {
		t.Error("a connection arrived before the last release")
	}
	second()
	waits(t, s, 2)
	if dropped := s.Counters()[0].Dropped; dropped != 0 {
		t.Errorf("%d connections count as dropped, which are only late", dropped)
	}
}

// A door that was closed when the daemon died is opened by the next.
func TestHoldEndsWithTheDaemon(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s, err := NewSet(Options{Name: "port/test/", Policy: Shared, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	_, f := program(t, s, 0, port)
	_ = f.Close()
	if _, err := s.Hold(0); err != nil {
		t.Fatal(err)
	}
	if arrives(t, s, port) {
		t.Error("a connection arrived at a held socket")
	}
	next := newSet(t, Options{Policy: Shared, Store: store, Saved: store.saved()})
	waits(t, next, 1)
	_ = s.do(func() { s.o.Store = nil }) // what is kept is the next one's
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A program's own filter stays, and a unix socket has no door.
func TestHoldCannot(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	l := mustOpen(t, s, loopback, 0)
	own := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}}
	conn, err := l.File.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if ctl := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &own[0]})
	}); ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	if _, err := s.Hold(0); !errors.Is(err, errFiltered) {
		t.Errorf("with a filter of the program's: %v", err)
	}
	_ = l.File.Close()
	_ = mustOpen(t, s, Address{Network: "unix", Path: tempSocket(t)}, 1).File.Close()
	if _, err := s.Hold(1); !errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Errorf("a unix socket: %v", err)
	}
}
