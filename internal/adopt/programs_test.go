//go:build linux

package adopt

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// play is a program that a test runs.
func play(name string, args []string) error {
	switch name {
	case "hostile":
		return playHostile(netip.MustParseAddrPort(args[0]))
	case "http":
		return playHTTP(args[0])
	case "listen": // one socket, non-blocking; then as its input says
		return playListen(netip.MustParseAddrPort(args[0]))
	case "signals":
		return playSignals(netip.MustParseAddrPort(args[0]))
	case "threads":
		return playThreads(netip.MustParseAddrPort(args[0]))
	case "swap":
		return playSwap(netip.MustParseAddrPort(args[0]))
	case "supervisor":
		return playSupervisor()
	}
	return fmt.Errorf("no program %q", name)
}

func say(format string, a ...any) { _, _ = fmt.Printf(format+"\n", a...) }

// raw makes a call with arguments that no library would pass.
func raw(nr uintptr, a, b, c uintptr) string {
	if _, _, errno := unix.Syscall(nr, a, b, c); errno != 0 {
		return unix.ErrnoName(errno)
	}
	return "ok"
}

func inet4(a netip.AddrPort) []byte {
	b := make([]byte, sizeStorage)
	b[0], b[2], b[3] = unix.AF_INET, byte(a.Port()>>8), byte(a.Port())
	ip := a.Addr().As4()
	copy(b[4:], ip[:])
	return b
}

func inet6(a netip.AddrPort) []byte {
	b := make([]byte, sizeStorage)
	b[0], b[2], b[3] = unix.AF_INET6, byte(a.Port()>>8), byte(a.Port())
	ip := a.Addr().As16()
	copy(b[8:], ip[:])
	return b
}

func socketOf(family, kind, protocol int) uintptr {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		say("socket: %v", err)
	}
	return uintptr(fd)
}

func pointer(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// playHostile makes calls that are wrong, odd or none of our business, and says what
// came of them. It has to be the same with the filter and without.
func playHostile(free netip.AddrPort) error {
	tcp := func() uintptr { return socketOf(unix.AF_INET, unix.SOCK_STREAM, 0) }
	good := inet4(free)
	page := unix.Getpagesize()
	pages, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	if err := unix.Munmap(pages); err != nil { // The whole: then its first half again.
		return err
	}
	hole := pages[page : page+8]
	_ = hole
	half, _, errno := unix.Syscall6(unix.SYS_MMAP, pointer(pages), uintptr(page), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED, ^uintptr(0), 0)
	if errno != 0 {
		return errno
	}
	atEdge := half + uintptr(page) - 8 // an address of which the second half is not mapped
	copy(pages[page-8:page], good)

	const bind, listen, shutdown = unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_SHUTDOWN
	say("null: %s", raw(bind, tcp(), 0, 16))
	say("unmapped: %s", raw(bind, tcp(), half+uintptr(page), 16))
	say("half mapped: %s", raw(bind, tcp(), atEdge, 16))
	say("kernel address: %s", raw(bind, tcp(), ^uintptr(0)-4095, 16))
	for _, length := range []int{0, 1, 2, 15, 129, 1<<31 - 1, -1, -1 << 31} {
		say("length %d: %s", length, raw(bind, tcp(), pointer(good), uintptr(length)))
	}
	say("no descriptor: %s", raw(bind, ^uintptr(0), pointer(good), 16))
	closed := tcp()
	_ = unix.Close(int(closed))
	say("closed: %s, %s, %s", raw(bind, closed, pointer(good), 16), raw(listen, closed, 5, 0), raw(shutdown, closed, 2, 0))
	say("no socket: %s, %s, %s", raw(bind, 0, pointer(good), 16), raw(listen, 0, 5, 0), raw(shutdown, 0, 2, 0))
	var path [2]int
	_ = unix.Pipe(path[:])
	say("a pipe: %s, %s", raw(bind, uintptr(path[0]), pointer(good), 16), raw(listen, uintptr(path[0]), 5, 0))
	say("IPv4 for IPv6: %s", raw(bind, socketOf(unix.AF_INET6, unix.SOCK_STREAM, 0), pointer(good), 28))
	say("IPv6 for IPv4: %s", raw(bind, tcp(), pointer(inet6(netip.MustParseAddrPort("[::1]:1"))), 28))
	unspecified := inet4(free)
	unspecified[0] = 0
	say("no family: %s", raw(bind, tcp(), pointer(unspecified), 16))
	say("not here: %s", raw(bind, tcp(), pointer(inet4(netip.MustParseAddrPort("192.0.2.1:5000"))), 16))
	say("no zone: %s", raw(bind, socketOf(unix.AF_INET6, unix.SOCK_STREAM, 0), pointer(inet6(netip.MustParseAddrPort("[fe80::1]:5000"))), 28))
	say("low port: %s", raw(bind, tcp(), pointer(inet4(netip.AddrPortFrom(free.Addr(), 81))), 16))

	any4 := inet4(netip.AddrPortFrom(free.Addr(), 0))
	zero := tcp()
	say("port 0: %s, %s", raw(bind, zero, pointer(any4), 16), raw(listen, zero, 5, 0))
	say("unbound: %s", raw(listen, tcp(), 5, 0))
	udp := socketOf(unix.AF_INET, unix.SOCK_DGRAM, 0)
	say("UDP: %s, %s", raw(bind, udp, pointer(good), 16), raw(listen, udp, 5, 0))
	name := append([]byte{unix.AF_UNIX, 0, 0}, free.String()...)
	local := socketOf(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	say("unix: %s, %s", raw(bind, local, pointer(name), uintptr(len(name))), raw(listen, local, 5, 0))

	high := uintptr(1) << 32 << 3
	fd := tcp()
	say("upper halves: %s", raw(bind, fd|high, pointer(good), 16|high))
	sa, _ := unix.Getsockname(int(fd))
	say("is bound: %t", sa.(*unix.SockaddrInet4).Port == int(free.Port()))
	other := inet4(netip.AddrPortFrom(free.Addr(), free.Port()+1))
	say("again elsewhere: %s", raw(bind, fd, pointer(other), 16))
	say("in use: %s", raw(bind, tcp(), pointer(good), 16))
	say("negative backlog: %s, again %s", raw(listen, fd, ^uintptr(0), 0), raw(listen, fd, 5, 0))
	say("shutdown 7: %s", raw(shutdown, fd, 7, 0))
	client := tcp()
	say("client: %s", raw(bind, client, pointer(other), 16))
	if err := unix.Connect(int(client), sa); err != nil {
		say("connect: %v", err)
	}
	say("connection: %s, %s", raw(shutdown, client, 0, 0), raw(shutdown, client, 2, 0))
	say("listener: %s", raw(shutdown, fd, 1, 0))
	runtime.KeepAlive([][]byte{good, any4, name, other, unspecified})
	return nil
}

func playHTTP(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	say("listening on %s", l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	}))
}

