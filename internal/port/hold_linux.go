package port

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Who accepts from a shared socket cannot be kept from it alone. So that one of the
// processes can leave without taking a connection with it, the socket gets none at
// all for some milliseconds: a filter, which needs no right, drops the first packet of
// each. The client's kernel sends it again after a second: late, but nothing is lost.
//
// It must be the first packet. A connection inherits the filter of its listener if its
// handshake ends just as that is set, and may never get rid of it: one that drops
// nothing but SYNs does it no harm.

// doorFilter drops what begins a handshake: a SYN without ACK.
var doorFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // flags
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: flagSYN | flagACK},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: flagSYN, Jt: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// Of the TCP header.
const (
	flagSYN = 0x02
	flagACK = 0x10
)

// errFiltered is that a program has put a filter of its own on its listening socket.
var errFiltered = errors.New("its program filters what comes to it")

// Hold keeps new connections from all shared sockets that the seat accepts from,
// until the last release; only the first call of a release does something. What waits
// there already is accepted as ever, and handshakes under way end: see Connecting.
// Clients that connect meanwhile are served a second late, so it is for milliseconds. Kernel groups are not touched: see Use.
//
// Errors: ErrClosed, and if a socket cannot be held, as a unix socket: then none is.
func (s *Set) Hold(seat int) (release func(), err error) {
	held := map[*lane]*Group{}
	free := func() {
		for l, g := range held {
			s.report(g.free(l))
		}
	}
	if e := s.do(func() {
		for _, g := range s.groups {
			if g.dispatch != nil {
				continue
			}
			for _, l := range g.lanesOf(seat) {
				if err = g.hold(l); err != nil {
					err = fmt.Errorf("keep connections from %s: %w", g.addr, err)
					free()
					return
				}
				held[l] = g
			}
		}
	}); e != nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() { _ = s.do(free) }), nil // a closed set has let go of its sockets
}

// Connecting reports whether handshakes are under way at the shared addresses of the
// seat. Where that cannot be seen it says that none are.
func (s *Set) Connecting(seat int) (some bool) {
	_ = s.do(func() { // nobody connects to a closed set
		for _, g := range s.groups {
			if g.dispatch == nil && len(g.lanesOf(seat)) > 0 {
				present, err := handshakes(portOf(g.bound))
				some = some || err == nil && len(present) > 0
			}
		}
	})
	return some
}

// hold closes a lane's door, once more.
func (g *Group) hold(l *lane) error {
	if g.asked.Network == "unix" || isUDP(g.asked) {
		return unix.EPROTONOSUPPORT
	}
	if l.holds == 0 {
		switch is, err := filterOf(l.fd); {
		case err != nil:
			return err
		case len(is) > 0:
			return errFiltered
		}
		program := unix.SockFprog{Len: uint16(len(doorFilter)), Filter: &doorFilter[0]}
		if err := unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
		l.dropped = drops(l.fd)
	}
	l.holds++
	return nil
}

// free opens the door after the last hold. A lane that is gone meanwhile was shut.
func (g *Group) free(l *lane) error {
	if l.holds--; l.holds > 0 || l.gone {
		return nil
	}
	err := openDoor(l.fd)
	g.tally.Dropped -= drops(l.fd) - l.dropped // these come again
	return err
}

func openDoor(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
}

// reopen opens a door that an earlier daemon has left closed.
func reopen(fd int) error {
	is, err := filterOf(fd)
	if err != nil || !slices.Equal(is, doorFilter) {
		return err
	}
	return openDoor(fd)
}

// filterOf returns the filter on a socket, nil if it has none.
func filterOf(fd int) ([]unix.SockFilter, error) {
	filter := make([]unix.SockFilter, unix.BPF_MAXINSNS)
	n := uint32(len(filter)) // unlike elsewhere it counts instructions
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		uintptr(unsafe.Pointer(&filter[0])), uintptr(unsafe.Pointer(&n)), 0)
	switch errno {
	case 0:
		return filter[:n], nil
	case unix.EACCES: // it is no classic program, and so not ours
		return nil, errFiltered
	}
	return nil, os.NewSyscallError("getsockopt", errno)
}
