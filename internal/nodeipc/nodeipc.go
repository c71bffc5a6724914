package nodeipc

import (
	"errors"
	"net"
	"os"
	"time"
)

// Errors that callers branch on.
var (
	// ErrClosed says that the channel is gone: the worker has ended or closed it, or Close was called.
	ErrClosed = errors.New("channel closed")
	// ErrTooLarge says that a message does not fit the socket buffer as a whole. A line has to:
	// what is written of a line when the daemon dies is all that the worker would ever see of it.
	ErrTooLarge = errors.New("message too large for the channel")
	// ErrBusy says that the worker has not read what it was sent before (its event loop is
	// blocked) and no more is queued for it.
	ErrBusy = errors.New("worker does not read its channel")
)

// Kind says what an Event is about.
type Kind int

// The kinds of events. All but Disconnected may come again after a daemon restart, see Attach.
const (
	// Online: the cluster worker has started; user code has not run yet. Fork mode has no such event.
	Online Kind = iota + 1
	// Listening: a server of the worker listens on Addr. Servers that bypass the primary
	// (listen with exclusive or reusePort) are never reported.
	Listening
	// Closed: a server of the worker let go of Addr.
	Closed
	// Message: process.send(Message), one JSON value.
	Message
	// Ready: process.send('ready').
	Ready
	// Leaving: the worker called cluster.worker.disconnect() or kill(), so its exit is voluntary.
	Leaving
	// Disconnected: the worker's end of the channel is closed, nothing follows. After Disconnect it
	// means drained: every server of the worker is closed and every connection of theirs has ended.
	// Otherwise the worker died, or (fork mode) called process.disconnect.
	Disconnected
	// Warning: Text says what was odd; nothing has to be done.
	Warning
)

// String gives the name of the constant in lower case.
func (k Kind) String() string {
	names := [...]string{"unknown", "online", "listening", "closed", "message", "ready", "leaving", "disconnected", "warning"}
	if k < 0 || int(k) >= len(names) {
		k = 0
	}
	return names[k]
}

// Event is something that a worker told or that happened to its channel.
type Event struct {
	Kind    Kind
	Addr    net.Addr // Listening, Closed: *net.TCPAddr, *net.UDPAddr or *net.UnixAddr
	Message []byte   // Message: as it was on the wire; the receiver's to keep
	Text    string   // Warning
}

// Request is a worker's wish to listen: what its server.listen or socket.bind was called with.
type Request struct {
	Slot                     int    // WorkerOptions.Slot of who asks
	Address                  string // host or absolute unix path; "" means none was given (`::`, else 0.0.0.0)
	Port                     int    // -1 for a unix path
	AddressType              string // "4", "6", "-1" (unix), "udp4", "udp6"
	FD                       int    // of listen({fd}), only ever one of PrimaryOptions.FDs; else -1
	Flags                    int    // libuv's: 1 = IPV6_V6ONLY, for UDP 4 = SO_REUSEADDR
	Backlog                  int    // 0 means Node's default, 511
	ReadableAll, WritableAll bool   // mode of a unix socket's file
	Index                    int    // counts a worker's listens on the same address; tells several port 0 apart
	Nth                      int    // how often this worker holds the address already: a new bind is meant if not 0
}

// Socket is what PrimaryOptions.Open answers: a bound socket, listening already unless it is UDP.
type Socket struct {
	// File is handed to the worker, or (HandOff) accepted on by the primary. It is taken over:
	// closed when nobody here needs it any more. The descriptor must be non-blocking for HandOff.
	File *os.File
	// Addr is what it is bound to, with the real port.
	Addr net.Addr
	// HandOff selects round robin by the primary, for this listener and all workers that ask for
	// the same address: Open is then called once for all of them. Otherwise each worker gets a
	// descriptor and accepts by itself, and Open is called for each. UDP is never handed off.
	HandOff bool
	// ByClient has the primary (HandOff) give all connections of a client's address to the same
	// worker, as long as that takes any: the worker is chosen by a hash of address and Slot.
	ByClient bool
	// Close, if not nil, is called once when the worker (HandOff: the last of them) has closed its
	// server. It is not called when a worker dies or the Primary is closed: the address is then
	// kept for successors. It runs on the Primary's goroutine, before any later Open.
	Close func()
}

// PrimaryOptions says how the primary gets its sockets.
type PrimaryOptions struct {
	// Open gives the socket for a worker's listen. An error that is or wraps a syscall.Errno
	// reaches the app as it is, any other as EINVAL. It may block, and is called from several
	// goroutines for different addresses at once. After a daemon restart it is called again with
	// the request of each listener that a worker still holds, and then has to return the kept
	// socket.
	Open func(Request) (*Socket, error)
	// FDs are the descriptors that listen({fd: n}) may name; any other is answered with EINVAL.
	// The numbers are the primary's, so an app could otherwise reach our own descriptors.
	FDs []int
	// Saved is what an earlier daemon's Save was given last. What cannot be read is ignored.
	Saved []byte
	// Save keeps the state that belongs to no single worker (nil: not kept). It is called on the
	// primary's goroutine, and has kept the bytes when it returns.
	Save func([]byte)
}

// WorkerOptions says whose channel it is.
type WorkerOptions struct {
	// Channel is our end, from Pair. It is taken over. Somebody else may hold a duplicate (the
	// keeper does), but nobody else may read or write it.
	Channel *os.File
	// Primary is the cluster primary that the worker belongs to. Nil is fork mode: messages only.
	Primary *Primary
	// Slot is handed on in Request.
	Slot int
	// Saved is what Save was given last for this channel by an earlier daemon; nil for a new one.
	Saved []byte
	// Save keeps what the next daemon needs to go on (nil: not kept). It is called on the worker's
	// goroutine, and has kept the bytes when it returns: what the worker is told next depends on it.
	Save func([]byte)
	// Event receives what happens (nil: nobody listens), in order, from one goroutine. It must
	// return soon, since the app's new connections wait for it, and must not call Primary.Close;
	// all other methods may be called from it.
	Event func(Event)
}

// DrainOptions says how a worker winds down; see Worker.Drain.
type DrainOptions struct {
	// Signal is the stop signal that follows, as Node names it ("SIGINT"). If the app listens for
	// it, the worker is kept alive after its disconnect until the signal has come, so that the
	// app's own cleanup runs. Empty: it is not kept alive.
	Signal string
	// Hold bounds how long after the disconnect it waits for Signal. Zero means 5 s.
	Hold time.Duration
	// Grace is how long idle keep-alive connections may stay open for one more request, whose
	// answer then closes them. Zero means 6 s: Node's keepAliveTimeout is 5 s by default, so that
	// by then idle clients have gone in the way they expect. When it is over they are closed.
	Grace time.Duration
}

func (o DrainOptions) withDefaults() DrainOptions {
	if o.Hold == 0 {
		o.Hold = 5 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 6 * time.Second
	}
	return o
}
