package port

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// trialsFailed is how many times in a row a slot must have been found stuck to count
// as stalled. A single connection that waits for a moment says little.
const trialsFailed = 4

// Stalled returns the queues from which nothing has been accepted for a while, though
// connections waited: since when. Call it about once a second, as it compares with what
// it saw the last time. Whether a slot of a kernel group accepts is known from the
// stuck rule, which moves its queue; of any other queue it is said only if each
// connection that waited the last time waits still.
func (s *Set) Stalled() (list []Stall) {
	now := time.Now()
	_ = s.do(func() { // nothing waits at a closed set
		for _, g := range s.sorted() {
			if g.asked.Network == "unix" || isUDP(g.asked) {
				continue
			}
			for _, l := range g.lanes {
				is := s.stalled(g, l, now)
				if is.Since.IsZero() || l.retired() {
					continue
				}
				is.Address = g.addr.String()
				if is.Slot = -1; g.dispatch == nil {
					list = append(list, is)
					continue
				}
				for is.Slot = range l.slots {
					list = append(list, is)
				}
			}
		}
	})
	return list
}

// stalled says since when a lane accepts nothing; not at all: it does, or nobody knows.
func (s *Set) stalled(g *Group, l *lane, now time.Time) Stall {
	if g.dispatch != nil && len(g.lanes) > 1 {
		switch q := &l.gauge; {
		case q.standing == in && q.stuck(now): // so are all others, or it would rest
			return Stall{Since: q.stalled, Seen: now, Waiting: q.depth}
		case q.standing != out && q.failures >= trialsFailed:
			return Stall{Since: q.ill, Seen: q.failed, Waiting: q.depth}
		}
		return Stall{}
	}
	waiting, _, err := queue(l.fd)
	if err != nil || waiting == 0 {
		l.stall = stall{}
		return Stall{}
	}
	if l.stall.at.IsZero() { // the next look tells more
		l.stall = stall{at: now}
		return Stall{}
	}
	clients, err := unaccepted(portOf(g.bound))
	if err != nil {
		return Stall{}
	}
	for client := range l.stall.clients {
		if !clients[client] { // accepted, or gone by itself
			l.stall.clients = nil
			break
		}
	}
	if len(l.stall.clients) == 0 {
		l.stall = stall{at: now, clients: clients}
		return Stall{}
	}
	return Stall{Since: l.stall.at, Seen: now, Waiting: waiting}
}

// stall is what Stalled remembers of a queue.
type stall struct {
	at      time.Time
	clients map[netip.AddrPort]bool // that waited then
}

// States of a connection that waits to be accepted (TCP_ESTABLISHED, TCP_CLOSE_WAIT).
const (
	established = 1
	closeWait   = 8
)

// unaccepted returns the clients at a port of ours whose connections no process has
// accepted yet: they have no file, and so no inode.
func unaccepted(port int) (map[netip.AddrPort]bool, error) {
	found := map[netip.AddrPort]bool{}
	for _, state := range []int{established, closeWait} {
		err := dumpDiag(port, state, func(answer []byte) {
			if binary.NativeEndian.Uint32(answer[diagAnswer-4:]) == 0 {
				found[client(answer)] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
