package port

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Where all processes share one socket a reload needs a second one: a connection in
// the queue of a shared socket may be accepted by a process that is about to leave
// as well as by any other. So the processes of a new release, an epoch, share a
// socket of their own in the same SO_REUSEPORT group, and a program of one
// instruction, which needs no right, says which of the sockets gets all connections.
// It names it by its place in the group. The kernel appends who begins to listen, and
// moves the last into the place of one that ends; a place that does not exist leaves
// the choice to a hash.

// slowHandshake is how long Drained waits for a client that has begun to connect. A
// SYN-ACK is sent again after 1 s and 3 s; who is silent then is most often gone.
const slowHandshake = 5 * time.Second

// farewell is what is known of a lane that gets no connections any more.
type farewell struct {
	at      time.Time
	pending map[netip.AddrPort]bool // handshakes that may end at it
	looked  bool                    // for such as were just beginning at the time
}

// steer has the current lane's socket get all connections of the group. The socket
// is any of the group's, to attach the program to.
func (g *Group) steer(socket int) error {
	place := slices.Index(g.order, g.current)
	if place < 0 {
		return nil
	}
	ret := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: uint32(place)}
	program := unix.SockFprog{Len: 1, Filter: &ret}
	return os.NewSyscallError("setsockopt",
		unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program)) // Linux 4.5
}

// forgetPlace follows the kernel when a lane's socket leaves the group.
func (g *Group) forgetPlace(number int) {
	i := slices.Index(g.order, number)
	if i < 0 {
		return
	}
	last := len(g.order) - 1
	g.order[i] = g.order[last]
	g.order = g.order[:last]
}

// ofEpoch returns the lane of an epoch, or nil.
func (g *Group) ofEpoch(epoch uint64) *lane {
	for _, l := range g.lanes {
		if l.epoch == epoch {
			return l
		}
	}
	return nil
}

// adoptShared gives a seat its part in a group that shares sockets. It reports
// whether the program's own socket is of use, as the first of an epoch.
func (s *Set) adoptShared(g *Group, fd, seat, backlog int) (_ *lane, kept bool, err error) {
	epoch := s.seats[seat].Epoch
	l, current := g.ofEpoch(epoch), g.lane(g.current)
	if l == nil {
		joins, err := option(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		switch {
		case err != nil:
			return nil, false, err
		case len(current.slots) == 0:
			// Nobody is there whose socket it could be, and connections may wait.
			l = current
			l.epoch = epoch
		case g.order == nil || !joins:
			l = current
		default:
			l, err = s.joinShared(g, fd, seat, backlog)
			return l, err == nil, err
		}
	}
	if err := g.relisten(l, backlog); err != nil {
		return nil, false, err
	}
	if _, ok := l.slots[seat]; !ok {
		l.slots[seat] = s.using[seat]
		if err := s.keepLane(g, l, false); err != nil {
			delete(l.slots, seat)
			return nil, false, err
		}
	}
	return l, false, nil
}

// joinShared makes a program's socket that of its epoch.
func (s *Set) joinShared(g *Group, fd, seat, backlog int) (*lane, error) {
	number, err := g.freeNumber(0)
	if err != nil {
		return nil, err
	}
	l := s.ownLane(number, fd, seat)
	// The earlier program may name a place that did not exist, and would now.
	if err := g.steer(g.lane(g.current).fd); err != nil {
		return nil, err
	}
	if err := listen(fd, backlog); err != nil {
		return nil, err
	}
	g.order = append(g.order, number)
	g.insert(l)
	if err := errors.Join(s.keepLane(g, l, true), s.keepGroup(g)); err != nil {
		s.o.Log("adopt a socket of %s: %v", g.addr, err) // it serves all the same
	}
	l.slots[seat] = s.using[seat]
	return l, nil
}

// Switch gives new connections at shared sockets to the processes of an epoch, as
// far as they listen there. What waits at the socket of another epoch is left to
// its processes: see Drained. A reload that fails needs no Switch: retire the seats
// of the new epoch.
//
// Kernel groups know no epochs: use the seats of the new release, then not those of
// the old one.
func (s *Set) Switch(epoch uint64) error {
	var errs []error
	if err := s.do(func() {
		for _, g := range s.sorted() {
			if l := g.ofEpoch(epoch); g.dispatch == nil && g.order != nil && l != nil {
				errs = append(errs, s.switchTo(g, l))
				s.settle(g)
			}
		}
	}); err != nil {
		return err
	}
	return errors.Join(errs...)
}

func (s *Set) switchTo(g *Group, l *lane) error {
	before := g.lane(g.current)
	if before == l {
		return nil
	}
	g.current = l.number
	if err := g.steer(l.fd); err != nil {
		g.current = before.number
		return wrap(g.asked, err)
	}
	l.farewell = farewell{}
	before.farewell = farewell{at: time.Now()}
	before.farewell.pending, _ = handshakes(portOf(g.bound)) // Drained asks again
	return s.keepGroup(g)
}

// Drained reports whether the processes of an epoch that is not the current one
// any more have accepted all that they will ever get from shared sockets: nothing
// waits, and no handshake that began before the Switch is under way. One that takes
// longer than 5 s is not waited for. Ask again every few milliseconds.
func (s *Set) Drained(epoch uint64) bool {
	drained := true
	_ = s.do(func() { // nothing waits at a closed set
		for _, g := range s.sorted() {
			l := g.ofEpoch(epoch)
			if g.dispatch == nil && g.order != nil && l != nil && l.number != g.current {
				drained = drained && g.drained(l, time.Now())
			}
		}
	})
	return drained
}

func (g *Group) drained(l *lane, now time.Time) bool {
	b := &l.farewell
	if b.at.IsZero() { // an earlier daemon made the switch
		b.at = now
	}
	if waits := now.Sub(b.at) < slowHandshake; waits && (len(b.pending) > 0 || !b.looked) {
		present, err := handshakes(portOf(g.bound))
		switch {
		case err != nil: // no sock_diag here: time must do
			return false
		case !b.looked:
			// A packet that was on its way through the kernel at the Switch is seen now.
			b.looked = true
			if b.pending == nil {
				b.pending = map[netip.AddrPort]bool{}
			}
			maps.Copy(b.pending, present)
		}
		maps.DeleteFunc(b.pending, func(c netip.AddrPort, _ bool) bool { return !present[c] })
		if len(b.pending) > 0 {
			return false
		}
	}
	// After the look for handshakes: what has ended its own meanwhile waits now.
	waiting, _, err := queue(l.fd)
	return err != nil || waiting == 0
}

// settleShared drops the sockets of epochs that have left. If the current one has,
// it goes on with another that has somebody in use.
func (s *Set) settleShared(g *Group) {
	if g.order == nil {
		return
	}
	if g.lane(g.current).retired() {
		for _, l := range slices.Backward(g.lanes) {
			if l.wanted() {
				s.report(s.switchTo(g, l))
				break
			}
		}
	}
	for _, l := range slices.Clone(g.lanes) {
		if len(l.slots) == 0 && l.number != g.current {
			s.discard(g, l)
		}
	}
}

// freeNumber returns a lane number that is not taken, the preferred one if possible.
func (g *Group) freeNumber(preferred int) (int, error) {
	for i := range maxLanes {
		n := (preferred + i) % maxLanes
		if g.lane(n) == nil {
			return n, nil
		}
	}
	return 0, syscall.ENOSPC
}
