package nodeipc

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxDepth is how many connections a worker may have that it has not acknowledged yet. Depth 1
	// is what Node's primary does and was 11 % slower than it, 8 was 27 % faster (median).
	maxDepth = 8
	// loyalDepth is the same for a worker that is a client's own: those of one that is only busy
	// wait for it, since another knows nothing of their sessions. With more it hangs.
	loyalDepth = 128
	// quickAck is how soon an acknowledgement has to come for a worker to get more than one
	// connection at a time. What a worker that blocks its event loop already has must wait with
	// it, so only one that answers gets more.
	quickAck = 10 * time.Millisecond
	// A worker that refused (its server is at maxConnections) is asked again after refusalFirst,
	// then twice as long up to refusalMost: else the connection would run in circles between full
	// workers at full speed.
	refusalFirst, refusalMost = 5 * time.Millisecond, 320 * time.Millisecond
	// acceptPause is how long a listener rests when there is no descriptor or memory left.
	acceptPause = 100 * time.Millisecond
	// maxResends is how often a handle that did not arrive is sent again (Node:
	// MAX_HANDLE_RETRANSMISSIONS in lib/internal/child_process.js).
	maxResends = 3
)

// listener is a listening socket whose connections the primary hands to its workers in turn.
type listener struct {
	p       *Primary
	key     string
	sock    *socket
	id      int32
	holders []*holder
	next    int  // in holders, whose turn it is
	pending bool // connections wait in the kernel, as far as we know
	resume  time.Time
	parked  []*conn // accepted, but given back by a worker that refused or died
	line    []byte  // the hand-off message; after start comes the seq
	start   int
	address string // to count by
}

// holder is a worker's part in a listener.
type holder struct {
	w       *Worker
	l       *listener
	backoff time.Duration
	refused time.Time // not asked before
}

// conn is an accepted connection that no worker has acknowledged yet.
type conn struct {
	fd   int
	key  string // of its listener
	seq  int64  // of the message it was handed over with
	sent time.Time
	only *expected // it is for one worker; nil: for any
}

// handedOver is what a worker was sent and has not acknowledged.
type handedOver struct {
	unacked []*conn
	fifo    []sentHandle // NODE_HANDLE_ACK and NACK come in this order
	quick   bool         // the last acknowledgement was
	stale   bool         // acknowledgements of what an earlier daemon sent may still come
}

// sentHandle is an envelope whose arrival is not yet confirmed.
type sentHandle struct {
	seq   int64  // ours
	c     *conn  // a connection, else
	line  line   // the answer to a queryServer
	key   string // of that listener
	ack   int64  // and the worker's number of the query
	tries int
}

// ready is called by the loop: connections wait.
func (l *listener) ready(uint32) {
	l.pending = true
	l.p.pump(l)
}

// pumpAll hands out what waits anywhere: a worker has room again, or a pause is over.
func (p *Primary) pumpAll() {
	for _, l := range p.order {
		if l.pending || len(l.parked) > 0 {
			p.pump(l)
		}
	}
}

// pump hands out connections as long as there are some and a worker may have one. No more are
// accepted than can be handed out at once: the rest waits in the kernel, where a crash of ours
// does not touch it, and for the same reason there is as little as possible between accept and
// send.
func (p *Primary) pump(l *listener) {
	for {
		if len(l.parked) == 0 && (!l.pending || p.loop.now.Before(l.resume)) {
			l.wakeLater()
			return
		}
		h, next := l.pick(p.loop.now)
		if h == nil {
			l.wakeLater()
			return
		}
		var c *conn
		if len(l.parked) > 0 {
			c = l.parked[0]
			l.parked = slices.Delete(l.parked, 0, 1)
		} else {
			c = p.blank()
			fd, errno := accept(l.sock.fd)
			if errno != 0 {
				p.spare = append(p.spare, c)
				if l.acceptFailed(errno) {
					return
				}
				continue
			}
			c.fd, c.key = fd, l.key
		}
		l.next = next
		if l.sock.sticky {
			h = l.pickFor(c.fd, h, p.loop.now)
		}
		if e := p.expectedFrom(c.fd); e != nil {
			if h = l.holderOf(e.w); h == nil || len(h.w.ch.queue) > 0 {
				e.lost.Store(true)
				p.discard(c)
				continue
			}
			c.only = e
		}
		seq := h.w.nextSeq()
		l.line = append(strconv.AppendInt(l.line[:l.start], seq, 10), newconnEnd...)
		c.seq, c.sent = seq, p.loop.now
		if err := h.w.ch.try(l.line, c.fd); err != nil {
			if c.only != nil {
				c.only.lost.Store(true)
				p.discard(c)
				continue
			}
			// It does not read, or is dead and we shall be told: for others, or for later.
			h.refuse(p.loop.now)
			l.parked = append([]*conn{c}, l.parked...)
			continue
		}
		h.w.handed.unacked = append(h.w.handed.unacked, c)
		h.w.handed.fifo = append(h.w.handed.fifo, sentHandle{seq: seq, c: c})
	}
}

