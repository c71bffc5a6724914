package worker

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// poolWorker is one goroutine of a pool's.
type poolWorker struct {
	pool *Pool
	goOn chan struct{} // of one element: ends its idleness

	// Guarded by the pool's lock.
	newer, older *poolWorker // while idle
	idleSince    int64
	retired      bool
	cancel       context.CancelCauseFunc // ends the context of the task that it runs

	// Its own.
	task    *taskSlot // the one that it runs; in no list
	began   int64     // when; 0 if it is not timed
	outcome *poolGate // whom to tell when the lock is let go
	room    *poolGate
	last    bool // it was the last of a closed pool
}

// wake ends a worker's idleness; nil is nobody. It may be called with the lock held, as
// it does not wait.
func (w *poolWorker) wake() {
	if w != nil {
		w.goOn <- struct{}{}
	}
}

// rouse finds a worker for what is in the queue, if none is on its way already: the
// lock is taken by one after the other, and each calls the next if more is to be done.
// So a burst of tasks costs few wake-ups.
func (p *Pool) rouse() *poolWorker {
	if p.waking > 0 || p.queue.n == 0 || p.state == poolPaused || p.state == poolFailed {
		return nil
	}
	if w := p.idle.pop(); w != nil {
		p.waking++
		return w
	}
	if p.workers < p.max {
		p.spawn()
	}
	return nil
}

// spawn starts a worker, which counts as waking until it is at the queue.
func (p *Pool) spawn() {
	w := &poolWorker{pool: p, goOn: make(chan struct{}, 1)}
	p.workers++
	p.waking++
	p.all[w] = struct{}{}
	go w.work()
}

// work is the life of a worker.
func (w *poolWorker) work() {
	p := w.pool
	if p.lockThread {
		// Never unlocked: so the thread, which is not as others are, ends with its goroutine.
		runtime.LockOSThread()
	}
	nice := 0
	if p.background {
		nice = beNice(p.nice)
	}
	p.mu.Lock()
	p.waking--
	p.stats.Nice = max(p.stats.Nice, nice)
	for now := int64(0); w.take(now); {
		how, err := w.execute()
		now = w.finish(how, err)
		if how != taskReturned {
			break
		}
	}
	w.unlock()
}

// take makes the worker have the next task, waits for one if there is none, or says that
// the worker has to end, which is no longer counted then. It is called with the lock,
// and the time if that is known; if there is a task it returns without.
func (w *poolWorker) take(now int64) bool {
	p := w.pool
	for {
		if s := p.next(); s != nil {
			if s.run != nil {
				s.run.slot = nil
			}
			if s.ctx.Err() != nil {
				w.skip(s)
				now = 0
				continue
			}
			w.task = s
			p.running++
			w.began = 0
			if s.since != 0 {
				if now == 0 {
					now = p.now()
				}
				w.began = now
				p.stats.Wait.observe(max(now-s.since, 0), s.weight)
			}
			other := p.rouse()
			w.unlock()
			other.wake()
			return true
		}
		if w.retired || p.state == poolClosed {
			w.leave()
			return false
		}
		if now == 0 {
			now = p.now()
		}
		w.idleSince = now
		p.idle.push(w)
		p.plan()
		w.unlock()
		<-w.goOn
		now = 0
		p.mu.Lock()
		p.waking--
	}
}

// next takes the next task out of the queue, or nil.
func (p *Pool) next() *taskSlot {
	if p.state == poolPaused || p.state == poolFailed {
		return nil
	}
	s := p.queue.first()
	if s != nil {
		p.queue.remove(s)
	}
	return s
}

// skip is for a task whose context has ended before it began.
func (w *poolWorker) skip(s *taskSlot) {
	p := w.pool
	t := p.release(s)
	p.stats.Cancelled++
	err := context.Cause(t.ctx)
	outcome, room := t.settle(err), p.makeRoom()
	p.mu.Unlock()
	outcome.pass()
	room.pass()
	p.report(&t, err)
	p.mu.Lock()
}

