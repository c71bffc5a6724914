package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrRestarts says that workers failed more often than Options.MaxRestarts allows.
var ErrRestarts = errors.New("workers failed too often")

// Run keeps Options.Workers workers alive until ctx ends. Then it disconnects all and
// closes the primary, and returns nil. A worker that ends is replaced, at once if it had
// lasted for MinUptime or was told to leave, else with a growing delay; Workers that others
// have forked count. Errors: ErrRestarts, with what happened last; that a program cannot be
// started. The workers are then disconnected as well. Reload may be called meanwhile. Run
// is called once.
func (p *Primary) Run(ctx context.Context) error {
	during, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var keepers sync.WaitGroup
	for slot := range p.o.Workers {
		// In order, so that the first worker has the first place.
		if err := p.fill(slot); err != nil {
			fail(err)
			break
		}
		keepers.Go(func() {
			if err := p.keep(during, slot); err != nil {
				fail(err)
			}
		})
	}
	<-during.Done()
	keepers.Wait()
	err := context.Cause(during)
	if ctx.Err() != nil {
		err = nil
	}
	// Not within ctx, which has ended: the workers' timeouts bound it.
	return errors.Join(err, p.Disconnect(context.WithoutCancel(ctx)), p.Close())
}

// keep has a place taken by a worker until ctx ends.
func (p *Primary) keep(ctx context.Context, slot int) error {
	early := 0 // ends within MinUptime in a row
	for {
		if err := p.fill(slot); err != nil {
			return err
		}
		w := p.inSlot(slot)
		select {
		case <-w.done:
		case <-ctx.Done():
			return nil
		}
		if p.inSlot(slot) != w || w.ExitedAfterDisconnect() {
			early = 0
			continue
		}
		if err := p.failed(w); err != nil {
			return err
		}
		if time.Since(w.started) >= p.o.MinUptime {
			early = 0
			continue
		}
		early++
		if !pause(ctx, p.o.backoff(early)) {
			return nil
		}
	}
}

// fill has a place taken by a worker.
func (p *Primary) fill(slot int) error {
	before := p.inSlot(slot)
	if before != nil && !before.ended() {
		return nil
	}
	w, err := p.fork(slot, nil)
	if err != nil {
		return err
	}
	if !p.takeAfter(before, w) { // a reload was quicker
		w.leave()
	}
	return nil
}

// failed counts the end of a worker that nobody asked for.
func (p *Primary) failed(w *Worker) error {
	if p.o.MaxRestarts < 0 {
		return nil
	}
	now := time.Now()
	p.mu.Lock()
	p.fails = slices.DeleteFunc(p.fails, func(t time.Time) bool { return now.Sub(t) > p.o.RestartWindow })
	p.fails = append(p.fails, now)
	n := len(p.fails)
	p.mu.Unlock()
	if n <= p.o.MaxRestarts {
		return nil
	}
	exit, _ := w.Exit()
	return fmt.Errorf("%w: %d times within %v, last worker %d with %v", ErrRestarts, n, p.o.RestartWindow, w.id, exit)
}

// backoff is the delay after so many early ends in a row.
func (o Options) backoff(early int) time.Duration {
	delay := max(o.Backoff, 0)
	for range early - 1 {
		if delay >= o.MaxBackoff {
			break
		}
		delay *= 2
	}
	if o.MaxBackoff > 0 {
		delay = min(delay, o.MaxBackoff)
	}
	return delay
}

// pause waits; false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
