package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The errors of a pool. Compare with errors.Is.
var (
	// ErrPoolFull says that all workers are busy and the queue has no room: [PoolFail].
	ErrPoolFull = errors.New("worker: pool is full")
	// ErrPoolClosed says that Close was called: before the task was submitted, while it
	// waited for room in the queue, or, if Close gave up, while it waited in the queue.
	ErrPoolClosed = errors.New("worker: pool is closed")
	// ErrPoolDropped says that the task gave way to another: [PoolDropOldest], [PoolDropNewest].
	ErrPoolDropped = errors.New("worker: task dropped from a full pool")
	// ErrPoolPanics says that too many tasks panicked: [PoolMaxPanics].
	ErrPoolPanics = errors.New("worker: too many tasks panicked")
	// ErrTaskTimeout says that a task ran for longer than it may: [TaskTimeout].
	ErrTaskTimeout = errors.New("worker: task ran into its timeout")
	// ErrTaskExit says that a task ended its goroutine by runtime.Goexit, as a test's
	// FailNow does.
	ErrTaskExit = errors.New("worker: task ended its goroutine")
)

type poolState int

const (
	poolOpen poolState = iota
	poolPaused
	poolFailed // stopped by panics: takes nothing
	poolClosed // takes nothing, and runs what waits
)

// Pool runs tasks on a bounded number of goroutines, its workers. All methods may be
// called by many goroutines at the same time. One that is no longer needed has to be
// closed.
//
// It has one queue and one lock, held for some tens of nanoseconds twice a task.
// That is enough for a few million tasks a second; shorter ones than a microsecond are
// better put together.
type Pool struct {
	poolConfig
	born  time.Time   // the zero of the pool's clock
	brisk atomic.Bool // the last task that was timed took less than briskTask; set with the lock

	mu      sync.Mutex // guards all below
	untimed uint16     // tasks since the last that is timed
	state   poolState
	waking  int        // workers that are on their way to the queue
	running int        // tasks that run
	free    *taskSlot  // linked by next
	queue   taskLevels // accepted, not yet taken by a worker
	idle    idleWorkers

	workers   int        // goroutines
	retiring  int        // those of them that are to end
	blocked   taskLevels // not yet accepted: their submitters wait
	gates     []*poolGate
	broken    error // why it is paused or failed
	all       map[*poolWorker]struct{}
	panics    []int64
	shrink    *time.Timer   // for the workers that have been idle for long
	shrinking bool          // shrink runs
	resume    *time.Timer   // after a pause
	room      *time.Timer   // for those that wait for room while tasks are short
	roomSet   bool          // room runs
	gaveUp    bool          // a Close waits no longer for what runs
	ended     chan struct{} // closed with the last worker, after Close
	stats     PoolStats     // the counts and histograms alone
}

