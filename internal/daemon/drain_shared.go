package daemon

import (
	"context"
	"errors"
	"time"

	"paceline/internal/drain"
)

// Where all processes accept from one queue, none can be kept from it alone: between
// a look that finds no request in flight and the stop signal it may take the next
// connection, and cut it. So the app gets no connections at all (port.Set.Hold) for the
// time in which one of its processes is looked at and ends: some 15 ms. What comes
// meanwhile is served a second later.
const (
	// holdPatience is how long connections are held until a process has answered
	// what it took since it was found idle.
	holdPatience = 50 * time.Millisecond
	// A process that has not been found idle for so long, because its requests
	// overlap, is given lastPatience once to answer them without new ones.
	lastResort   = 3 * time.Second
	lastPatience = 500 * time.Millisecond
	// deafPatience is how long connections are held after the stop signal is due. A
	// program without a handler for it has long ended then, and one with a handler
	// loses none, whenever it closes its listeners.
	deafPatience = time.Second
)

// drainShared waits until a process has no request in flight and cannot get one: until
// the release, nobody gets connections from the queues that it accepts from. Where they
// cannot be held, or ctx ends, it says what it saw.
func (h *host) drainShared(ctx context.Context, c *cluster, is seat, o drain.Options) (r drain.Result, release func()) {
	begun, resort := time.Now(), lastResort
	defer func() { r.Took = time.Since(begun) }()
	nothing := func() {}
	w, err := drain.New(o)
	if err != nil {
		return drain.Result{Err: err}, nothing
	}
	defer w.Close()
	for {
		patience := holdPatience
		r = waitFor(ctx, max(0, resort-time.Since(begun)), w.Wait)
		switch {
		case ctx.Err() != nil:
			return r, nothing
		case errors.Is(r.Err, context.DeadlineExceeded):
			patience, resort = lastPatience, forever
		case r.Err != nil:
			return r, nothing
		}
		release, err := c.set.Hold(is.Number)
		if err != nil {
			c.log.Debug("drain a shared queue", "app", c.name, "error", err)
			return w.Wait(ctx), nothing
		}
		if r = waitFor(ctx, patience, func(ctx context.Context) drain.Result {
			return h.finish(ctx, c, is, w)
		}); r.Err == nil || ctx.Err() != nil {
			return r, release
		}
		release()
		if !errors.Is(r.Err, context.DeadlineExceeded) {
			return r, nothing
		}
		rest := time.NewTimer(patience) // in which those who waited are served
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
		}
	}
}

// finish waits, while connections are held, until the last handshakes are over and a
// process has answered what it has.
func (h *host) finish(ctx context.Context, c *cluster, is seat, w *drain.Watch) drain.Result {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for first := true; ; first = false { // a packet on its way through the kernel is seen the second time
		if !c.set.Connecting(is.Number) && !first {
			r := w.WaitQueues(ctx)
			if r.Err != nil || h.surely(c, is, w) {
				return r
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return w.WaitQueues(ctx) // what it still has in hand
		}
	}
}

// surely looks once more while the process stands still: on a busy machine a thread may
// have been interrupted for long between an accept and its descriptor, when the
// connection is nobody's.
func (h *host) surely(c *cluster, is seat, w *drain.Watch) bool {
	thaw, err := h.freeze(c, is.Number)
	if err != nil {
		return false
	}
	defer thaw()
	state, err := w.LookAgain()
	return err == nil && state.Busy == 0 && state.Queued == 0
}

// forever is longer than any drain.
const forever = 1000 * time.Hour

// waitFor waits for at most so long.
func waitFor(ctx context.Context, limit time.Duration, wait func(context.Context) drain.Result) drain.Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return wait(ctx)
}

// awaitDeaf returns when a process that is told to end has done so, which ends ctx, or
// listens no more.
func awaitDeaf(ctx context.Context, o drain.Options) {
	ctx, cancel := context.WithTimeout(ctx, deafPatience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		if state, err := drain.Look(o); err == nil && state.Listening == 0 {
			return
		}
	}
}
