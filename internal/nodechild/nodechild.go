package nodechild

import (
	"errors"
	"net"
	"os"
	"time"
)

// Errors that callers branch on.
var (
	// ErrClosed says that the channel is gone: the primary has ended or closed it, or
	// Close was called.
	ErrClosed = errors.New("channel to the primary is closed")
	// ErrBusy says that the primary has not read what it was sent before, and no more is
	// kept for it.
	ErrBusy = errors.New("primary does not read its channel")
)

// Kind says what an Event is about.
type Kind int

// The kinds of events.
const (
	// Message: the primary sent Event.Message, one JSON value.
	Message Kind = iota + 1
	// Drain: the end is near. Responses should close their connections; idle ones may
	// stay for Event.Grace. Only a Paceline primary says it; Disconnect follows.
	Drain
	// Disconnect: let go of all listeners, finish what is connected, then call Close.
	Disconnect
	// Gone: the primary's end of the channel is closed. Nothing follows.
	Gone
)

// Event is something that the primary said.
type Event struct {
	Kind    Kind
	Message []byte        // the receiver's to keep
	Grace   time.Duration // Drain
}

// Options say which channel, and who listens to it.
type Options struct {
	// File is our end; it is taken over.
	File *os.File
	// Cluster says that the process is a worker of a cluster, not just a child.
	Cluster bool
	// Event receives what the primary says, in order, on the goroutine that reads the
	// channel; it must return soon and may call any method but Query and Leave, which wait.
	Event func(Event)
}

// Request is an address as Node's protocol writes it.
type Request struct {
	Address string // numeric host or absolute unix path; "" for any, as listen(port) in Node
	Port    int    // -1 for a unix path
	Type    string // "4", "6", "-1" (unix), "udp4", "udp6"
	Flags   int    // libuv's: 1 is IPV6_V6ONLY
	Index   int    // tells several listens on port 0 apart
}

// UDP reports whether it is an address for datagrams.
func (r Request) UDP() bool { return r.Type == "udp4" || r.Type == "udp6" }

// Grant is the primary's answer to a Query.
type Grant struct {
	// Key names the listener to the primary.
	Key string
	// Handle is the socket to accept on or receive from. Nil: the primary accepts, and
	// Source has the connections.
	Handle *os.File
	Source *Source
	// Addr is what the primary says it is bound to; nil if it says nothing.
	Addr net.Addr
}
