package cluster

import (
	"context"
	"encoding/json"
	"iter"
	"net"
	"slices"
	"sync"
	"syscall"
)

// EventKind says what an Event is about.
type EventKind string

// The kinds of events, named as in Node where it has them.
const (
	// Forked: the worker's process has been started.
	Forked EventKind = "fork"
	// Online: the worker has taken up its channel.
	Online EventKind = "online"
	// Listening: the worker listens on Event.Addr.
	Listening EventKind = "listening"
	// SaidReady: the worker has called Ready, or process.send('ready').
	SaidReady EventKind = "ready"
	// Message: the worker has sent Event.Message.
	Message EventKind = "message"
	// Disconnected: the worker's end of the channel is closed.
	Disconnected EventKind = "disconnect"
	// Exited: the process has ended, as Event.Exit says. It is the worker's last event.
	Exited EventKind = "exit"
	// Warned: Event.Text says what was odd about the worker; nothing has to be done.
	Warned EventKind = "warning"
	// Missed: the reader was too slow, and Event.Missed events are left out here.
	Missed EventKind = "missed"
)

// Event is something that happened to a worker.
type Event struct {
	Kind    EventKind
	Worker  *Worker         // nil for Missed
	Addr    net.Addr        // Listening
	Message json.RawMessage // Message: one JSON value, shared by all readers
	Exit    Exit            // Exited
	Text    string          // Warned
	Missed  int             // Missed
}

// Exit says how a process ended.
type Exit struct {
	// Code is the exit code; -1 if a signal ended it.
	Code int
	// Signal is what ended it; 0 if it exited by itself.
	Signal syscall.Signal
}

// String says it in words, such as "exit code 1" or "signal killed".
func (e Exit) String() string {
	if e.Signal != 0 {
		return "signal " + e.Signal.String()
	}
	return "exit code " + itoa(e.Code)
}

// maxPending is how many events are kept for a reader; what is more is left out.
const maxPending = 4096

// hub gives every event to all that read them, and waits for none.
type hub struct {
	mu      sync.Mutex // guards what follows
	readers []*reader
	closed  bool
}

// reader is one that reads, or will.
type reader struct {
	more chan struct{} // has a token when something was added

	mu     sync.Mutex // guards what follows
	queue  []Event
	missed int // after the queue
	ended  bool
}

func (h *hub) publish(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock() // so that all read them in the same order
	for _, r := range h.readers {
		r.add(e)
	}
}

// close has readers end when they have read what there is.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, r := range h.readers {
		r.end()
	}
	h.readers = nil
}

// subscribe has events kept from now on, until ctx ends.
func (h *hub) subscribe(ctx context.Context) *reader {
	r := &reader{more: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.closed {
		r.end()
	} else {
		h.readers = append(h.readers, r)
	}
	h.mu.Unlock()
	context.AfterFunc(ctx, func() { h.unsubscribe(r) })
	return r
}

func (h *hub) unsubscribe(r *reader) {
	h.mu.Lock()
	h.readers = slices.DeleteFunc(h.readers, func(o *reader) bool { return o == r })
	h.mu.Unlock()
	r.end()
}

func (r *reader) add(e Event) {
	r.mu.Lock()
	if len(r.queue) < maxPending && r.missed == 0 {
		r.queue = append(r.queue, e)
	} else {
		r.missed++
	}
	r.mu.Unlock()
	r.wake()
}

func (r *reader) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.wake()
}

func (r *reader) wake() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// next returns what to yield, nothing if there is nothing now.
func (r *reader) next() (events []Event, ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events = r.queue
	r.queue = nil
	if r.missed > 0 {
		events = append(events, Event{Kind: Missed, Missed: r.missed})
		r.missed = 0
	}
	return events, r.ended
}

// Events yields what happens to the workers from the call of Events on, not only from
// where the loop begins, until ctx ends or the primary is closed. Each call has its own
// events, of which 4096 are kept while nobody reads them; then some are left out, which a
// Missed event tells. The primary never waits for a reader. What is returned is for one
// loop in one goroutine; a ctx that never ends keeps its events for as long as the primary
// lives.
func (p *Primary) Events(ctx context.Context) iter.Seq[Event] {
	r := p.hub.subscribe(ctx)
	return func(yield func(Event) bool) {
		for {
			events, ended := r.next()
			for _, e := range events {
				if ctx.Err() != nil || !yield(e) {
					p.hub.unsubscribe(r)
					return
				}
			}
			if ended && len(events) == 0 {
				return
			}
			if len(events) > 0 {
				continue
			}
			<-r.more // also when ctx ends
		}
	}
}
