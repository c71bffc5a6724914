package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"paceline/internal/port/dispatch"

	"golang.org/x/sys/unix"
)

// Group is the sockets behind one address.
type Group struct {
	addr   net.Addr
	kernel bool
	reason string

	// What follows belongs to the set's goroutine.

	number   int     // names the group in the Store
	asked    Address // by whoever opened it first
	bound    unix.Sockaddr
	file     *identity        // of a unix socket's file
	dispatch *dispatch.Dealer // nil: one lane serves all slots
	lanes    []*lane          // by number
	rotation []int            // the lanes' numbers as published last
}

// lane is one socket and the slots that accept from it. In a kernel group slot n
// has lane n, and beyond dispatch.MaxSlots slots begin to share lanes; else all
// slots share lane 0.
type lane struct {
	number int
	fd     int
	slots  map[int]bool // whether the slot is to be in rotation
	gauge  gauge
	sign   *sign // where the watch says that connections wait; nil: it is not watched
	told   bool  // that it is stuck
	frozen error // why its queue could not be moved; told once
}

// laneOf returns the number of the lane that serves a slot.
func (g *Group) laneOf(slot int) int {
	if g.dispatch == nil {
		return 0
	}
	return slot % dispatch.MaxSlots
}

func (g *Group) lane(number int) *lane {
	i, ok := g.find(number)
	if !ok {
		return nil
	}
	return g.lanes[i]
}

func (g *Group) find(number int) (int, bool) {
	return slices.BinarySearchFunc(g.lanes, number, func(l *lane, n int) int { return l.number - n })
}

func (g *Group) insert(l *lane) {
	i, _ := g.find(l.number)
	g.lanes = slices.Insert(g.lanes, i, l)
}

// found makes the group of an address with its first socket, which is the slot's.
func (s *Set) found(a Address, slot int) (_ *Group, err error) {
	g := &Group{asked: a, number: s.next}
	l := &lane{fd: -1, slots: map[int]bool{slot: false}}
	defer func() {
		if err == nil {
			return
		}
		if l.fd >= 0 {
			_ = unix.Close(l.fd) // nothing was written to it
		}
		if g.file != nil {
			err = errors.Join(err, unlink(abstract(a.Path), *g.file))
		}
		if g.dispatch != nil {
			err = errors.Join(err, g.dispatch.Close())
		}
	}()
	g.dispatch, g.reason = s.dispatcher(a)
	if l.fd, g.file, err = bindFirst(a, g.dispatch != nil); err != nil {
		return nil, err
	}
	if g.bound, g.addr, err = boundTo(l.fd, a.Network); err != nil {
		return nil, err
	}
	if a.Network == "unix" {
		g.addr = unixAddr(a)
	}
	return g, s.establish(g, l, slot, a.backlog())
}

// establish turns the bound socket of a group's first lane into a group that
// listens and is kept.
func (s *Set) establish(g *Group, l *lane, slot, backlog int) error {
	if g.dispatch != nil {
		if err := g.dispatch.Attach(l.fd); err != nil {
			// The kernel took the program and does not take it here: go on without.
			g.reason = errors.Join(err, g.dispatch.Close()).Error()
			g.dispatch = nil
			if err := setOption(l.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false); err != nil {
				return err
			}
		}
	}
	g.kernel = g.dispatch != nil
	l.number = g.laneOf(slot)
	if !isUDP(g.asked) {
		if err := listen(l.fd, backlog); err != nil {
			return err
		}
	}
	if g.dispatch != nil {
		if err := g.dispatch.Set(l.number, l.fd); err != nil {
			return err
		}
	}
	g.insert(l)
	g.publish()
	err := s.keepGroup(g)
	if err == nil {
		err = s.keepLane(g, l, true)
	}
	if err != nil {
		return errors.Join(err, s.drop(s.groupName(g)))
	}
	s.groups[g.asked.key()] = g
	s.next++
	return nil
}

