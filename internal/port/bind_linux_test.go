package port

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func reusePort(t testing.TB, f *os.File) (on bool) {
	t.Helper()
	fd, err := duplicateOf(f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if on, err = option(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT); err != nil {
		t.Fatal(err)
	}
	return on
}

func setReusePort(t testing.TB, f *os.File) {
	t.Helper()
	fd, err := duplicateOf(f)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
		t.Fatal(err)
	}
}

// startForeign starts an unrelated program that itself uses SO_REUSEPORT.
func startForeign(t testing.TB) (pid, port int) {
	t.Helper()
	cmd := helper("foreign")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, port
}

// A port of an unrelated program is in use, whatever that has set, and the message
// names it. A program that shares its port by itself may go on to do so.
func TestBindRefusesAnUnrelatedProgramsPort(t *testing.T) {
	noLeaks(t)
	pid, port := startForeign(t)
	s := newSet(t, Options{})
	f := freshSocket(t)
	defer f.Close()
	err := s.Bind(f, at(port), 0, false)
	if asErrno(err) != syscall.EADDRINUSE {
		t.Fatalf("got %v, want EADDRINUSE", err)
	}
	if want := fmt.Sprintf("by %s (pid %d)", comm(t), pid); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %q, want it to end in %q", err, want)
	}
	if reusePort(t, f) || s.Managed(f) {
		t.Errorf("afterwards: SO_REUSEPORT %v, managed %v", reusePort(t, f), s.Managed(f))
	}
	setReusePort(t, f)
	if err := s.Bind(f, at(port), 0, false); err != nil {
		t.Errorf("a program that has set SO_REUSEPORT: %v", err)
	}
	if s.Managed(f) {
		t.Error("what has joined others is managed")
	}
}

func TestBind(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	port := freePort(t)
	bind := func(s *Set, f *os.File) error { return s.Bind(f, at(port), 0, false) }
	first := freshSocket(t)
	defer first.Close()
	for range 2 { // the second call is for the address that it has
		if err := bind(s, first); err != nil {
			t.Fatal(err)
		}
	}
	if !reusePort(t, first) || !s.Managed(first) {
		t.Errorf("SO_REUSEPORT %v, managed %v", reusePort(t, first), s.Managed(first))
	}
	if err := s.Bind(first, at(freePort(t)), 0, false); asErrno(err) != syscall.EINVAL {
		t.Errorf("another address: got %v, want EINVAL", err)
	}
	l, err := s.Adopt(first, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.File.Close()

	// Another app cannot have it, the next instance can, also with a new daemon.
	other := newSet(t, Options{Name: "port/other/"})
	g := freshSocket(t)
	defer g.Close()
	if err := bind(other, g); asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("another app: got %v, want EADDRINUSE", err)
	}
	next := newSet(t, Options{Store: store, Saved: store.saved()})
	if !next.Managed(first) {
		t.Error("a new daemon does not manage it")
	}
	if err := bind(next, g); err != nil {
		t.Errorf("the next instance: %v", err)
	}
	if !next.Managed(g) {
		t.Error("the next instance's socket is not managed")
	}

	any0 := freshSocket(t)
	defer any0.Close()
	if err := s.Bind(any0, at(0), 0, false); err != nil || s.Managed(any0) {
		t.Errorf("port 0: %v, managed %v", err, s.Managed(any0))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := bind(s, any0); err == nil || s.Managed(first) {
		t.Errorf("a closed set: %v, managed %v", err, s.Managed(first))
	}
}

// What was bound, and did not listen before the daemon died, is adopted after.
func TestBoundSurvivesTheDaemon(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	port := freePort(t)
	f := freshSocket(t)
	defer f.Close()
	if err := s.Bind(f, at(port), 0, false); err != nil {
		t.Fatal(err)
	}
	next := newSet(t, Options{Store: store, Saved: store.saved()})
	if !next.Managed(f) {
		t.Fatal("a new daemon does not manage it")
	}
	l, err := next.Adopt(f, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.File.Close()
	next.Release(0) // nobody wants it any more
	if next.Managed(f) {
		t.Error("after the last has left: managed")
	}
	if names := store.names(); len(names) > 0 {
		t.Errorf("the store holds %v", names)
	}
}

// Nobody fills the store by binding one port after the other.
func TestBoundIsLimited(t *testing.T) {
	s := newSet(t, Options{})
	_ = s.do(func() {
		for port := range 3 * maxBound {
			s.remember(Address{Network: "tcp", Host: "127.0.0.1", Port: port})
		}
		if len(s.bound) != maxBound || !s.manages(Address{Network: "tcp", Host: "127.0.0.1", Port: 3*maxBound - 1}) {
			t.Errorf("%d addresses are remembered", len(s.bound))
		}
	})
}

func TestBindIPv6(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	six := func() *os.File {
		fd, err := newSocket(unix.AF_INET6, unix.SOCK_STREAM)
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
	for _, c := range []struct {
		host string
		only bool
	}{{"::", false}, {"::", true}, {"::1", false}, {"::ffff:127.0.0.1", false}} {
		to := netip.AddrPortFrom(netip.MustParseAddr(c.host), uint16(freePort(t)))
		for seat := range 2 {
			f := six()
			defer f.Close()
			for range 2 {
				if err := s.Bind(f, to, 0, c.only); err != nil {
					t.Fatalf("%v, only IPv6 %v, seat %d: %v", to, c.only, seat, err)
				}
			}
			l, err := s.Adopt(f, seat, 0)
			if err != nil || !s.Managed(f) {
				t.Fatalf("%v, only IPv6 %v, seat %d: %v, managed %v", to, c.only, seat, err, s.Managed(f))
			}
			_ = l.File.Close()
		}
		// IPv4 is free where the program takes IPv6 alone.
		if c.host == "::" {
			f := freshSocket(t)
			defer f.Close()
			err := s.Bind(f, netip.AddrPortFrom(netip.IPv4Unspecified(), to.Port()), 0, false)
			if free := err == nil; free != c.only {
				t.Errorf("0.0.0.0 beside [::], only IPv6 %v: %v", c.only, err)
			}
		}
	}
	if c := s.Counters(); len(c) != 4 {
		t.Errorf("groups: got %+v", c)
	}
	f := freshSocket(t)
	defer f.Close()
	if err := s.Bind(f, netip.MustParseAddrPort("192.0.2.1:80"), 0, false); asErrno(err) != syscall.EADDRNOTAVAIL {
		t.Errorf("a foreign address: got %v, want EADDRNOTAVAIL", err)
	}
}
