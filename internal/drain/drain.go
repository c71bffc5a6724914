// Package drain tells when a program has no request in flight on the TCP connections
// that it serves.
//
// It works for any program and protocol in which one side asks and the other answers,
// as it only asks the kernel (sock_diag) which way data went last on each connection;
// TLS looks the same from there. [Options] say whose connections, busy in rule.go
// what counts as busy and where that is wrong.
package drain

import (
	"context"
	"time"
)

// Options say whose connections a Watch is about.
type Options struct {
	// PIDs are the processes. Their descendants count as well, and the processes of
	// their sessions. The daemon must be allowed to read their descriptors.
	PIDs []int
	// Ports are the local TCP ports that they serve. Connections of other ports,
	// such as those to a database, do not matter. Without any all is idle.
	Ports []uint16
	// Queues has Wait also wait until the program has accepted what waits at its
	// listening sockets. It makes sense where these get no new connections and no
	// other program accepts from them.
	Queues bool
	// Quiet is how long a connection that has been written to must have been silent
	// before its answer counts as complete: programs write an answer in several
	// pieces. Zero means 20 ms.
	Quiet time.Duration
	// Closed has Wait return only when there is no connection left, for a program that
	// closes each one after the answer that is due.
	Closed bool
}

// defaultQuiet covers what lies between the head and the body of an answer on a busy
// machine.
const defaultQuiet = 20 * time.Millisecond

// State is what one look found.
type State struct {
	// Idle is how many connections have no request in flight.
	Idle int
	// Busy is how many others there are: they are reset or cut short when the
	// program ends now.
	Busy int
	// Queued is how many connections wait to be accepted at the program's listening
	// sockets. They are not the program's yet, and may be others' as well.
	Queued int
	// Listening is how many sockets the program listens on.
	Listening int
}

// Result is how a wait ended.
type Result struct {
	State // at the end
	// Took is how long the wait was.
	Took time.Duration
	// Looks is how often all connections were looked at.
	Looks int
	// Err is why it ended before all was idle: the error of the context, or that the
	// connections cannot be seen. Nil if all was idle.
	Err error
}

// Look tells the state of the connections now. It has no earlier look to compare with:
// where that is needed to tell, a connection counts as busy. Errors:
// kernel.ErrUnsupported if the kernel does not show the connections, or not to us.
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

// Times of Wait.
const (
	// firstInterval is between the first looks, and before the last one: only when
	// two of them find all idle it is so. What is on its way from an accept queue
	// into the program is in neither for a moment.
	firstInterval = 10 * time.Millisecond
	// lastInterval is what the interval grows to, by a quarter each time.
	lastInterval = 25 * time.Millisecond
	// A look at all costs much where there are many connections of whatever kind.
	// While some known to be busy still are, it rests between two of them for at
	// least this long, and so many times as long as a look takes.
	lookRest  = 100 * time.Millisecond
	lookShare = 10
)

// looker is a Watch, or a test's.
type looker interface {
	Look() (State, error)
	// recheck tells whether one that the last look has found busy still is.
	recheck() (bool, error)
}

// wait looks until all is idle twice in a row.
func wait(ctx context.Context, w looker, o Options) (r Result) {
	begun := time.Now()
	defer func() { r.Took = time.Since(begun) }()
	interval := firstInterval
	for idle := 0; ; {
		looked := time.Now()
		if r.State, r.Err = w.Look(); r.Err != nil {
			return r
		}
		r.Looks++
		rest := max(lookRest, lookShare*time.Since(looked))
		if r.Busy > 0 || o.Queues && r.Queued > 0 || o.Closed && r.Idle > 0 {
			idle = 0
		} else if idle++; idle == 2 {
			return r
		}
		if r.Err = ctx.Err(); r.Err != nil {
			return r
		}
		if idle > 0 {
			pause(ctx, firstInterval)
			continue
		}
		for still := true; still && time.Since(looked) < rest && ctx.Err() == nil; {
			pause(ctx, interval)
			interval = min(interval+interval/4, lastInterval)
			if still, r.Err = w.recheck(); r.Err != nil {
				return r
			}
		}
	}
}

// pause waits for a while, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
