package port

// Steered is a connection that is to reach one slot.
type Steered struct {
	s       *Set
	from    uint16
	groups  []*Group
	lanes   []*lane
	flushes []int
}

// Steer has the connections that come from a local port to another one of the set's reach
// a slot, or seat, whether it is in rotation or not: to ask the process in it how it is.
// The caller binds the port before, connects after, and calls Over when it has its answer.
// Nil: it cannot be done, as the slot has no queue of its own there, or is not there.
func (s *Set) Steer(from, to uint16, slot int) *Steered {
	is := &Steered{s: s, from: from}
	_ = s.do(func() { // at a closed set there is nobody to ask
		for _, g := range s.sorted() {
			if g.dispatch == nil || g.asked.Network == "unix" || portOf(g.bound) != int(to) {
				continue
			}
			lanes := g.lanesOf(slot)
			if len(lanes) != 1 || len(lanes[0].slots) != 1 || !g.dispatch.Steer(from, lanes[0].number) {
				continue
			}
			is.groups, is.lanes = append(is.groups, g), append(is.lanes, lanes[0])
			is.flushes = append(is.flushes, lanes[0].flushes)
		}
	})
	if len(is.groups) == 0 {
		return nil
	}
	return is
}

// Over ends it, and reports whether the connection has stayed with its slot: the queue of
// one that does not accept is moved to others.
func (is *Steered) Over() (stayed bool) {
	stayed = true
	_ = is.s.do(func() { // a closed set steers nothing
		for i, g := range is.groups {
			if is.s.groups[g.asked.key()] == g {
				g.dispatch.Unsteer(is.from)
			}
			stayed = stayed && is.lanes[i].flushes == is.flushes[i]
		}
	})
	return stayed
}
