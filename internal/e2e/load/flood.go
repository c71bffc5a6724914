package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Flood does what Run does with a connection for each request, for some half of the
// processor time, in one thread: where generator and server share the processors, what the
// one takes hides a part of what two servers differ by.
//
// Addr must be of IPv4, and a request counts as hung once nobody has got an answer for
// Timeout. KeepAlive, Pause, Rate and Each are not for it: to set one is an error.
func Flood(ctx context.Context, c Config) (Result, error) {
	c = c.withDefaults()
	if c.Network != "tcp" || c.KeepAlive || c.Pause > 0 || c.Rate > 0 || c.Each != nil {
		return Result{}, errors.New("flood: only requests without a pause, each on a TCP connection of its own")
	}
	to, err := netip.ParseAddrPort(c.Addr)
	if err != nil || !to.Addr().Is4() {
		return Result{}, fmt.Errorf("flood %s: not an IPv4 address with a port", c.Addr)
	}
	f := flood{
		config:  &c,
		to:      unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())},
		left:    c.Requests,
		request: c.request(),
		calls:   make([]call, c.Clients),
		result:  newResult(),
	}
	f.parser.r = bufio.NewReaderSize(&f.source, 4096)
	begun := time.Now()
	err = f.run(ctx)
	f.result.Took = time.Since(begun)
	slices.Sort(f.result.Latencies)
	return f.result, err
}

type flood struct {
	config  *Config
	to      unix.SockaddrInet4
	left    int // requests to begin
	request []byte
	epoll   int
	calls   []call // one per client
	open    int    // of them
	parser  conn   // reads from source
	source  bytes.Reader
	result  Result
}

// call is one request.
type call struct {
	fd     int
	begun  time.Time
	answer []byte
}

func (f *flood) run(ctx context.Context) (err error) {
	runtime.LockOSThread() // else each wait costs another thread
	defer runtime.UnlockOSThread()
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create", err)
	}
	defer func() { err = errors.Join(err, unix.Close(f.epoll)) }()
	for n := range f.calls {
		f.call(ctx, n)
	}
	events := make([]unix.EpollEvent, len(f.calls))
	for f.open > 0 {
		found, err := unix.EpollWait(f.epoll, events, int(f.config.Timeout.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("epoll_wait", err)
		case found == 0:
			for n := range f.calls {
				if f.calls[n].fd >= 0 {
					f.end(n, os.ErrDeadlineExceeded)
					f.call(ctx, n)
				}
			}
		}
		for _, e := range events[:found] {
			n := int(e.Fd)
			if whole, err := f.proceed(n, e.Events); whole || err != nil {
				f.end(n, err)
				f.call(ctx, n)
			}
		}
	}
	return nil
}

// call makes the client's next request, if there is to be one.
func (f *flood) call(ctx context.Context, n int) {
	f.calls[n].fd = -1
	for ctx.Err() == nil && f.left > 0 {
		f.left--
		f.open++
		err := f.send(n)
		if err == nil {
			return
		}
		f.end(n, err)
	}
}

func (f *flood) send(n int) error {
	c := &f.calls[n]
	c.begun, c.answer = time.Now(), c.answer[:0]
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd = fd
	// See dial: one address has too few ports. They are taken at connect only, which
	// knows which are free towards this server.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: localAddr(n)}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Connect(fd, &f.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	// On the loopback there is a connection at once, unless the server's queue is full.
	wait := uint32(unix.EPOLLIN)
	if err := f.write(n); errors.Is(err, unix.EAGAIN) {
		wait = unix.EPOLLOUT
	} else if err != nil {
		return err
	}
	return f.wait(unix.EPOLL_CTL_ADD, n, wait)
}

func (f *flood) write(n int) error {
	_, err := unix.Write(f.calls[n].fd, f.request)
	return os.NewSyscallError("write", err)
}

func (f *flood) wait(op, n int, events uint32) error {
	err := unix.EpollCtl(f.epoll, op, f.calls[n].fd, &unix.EpollEvent{Events: events, Fd: int32(n)})
	return os.NewSyscallError("epoll_ctl", err)
}

// proceed goes on with a call that epoll has found. It sends the request if that was what it
// waited for, and else reads what has come; whole says that the server has closed after it.
func (f *flood) proceed(n int, events uint32) (whole bool, err error) {
	c := &f.calls[n]
	if events&unix.EPOLLOUT != 0 {
		if err := f.write(n); err != nil {
			return false, err
		}
		return false, f.wait(unix.EPOLL_CTL_MOD, n, unix.EPOLLIN)
	}
	var buf [4096]byte
	got, _, err := unix.Recvfrom(c.fd, buf[:], 0)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil:
		return false, os.NewSyscallError("read", err)
	case got == 0 && len(c.answer) == 0:
		return false, io.EOF
	}
	c.answer = append(c.answer, buf[:got]...)
	return got == 0, nil
}

// end counts a request, whose answer is there if err is nil.
func (f *flood) end(n int, err error) {
	c := &f.calls[n]
	var body []byte
	if err == nil {
		f.source.Reset(c.answer)
		f.parser.r.Reset(&f.source)
		body, _, err = f.parser.answer()
	}
	if err == nil {
		err = f.config.check(body)
	}
	f.result.count(body, time.Since(c.begun), err)
	if c.fd >= 0 {
		_ = unix.Close(c.fd) // nothing is lost
		c.fd = -1
	}
	f.open--
}
