package drain

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestRule(t *testing.T) {
	const quiet = 20 * ms
	// A request of 100 bytes was answered with 200, both a second ago, the answer
	// 12 ms after the request; its acknowledgement took 40 ms.
	answeredBefore := conn{
		cookie: 1, inode: 1, received: 100, sent: 200, segments: 1,
		sinceReceived: 1012 * ms, sinceSent: 1000 * ms, sinceAck: 960 * ms,
	}
	// Three requests were, all within a tick, and that 100 ms ago.
	tied := conn{
		cookie: 1, inode: 1, received: 300, sent: 600, segments: 3,
		sinceReceived: 100 * ms, sinceSent: 100 * ms, sinceAck: 100 * ms,
	}
	with := func(c conn, change func(*conn)) conn { change(&c); return c }
	for _, test := range []struct {
		name  string
		c     conn
		order order
		busy  bool
	}{
		{name: "kept alive after its answer", c: answeredBefore},
		{name: "closed by its client after its answer", c: with(answeredBefore, func(c *conn) { c.side = halfClosed })},
		{name: "next request not read", busy: true, c: with(answeredBefore, func(c *conn) { c.unread, c.received = 1, 101 })},
		{name: "pipelined request not read", busy: true, c: with(answeredBefore, func(c *conn) { c.unread = 100 })},
		{name: "request in progress", busy: true, c: with(answeredBefore, func(c *conn) { c.sinceReceived = 300 * ms })},
		{name: "request in progress for an hour", busy: true, c: with(answeredBefore, func(c *conn) {
			c.sinceReceived, c.sinceSent = time.Hour, time.Hour+4*ms
		})},
		{name: "request in progress, client will send no more", busy: true, c: with(answeredBefore, func(c *conn) {
			c.side, c.sinceReceived = halfClosed, 300*ms
		})},
		{name: "first request in progress", busy: true, c: with(answeredBefore, func(c *conn) { c.sent, c.sinceReceived, c.sinceSent = 0, 300*ms, 310*ms })},
		{name: "first request in progress, in the tick of the connect", busy: true, c: with(answeredBefore, func(c *conn) {
			c.sent, c.sinceReceived, c.sinceSent = 0, 3*time.Hour, 3*time.Hour
		})},
		{name: "answer within the quiet time", busy: true, c: with(answeredBefore, func(c *conn) { c.sinceReceived, c.sinceSent, c.sinceAck = 300*ms, 16*ms, 16*ms })},
		{name: "answer at the end of the quiet time", c: with(answeredBefore, func(c *conn) { c.sinceReceived, c.sinceSent, c.sinceAck = 300*ms, 20*ms, 20*ms })},
		{name: "answer that the network has not taken", busy: true, c: with(answeredBefore, func(c *conn) { c.unsent = 1 })},
		{name: "answer not acknowledged", c: with(answeredBefore, func(c *conn) { c.flying = 3 })},
		{name: "program has closed its side", c: with(answeredBefore, func(c *conn) { c.side, c.sinceReceived = answered, 0 })},
		{name: "program has closed its side, data unread", busy: true, c: with(answeredBefore, func(c *conn) { c.side, c.unread = answered, 5 })},
		{name: "just connected", busy: true, c: conn{cookie: 1, sinceReceived: 8 * ms, sinceSent: 8 * ms}},
		{name: "connected long ago, never used", c: conn{cookie: 1, sinceReceived: 500 * ms, sinceSent: 500 * ms}},
		{name: "just connected and closed", c: conn{cookie: 1, side: halfClosed, sinceReceived: 8 * ms, sinceSent: 8 * ms}},
		{name: "greeted by the server", c: conn{cookie: 1, sent: 10, sinceReceived: 100 * ms, sinceSent: 100 * ms}},
		{name: "just greeted by the server", busy: true, c: conn{cookie: 1, sent: 10, sinceReceived: 8 * ms, sinceSent: 8 * ms}},

		{name: "tie", busy: true, c: tied},
		{name: "tie, seen to be answered", order: sentLast, c: tied},
		{name: "tie, seen to be answered within the quiet time", busy: true, order: sentLast, c: with(tied, func(c *conn) {
			c.sinceReceived, c.sinceSent, c.sinceAck = 16*ms, 16*ms, 16*ms
		})},
		{name: "tie, seen to be unanswered", order: receivedLast, busy: true, c: with(tied, func(c *conn) {
			c.sinceReceived, c.sinceSent, c.sinceAck = time.Hour, time.Hour, time.Hour
		})},
		{name: "tie, answer on its way", c: with(tied, func(c *conn) { c.flying = 1 })},
		{name: "tie, answer acknowledged later", c: with(tied, func(c *conn) { c.sinceAck = 60 * ms })},
		{name: "tie, keep-alive probe later", busy: true, c: with(tied, func(c *conn) {
			c.sinceReceived, c.sinceSent, c.sinceAck = 900*ms, 900*ms, 300*ms
		})},
		{name: "tie, of one segment", c: with(tied, func(c *conn) { c.segments = 1 })},
		{name: "young tie, of one segment", busy: true, c: with(tied, func(c *conn) {
			c.segments, c.sinceReceived, c.sinceSent, c.sinceAck = 1, 96*ms, 96*ms, 96*ms
		})},
		{name: "old tie", c: with(tied, func(c *conn) {
			c.sinceReceived, c.sinceSent, c.sinceAck = time.Second, time.Second, time.Second
		})},
	} {
		m := memory{last: test.c, order: test.order}
		if busy := m.busy(test.c, quiet); busy != test.busy {
			t.Errorf("%s: busy is %t, want %t (%+v)", test.name, busy, test.busy, test.c)
		}
	}
}

