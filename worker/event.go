package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// EventType says what has happened to a worker, by Node's names.
type EventType string

// The events of a worker. Messages are not among them: they come from its port.
const (
	EventOnline       EventType = "online"       // its function has been called
	EventError        EventType = "error"        // it has panicked or returned an error
	EventMessageError EventType = "messageerror" // a message of it did not fit: see Receive
	EventExit         EventType = "exit"         // it has ended: the last one
)

// Event is something that happened to a worker.
type Event struct {
	Type   EventType
	Worker int       // its id
	Time   time.Time // when
	Err    error     // of an error: *PanicError, or what was returned; of a messageerror: *MessageError
	Code   int       // of an exit
}

// maxErrors is how many errors of one worker are kept as events: it ends with the
// first, but each of its goroutines may have one, and messages that do not fit
// have no end.
const maxErrors = 64

// Events are the events of the worker from its start, each as it happens; they
// end after the exit, or when ctx ends. Every caller sees all of them, whenever
// it comes; of errors the first 64. A reader that is slow holds up nobody.
func (w *Worker) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for next := 0; ; next++ {
			e, ok := w.event(ctx, next)
			if !ok || !yield(e) || e.Type == EventExit {
				return
			}
		}
	}
}

// Once is the first event of that type, which may have happened already.
//
// Errors: the cause of ctx, and ErrClosed if the worker has ended without it.
func (w *Worker) Once(ctx context.Context, t EventType) (Event, error) {
	for e := range w.Events(ctx) {
		if e.Type == t {
			return e, nil
		}
	}
	if ctx.Err() != nil {
		return Event{}, context.Cause(ctx)
	}
	return Event{}, fmt.Errorf("worker %d has had no event %q: %w", w.id, t, ErrClosed)
}

// event waits for the event of that number; false if ctx ends before.
func (w *Worker) event(ctx context.Context, number int) (Event, bool) {
	for {
		w.mu.Lock()
		if number < len(w.events) {
			e := w.events[number]
			w.mu.Unlock()
			return e, true
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, false
		}
	}
}

// record adds an event and wakes who waits for it.
func (w *Worker) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.events); n > 0 && w.events[n-1].Type == EventExit {
		return
	}
	if e.Type == EventError || e.Type == EventMessageError {
		if w.errors++; w.errors > maxErrors {
			return
		}
	}
	e.Worker, e.Time = w.id, time.Now()
	w.events = append(w.events, e)
	if e.Type == EventExit {
		close(w.done) // so that who has seen the event finds it ended
	}
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// NoteMessageError records a messageerror, as [Receive] does for the messages of a
// worker. It is for workers that are made of one, such as those of worker/engine. It may
// be called concurrently, and does nothing after the worker's exit.
func (w *Worker) NoteMessageError(err *MessageError) {
	w.record(Event{Type: EventMessageError, Err: err})
}

// ErrTerminated is why the context of a worker has ended that was terminated. It
// is a context.Canceled.
var ErrTerminated = fmt.Errorf("worker was terminated: %w", context.Canceled)

// ErrNotLocked says that what was asked for needs WithLockedThread.
var ErrNotLocked = errors.New("worker has no thread of its own; start it with worker.WithLockedThread()")

// PanicError is a panic in a worker, or in a task of a pool.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // of the goroutine, as runtime/debug.Stack has it
}

// Error is one line; Stack is not part of it.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap is the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ExitError is the end of a worker whose exit code is not 0.
type ExitError struct {
	Worker int
	Name   string
	Code   int
	Err    error // why: what its function returned, *PanicError, the cause of its context; nil after Exit
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("worker %s ended with code %d", label(e.Worker, e.Name), e.Code)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap is why the worker ended.
func (e *ExitError) Unwrap() error { return e.Err }

// StuckError says that a terminated worker still runs: a function of Go cannot be
// killed from outside, it has to watch its context.
type StuckError struct {
	Worker int
	Name   string
	Grace  time.Duration // how long it has had
	Stack  []byte        // where it was then; nil if that could not be told
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("worker %s still runs %v after it was told to end: a Go function cannot be killed, it must watch its context",
		label(e.Worker, e.Name), e.Grace)
}

func label(id int, name string) string {
	if name == "" {
		return fmt.Sprint(id)
	}
	return fmt.Sprintf("%d (%s)", id, name)
}
