package drain

import "time"

// side is what a connection's own state says of its two directions.
type side uint8

const (
	open       side = iota // ESTABLISHED: both are open
	halfClosed             // CLOSE_WAIT: the client sends no more
	answered               // FIN_WAIT1, FIN_WAIT2: the program sends no more
)

// conn is what the kernel says of a connection. Times are how long ago, in the
// kernel's ticks: of 1, 4 or 10 ms. A connection's begin sets both.
type conn struct {
	cookie uint64 // names it for good
	inode  uint32 // 0: not accepted yet
	port   uint16
	side   side

	unread uint32 // bytes received that the program has not read
	unsent uint32 // bytes written that have not been sent a first time
	flying uint32 // segments sent that are not acknowledged

	sinceSent     time.Duration // data
	sinceReceived time.Duration // data
	sinceAck      time.Duration // anything received

	received uint64 // bytes
	sent     uint64 // bytes, each counted once
	segments uint32 // with data, received
	acks     uint32 // segments without data, sent
}

// order says which of the last data received and the last data sent came first.
type order uint8

const (
	unknown order = iota
	receivedLast
	sentLast
)

// memory is what earlier looks have found out about a connection.
type memory struct {
	last  conn
	order order
}

// ackSoon is how long after data the kernel acknowledges it at the latest, if no
// answer takes the acknowledgement along: 200 ms (TCP_DELACK_MAX) and a tick or two.
// What it acknowledges later are keep-alive probes.
const ackSoon = 250 * time.Millisecond

// learn compares with the look before. Which counter has moved alone tells the order.
// Where both have, an acknowledgement that follows without data does: an answer would
// have taken it along.
func (m *memory) learn(c conn) {
	in, out := c.received != m.last.received, c.sent != m.last.sent
	switch {
	case m.last.cookie != c.cookie || in && out:
		m.order = unknown
	case in:
		m.order = receivedLast
	case out:
		m.order = sentLast
	case m.order == unknown && c.acks != m.last.acks && c.sinceReceived <= ackSoon:
		m.order = receivedLast
	}
	m.last = c
}

// Limits of the rule.
const (
	// newborn is how long a connection on which nothing has come yet counts as about
	// to be used: who connects sends, at once or after a round trip.
	newborn = 500 * time.Millisecond
	// doubt is how long a connection counts as busy of which it is not known
	// whether data went in or out last.
	doubt = time.Second
	// firstDoubt is the same if there was but one segment of data in, and some out.
	// Unless the server speaks first, that was a request and its answer.
	firstDoubt = 100 * time.Millisecond
	// late is how long after data its acknowledgement may come: 200 ms and the way.
	// What comes later answers a keep-alive probe.
	late = 500 * time.Millisecond
)

// busy tells whether a connection has a request in flight. In this order:
//
//  1. Data is unread: busy. A request waits, or a part of one; ending the program
//     would have the kernel reset the connection, answers on their way included.
//  2. The program has closed its sending side: idle. No answer can follow.
//  3. Data is written that the network has not taken yet: busy. The program may be
//     waiting to write the rest. What is sent and not acknowledged is no reason: the
//     kernel sends it again for a program that has ended. A client that does not read
//     its answer keeps the connection busy.
//  4. Nothing has come yet: busy while the connection is young (newborn), idle later,
//     or if the client has closed its side.
//  5. Data came and nothing was ever sent: busy. Also half a request.
//  6. Data came after the last was sent: busy, however long ago. So are, wrongly, one
//     on which the client says what needs no answer: a message on a websocket, a
//     window update or PING acknowledgement of HTTP/2. The caller's limit ends that.
//  7. Data was sent within the quiet time: busy. The answer may not be complete.
//  8. Data was sent after the last came: idle. So are, wrongly, an answer that pauses
//     for longer than the quiet time (a slow download is not: see 3), and a second
//     request on the same connection that the program has read already, by pipelining
//     or the streams of HTTP/2. Websockets and server-sent events are idle by this
//     when the server has spoken last: they have no end to wait for.
//
// Both within the same tick of the kernel's clock is usual: an answer that took less
// than 4 ms, or a client that asks again at once. Then what earlier looks saw decides;
// else the answer's acknowledgement, still out or come in later than the request; else
// it is in doubt, and busy until the doubt is old. So a request is wrongly idle if it
// came within a tick of the answer before, takes longer than the doubt, and was there
// before the first look.
func (m *memory) busy(c conn, quiet time.Duration) bool {
	if c.side == answered {
		return c.unread > 0 // read while closing, lest the kernel reset
	}
	switch {
	case c.unread > 0 || c.unsent > 0:
		return true
	case c.received == 0 && c.sent == 0:
		return c.side == open && c.sinceReceived < newborn
	case c.received == 0:
		return c.sinceSent < quiet
	case c.sent == 0 || c.sinceReceived < c.sinceSent:
		return true
	case c.sinceSent < quiet:
		return true
	case c.sinceReceived > c.sinceSent:
		return false
	}
	switch {
	case m.order != unknown:
		return m.order == receivedLast
	case c.flying > 0:
		return false
	case c.sinceAck < c.sinceReceived && c.sinceReceived-c.sinceAck <= late:
		return false
	case c.segments == 1:
		return c.sinceReceived < firstDoubt
	}
	return c.sinceReceived < doubt
}
