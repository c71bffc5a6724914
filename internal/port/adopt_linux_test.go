package port

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownSocket is what a program has bound itself, with SO_REUSEPORT set by us.
func ownSocket(t testing.TB, port int, reusePort bool) *os.File {
	t.Helper()
	fd, err := bindTCP(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}, false, reusePort)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	f, err := fileOf(fd, "program's own")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// freePort is one that a program under test can have, at any address. It is not one
// of those that the kernel gives to clients, who might take it meanwhile.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		fd, err := bindTCP(&unix.SockaddrInet6{Port: port}, false, false)
		if err == nil {
			_ = unix.Close(fd)
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// freshSocket is what a program has before it binds.
func freshSocket(t testing.TB) *os.File {
	t.Helper()
	fd, err := newSocket(unix.AF_INET, unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	f, err := fileOf(fd, "program's own")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// at is an address of the loopback interface.
func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

// program binds a socket and lets it listen, as a program of the seat does. The
// file is what the program has in the end.
func program(t testing.TB, s *Set, seat, port int) (*Group, *os.File) {
	t.Helper()
	f := freshSocket(t)
	if err := s.Bind(f, at(port), 0, false); err != nil {
		t.Fatal(err)
	}
	if !s.Managed(f) {
		t.Fatal("Managed after Bind: false")
	}
	l, err := s.Adopt(f, seat, 0)
	if err != nil {
		t.Fatal(err)
	}
	if l.Replace {
		_ = f.Close()
		return l.Group, l.File
	}
	_ = l.File.Close()
	return l.Group, f
}

// dial makes connections that stay open, and send nothing, until the test ends.
func dial(t testing.TB, port, n int) (conns []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", at(port).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns = append(conns, c)
	}
	return conns
}

func depths(s *Set) (waiting []int) {
	for _, d := range s.Queue() {
		waiting = append(waiting, d.Waiting)
	}
	return waiting
}

// wantDepths waits for what the kernel does after the client has been told that it is
// connected.
func wantDepths(t testing.TB, s *Set, what string, want ...int) {
	t.Helper()
	var got []int
	for deadline := time.Now().Add(patient / 4); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got = depths(s); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s: queues %v, want %v", what, got, want)
}

// Programs' own sockets make up a group. What waits for one that has died goes to
// the others, and when there is none to its successor: nobody is refused.
func TestAdopt(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store, bears: never})
	port := freePort(t)
	g, zero := program(t, s, 0, port)
	needKernel(t, g)
	_, one := program(t, s, 1, port)
	s.Use(0, true)
	s.Use(1, true)
	dial(t, port, 10)
	wantDepths(t, s, "two", 5, 5)

	_ = one.Close() // its process dies without having accepted anything
	s.Retire(1)
	wantDepths(t, s, "one has died", 10)
	_ = zero.Close()
	s.Retire(0)
	dial(t, port, 2)
	wantDepths(t, s, "all have died", 12)

	// The next process may get the number of one that has died.
	_, next := program(t, s, 0, port)
	defer next.Close()
	if got := depths(s); len(got) != 2 || got[0]+got[1] != 12 { // they have been seen before
		t.Errorf("a successor on trial: queues %v, want 12 in all", got)
	}
	s.Use(0, true)
	wantDepths(t, s, "it is in rotation", 12)

	restored := newSet(t, Options{Store: store, Saved: store.saved(), bears: never})
	wantDepths(t, restored, "rebuilt", 12)
	if c := restored.Counters(); len(c) != 1 || c[0].Dealt < 12 || c[0].Waiting != 12 {
		t.Errorf("counters: got %+v", c)
	}
	if c := s.Counters(); len(c) != 1 || c[0].Moved < 10 || c[0].Mechanism != "kernel" || c[0].MaxWaiting != 12 {
		t.Errorf("counters: got %+v", c)
	}
}

// A lane whose process died stays as the last one, also for a new daemon.
func TestRetiredLaneWaitsForItsSuccessor(t *testing.T) {
	noLeaks(t)
	for _, policy := range []Policy{RoundRobin, Shared} {
		store := newMemory(t)
		s := newSet(t, Options{Store: store, Policy: policy})
		port := freePort(t)
		_, f := program(t, s, 7, port)
		s.Use(7, true)
		_ = f.Close()
		s.Retire(7)
		waiting := dial(t, port, 3)
		// The first set lives on here, as the keeper would.
		next := newSet(t, Options{Store: store, Saved: store.saved(), Policy: policy})
		_, f = program(t, next, 8, port)
		next.Use(8, true)
		wantDepths(t, next, "successor", 3)
		for _, c := range waiting { // else the successor would wait for what they say
			_ = c.Close()
		}
		startServer(t, "successor", f)
		if who, err := request(net.TCPAddrFromAddrPort(at(port))); who != "successor" {
			t.Errorf("policy %d: got %q, %v", policy, who, err)
		}
	}
}

