package port

import (
	"errors"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

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

// Programs' own sockets make up a group; a successor's takes the place of the one
// before, and what waits there is not lost.
func TestAdopt(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	free := ownSocket(t, 0, true)
	port := portIn(t, free)
	_ = free.Close()

	adopt := func(slot int) *os.File {
		t.Helper()
		f := ownSocket(t, port, true)
		l, err := s.Adopt(f, slot, 0)
		if err != nil {
			t.Fatal(err)
		}
		needKernel(t, l.Group)
		_ = l.File.Close()
		s.Use(slot, true)
		return f
	}
	zero, one := adopt(0), adopt(1)
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	dial := func(n int) {
		t.Helper()
		for range n {
			c, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	depths := func() (w []int) {
		for _, d := range s.Queue() {
			w = append(w, d.Waiting)
		}
		return w
	}
	dial(10)
	if d := depths(); !slices.Equal(d, []int{5, 5}) {
		t.Errorf("queues: got %v, want [5 5]", d)
	}
	_ = one.Close() // its process dies without having accepted anything
	successor := adopt(1)
	if d := depths(); len(d) != 2 || d[0]+d[1] != 10 {
		t.Errorf("queues: got %v, want 10 in all", d)
	}
	_ = zero.Close()
	_ = successor.Close()
	next := newSet(t, Options{Store: store, Saved: store.saved()})
	if q := next.Queue(); len(q) != 2 {
		t.Errorf("rebuilt: got %v", q)
	}
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
	if l.Group.Kernel() {
		t.Error("a shared set deals in the kernel")
	}
	if _, err := s.Adopt(f, 1, 0); !errors.Is(err, ErrHeld) {
		t.Errorf("second socket of a shared group: got %v, want ErrHeld", err)
	}

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
}

func portIn(t testing.TB, f *os.File) int {
	t.Helper()
	fd, err := duplicateOf(f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return portOf(sa)
}
