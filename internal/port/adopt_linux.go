package port

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Seat says what process takes a seat, before anything is adopted for it. Without
// it the epoch is 0 and the rank is the seat's number.
func (s *Set) Seat(seat int, is Seat) {
	_ = s.do(func() { s.seats[seat] = is }) // a closed set has no seats
}

// Adopt makes a program's own TCP socket, which is bound by Bind, part of the group
// of its address and lets it listen with the backlog. f stays the caller's.
//
// In a kernel group the socket becomes a lane of the seat, and gets connections
// from Use on, or at once if the seat is in use already. A seat may have several;
// those that its processes do not hold any more (Options.Held) go. Where all share
// one socket the first of an epoch brings it, and the others must take the
// Listener's file for theirs: see Listener.Replace. To adopt a socket again sets its
// backlog.
//
// Errors: ErrClosed, a syscall.Errno that errors.As finds; ENOSPC if the address
// has 256 sockets.
func (s *Set) Adopt(f *os.File, seat, backlog int) (l *Listener, err error) {
	if e := s.do(func() { l, err = s.adopt(f, seat, backlog) }); e != nil {
		err = e
	}
	return l, err
}

// Join is Managed, Seat, Use and Adopt in one, since a program waits for it as it
// starts. Errors: ErrForeign if the address is not the set's; those of Adopt.
func (s *Set) Join(f *os.File, seat int, is Seat, backlog int, use bool) (l *Listener, err error) {
	a, err := addressOfFile(f)
	if err != nil {
		return nil, ErrForeign
	}
	if e := s.do(func() {
		if !s.manages(a) {
			err = ErrForeign
			return
		}
		s.seats[seat] = is
		if use {
			s.using[seat] = true
		}
		s.awaited = true
		l, err = s.adopt(f, seat, backlog)
		s.awaited = false
	}); e != nil {
		err = e
	}
	return l, err
}

// Retire says that the seat's process is gone. It is out of rotation at once. What
// waits for it goes to the others in rotation, and when there is none, to the
// first that comes, in whatever seat; until then its sockets stay, so that nobody
// is refused. The number is free for another process at once.
func (s *Set) Retire(seat int) {
	_ = s.do(func() { // a closed set has no seats
		delete(s.seats, seat)
		delete(s.using, seat)
		for _, g := range s.groups {
			s.retire(g, seat)
			s.settle(g)
		}
	})
}

// Prune closes the addresses whose processes are all retired: after a reload those on
// which the new release does not listen any more, and after a start that failed.
// Until then connections wait there for a successor.
func (s *Set) Prune() {
	_ = s.do(func() { // a closed set has no addresses
		for _, g := range s.groups {
			s.prune(g)
		}
	})
}

func (s *Set) adopt(f *os.File, seat, backlog int) (_ *Listener, err error) {
	if seat < 0 {
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
	if slices.Contains(s.bound, a) { // whatever the program has set since
		if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
			return nil, err
		}
	}
	a.Backlog = backlog
	cookie, err := cookieOf(fd)
	if err != nil {
		return nil, err
	}

	g := s.groups[a.key()]
	var l *lane
	replace := false
	switch {
	case g == nil:
		g, l, err = s.adoptFirst(a, fd, seat)
		kept = err == nil
	case g.byCookie(cookie) != nil:
		l = g.byCookie(cookie)
		err = s.adoptAgain(g, l, seat, a.backlog())
	case g.dispatch == nil:
		l, kept, err = s.adoptShared(g, fd, seat, a.backlog())
		replace = !kept
	default:
		l, err = s.adoptLane(g, fd, seat, a.backlog())
		kept = err == nil
	}
	if err != nil {
		return nil, wrap(a, err)
	}
	s.after(func() { s.settle(g) })
	listener, err := g.listener(l)
	if err != nil {
		return nil, err
	}
	listener.Replace = replace
	return listener, nil
}

// byCookie returns the lane with that very socket, or nil.
func (g *Group) byCookie(cookie uint64) *lane {
	i := slices.IndexFunc(g.lanes, func(l *lane) bool { return l.cookie == cookie })
	if i < 0 {
		return nil
	}
	return g.lanes[i]
}

// adoptFirst founds a group on a program's socket.
func (s *Set) adoptFirst(a Address, fd, seat int) (*Group, *lane, error) {
	g := &Group{asked: a, number: s.next, bears: s.o.bears}
	l := s.ownLane(0, fd, seat)
	var err error
	if g.bound, g.addr, err = boundTo(fd, a.Network); err != nil {
		return nil, nil, err
	}
	shareable, err := option(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if err != nil {
		return nil, nil, err
	}
	if g.dispatch, g.reason = s.dispatcher(a); g.dispatch != nil && !shareable {
		g.reason = "the program's socket was bound without SO_REUSEPORT"
		if err := g.dispatch.Close(); err != nil {
			return nil, nil, err
		}
		g.dispatch = nil
	}
	if err := s.establish(g, l, seat, a.backlog()); err != nil {
		if g.dispatch != nil {
			err = errors.Join(err, g.dispatch.Close())
		}
		return nil, nil, err
	}
	s.use(g, seat, s.using[seat])
	return g, l, nil
}

// ownLane returns a lane for a program's own socket.
func (s *Set) ownLane(number, fd, seat int) *lane {
	l := newLane(number, fd, seat, false)
	l.own = true
	if is, ok := s.seats[seat]; ok {
		l.rank, l.epoch = is.Rank, is.Epoch
	}
	return l
}

// adoptAgain is for a listen call on a socket that is a lane already.
func (s *Set) adoptAgain(g *Group, l *lane, seat, backlog int) error {
	if err := g.relisten(l, backlog); err != nil {
		return err
	}
	s.watchGroup(g)
	if _, ok := l.slots[seat]; ok {
		return nil
	}
	l.slots[seat] = s.using[seat]
	s.rotate(g, l, false)
	return s.keepLane(g, l, false)
}

// relisten sets the backlog of a lane's socket, and has it listen if its program has
// shut it down, which had taken it out of the group.
func (g *Group) relisten(l *lane, backlog int) error {
	was := listening(l.fd)
	if err := listen(l.fd, backlog); err != nil {
		return err
	}
	switch {
	case g.dispatch != nil:
		return g.dispatch.Set(l.number, l.fd)
	case g.order != nil && !was:
		g.forgetPlace(l.number)
		g.order = append(g.order, l.number)
		return g.steer(l.fd)
	default:
		return nil
	}
}

// adoptLane makes a program's socket a further lane, and drops those of the seat
// that its processes have closed: a program that listens anew, inside of itself.
func (s *Set) adoptLane(g *Group, fd, seat, backlog int) (*lane, error) {
	number, err := g.freeNumber(seat % maxLanes)
	if err != nil {
		return nil, err
	}
	before := g.lanesOf(seat)
	l := s.ownLane(number, fd, seat)
	if err := s.enrol(g, l, backlog); err != nil {
		return nil, err
	}
	s.use(g, seat, s.using[seat])
	for _, old := range before {
		if old.own && s.abandoned(old) {
			s.retireLane(g, old)
		}
	}
	return l, nil
}

// abandoned reports whether no process of the lane's slots holds its socket.
func (s *Set) abandoned(l *lane) bool {
	if s.o.Held == nil || !l.own {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return false
	}
	for slot := range l.slots {
		if s.o.Held(slot, st.Ino) {
			return false
		}
	}
	return true
}

// cookieOf returns the number that a socket has for its whole life.
func cookieOf(fd int) (uint64, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE) // Linux 4.12
	return cookie, os.NewSyscallError("getsockopt", err)
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
