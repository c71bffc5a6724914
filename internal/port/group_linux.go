package port

import (
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"paceline/internal/port/dispatch"

	"golang.org/x/sys/unix"
)

// Group is the sockets behind one address.
type Group struct {
	addr   net.Addr
	kernel bool
	reason string

	// What follows belongs to the set's goroutine.

	number   int           // names the group in the Store
	asked    Address       // by whoever opened it first
	bears    time.Duration // Options.bears
	bound    unix.Sockaddr
	file     *identity        // of a unix socket's file
	dispatch *dispatch.Dealer // nil: the current lane serves all slots
	lanes    []*lane          // by number
	rotation []int            // the lanes' numbers as published last
	changed  time.Time        // when that was
	tempo    tempo            // of a group that deals in turn

	// Of a group without dispatch: the lane that gets connections and, if programs'
	// own sockets can replace each other, the lanes as the kernel counts them: see
	// steer.
	current int
	order   []int

	accepted map[int]int64 // by rank: what was dealt to lanes that are gone

	tally Counters // what does not change by itself, and what was counted at sockets that are gone
}

// lane is one socket and the slots that accept from it. In a kernel group slot n
// of Open has lane n, and beyond dispatch.MaxSlots slots begin to share lanes; a
// seat has a lane for each socket of its own that was adopted. In other groups
// all slots share a lane.
type lane struct {
	number int
	fd     int
	slots  map[int]bool // whether the slot is to be in rotation
	name   int          // the slot that it was made for

	own    bool   // the socket was made by a program
	cookie uint64 // the socket's, to know it again
	rank   int    // see Seat
	epoch  uint64

	gauge    gauge
	dealt    uint64                          // as the gauge was told last
	starved  []func(less time.Duration) bool // of its slots, since its queue stands still: see Options.Processor
	lost     uint64                          // how many its socket had dropped when its queue was not empty last
	sign     *sign                           // where the watch says that connections wait; nil: it is not watched
	told     bool                            // that it is stuck
	asked    time.Time                       // when Options.Held was asked last
	frozen   error                           // why its queue could not be moved; told once
	patience time.Duration
	again    time.Time // when to try to move it again, patience after the last time
	farewell farewell
	stall    stall  // see Stalled
	flushes  int    // how often its queue was moved
	holds    int    // how many keep new connections from it: see Hold
	dropped  int64  // by its socket before the hold
	peak     int    // the most that waited since Loads was called last
	before   uint64 // what its number was dealt when others had it
	gone     bool   // our duplicate is closed
}

// maxLanes is how many lanes a group has at most.
const maxLanes = dispatch.MaxSlots

func newLane(number, fd, slot int, on bool) *lane {
	return &lane{number: number, fd: fd, slots: map[int]bool{slot: on}, name: slot, rank: slot}
}

// retired reports whether the lane's last process is gone.
func (l *lane) retired() bool { return len(l.slots) == 0 }

// laneOf returns the number of the lane that serves a slot of Open.
func (g *Group) laneOf(slot int) int {
	if g.dispatch == nil {
		return g.current
	}
	return slot % maxLanes
}

func (g *Group) lane(number int) *lane {
	i, ok := g.find(number)
	if !ok {
		return nil
	}
	return g.lanes[i]
}

// lanesOf returns the lanes that the slot accepts from.
func (g *Group) lanesOf(slot int) (lanes []*lane) {
	for _, l := range g.lanes {
		if _, ok := l.slots[slot]; ok {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

func (g *Group) find(number int) (int, bool) {
	return slices.BinarySearchFunc(g.lanes, number, func(l *lane, n int) int { return l.number - n })
}

func (g *Group) insert(l *lane) {
	if cookie, err := cookieOf(l.fd); err == nil { // else it is not known again, and was not asked for
		l.cookie = cookie
	}
	l.gauge.bears = g.bears
	if g.dispatch != nil && g.dispatch.Hashes() {
		l.gauge.bears = max(l.gauge.bears, loyalty)
	}
	if g.dispatch != nil {
		l.before = g.dispatch.Share(l.number)
	}
	i, _ := g.find(l.number)
	g.lanes = slices.Insert(g.lanes, i, l)
}

// found makes the group of an address with its first socket, which is the slot's.
func (s *Set) found(a Address, slot int) (_ *Group, err error) {
	g := &Group{asked: a, number: s.next, bears: s.o.bears}
	l := newLane(0, -1, slot, false)
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
			if !l.own {
				if err := setOption(l.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, false); err != nil {
					return err
				}
			}
		}
	}
	g.kernel = g.dispatch != nil
	l.number = g.laneOf(slot)
	if !g.kernel && l.own {
		g.order = []int{l.number}
		if err := g.steer(l.fd); err != nil {
			g.order = nil // it is without SO_REUSEPORT, and remains the only one
		}
	}
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
	case s.o.NoKernel && s.o.Policy == IPHash:
		return nil, "ip-hash in the kernel is switched off"
	case s.o.NoKernel:
		return nil, "round robin in the kernel is switched off"
	case isUDP(a):
		return nil, "UDP has no connections to deal out"
	case a.Network == "unix":
		return nil, "unix sockets have no groups in the kernel"
	}
	make := dispatch.NewRoundRobin
	if s.o.Policy == IPHash {
		make = dispatch.NewIPHash
	}
	r, err := make()
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
	l := newLane(g.laneOf(slot), fd, slot, false)
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
		g.rotation, g.changed = deal, time.Now()
		g.tempo.run = 1 // until it is known what so many get
		g.dispatch.Deal(deal)
		if g.dispatch.Hashes() {
			places := make([]place, len(deal))
			for i, number := range deal {
				places[i] = place{number: number, rank: g.lane(number).rank}
			}
			g.dispatch.Assign(buckets(places))
		}
	}
}

// keepTempo has copies get several connections in a row while they come fast. It
// returns when it must be asked again; zero: need not.
func (g *Group) keepTempo(now time.Time) (again time.Time) {
	if g.dispatch.Hashes() {
		return time.Time{}
	}
	before := g.tempo.run
	again = g.tempo.look(g.dispatch.Dealt(), len(g.rotation), now)
	if max(g.tempo.run, 1) != max(before, 1) {
		g.dispatch.Deal(g.tempo.turns(g.rotation, g.dispatch.Dealt()))
	}
	return again
}