// expectedFrom returns for whom a connection is, nil if for anybody.
func (p *Primary) expectedFrom(fd int) *expected {
	if p.expected.Load() == 0 {
		return nil
	}
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return nil
	}
	port := 0
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		port = sa.Port
	case *unix.SockaddrInet6:
		port = sa.Port
	}
	e, ok := p.expecting.Load(uint16(port))
	if !ok {
		return nil
	}
	return e.(*expected)
}

// holderOf returns a worker's part in the listener, nil if it has none.
func (l *listener) holderOf(w *Worker) *holder {
	i := slices.IndexFunc(l.holders, func(h *holder) bool { return h.w == w })
	if i < 0 {
		return nil
	}
	return l.holders[i]
}

// accept takes a connection without the address of the peer, which nobody wants.
func accept(fd int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// acceptFailed reports whether to stop for now.
func (l *listener) acceptFailed(errno unix.Errno) bool {
	switch errno {
	case unix.EAGAIN:
		l.pending = false
		return true
	case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH:
		return false // errors of the connection, accept(2) says, to be treated like EAGAIN
	}
	l.resume = l.p.loop.now.Add(acceptPause)
	l.p.loop.alarmAt(l.resume)
	l.p.warn(l, fmt.Sprintf("accept on %s: %v", l.key, error(errno)))
	return true
}

// pick chooses the worker whose turn it is: the next one that is idle, else the one with the least
// to acknowledge that may have more. Nil if all have enough. next is whose turn it is after it.
func (l *listener) pick(now time.Time) (best *holder, next int) {
	least := maxDepth
	for i := range l.holders {
		at := (l.next + i) % len(l.holders)
		h := l.holders[at]
		if n := len(h.w.handed.unacked); n < least && h.mayHave(n, now) {
			best, least, next = h, n, at+1
			if n == 0 {
				break
			}
		}
	}
	return best, next
}

// pickFor chooses the worker for a connection by its client's address: of those that may have one,
// the one whose slot gives the highest hash with it. So each client keeps to its slot, and only
// those of a slot that leaves go elsewhere. Where there is no address any is as good.
func (l *listener) pickFor(fd int, any *holder, now time.Time) *holder {
	client := clientOf(fd)
	if client == nil {
		return any
	}
	best, most := any, uint64(0)
	for _, h := range l.holders {
		if n := len(h.w.handed.unacked); n >= loyalDepth || h.w.st.Out || len(h.w.ch.queue) > 0 || now.Before(h.refused) {
			continue
		}
		if weight := weigh(client, h.w.o.Slot); weight >= most {
			best, most = h, weight
		}
	}
	return best
}

// clientOf returns the address of a connection's other end, IPv4 in its own four bytes.
func clientOf(fd int) []byte {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return nil
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Addr[:]
	case *unix.SockaddrInet6:
		if ip := netip.AddrFrom16(sa.Addr); ip.Is4In6() {
			return sa.Addr[12:]
		}
		return sa.Addr[:]
	}
	return nil
}

// weigh hashes a client with a slot: FNV-1a, stirred by the finalizer of MurmurHash3, without
// which neighbouring slots would weigh alike.
func weigh(client []byte, slot int) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range client {
		h = (h ^ uint64(b)) * prime
	}
	h = (h ^ uint64(slot)) * prime
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// mayHave says whether a worker that has n unacknowledged connections may get another.
func (h *holder) mayHave(n int, now time.Time) bool {
	if h.w.st.Out || len(h.w.ch.queue) > 0 || now.Before(h.refused) {
		return false
	}
	return n == 0 || h.w.handed.quick && now.Sub(h.w.handed.unacked[0].sent) <= quickAck
}

func (h *holder) refuse(now time.Time) {
	h.backoff = min(max(2*h.backoff, refusalFirst), refusalMost)
	h.refused = now.Add(h.backoff)
}

// wakeLater sets the alarm for the first worker that may be asked again, if something waits.
func (l *listener) wakeLater() {
	if len(l.parked) == 0 && !l.pending {
		return
	}
	now := l.p.loop.now
	for _, h := range l.holders {
		if now.Before(h.refused) && !h.w.st.Out {
			l.p.loop.alarmAt(h.refused)
		}
	}
	if now.Before(l.resume) {
		l.p.loop.alarmAt(l.resume)
	}
}

