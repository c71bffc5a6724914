// Package drain tells when a program has no request in flight.
package drain

import (
	"context"
	"time"
)

// Options say whose connections a Watch is about.
type Options struct {
	// PIDs are the processes, whose descendants count as well.
	PIDs []int
	// Ports are the local TCP ports that they serve. Connections of other ports,
	// such as those to a database, do not matter.
	Ports []uint16
	// Quiet is how long a connection that has been written to must have been silent
	// before its answer counts as complete: programs write an answer in several
	// pieces. Zero means 20 ms.
	Quiet time.Duration
	// Closed has Wait return only when there is no connection left, for a program that
	// closes each one after the answer that is due.
	Closed bool
}

// State is what one look found.
type State struct {
	// Idle are the connections without a request in flight.
	Idle int
	// Busy are the others: they are reset or cut short when the program ends now.
	Busy int
}

// Result is how a wait ended.
type Result struct {
	State
	// Took is how long the wait was.
	Took time.Duration
	// Looks is how often the connections were looked at.
	Looks int
	// Err is why it ended before all was idle: the error of the context, or that
	// connections cannot be seen. Nil when all was idle.
	Err error
}

// Look tells the state of the connections now, from one moment alone. Where that
// does not tell whether a connection is busy, it counts as busy. Errors:
// kernel.ErrUnsupported.
func Look(o Options) (State, error) {
	w, err := New(o)
	if err != nil {
		return State{}, err
	}
	defer w.Close()
	return w.Look()
}

// Wait returns when no connection has a request in flight, or when ctx ends.
func Wait(ctx context.Context, o Options) Result {
	w, err := New(o)
	if err != nil {
		return Result{Err: err}
	}
	defer w.Close()
	return w.Wait(ctx)
}