// A program has two sockets at one address, and replaces one of them.
func TestSeveralLanesOfASeat(t *testing.T) {
	noLeaks(t)
	open := map[uint64]bool{}
	s := newSet(t, Options{Held: func(seat int, inode uint64) bool { return open[inode] }, bears: never})
	port := freePort(t)
	g, a := program(t, s, 3, port)
	needKernel(t, g)
	open[inodeOf(t, a)] = true
	s.Use(3, true)
	_, b := program(t, s, 3, port) // is in rotation at once
	defer b.Close()
	open[inodeOf(t, b)] = true
	dial(t, port, 4)
	wantDepths(t, s, "two sockets of one seat", 2, 2)
	_, other := program(t, s, 4, port)
	defer other.Close()

	// To listen again changes the backlog alone.
	l, err := s.Adopt(b, 3, 17)
	if err != nil || l.Replace {
		t.Fatalf("again: %+v, %v", l, err)
	}
	_ = l.File.Close()
	if q := s.Queue(); len(q) != 3 || q[2].Limit != 17 && q[1].Limit != 17 && q[0].Limit != 17 {
		t.Errorf("queues: got %+v", q)
	}

	delete(open, inodeOf(t, a))
	_ = a.Close()
	_, c := program(t, s, 3, port)
	defer c.Close()
	open[inodeOf(t, c)] = true
	if got := depths(s); len(got) != 3 || got[0]+got[1]+got[2] != 4 {
		t.Errorf("one socket replaced: queues %v, want 4 connections at 3", got)
	}
	s.Use(4, true)
	s.Use(3, false)
	wantDepths(t, s, "all lanes of the seat are out", 0, 0, 4)
	s.Release(3)
	wantDepths(t, s, "released", 4)
}

// A program closes its listener and runs on: its lane does not stay for ever.
func TestClosedListenerLeaves(t *testing.T) {
	noLeaks(t)
	var closed atomic.Uint64
	s := newSet(t, Options{Held: func(_ int, inode uint64) bool { return inode != closed.Load() }})
	port := freePort(t)
	g, a := program(t, s, 0, port)
	needKernel(t, g)
	_, b := program(t, s, 1, port)
	s.Use(0, true)
	s.Use(1, true)
	startServer(t, "1", b)
	closed.Store(inodeOf(t, a))
	_ = a.Close()
	l := startLoad(net.TCPAddrFromAddrPort(at(port)), 5*time.Millisecond)
	eventually(t, "the lane to leave", func() bool { return len(s.Queue()) == 1 })
	l.stop()
	l.check(t)
	if c := s.Counters(); c[0].Stuck == 0 || c[0].Moved == 0 {
		t.Errorf("counters: got %+v", c)
	}
}

func inodeOf(t testing.TB, f *os.File) uint64 {
	t.Helper()
	fd, err := duplicateOf(f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestAdoptRefuses(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	f := ownSocket(t, 0, false)
	defer f.Close()
	l, err := s.Adopt(f, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.File.Close()
	if l.Group.Kernel() || l.Replace {
		t.Errorf("a shared set: kernel %v, replace %v", l.Group.Kernel(), l.Replace)
	}
	if l, err = s.Adopt(f, 1, 0); err != nil || l.Replace {
		t.Errorf("a child's copy of the same socket: %+v, %v", l, err)
	}
	_ = l.File.Close()

	plain := newSet(t, Options{})
	g := ownSocket(t, 0, false)
	defer g.Close()
	if l, err = plain.Adopt(g, 0, 0); err != nil {
		t.Fatal(err)
	}
	_ = l.File.Close()
	if l.Group.Kernel() || l.Group.Reason() == "" {
		t.Errorf("a socket without SO_REUSEPORT: %q, %q", l.Group.Mechanism(), l.Group.Reason())
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := os.NewFile(uintptr(pair[0]), "a"), os.NewFile(uintptr(pair[1]), "b")
	defer a.Close()
	defer b.Close()
	if _, err := plain.Adopt(a, 0, 0); asErrno(err) != syscall.EPROTONOSUPPORT {
		t.Errorf("a socket pair: got %v", err)
	}
	if plain.Managed(a) {
		t.Error("a socket pair is managed")
	}
}

// Join takes what Bind has bound, in rotation or not, and nothing else.
func TestJoin(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{bears: never})
	f, port := freshSocket(t), freePort(t)
	defer f.Close()
	if err := unix.Bind(int(f.Fd()), &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Join(f, 0, Seat{}, 8, true); !errors.Is(err, ErrForeign) {
		t.Errorf("a socket bound past us: %v", err)
	}
	var last *Group
	for seat, use := range []bool{true, false} {
		f := freshSocket(t)
		defer f.Close()
		if err := s.Bind(f, at(port), 0, false); err != nil {
			t.Fatal(err)
		}
		l, err := s.Join(f, seat, Seat{Rank: seat}, 8, use)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.File.Close()
		last = l.Group
	}
	needKernel(t, last)
	dial(t, port, 4)
	wantDepths(t, s, "all at the seat in use", 4, 0)
}