// dispatcher returns who deals the address's connections out in the kernel, or nil
// and, if that was asked for, why not.
func (s *Set) dispatcher(a Address) (*dispatch.Dealer, string) {
	switch {
	case s.o.Policy == Shared:
		return nil, ""
	case s.o.NoKernel:
		return nil, "round robin in the kernel is switched off"
	case isUDP(a):
		return nil, "UDP has no connections to deal out"
	case a.Network == "unix":
		return nil, "unix sockets have no groups in the kernel"
	}
	r, err := dispatch.NewRoundRobin()
	if err != nil {
		return nil, err.Error()
	}
	return r, ""
}

func isUDP(a Address) bool { return strings.HasPrefix(a.Network, "udp") }

// bindFirst binds an address. For a kernel group the socket has SO_REUSEPORT.
func bindFirst(a Address, group bool) (int, *identity, error) {
	switch a.Network {
	case "unix":
		return bindUnix(a)
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
	default:
		return -1, nil, unix.EAFNOSUPPORT
	}
	to, err := candidates(a)
	if err != nil {
		return -1, nil, err
	}
	fd, err := firstOf(to, func(sa unix.Sockaddr) (int, error) {
		switch {
		case isUDP(a):
			return bindUDP(a, sa)
		case group:
			return foundGroup(sa, a.V6Only)
		default:
			return bindTCP(sa, a.V6Only, false)
		}
	})
	return fd, nil, err
}

// join gives a slot a socket of its own in a kernel group.
func (s *Set) join(g *Group, slot, backlog int) (*lane, error) {
	fd, err := bindTCP(g.bound, g.asked.V6Only, true)
	if err != nil {
		return nil, err
	}
	l := &lane{number: g.laneOf(slot), fd: fd, slots: map[int]bool{slot: false}}
	if err := s.enrol(g, l, backlog); err != nil {
		_ = unix.Close(fd) // nothing was written to it
		return nil, err
	}
	return l, nil
}

// enrol has a new lane's socket listen in the group.
func (s *Set) enrol(g *Group, l *lane, backlog int) error {
	if err := listen(l.fd, backlog); err != nil {
		return err
	}
	if err := g.dispatch.Set(l.number, l.fd); err != nil {
		return err
	}
	if err := s.keepLane(g, l, true); err != nil {
		return errors.Join(err, g.dispatch.Clear(l.number))
	}
	g.dispatch.Want(l.number, false) // whatever its number was used for before
	g.insert(l)
	s.watchGroup(g)
	g.publish()
	return nil
}

// use puts a slot into the rotation or out of it.
func (s *Set) use(g *Group, slot int, on bool) {
	l := g.lane(g.laneOf(slot))
	if l == nil {
		return
	}
	if _, ok := l.slots[slot]; !ok {
		return
	}
	l.slots[slot] = on
	if g.dispatch == nil {
		return
	}
	if on { // a program may have shut its socket down
		s.heal(g, l)
	}
	wanted := l.wanted()
	if wanted == (l.gauge.standing != out) {
		return
	}
	if !wanted && l.gauge.standing == trying {
		g.dispatch.Cancel()
	}
	nobody := !slices.ContainsFunc(g.lanes, func(l *lane) bool { return l.gauge.standing != out })
	l.gauge.enter(wanted)
	g.dispatch.Want(l.number, wanted)
	g.publish()
	switch {
	case !wanted:
		s.flush(g, l)
	case nobody: // what has come to the others meanwhile need not wait for them
		for _, other := range g.lanes {
			if other != l {
				s.flush(g, other)
			}
		}
	}
}

// wanted reports whether one of the lane's slots is to be in rotation.
func (l *lane) wanted() bool {
	for _, on := range l.slots {
		if on {
			return true
		}
	}
	return false
}