func TestMemory(t *testing.T) {
	// in and out are bytes in all, acks what was sent without any, age is of both.
	type seen struct {
		in, out uint64
		acks    uint32
		age     time.Duration
	}
	for _, test := range []struct {
		name string
		all  []seen
		want order
	}{
		{"one look", []seen{{1, 1, 1, 0}}, unknown},
		{"nothing new", []seen{{1, 1, 1, 0}, {1, 1, 1, 10 * ms}}, unknown},
		{"a request", []seen{{1, 1, 1, 0}, {2, 1, 1, 4 * ms}}, receivedLast},
		{"an answer", []seen{{1, 1, 1, 0}, {1, 2, 1, 4 * ms}}, sentLast},
		{"a request and its answer", []seen{{1, 1, 1, 0}, {2, 1, 1, 4 * ms}, {2, 2, 1, 8 * ms}}, sentLast},
		{"both at once", []seen{{1, 1, 1, 0}, {2, 2, 1, 4 * ms}}, unknown},
		{"both at once, then an acknowledgement", []seen{{1, 1, 1, 0}, {2, 2, 1, 4 * ms}, {2, 2, 2, 44 * ms}}, receivedLast},
		{"an acknowledgement at once", []seen{{1, 1, 1, 0}, {2, 2, 2, 4 * ms}, {2, 2, 2, 44 * ms}}, unknown},
		{"a keep-alive probe", []seen{{1, 1, 1, 0}, {1, 1, 2, 15 * time.Second}}, unknown},
		{"an answer and an acknowledgement", []seen{{1, 1, 1, 0}, {1, 2, 1, 4 * ms}, {1, 2, 2, 44 * ms}}, sentLast},
		{"nothing after an answer", []seen{{1, 1, 1, 0}, {1, 2, 1, 4 * ms}, {1, 2, 1, 10 * ms}}, sentLast},
	} {
		var m memory
		for _, s := range test.all {
			m.learn(conn{cookie: 1, received: s.in, sent: s.out, acks: s.acks, sinceReceived: s.age, sinceSent: s.age})
		}
		if m.order != test.want {
			t.Errorf("%s: order %d, want %d", test.name, m.order, test.want)
		}
	}
}

// looks is a looker that finds one state after the other, the last for ever.
type looks struct {
	states []State
	err    error
	still  bool // what is busy stays so until a look
	n      int
}

func (l *looks) recheck() (bool, error) { return l.still, nil }

func (l *looks) Look() (State, error) {
	s := l.states[min(l.n, len(l.states)-1)]
	l.n++
	if l.n > len(l.states) {
		return s, l.err
	}
	return s, nil
}

func TestWaitLooksTwice(t *testing.T) {
	busy, idle := State{Busy: 1, Idle: 1}, State{Idle: 2}
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		states []State
		err    error
		queues bool
		closed bool
		still  bool
		looks  int
		took   time.Duration
		want   error
	}{
		{name: "idle", states: []State{idle}, looks: 2, took: 10 * ms},
		{name: "idle after a look", states: []State{busy, idle}, looks: 3, took: 20 * ms},
		{name: "not twice in a row", states: []State{idle, busy, idle, idle}, looks: 4, took: 30 * ms},
		{name: "busy for ever", states: []State{busy}, looks: 43, took: time.Second, want: context.DeadlineExceeded},
		{name: "busy for ever, rechecked", states: []State{busy}, still: true, looks: 11, took: time.Second, want: context.DeadlineExceeded},
		{name: "queue", states: []State{{Queued: 1}}, looks: 2, took: 10 * ms},
		{name: "queue that is waited for", states: []State{{Queued: 1}, {Queued: 1}, {}}, queues: true, looks: 4, took: 32500 * time.Microsecond},
		{name: "until they are closed", states: []State{idle, {Idle: 1}, {}}, closed: true, looks: 4, took: 32500 * time.Microsecond},
		{name: "no more to be seen", states: []State{busy}, err: broken, looks: 1, took: 10 * ms, want: broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := wait(ctx, &looks{states: test.states, err: test.err, still: test.still}, Options{Queues: test.queues, Closed: test.closed})
				if !errors.Is(r.Err, test.want) {
					t.Errorf("error %v, want %v", r.Err, test.want)
				}
				if r.Looks != test.looks || r.Took != test.took {
					t.Errorf("%d looks in %v, want %d in %v", r.Looks, r.Took, test.looks, test.took)
				}
			})
		})
	}
}