// NewPool makes a pool, and starts the least number of workers. Without options it has as
// many workers as there are processors usable, started when they are needed, and a
// queue of 1,024, in which it makes submitters wait for room. The error is about an
// option that makes no sense.
func NewPool(opts ...PoolOption) (*Pool, error) {
	c, err := newPoolConfig(opts)
	if err != nil {
		return nil, err
	}
	p := &Pool{poolConfig: c, born: time.Now(), ended: make(chan struct{}), all: map[*poolWorker]struct{}{}}
	if p.background {
		raiseProcs(p.max)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for range p.min {
		p.spawn()
	}
	return p, nil
}

const (
	// briskTask is below what a task counts as short, and one of timedOf is timed.
	briskTask = int64(100 * time.Microsecond)
	timedOf   = 64
	// roomLatest is how long the first of the submitters that wait for room waits at most
	// where there is some.
	roomLatest = time.Millisecond
	// roomShare is how many places there are for each of the submitters that are let in
	// while tasks are short.
	roomShare = 32
)

// now is the time on the pool's clock. It is never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.born)) + 1 }

// Submit hands a task to the pool and returns, without waiting for it to run. What
// comes of it the pool counts, and tells [PoolOnError].
//
// The task is given ctx, with the timeout added if it has one. If ctx ends before a
// worker takes the task, the task never runs; if it ends later, it is up to the task to
// look. Where the queue is full, Submit waits for room, until ctx ends.
//
// Errors: ErrPoolFull, ErrPoolDropped, ErrPoolClosed, one that is ErrPoolPanics, and
// the cause of ctx's end. With any of them the task has not run and never will. A task
// may submit others to its own pool; one that waits for room there may wait for ever,
// as all workers may do so.
func (p *Pool) Submit(ctx context.Context, task func(ctx context.Context) error, opts ...TaskOption) error {
	return p.enter(ctx, submitted(task), nil, opts)
}

// enter puts a task into the queue, or waits until that is done or can never be.
func (p *Pool) enter(ctx context.Context, body taskBody, run *pendingRun, opts []TaskOption) error {
	t := poolTask{body: body, ctx: ctx, run: run, timeout: p.timeout, level: int8(TaskNormal - TaskLow)}
	for _, o := range opts {
		if o.isTime {
			t.timeout = o.timeout
		} else {
			t.level = int8(o.priority - TaskLow)
		}
	}
	if ctx.Err() != nil {
		p.mu.Lock()
		p.stats.Refused++
		p.mu.Unlock()
		return context.Cause(ctx)
	}
	if !p.brisk.Load() {
		t.since = p.now()
	}
	p.lock()
	if p.state != poolOpen {
		err := p.broken
		if p.state == poolClosed {
			err = ErrPoolClosed
		}
		p.stats.Refused++
		p.mu.Unlock()
		return err
	}
	p.weigh(&t)
	if p.vacant() <= 0 {
		return p.enterFull(t)
	}
	p.accept(p.slot(&t))
	wake := p.rouse()
	p.mu.Unlock()
	wake.wake()
	return nil
}

// lock takes the lock, which is held for so short a time that to look again is better
// than to be put to sleep, as sync.Mutex would soon do.
func (p *Pool) lock() {
	for range 100 {
		if p.mu.TryLock() {
			return
		}
	}
	p.mu.Lock()
}

// weigh makes this task one of those that are timed, if it is one.
func (p *Pool) weigh(t *poolTask) {
	p.untimed++
	if t.since == 0 && p.untimed == timedOf {
		t.since = p.now()
	}
	if t.since != 0 {
		t.weight, p.untimed = p.untimed, 0
	}
}

// enterFull is enter where there is no room. It unlocks.
func (p *Pool) enterFull(t poolTask) error {
	switch p.policy {
	case PoolBlock:
		s := p.slot(&t)
		gate := p.gate()
		s.admission, gate.slot = gate, s
		p.blocked.push(s)
		p.mu.Unlock()
		return p.admitted(t.ctx, gate)
	case PoolDropOldest, PoolDropNewest:
		victim := p.queue.victim(t.level, p.policy == PoolDropNewest)
		if victim == nil {
			break
		}
		p.queue.remove(victim)
		p.stats.Dropped++
		given := p.release(victim)
		gate := given.settle(ErrPoolDropped)
		p.accept(p.slot(&t))
		wake := p.rouse()
		p.mu.Unlock()
		wake.wake()
		gate.pass()
		p.report(&given, ErrPoolDropped)
		return nil
	}
	p.stats.Refused++
	p.mu.Unlock()
	if p.policy == PoolFail {
		return ErrPoolFull
	}
	return ErrPoolDropped
}

// admitted waits until a task that found the queue full is in it.
func (p *Pool) admitted(ctx context.Context, gate *poolGate) error {
	select {
	case <-gate.open:
	case <-ctx.Done():
		p.mu.Lock()
		if s := gate.slot; s != nil {
			p.blocked.remove(s)
			p.release(s)
			p.stats.Refused++
			gate.slot = nil
			p.giveBack(gate)
			p.mu.Unlock()
			return context.Cause(ctx)
		}
		p.mu.Unlock()
		<-gate.open // it was decided a moment earlier
	}
	err := gate.err
	p.mu.Lock()
	p.giveBack(gate)
	p.mu.Unlock()
	return err
}

// accept puts a task at the end of the queue.
func (p *Pool) accept(s *taskSlot) {
	if s.run != nil {
		s.run.slot = s
	}
	p.queue.push(s)
}

// admit moves the first of those that wait for room into the queue, if there is room.
// Its submitter is to be told.
func (p *Pool) admit() *poolGate {
	s := p.blocked.first()
	if s == nil || p.vacant() <= 0 {
		return nil
	}
	p.blocked.remove(s)
	gate := s.admission
	s.admission, gate.slot = nil, nil
	p.accept(s)
	return gate
}

// makeRoom admits those who wait for room, and tells them with the lock held, but for
// the first: that is for the caller. While tasks are short it does so when half of
// the queue is free, as to wake a submitter for each place takes longer than such a
// task; a timer sees to it that nobody waits in vain for short tasks that turn out
// long.
func (p *Pool) makeRoom() *poolGate {
	if p.blocked.n == 0 {
		return nil
	}
	if p.brisk.Load() && p.queue.n > p.poolConfig.queue/2 {
		if !p.roomSet {
			p.roomSet = true
			if p.room == nil {
				p.room = time.AfterFunc(roomLatest, p.roomAtLast)
			} else {
				p.room.Reset(roomLatest)
			}
		}
		return nil
	}
	places := p.places()
	first := p.admit()
	p.letIn(places - 1)
	return first
}

// vacant returns for how many tasks there is room.
func (p *Pool) vacant() int { return p.poolConfig.queue + p.max - p.queue.n - p.running }

// places returns how many submitters are let in at a time. While tasks are short these
// are fewer than there is room for: who is let in has more tasks as a rule, and many that
// come for one place each take longer to be woken than their tasks.
func (p *Pool) places() int {
	if p.brisk.Load() {
		return (p.vacant() + roomShare - 1) / roomShare
	}
	return p.vacant()
}

// letIn admits so many of those that wait for room, as far as there is any, and tells
// them.
func (p *Pool) letIn(places int) {
	for ; places > 0; places-- {
		g := p.admit()
		if g == nil {
			return
		}
		g.pass()
	}
}

// roomAtLast admits those for whom there is room.
func (p *Pool) roomAtLast() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roomSet = false
	p.letIn(p.places())
	if p.blocked.n > 0 && p.vacant() > 0 {
		p.roomSet = true
		p.room.Reset(roomLatest)
	}
	p.rouse().wake()
}

