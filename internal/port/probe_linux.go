package port

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Probe finds out what works here by doing it once, on the loopback interface.
func Probe() Support {
	s, err := NewSet(Options{Policy: RoundRobin})
	if err != nil {
		return Support{Reason: err.Error()}
	}
	support := s.probe()
	if err := s.Close(); err != nil {
		return Support{Reason: err.Error()}
	}
	if support.Kernel {
		if found, err := probeWaking(); err == nil && found == muteKernel {
			support.Reason += "; the kernel does not wake the process that it moves connections to, so Paceline does"
		}
	}
	return support
}

func (s *Set) probe() Support {
	var g *Group
	for slot := range 2 {
		l, err := s.Open(Address{Network: "tcp4", Host: "127.0.0.1"}, slot)
		if err != nil {
			return Support{Reason: err.Error()}
		}
		if err := l.File.Close(); err != nil {
			return Support{Reason: err.Error()}
		}
		g = l.Group
		if !g.kernel {
			return Support{Reason: g.reason}
		}
		s.Use(slot, true)
	}
	for range 4 {
		fd, err := newSocket(unix.AF_INET, unix.SOCK_STREAM)
		if err != nil {
			return Support{Reason: err.Error()}
		}
		defer func() { _ = unix.Close(fd) }() // nothing was written to it
		// On the loopback interface the connection is queued before this returns.
		if err := unix.Connect(fd, g.bound); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			return Support{Kernel: true, Reason: "not tried: " + err.Error()}
		}
	}
	for _, d := range s.Queue() {
		if d.Waiting != 2 {
			return Support{Reason: "the kernel does not deal connections out in turn"}
		}
	}
	return Support{Kernel: true, Reason: "4 connections were dealt to 2 sockets in turn"}
}

// waking says whether a connection that is moved wakes the process it is moved to.
type waking int

const (
	unknownKernel waking = iota
	wakingKernel
	// Kernels before 2026 (it came to the stable series, too) put a moved connection
	// into the other queue without a word. A process that sleeps in epoll hears of it
	// with the next connection only, which may be long.
	muteKernel
)

// probeWaking finds out by doing it with two sockets of our own.
func probeWaking() (_ waking, err error) {
	s, err := NewSet(Options{})
	if err != nil {
		return unknownKernel, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.wakes = wakingKernel // which keeps the trial from making one itself
	l, err := s.Open(Address{Network: "tcp4", Host: "127.0.0.1"}, 0)
	if err != nil {
		return unknownKernel, err
	}
	defer func() { err = errors.Join(err, l.File.Close()) }()
	other, err := s.Open(Address{Network: "tcp4", Host: "127.0.0.1"}, 1)
	if err != nil {
		return unknownKernel, err
	}
	defer func() { err = errors.Join(err, other.File.Close()) }()
	if !l.Group.kernel {
		return unknownKernel, errors.New(l.Group.reason)
	}
	s.Use(1, true)
	client, err := newSocket(unix.AF_INET, unix.SOCK_STREAM)
	if err != nil {
		return unknownKernel, err
	}
	defer func() { _ = unix.Close(client) }() // nothing was written to it
	if err := unix.Connect(client, l.Group.bound); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
		return unknownKernel, os.NewSyscallError("connect", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return unknownKernel, os.NewSyscallError("epoll_create", err)
	}
	defer func() { _ = unix.Close(epoll) }() // nothing was written to it
	fd, err := duplicateOf(l.File)
	if err != nil {
		return unknownKernel, err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return unknownKernel, os.NewSyscallError("epoll_ctl", err)
	}
	s.Use(0, true)
	s.Use(1, false)
	n, err := unix.EpollWait(epoll, make([]unix.EpollEvent, 1), 0)
	if err != nil {
		return unknownKernel, os.NewSyscallError("epoll_wait", err)
	}
	if n == 0 {
		return muteKernel, nil
	}
	return wakingKernel, nil
}

// wake has the processes in rotation look into their queues after connections were
// moved there. Where the kernel does not do it, it gives each of them a connection
// that ends at once, as a port scan would.
func (s *Set) wake(g *Group) {
	if s.wakes == unknownKernel {
		s.wakes = wakingKernel // in doubt
		if found, err := probeWaking(); err == nil {
			s.wakes = found
		}
	}
	if s.wakes == wakingKernel {
		return
	}
	for _, number := range g.rotation {
		waiting, _, err := queue(g.lane(number).fd)
		if err != nil || waiting == 0 {
			continue
		}
		if !g.dispatch.Waiting() {
			g.dispatch.Once(number)
		}
		fd, err := newSocket(familyOf(g.bound), unix.SOCK_STREAM)
		if err != nil {
			continue
		}
		_ = unix.Connect(fd, g.bound) // it is in progress, or nobody is there to wake
		_ = unix.Close(fd)            // nothing was written to it
	}
}
