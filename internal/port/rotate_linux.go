package port

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// use puts a slot into the rotation or out of it.
func (s *Set) use(g *Group, slot int, on bool) {
	for _, l := range g.lanesOf(slot) {
		l.slots[slot] = on
		s.rotate(g, l, on)
	}
}

// rotate has the lane's place in the rotation follow its slots. heal is for one of
// them that is about to serve.
func (s *Set) rotate(g *Group, l *lane, heal bool) {
	if g.dispatch == nil {
		return
	}
	if heal { // a program may have shut its socket down
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
		s.yield(g, l)
	case nobody: // what has come to the others meanwhile need not wait for them
		s.after(func() {
			for _, other := range g.lanes {
				if other != l {
					s.yield(g, other)
				}
			}
		})
	}
}

// yield moves the queue of a lane that has left the rotation. Where that needs the
// processes to stand still they accept what waits instead; if they do not, the
// stuck rule finds the queue, as it does any other.
func (s *Set) yield(g *Group, l *lane) {
	if s.o.Freeze == nil || l.retired() {
		s.flush(g, l)
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

// flush moves what waits in a lane's queue to the lanes in rotation. It does
// nothing while the lane is in rotation itself: the queue is its successor's then.
// What cannot be moved is tried again, after a while that grows.
func (s *Set) flush(g *Group, l *lane) {
	now := time.Now()
	if slices.Contains(g.rotation, l.number) || now.Before(l.again) {
		return
	}
	s.letHandshakesEnd(g)
	waiting, limit, err := queue(l.fd)
	if err == nil && waiting == 0 {
		return
	}
	if err == nil {
		err = s.moveFrozen(g, l, limit)
	}
	if err == nil {
		l.gauge.moved()
		l.flushes++
		l.frozen, l.patience, l.again = nil, 0, time.Time{}
		g.tally.Moved += int64(waiting)
		s.wake(g)
		return
	}
	l.patience = min(max(2*l.patience, 2*tick), longestRest)
	l.again = now.Add(l.patience)
	if l.frozen == nil {
		l.frozen = err
		s.o.Log("move %d connections from slot %d of %s to others: %v", waiting, l.slot(), g.addr, err)
	}
}

// handshake is how long a lane goes on listening after it has left the rotation. A
// handshake that ends in the very moment in which its socket stops is lost: the kernel
// has found the socket listening, and then no more. On the loopback interface one
// takes some microseconds; over a network the moment is as short, but seldom met.
const handshake = time.Millisecond

// letHandshakesEnd waits until those that began before the last change of the
// rotation are over.
func (s *Set) letHandshakesEnd(g *Group) {
	left := handshake - time.Since(g.changed)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.quit:
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

// slot returns the lane's first slot, to name it by, or the one that it had.
func (l *lane) slot() int {
	if l.retired() {
		return l.name
	}
	return slices.Min(slices.Collect(maps.Keys(l.slots)))
}

// leave ends a slot's part in the group, and the group with the last.
func (s *Set) leave(g *Group, slot int) error {
	var errs []error
	for _, l := range g.lanesOf(slot) {
		errs = append(errs, s.leaveLane(g, l, slot))
	}
	return errors.Join(errs...)
}

func (s *Set) leaveLane(g *Group, l *lane, slot int) error {
	if len(l.slots) > 1 {
		l.slots[slot] = false
		s.rotate(g, l, false)
		delete(l.slots, slot)
		return s.keepLane(g, l, false)
	}
	if !slices.ContainsFunc(g.lanes, func(other *lane) bool { return other != l && !other.retired() }) {
		return s.shut(g)
	}
	if g.dispatch == nil {
		s.discard(g, l)
		return nil
	}
	l.slots[slot] = false
	s.rotate(g, l, false)
	g.take(l)
	g.publish()
	l.again = time.Time{} // this is the last try
	s.flush(g, l)         // without others in rotation it has been left in place
	err := errors.Join(g.dispatch.Clear(l.number), s.release(g, l), s.drop(s.laneName(g, l)))
	s.watchGroup(g)
	return err
}

// take removes a lane from the list.
func (g *Group) take(l *lane) {
	g.depart(l)
	if i, ok := g.find(l.number); ok {
		g.lanes = slices.Delete(g.lanes, i, i+1)
	}
}

// retire takes the slot, whose process is gone, off its lanes. They stay until
// settle can do without them.
func (s *Set) retire(g *Group, slot int) {
	for _, l := range g.lanesOf(slot) {
		l.name = slot
		delete(l.slots, slot)
		s.report(s.keepLane(g, l, false))
		s.rotate(g, l, false)
	}
}

// retireLane does the same with a lane that its slots' processes do not hold.
func (s *Set) retireLane(g *Group, l *lane) {
	l.name = l.slot()
	clear(l.slots)
	s.report(s.keepLane(g, l, false))
	s.rotate(g, l, false)
}

// prune closes the group if all its processes are gone.
func (s *Set) prune(g *Group) {
	for _, l := range g.lanes {
		if !l.retired() {
			return
		}
	}
	s.report(s.shut(g))
}

// settle lets the lanes go whose processes are gone, as soon as others take their
// place. It follows whatever changes the rotation.
func (s *Set) settle(g *Group) {
	if g.dispatch == nil {
		s.settleShared(g)
		return
	}
	for _, l := range slices.Clone(g.lanes) {
		if l.retired() && !slices.Contains(g.rotation, l.number) {
			s.discard(g, l)
		}
	}
}

// discard lets go of a lane that no process serves, and is not the last. In a
// kernel group what waits there moves to the lanes in rotation. What waits at the
// socket of an epoch is lost with its processes, unless the administrator has the
// kernel move it (net.ipv4.tcp_migrate_req).
//
// The socket is shut down: a stray child of its process may have it open, and it
// must not stay in the group.
func (s *Set) discard(g *Group, l *lane) {
	g.take(l)
	var errs []error
	if g.dispatch == nil {
		if g.current == l.number && len(g.lanes) > 0 {
			g.current = g.lanes[len(g.lanes)-1].number
			errs = append(errs, g.steer(g.lanes[0].fd))
		}
	} else {
		errs = append(errs, g.dispatch.Clear(l.number))
		g.dispatch.Want(l.number, false)
		g.publish()
	}
	waiting, _, _ := queue(l.fd) // to be told only
	if listening(l.fd) {
		errs = append(errs, os.NewSyscallError("shutdown", unix.Shutdown(l.fd, unix.SHUT_RD)))
	}
	if g.dispatch == nil {
		if waiting > 0 {
			s.o.Log("%d connections to %s waited for processes that are gone, and are lost", waiting, g.addr)
		}
		g.forgetPlace(l.number)
		if len(g.lanes) > 0 {
			errs = append(errs, g.steer(g.lanes[0].fd), s.keepGroup(g))
		}
	} else if waiting > 0 {
		g.tally.Moved += int64(waiting)
		s.wake(g)
	}
	errs = append(errs, s.release(g, l), s.drop(s.laneName(g, l)))
	s.watchGroup(g)
	s.report(errors.Join(errs...))
}

// release closes our duplicate of a lane's socket.
func (s *Set) release(g *Group, l *lane) error {
	s.unwatch(l)
	g.tally.Dropped += drops(l.fd)
	l.gone = true
	return os.NewSyscallError("close", unix.Close(l.fd))
}

// shut closes the group and forgets it in the Store.
func (s *Set) shut(g *Group) error {
	errs := []error{s.drop(s.groupName(g)), s.forget(g.asked.key())}
	for _, l := range g.lanes {
		errs = append(errs, s.release(g, l))
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
