package port

import (
	"math"
	"slices"
	"time"
)

// judge applies the stuck rule to all groups, and returns when it must be applied
// again although the watch does not ask for it; zero: never.
func (s *Set) judge(now time.Time) (again time.Time) {
	var busy, hopeless bool
	for _, g := range s.groups {
		if g.dispatch == nil || len(g.lanes) < 2 {
			continue
		}
		d := s.judgeGroup(g, now)
		busy = busy || d.waiting && !d.hopeless
		hopeless = hopeless || d.hopeless
		if !d.again.IsZero() && (again.IsZero() || d.again.Before(again)) {
			again = d.again
		}
	}
	s.watcher.slow.Store(hopeless && !busy)
	return again
}

func (s *Set) judgeGroup(g *Group, now time.Time) decision {
	gauges := make([]*gauge, len(g.lanes))
	before := make([]standing, len(g.lanes))
	for i, l := range g.lanes {
		gauges[i], before[i] = &l.gauge, l.gauge.standing
		s.look(g, l, now)
		l.peak = max(l.peak, l.gauge.depth)
		g.tally.MaxWaiting = max(g.tally.MaxWaiting, l.gauge.depth)
	}
	s.absolve(g, now)
	d := judge(gauges, g.dispatch.Waiting(), now)
	for i, q := range gauges {
		if before[i] == in && q.standing == resting {
			g.tally.Stuck++
		}
	}
	if d.cancel {
		g.dispatch.Cancel()
	}
	g.publish()
	var left []*lane
	for _, i := range d.flush {
		l := g.lanes[i]
		s.flush(g, l)
		if s.hasClosed(l, now) {
			left = append(left, l)
			continue
		}
		if !l.told && l.gauge.rest >= 4*firstRest { // shorter ones are everyday life
			l.told = true
			s.o.Log("slot %d of %s does not accept connections; the others get them", l.slot(), g.addr)
		}
	}
	for _, i := range d.back {
		if l := g.lanes[i]; l.told {
			l.told = false
			s.o.Log("slot %d of %s is back in rotation", l.slot(), g.addr)
		}
	}
	if d.try >= 0 {
		g.dispatch.Once(g.lanes[d.try].number)
	}
	for _, l := range left {
		s.o.Log("slot %d of %s has closed its socket", l.slot(), g.addr)
		s.retireLane(g, l)
	}
	s.settle(g)
	if at := g.keepTempo(now); !at.IsZero() && (d.again.IsZero() || at.Before(d.again)) {
		d.again = at
	}
	return d
}

// look has a lane's gauge look at its queue.
func (s *Set) look(g *Group, l *lane, now time.Time) {
	dealt := g.dispatch.Share(l.number) // first: what comes later may be in the queue all the same
	depth := s.depth(l)
	if depth > 0 {
		l.lost = uint64(drops(l.fd))
	}
	l.dealt = dealt - l.lost
	before := l.gauge.stalled
	l.gauge.look(depth, l.dealt, now)
	if l.gauge.stalled != before {
		s.follow(l)
	}
}

// follow begins to follow what processor time a lane's processes get while its queue
// does not move.
func (s *Set) follow(l *lane) {
	l.starved = nil
	if s.o.Processor == nil || l.gauge.stalled.IsZero() {
		return
	}
	for slot := range l.slots {
		if starved := s.o.Processor(slot); starved != nil {
			l.starved = append(l.starved, starved)
		}
	}
}

// absolve finds out of each lane that would be stuck whether it is not to blame.
func (s *Set) absolve(g *Group, now time.Time) {
	underWay := -1
	for _, l := range g.lanes {
		q := &l.gauge
		if q.standing != in || !q.stuck(now) {
			continue
		}
		if q.gone(l.dealt) > 0 {
			if underWay < 0 {
				underWay = g.underWay()
			}
			// After that: those whose handshake has just ended are in the queue.
			if waiting, _, err := queue(l.fd); err == nil {
				q.depth = waiting
			}
			if q.gone(l.dealt) > underWay {
				q.accepts(l.dealt, now)
				s.follow(l)
				continue
			}
		}
		q.starved = q.mayStarve(now) &&
			slices.ContainsFunc(l.starved, func(starved func(time.Duration) bool) bool { return starved(ration) })
	}
}

// underWay returns how many handshakes there are whose connections may have been dealt
// to any of the group's sockets.
func (g *Group) underWay() int {
	clients, err := handshakes(portOf(g.bound))
	if err != nil {
		return math.MaxInt // no sock_diag here: all that are gone may be on their way
	}
	return len(clients)
}

// hasClosed reports whether a lane that has been stuck for a while has no process
// that could ever accept: a program may close its listener and run on.
func (s *Set) hasClosed(l *lane, now time.Time) bool {
	if l.gauge.rest < 4*firstRest || now.Sub(l.asked) < longestRest {
		return false
	}
	l.asked = now
	return s.abandoned(l)
}

// depth returns how many connections wait for a lane. A queue that the watch did
// not find is empty, and is not asked. One under suspicion is: it can be tried and
// judged between two looks of the watch.
func (s *Set) depth(l *lane) int {
	found := l.sign != nil && l.sign.found()
	if !found && l.gauge.standing < resting {
		return 0
	}
	waiting, _, err := queue(l.fd)
	if err != nil {
		return 0
	}
	if found && waiting == 0 && !listening(l.fd) {
		// Its program has shut it down, which the watch would find again and again.
		// It leaves the rotation by itself; heal brings it back.
		s.unwatch(l)
	}
	return waiting
}