// acknowledged is the worker's word on a connection.
func (w *Worker) acknowledged(seq int64, accepted bool) {
	i := slices.IndexFunc(w.handed.unacked, func(c *conn) bool { return c.seq == seq })
	if i < 0 {
		return // handed over by an earlier daemon
	}
	c := w.handed.unacked[i]
	w.handed.unacked = slices.Delete(w.handed.unacked, i, i+1)
	// The handle's own confirmation came before, so nothing older is under way.
	w.handed.stale = false
	for len(w.handed.fifo) > 0 && w.handed.fifo[0].seq <= seq {
		w.handed.fifo = slices.Delete(w.handed.fifo, 0, 1)
	}
	w.handed.quick = w.p.loop.now.Sub(c.sent) <= quickAck
	h := w.holder(c.key)
	switch {
	case accepted:
		if h != nil {
			h.backoff = 0
			w.p.accepted.add(h.l.address, w.o.Slot, 1)
		}
		w.p.discard(c)
	default:
		if h != nil {
			h.refuse(w.p.loop.now)
		}
		w.p.park(c)
	}
	w.p.pumpAll()
}

func (w *Worker) holder(key string) *holder {
	h := w.keys[key]
	if h == nil || h.l == nil {
		return nil
	}
	for _, o := range h.l.holders {
		if o.w == w {
			return o
		}
	}
	return nil
}

// handleArrived is NODE_HANDLE_ACK.
func (w *Worker) handleArrived() {
	if len(w.handed.fifo) > 0 {
		w.handed.fifo = slices.Delete(w.handed.fifo, 0, 1)
	}
}

// handleLost is NODE_HANDLE_NACK: the message came without its descriptor (the worker is at its
// limit), so the worker has dropped it.
func (w *Worker) handleLost() {
	if len(w.handed.fifo) == 0 || w.handed.stale {
		return // an earlier daemon's: what it was is not known here
	}
	s := w.handed.fifo[0]
	w.handed.fifo = slices.Delete(w.handed.fifo, 0, 1)
	s.tries++
	s.seq = w.nextSeq()
	switch {
	case s.c == nil && s.tries <= maxResends:
		w.handed.fifo = append(w.handed.fifo, s)
		w.write(s.line)
	case s.c == nil:
		// Node gives up silently and the app's listen never ends; an error is better.
		w.warn("worker does not receive descriptors: listen on %s fails with EMFILE", s.key)
		w.release(s.key, true)
		w.save()
		w.replyErrno(s.ack, -int(unix.EMFILE), s.key)
	default:
		w.resend(s)
	}
}

func (w *Worker) resend(s sentHandle) {
	l := w.p.listeners[s.c.key]
	if l != nil && s.tries <= maxResends {
		s.c.seq = s.seq
		l.line = append(strconv.AppendInt(l.line[:l.start], s.seq, 10), newconnEnd...)
		if w.ch.try(l.line, s.c.fd) == nil {
			w.handed.fifo = append(w.handed.fifo, s)
			return
		}
	}
	w.handed.unacked = slices.DeleteFunc(w.handed.unacked, func(c *conn) bool { return c == s.c })
	if h := w.holder(s.c.key); h != nil {
		h.refuse(w.p.loop.now)
	}
	w.p.park(s.c)
	w.p.pumpAll()
}

// takeBack gives what a dead worker had not acknowledged to the others, or keeps it for its
// successor.
func (w *Worker) takeBack() {
	back := w.handed.unacked
	w.handed = handedOver{}
	for _, c := range slices.Backward(back) { // each goes to the front
		w.p.park(c)
	}
	w.p.pumpAll()
}

// park puts a connection first in line for another worker.
func (p *Primary) park(c *conn) {
	l := p.listeners[c.key]
	if c.only != nil {
		c.only.lost.Store(true)
	}
	if l == nil || c.only != nil {
		p.discard(c)
		return
	}
	l.parked = append([]*conn{c}, l.parked...)
}

// discard closes our copy: the worker has its own, or nobody wants it.
func (p *Primary) discard(c *conn) {
	_ = unix.Close(c.fd)
	*c = conn{}
	p.spare = append(p.spare, c)
}

func (p *Primary) blank() *conn {
	n := len(p.spare)
	if n == 0 {
		return &conn{}
	}
	c := p.spare[n-1]
	p.spare = p.spare[:n-1]
	return c
}
