package port

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func (s *Set) adopt(f *os.File, slot, backlog int) (_ *Listener, err error) {
	if slot < 0 {
		return nil, syscall.EINVAL
	}
	fd, err := duplicateOf(f)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			err = errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
		}
	}()
	a, err := addressOf(fd)
	if err != nil {
		return nil, err
	}
	a.Backlog = backlog

	g := s.groups[a.key()]
	switch {
	case g == nil:
		g, err = s.adoptFirst(a, fd, slot)
	case g.dispatch == nil:
		err = syscall.EADDRINUSE
	default:
		err = s.adoptNext(g, fd, slot, a.backlog())
	}
	if err != nil {
		return nil, wrap(a, err)
	}
	kept = true
	return g.listener(g.lane(g.laneOf(slot)))
}

// adoptFirst founds a group on a program's socket.
func (s *Set) adoptFirst(a Address, fd, slot int) (*Group, error) {
	g := &Group{asked: a, number: s.next}
	l := &lane{fd: fd, slots: map[int]bool{slot: false}}
	var err error
	if g.bound, g.addr, err = boundTo(fd, a.Network); err != nil {
		return nil, err
	}
	shareable, err := option(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if err != nil {
		return nil, err
	}
	if g.dispatch, g.reason = s.dispatcher(a); g.dispatch != nil && !shareable {
		g.reason = "the program's socket was bound without SO_REUSEPORT"
		if err := g.dispatch.Close(); err != nil {
			return nil, err
		}
		g.dispatch = nil
	}
	if err := s.establish(g, l, slot, a.backlog()); err != nil {
		if g.dispatch != nil {
			err = errors.Join(err, g.dispatch.Close())
		}
		return nil, err
	}
	return g, nil
}

// adoptNext makes a program's socket the slot's. The one that the slot had is let
// go of: its process keeps it, or with the last duplicate gone its queue moves.
func (s *Set) adoptNext(g *Group, fd, slot, backlog int) error {
	number := g.laneOf(slot)
	old := g.lane(number)
	if old == nil {
		l := &lane{number: number, fd: fd, slots: map[int]bool{slot: false}}
		return s.enrol(g, l, backlog)
	}
	if err := listen(fd, backlog); err != nil {
		return err
	}
	if err := g.dispatch.Set(number, fd); err != nil {
		return err
	}
	before := old.fd
	s.unwatch(old)
	old.fd = fd
	if _, ok := old.slots[slot]; !ok {
		old.slots[slot] = false
	}
	if err := s.keepLane(g, old, true); err != nil {
		s.o.Log("adopt a socket: %v", err) // it serves all the same
	}
	s.watchGroup(g)
	return os.NewSyscallError("close", unix.Close(before))
}

// addressOf returns the address that a program has bound a TCP socket to.
func addressOf(fd int) (Address, error) {
	if proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || proto != unix.IPPROTO_TCP {
		return Address{}, syscall.EPROTONOSUPPORT // MPTCP too: its listeners have no groups
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Address{}, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return Address{Network: "tcp", Host: netip.AddrFrom4(sa.Addr).String(), Port: sa.Port}, nil
	case *unix.SockaddrInet6:
		only, err := option(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zoneName(sa.ZoneId))
		}
		return Address{Network: "tcp", Host: ip.String(), Port: sa.Port, V6Only: only}, err
	default:
		return Address{}, syscall.EAFNOSUPPORT
	}
}