// leave takes the worker out of the pool.
func (w *poolWorker) leave() {
	p := w.pool
	p.workers--
	if w.retired {
		p.retiring--
	}
	delete(p.all, w)
	w.last = p.workers == 0 && p.state == poolClosed
}

// taskEnd is how a task ended.
type taskEnd int

const (
	taskExited taskEnd = iota // by runtime.Goexit, which ends the worker as well
	taskReturned
	taskPanicked
)

// execute runs the worker's task.
func (w *poolWorker) execute() (how taskEnd, err error) {
	t := &w.task.poolTask
	defer func() {
		if how == taskReturned {
			return
		}
		if v := recover(); v != nil {
			how, err = taskPanicked, &PanicError{Value: v, Stack: debug.Stack()}
			return
		}
		// Nothing comes back from Goexit but deferred functions.
		w.finish(taskExited, ErrTaskExit)
		w.unlock()
	}()
	if t.timeout > 0 || w.pool.cancelOnGive {
		err = w.bounded(t.ctx, t)
	} else {
		err = t.body.do(t.ctx)
	}
	return taskReturned, err
}

// bounded runs a task whose context, ctx, the pool can end.
func (w *poolWorker) bounded(ctx context.Context, t *poolTask) error {
	p := w.pool
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.mu.Lock()
	w.cancel = cancel
	late := p.gaveUp
	p.mu.Unlock()
	if late { // Close has not seen it
		cancel(ErrPoolClosed)
	}
	defer func() {
		p.mu.Lock()
		w.cancel = nil
		p.mu.Unlock()
	}()
	if t.timeout == 0 {
		return t.body.do(ctx)
	}
	run := poolTask{run: t.run}
	timer := time.AfterFunc(t.timeout, func() {
		cancel(ErrTaskTimeout)
		p.mu.Lock()
		gate := run.settle(ErrTaskTimeout)
		p.mu.Unlock()
		gate.pass()
	})
	defer timer.Stop()
	err := t.body.do(ctx)
	if !timer.Stop() {
		return ErrTaskTimeout // its Run has returned with it
	}
	return err
}

// finish notes how the task ended. It is called without the lock and returns with it,
// and the time, or 0 if the task was not timed. After a panic another worker has taken
// this one's place.
func (w *poolWorker) finish(how taskEnd, err error) (now int64) {
	p, s := w.pool, w.task
	if w.began != 0 {
		now = p.now()
	}
	p.lock()
	p.running--
	if w.began != 0 {
		took := now - w.began
		p.stats.Run.observe(took, s.weight)
		if brisk := took < briskTask; brisk != p.brisk.Load() {
			p.brisk.Store(brisk)
		}
	}
	switch {
	case how != taskReturned:
		p.stats.Panicked++
	case err != nil:
		p.stats.Failed++
	default:
		p.stats.Completed++
	}
	if s.run != nil {
		w.outcome = s.settle(err)
	}
	if p.blocked.n > 0 {
		w.room = p.makeRoom()
	}
	if err != nil {
		w.failed(how, err)
	}
	w.task = nil
	p.drop(s)
	return now
}

// failed is the part of finish that is not in every task's way.
func (w *poolWorker) failed(how taskEnd, err error) {
	p := w.pool
	var given []poolTask
	if how != taskReturned {
		given = p.panicked(p.now(), err)
	}
	stopped := p.broken
	w.unlock()
	p.report(&w.task.poolTask, err)
	for i := range given {
		p.report(&given[i], stopped)
	}
	p.mu.Lock()
	if how != taskReturned {
		w.replace()
	}
}

