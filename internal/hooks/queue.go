package hooks

import (
	"slices"
	"sync"
	"time"

	"paceline/internal/app"
)

// queue is one hook's events that wait, and the goroutine that sees to them while
// there are any.
type queue struct {
	runner *Runner
	wake   chan struct{} // something has come; has room for one

	mu      sync.Mutex      // guards what follows
	kinds   map[kind]*burst // what has happened within the interval
	waiting []act
	dropped int
	running bool // the goroutine is there

	failing bool // it is known that it fails; owned by the goroutine
}

// kind is what events have in common that are put together.
type kind struct {
	name string
	word app.HookWord
}

// burst is events of one kind since the last act on one.
type burst struct {
	until time.Time // when the next act may be
	last  act       // with their number; 0: none has come since
}

// hear takes in an event.
func (q *queue) hear(b Bound, word app.HookWord, e app.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	k, now := kind{e.Name, word}, time.Now()
	seen := q.kinds[k]
	if seen == nil { // the first for a while
		q.kinds[k] = &burst{until: now.Add(q.runner.options.interval)}
		q.put(act{hook: b, word: word, event: e, count: 1})
	} else {
		seen.last = act{hook: b, word: word, event: e, count: seen.last.count + 1}
	}
	if !q.running {
		q.running = true
		q.runner.all.Go(q.run)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// put adds an act to those that wait; q.mu is held. The oldest goes if there are too
// many: what is new tells more.
func (q *queue) put(a act) {
	if len(q.waiting) >= MaxWaiting {
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.dropped++
	}
	q.waiting = append(q.waiting, a)
}

// run sees to the queue until nothing waits and no interval is under way.
func (q *queue) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		a, ok, wait := q.next()
		switch {
		case ok:
			q.do(a)
			continue
		case wait == 0:
			return
		}
		timer.Reset(wait)
		select {
		case <-q.wake:
		case <-timer.C:
		case <-q.runner.ctx.Done():
			return
		}
	}
}

// next returns what is to be done now, or how long until something may be; 0: the
// goroutine ends.
func (q *queue) next() (a act, ok bool, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped > 0 {
		q.runner.options.Log("a hook is too slow: %d acts that waited are left out", q.dropped)
		q.dropped = 0
	}
	now := time.Now()
	for k, b := range q.kinds {
		left := b.until.Sub(now)
		switch {
		case left > 0 && (wait == 0 || left < wait):
			wait = left
		case left > 0:
		case b.last.count == 0:
			delete(q.kinds, k)
		default:
			q.put(b.last)
			b.until, b.last = now.Add(q.runner.options.interval), act{}
			if wait == 0 || q.runner.options.interval < wait {
				wait = q.runner.options.interval
			}
		}
	}
	if len(q.waiting) > 0 && q.runner.ctx.Err() == nil {
		a, q.waiting = q.waiting[0], q.waiting[1:]
		return a, true, 0
	}
	if wait == 0 || q.runner.ctx.Err() != nil {
		q.running = false
		return act{}, false, 0
	}
	return act{}, false, wait
}