// publish tells the kernel who is in rotation. It is never nobody: stuck slots, or
// those whose successors are still to come, are better than a refused connection.
func (g *Group) publish() {
	if g.dispatch == nil {
		return
	}
	var deal []int
	for _, floor := range []standing{in, resting, out} {
		for _, l := range g.lanes {
			if l.gauge.standing == in || floor == resting && l.gauge.standing != out || floor == out {
				deal = append(deal, l.number)
			}
		}
		if len(deal) > 0 {
			break
		}
	}
	if !slices.Equal(deal, g.rotation) {
		g.rotation = deal
		g.dispatch.Deal(deal)
	}
}

// flush moves what waits in a lane's queue to the lanes in rotation. It does
// nothing while the lane is in rotation itself: the queue is its successor's then.
func (s *Set) flush(g *Group, l *lane) {
	if slices.Contains(g.rotation, l.number) {
		return
	}
	waiting, limit, err := queue(l.fd)
	if err == nil && waiting == 0 {
		return
	}
	if err == nil {
		err = s.moveFrozen(g, l, limit)
	}
	if err == nil {
		l.gauge.moved()
		l.frozen = nil
		s.wake(g)
		return
	}
	if l.frozen == nil {
		l.frozen = err
		s.o.Log("move %d connections from slot %d of %s to others: %v", waiting, l.slot(), g.addr, err)
	}
}

// moveFrozen moves the lane's queue while its processes stand still.
func (s *Set) moveFrozen(g *Group, l *lane, limit int) error {
	if s.o.Freeze != nil {
		for slot := range l.slots {
			thaw, err := s.o.Freeze(slot)
			if err != nil {
				return fmt.Errorf("freeze: %w", err)
			}
			if thaw != nil {
				defer thaw()
			}
		}
	}
	if err := moveQueue(l.fd, limit); err != nil {
		return err
	}
	return g.dispatch.Set(l.number, l.fd) // it left when it was shut down
}

// heal has the lane's socket listen if a program has shut it down.
func (s *Set) heal(g *Group, l *lane) {
	if listening(l.fd) {
		return
	}
	err := listen(l.fd, g.asked.backlog())
	if err == nil {
		err = g.dispatch.Set(l.number, l.fd)
	}
	if err != nil {
		s.o.Log("listen again on %s for slot %d: %v", g.addr, l.slot(), err)
		return
	}
	s.watchGroup(g)
}

// slot returns the lane's first slot, to name it by.
func (l *lane) slot() int {
	first := -1
	for slot := range l.slots {
		if first < 0 || slot < first {
			first = slot
		}
	}
	return first
}

// leave ends a slot's part in the group, and the group with the last.
func (s *Set) leave(g *Group, slot int) error {
	l := g.lane(g.laneOf(slot))
	if l == nil {
		return nil
	}
	if _, ok := l.slots[slot]; !ok {
		return nil
	}
	s.use(g, slot, false)
	switch {
	case len(l.slots) > 1:
		delete(l.slots, slot)
		return s.keepLane(g, l, false)
	case len(g.lanes) == 1:
		return s.shut(g)
	}
	i, _ := g.find(l.number)
	g.lanes = slices.Delete(g.lanes, i, i+1)
	g.publish()
	s.flush(g, l) // without others in rotation use has left the queue in place
	err := errors.Join(g.dispatch.Clear(l.number), s.release(l), s.drop(s.laneName(g, l)))
	s.watchGroup(g)
	return err
}

// release closes our duplicate of a lane's socket.
func (s *Set) release(l *lane) error {
	s.unwatch(l)
	return os.NewSyscallError("close", unix.Close(l.fd))
}

// shut closes the group and forgets it in the Store.
func (s *Set) shut(g *Group) error {
	errs := []error{s.drop(s.groupName(g))}
	for _, l := range g.lanes {
		errs = append(errs, s.release(l))
	}
	if g.dispatch != nil {
		errs = append(errs, g.dispatch.Close())
	}
	if g.file != nil {
		errs = append(errs, unlink(abstract(g.asked.Path), *g.file))
	}
	delete(s.groups, g.asked.key())
	return errors.Join(errs...)
}