// slot makes an element of a list.
func (p *Pool) slot(t *poolTask) *taskSlot {
	s := p.free
	if s == nil {
		s = &taskSlot{}
	} else {
		p.free, s.next = s.next, nil
	}
	s.poolTask = *t
	return s
}

// release takes the task out of its slot, which is in no list any more.
func (p *Pool) release(s *taskSlot) poolTask {
	t := s.poolTask
	if t.run != nil {
		t.run.slot = nil
	}
	p.drop(s)
	return t
}

// drop keeps a slot for the next task, and nothing of this one.
func (p *Pool) drop(s *taskSlot) {
	s.body, s.ctx, s.run, s.admission = nil, nil, nil, nil
	s.next, p.free = p.free, s
}

// gate makes a place to wait.
func (p *Pool) gate() *poolGate {
	if n := len(p.gates); n > 0 {
		g := p.gates[n-1]
		p.gates = p.gates[:n-1]
		return g
	}
	return &poolGate{open: make(chan struct{}, 1)}
}

// giveBack keeps a gate, which is closed again, for the next.
func (p *Pool) giveBack(g *poolGate) {
	g.err = nil
	p.gates = append(p.gates, g)
}

// pass lets the one who waits go on. Nobody waits at nil.
func (g *poolGate) pass() {
	if g != nil {
		g.open <- struct{}{}
	}
}

// report tells the error of a task of Submit. The lock is not held.
func (p *Pool) report(t *poolTask, err error) {
	if err != nil && t.run == nil && p.onError != nil {
		p.onError(err)
	}
}

// Close takes no further tasks and waits until those that are in the pool have run and
// all workers have ended; who waits for room in the queue is refused with
// ErrPoolClosed. Then no goroutine of the pool's is left, and Close returns nil.
//
// If ctx ends before that, the tasks that wait are given up with ErrPoolClosed, those
// that run with a timeout, or under [PoolCancel], have their contexts ended with
// ErrPoolClosed as the cause, and Close returns an error that is the cause of ctx's end
// and says how many still run. Their workers end with them. Close may be called
// again, also at the same time, to wait on. A task must not call it.
func (p *Pool) Close(ctx context.Context) error {
	if p.beginClose() {
		p.end()
	}
	select {
	case <-p.ended: // also where ctx has ended, too
		return nil
	default:
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.gaveUp = true
	given := p.giveUp(ErrPoolClosed)
	running := p.running
	var cancels []context.CancelCauseFunc
	for w := range p.all {
		if w.cancel != nil {
			cancels = append(cancels, w.cancel)
		}
	}
	p.mu.Unlock()
	for _, cancel := range cancels {
		cancel(ErrPoolClosed)
	}
	for i := range given {
		p.report(&given[i], ErrPoolClosed)
	}
	if running == 0 {
		<-p.ended
		if len(given) == 0 {
			return nil
		}
	}
	return fmt.Errorf("worker: close the pool: %d tasks still run and %d that waited are given up: %w", running, len(given), context.Cause(ctx))
}

// beginClose shuts the entrance, and reports whether nobody is left to end the pool.
func (p *Pool) beginClose() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == poolClosed {
		return false
	}
	p.state = poolClosed
	stopTimer(p.resume)
	stopTimer(p.shrink)
	stopTimer(p.room)
	p.refuseBlocked(ErrPoolClosed)
	for w := p.idle.pop(); w != nil; w = p.idle.pop() {
		p.waking++
		w.wake()
	}
	p.rouse().wake()
	return p.workers == 0
}

// refuseBlocked sends away all who wait for room.
func (p *Pool) refuseBlocked(err error) {
	for s := p.blocked.first(); s != nil; s = p.blocked.first() {
		p.blocked.remove(s)
		gate := s.admission
		p.release(s)
		p.stats.Refused++
		gate.slot, gate.err = nil, err
		gate.pass()
	}
}

// giveUp empties the queue; the tasks are for report.
func (p *Pool) giveUp(err error) []poolTask {
	var given []poolTask
	for s := p.queue.first(); s != nil; s = p.queue.first() {
		p.queue.remove(s)
		t := p.release(s)
		p.stats.Cancelled++
		t.settle(err).pass()
		given = append(given, t)
	}
	return given
}

// end is the last that happens in a closed pool. The lock is not held.
func (p *Pool) end() {
	if p.background {
		lowerProcs(p.max)
	}
	close(p.ended)
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}