// unlock lets go of the lock, and then lets those go on who wait for what was done
// under it: they would only run into the lock.
func (w *poolWorker) unlock() {
	w.pool.mu.Unlock()
	w.outcome.pass()
	if w.room != nil {
		w.room.pass()
		if w.pool.brisk.Load() {
			// The one who was let in, and waits behind this goroutine, is to fill the queue
			// while there is still something in it, not when all workers have found it empty.
			runtime.Gosched()
		}
	}
	w.outcome, w.room = nil, nil
	if w.last {
		w.pool.end()
	}
}

// replace gives the worker's place to another, if one is still needed.
func (w *poolWorker) replace() {
	p := w.pool
	w.leave()
	if p.workers < p.min && p.state != poolClosed || p.queue.n > 0 {
		p.spawn()
		w.last = false
	}
}

// panicked counts a panic, and has the pool stop or pause if there were too many. It
// returns the tasks that are given up.
func (p *Pool) panicked(now int64, err error) []poolTask {
	if p.maxPanics < 0 || p.state != poolOpen {
		return nil
	}
	for len(p.panics) > 0 && now-p.panics[0] > int64(p.panicWindow) {
		p.panics = p.panics[1:]
	}
	p.panics = append(p.panics, now)
	if len(p.panics) <= p.maxPanics {
		return nil
	}
	p.panics = nil
	if p.panicPause == 0 {
		p.state = poolFailed
		p.broken = fmt.Errorf("%w: the pool is stopped after %d within %v, the last: %w", ErrPoolPanics, p.maxPanics+1, p.panicWindow, err)
		p.refuseBlocked(p.broken)
		return p.giveUp(p.broken)
	}
	p.state = poolPaused
	p.broken = fmt.Errorf("%w: the pool pauses for %v after %d within %v, the last: %w",
		ErrPoolPanics, p.panicPause, p.maxPanics+1, p.panicWindow, err)
	p.resume = time.AfterFunc(p.panicPause, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.state == poolPaused {
			p.state, p.broken = poolOpen, nil
			p.rouse().wake()
		}
	})
	return nil
}

// plan has the timer run if there are idle workers beyond the least number. One timer
// for all, as setting one each time a worker has nothing to do would cost more than
// many a task.
func (p *Pool) plan() {
	if p.poolConfig.idle <= 0 || p.workers-p.retiring <= p.min || p.shrinking {
		return
	}
	oldest := p.idle.oldest
	if oldest == nil {
		return
	}
	p.shrinking = true
	d := max(p.poolConfig.idle-time.Duration(p.now()-oldest.idleSince), 0)
	if p.shrink == nil {
		p.shrink = time.AfterFunc(d, p.retire)
	} else {
		p.shrink.Reset(d)
	}
}

// retire ends the workers that have been idle for long.
func (p *Pool) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shrinking = false
	if p.state == poolClosed {
		return
	}
	now := p.now()
	for p.workers-p.retiring > p.min {
		w := p.idle.oldest
		if w == nil || now-w.idleSince < int64(p.poolConfig.idle) {
			break
		}
		p.idle.remove(w)
		w.retired = true
		p.retiring++
		p.waking++
		w.wake()
	}
	p.plan()
}

// idleWorkers is a stack, so that those that are not needed stay idle, and can be told:
// they are at its bottom.
type idleWorkers struct{ newest, oldest *poolWorker }

func (l *idleWorkers) push(w *poolWorker) {
	w.older, w.newer = l.newest, nil
	if l.newest == nil {
		l.oldest = w
	} else {
		l.newest.newer = w
	}
	l.newest = w
}

func (l *idleWorkers) pop() *poolWorker {
	w := l.newest
	if w != nil {
		l.remove(w)
	}
	return w
}

func (l *idleWorkers) remove(w *poolWorker) {
	if w.newer == nil {
		l.newest = w.older
	} else {
		w.newer.older = w.older
	}
	if w.older == nil {
		l.oldest = w.newer
	} else {
		w.older.newer = w.newer
	}
	w.newer, w.older = nil, nil
}
