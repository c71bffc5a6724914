package port

import "time"

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
		l.gauge.look(s.depth(l), g.dispatch.Share(l.number), now)
		l.peak = max(l.peak, l.gauge.depth)
		g.tally.MaxWaiting = max(g.tally.MaxWaiting, l.gauge.depth)
	}
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