func playListen(at netip.AddrPort) error {
	fd := int(socketOf(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0))
	report := func(name string, err error) { say("%s: %v", name, err) }
	sa := &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
	for {
		var word string
		if _, err := fmt.Scan(&word); err != nil {
			return nil //nolint:nilerr // the end of the input
		}
		switch word {
		case "bind":
			report(word, unix.Bind(fd, sa))
		case "listen":
			report(word, unix.Listen(fd, 7))
		case "shutdown":
			report(word, unix.Shutdown(fd, unix.SHUT_RDWR))
		case "accept":
			_, _, err := unix.Accept(fd)
			report(word, err)
		case "name":
			sa, err := unix.Getsockname(fd)
			say("name: %v %v", sa.(*unix.SockaddrInet4).Port, err)
		case "flags":
			status, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			own, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			say("flags: nonblock %t, cloexec %t", status&unix.O_NONBLOCK != 0, own == unix.FD_CLOEXEC)
		}
	}
}

// playSignals binds and listens under a rain of signals.
func playSignals(at netip.AddrPort) error {
	var caught atomic.Int64
	rain := make(chan os.Signal, 1)
	signal.Notify(rain, unix.SIGALRM)
	go func() {
		for range rain {
			caught.Add(1)
		}
	}()
	every := unix.Itimerval{
		Interval: unix.Timeval{Usec: 2000}, Value: unix.Timeval{Usec: 2000},
	}
	if _, err := unix.Setitimer(unix.ItimerReal, every); err != nil {
		return err
	}
	// To no other thread can they go: others have them blocked, being Go's, or not.
	fd := int(socketOf(unix.AF_INET, unix.SOCK_STREAM, 0))
	bound := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
	say("bind: %v", bound)
	say("listen: %v", unix.Listen(fd, 7))
	if caught.Load() == 0 {
		say("no signal came")
	}
	return nil
}

// playThreads binds from many threads at once, to its own ports.
func playThreads(at netip.AddrPort) error {
	const threads = 100
	var wg sync.WaitGroup
	var failed atomic.Int64
	for i := range threads {
		wg.Go(func() {
			fd := int(socketOf(unix.AF_INET, unix.SOCK_STREAM, 0))
			sa := &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port()) + i}
			if unix.Bind(fd, sa) != nil || unix.Listen(fd, 7) != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	say("failed: %d", failed.Load())
	return nil
}

// playSwap binds while another thread puts a file, a closed descriptor or another
// socket under the same number.
func playSwap(at netip.AddrPort) error {
	fd := int(socketOf(unix.AF_INET, unix.SOCK_STREAM, 0))
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			switch i % 3 {
			case 0:
				_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
			case 1:
				_ = syscall.Close(fd)
			default:
				s, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
				if s >= 0 && s != fd {
					_ = unix.Dup3(s, fd, unix.O_CLOEXEC)
					_ = unix.Close(s)
				}
			}
		}
	})
	good := inet4(at)
	for range 300 {
		raw(unix.SYS_BIND, uintptr(fd), pointer(good), 16)
		raw(unix.SYS_LISTEN, uintptr(fd), 5, 0)
		raw(unix.SYS_SHUTDOWN, uintptr(fd), 2, 0)
	}
	close(stop)
	wg.Wait()
	say("alive")
	return nil
}

// playSupervisor is a server on descriptor 3 that saves to descriptor 4, says when
// its handler is called, and never answers.
func playSupervisor() error {
	saved := os.NewFile(4, "saved")
	h := &fake{}
	block := func(what string) {
		say("%s", what)
		time.Sleep(time.Hour) // it is killed
	}
	h.bind = func(_ context.Context, b Bind) error {
		if err := bindFile(b); err != nil {
			return err
		}
		block("bound")
		return nil
	}
	s, err := New(Options{Notify: os.NewFile(3, "listener"), Handler: h, Save: func(note []byte) error {
		if err := saved.Truncate(0); err != nil {
			return err
		}
		_, err := saved.WriteAt(note, 0)
		return err
	}})
	if err != nil {
		return err
	}
	say("serving")
	time.Sleep(time.Hour) // it is killed
	return s.Close()
}
