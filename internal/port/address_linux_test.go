package port

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnrelatedProgramsPortIsInUse(t *testing.T) {
	noLeaks(t)
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
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []Policy{RoundRobin, Shared} {
		for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
			s := newSet(t, Options{Policy: policy})
			a := Address{Network: "tcp", Host: host, Port: port}
			if _, err := s.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
				t.Errorf("policy %d, host %q: got %v, want EADDRINUSE", policy, host, err)
			}
			want := fmt.Sprintf("%s (pid %d)", comm(t), cmd.Process.Pid)
			if who := WhoHas(a); who != want {
				t.Errorf("WhoHas(%v): got %q, want %q", a, who, want)
			}
		}
	}
	if who := WhoHas(Address{Network: "tcp", Host: "127.0.0.1", Port: 1}); who != "" {
		t.Errorf("WhoHas of a free port: got %q", who)
	}
}

func TestTwoAppsCannotShareAPort(t *testing.T) {
	noLeaks(t)
	one, two := newSet(t, Options{}), newSet(t, Options{})
	l := mustOpen(t, one, loopback, 0)
	_ = l.File.Close()
	a := loopback
	a.Port = l.Group.Addr().(*net.TCPAddr).Port
	_, err := two.Open(a, 0)
	if asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("got %v, want EADDRINUSE", err)
	}
	if want := fmt.Sprintf("listen on 127.0.0.1:%d: bind: address already in use", a.Port); err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// A program of our own user that joins the group behind our back gets nothing.
func TestIntruderGetsNothing(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	g, _ := serve(t, s, loopback, 2)
	needKernel(t, g)
	intruder, err := bindTCP(g.bound, false, true)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(intruder)
	if err := listen(intruder, 16); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := request(g.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	if waiting, _, err := queue(intruder); waiting != 0 || err != nil {
		t.Errorf("it got %d connections, %v", waiting, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, Shared} {
		noLeaks(t)
		s := newSet(t, Options{Policy: policy})
		for _, c := range []struct {
			a            Address
			reach, avoid string // of loopback addresses
		}{
			{a: Address{Network: "tcp"}, reach: "127.0.0.1 ::1"},
			{a: Address{Network: "tcp", Host: "::", Nth: 1}, reach: "127.0.0.1 ::1"},
			{a: Address{Network: "tcp", Host: "::", V6Only: true, Nth: 2}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp6", V6Only: true}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp4"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "0.0.0.0"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "::1"}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp", Host: "::ffff:127.0.0.1"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "::1%lo"}, reach: "::1"},
		} {
			var port int
			for slot := range 2 {
				l := mustOpen(t, s, c.a, slot)
				_ = l.File.Close()
				if p := l.Group.Addr().(*net.TCPAddr).Port; slot > 0 && p != port {
					t.Errorf("%+v: port %d for slot 0, %d for slot 1", c.a, port, p)
				} else {
					port = p
				}
			}
			for host := range strings.FieldsSeq(c.reach) {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
				if err != nil {
					t.Errorf("%+v: %v", c.a, err)
					continue
				}
				_ = conn.Close()
			}
			for host := range strings.FieldsSeq(c.avoid) {
				if conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
					t.Errorf("%+v: reached through %s", c.a, host)
					_ = conn.Close()
				}
			}
		}
		for _, c := range []struct {
			a    Address
			want syscall.Errno
		}{
			{Address{Network: "tcp", Host: "localhost"}, syscall.EINVAL},
			{Address{Network: "tcp", Host: "127.0.0.1", Port: 70000}, syscall.EINVAL},
			{Address{Network: "tcp6", Host: "127.0.0.1"}, syscall.EINVAL},
			{Address{Network: "tcp", Host: "192.0.2.1"}, syscall.EADDRNOTAVAIL},
			{Address{Network: "tcp", Host: "fe80::1%nosuch"}, syscall.ENODEV},
			{Address{Network: "sctp"}, syscall.EAFNOSUPPORT},
			{Address{}, syscall.EAFNOSUPPORT},
			{Address{Network: "unix"}, syscall.EINVAL},
		} {
			if _, err := s.Open(c.a, 0); asErrno(err) != c.want {
				t.Errorf("%+v: got %v, want %v", c.a, err, c.want)
			}
		}
		if _, err := s.Open(loopback, -1); asErrno(err) != syscall.EINVAL {
			t.Errorf("slot -1: got %v, want EINVAL", err)
		}
	}
}

// What the worker gets is what libuv wants.
func TestSocketFlags(t *testing.T) {
	s := newSet(t, Options{})
	for slot := range 2 {
		l := mustOpen(t, s, Address{Network: "tcp", Backlog: 77}, slot)
		conn, err := l.File.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Control(func(fd uintptr) {
			flags, _ := unix.FcntlInt(fd, unix.F_GETFL, 0)
			cloexec, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
			if flags&unix.O_NONBLOCK == 0 || cloexec&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x, descriptor flags %#x", flags, cloexec)
			}
			if proto, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); proto != unix.IPPROTO_TCP {
				t.Errorf("protocol %d", proto)
			}
			if reuse, _ := option(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR); !reuse {
				t.Error("no SO_REUSEADDR")
			}
		})
		_ = l.File.Close()
	}
	for _, d := range s.Queue() {
		if d.Limit != 77 {
			t.Errorf("backlog: got %d, want 77", d.Limit)
		}
	}
}

func TestUDP(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	l := mustOpen(t, s, Address{Network: "udp4"}, 0)
	if l.Group.Kernel() || l.Group.Reason() != "UDP has no connections to deal out" {
		t.Errorf("got %q, %q", l.Group.Mechanism(), l.Group.Reason())
	}
	again := mustOpen(t, s, Address{Network: "udp4"}, 1)
	_ = again.File.Close()
	pc, err := net.FilePacketConn(l.File)
	_ = l.File.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", l.Group.Addr().(*net.UDPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	_ = pc.SetReadDeadline(time.Now().Add(patient))
	if n, _, err := pc.ReadFrom(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	// SO_REUSEADDR only on request.
	a := Address{Network: "udp4", Port: l.Group.Addr().(*net.UDPAddr).Port}
	other := newSet(t, Options{})
	if _, err := other.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("same port: got %v, want EADDRINUSE", err)
	}
}
