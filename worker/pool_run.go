package worker

import "context"

// pendingRun is what a call of Run and the worker share. The pool's lock guards it.
type pendingRun struct {
	slot *taskSlot // where the task waits; nil if it does not, or no longer
	gate *poolGate // nil once it has an outcome, or nobody waits for that
	over bool      // err is its outcome, or nobody waits for that
	err  error
}

// settle gives a task its outcome, unless it has one, and returns the gate at which its
// Run waits, to be opened.
func (t *poolTask) settle(err error) *poolGate {
	if t.run == nil || t.run.over {
		return nil
	}
	gate := t.run.gate
	t.run.gate, t.run.over, t.run.err = nil, true, err
	return gate
}

// poolCall is the one thing that a Run allocates.
type poolCall[T any] struct {
	pendingRun
	task  func(context.Context) (T, error)
	value T
}

func (c *poolCall[T]) do(ctx context.Context) error {
	value, err := c.task(ctx)
	c.value = value
	return err
}

// Run has the pool run a task, waits for it and returns what it returns: [Pool.Submit]
// for work whose result is needed. A panic of the task is returned as a [*TaskPanic].
//
// If ctx ends, or the task's timeout, Run returns at once, with the cause and T's
// zero value. A task that waits is taken out of the queue then and never runs; one
// that runs goes on until it looks at its context, and what it returns is lost: so it
// must use nothing that the caller of Run changes afterwards. Further errors are those
// of Submit, and ErrTaskExit. A task that calls Run on its own pool may wait for ever,
// as all workers may do so.
func Run[T any](ctx context.Context, p *Pool, task func(ctx context.Context) (T, error), opts ...TaskOption) (T, error) {
	var zero T
	c := &poolCall[T]{task: task}
	p.mu.Lock()
	gate := p.gate()
	p.mu.Unlock()
	c.gate = gate
	if err := p.enter(ctx, c, &c.pendingRun, opts); err != nil {
		p.mu.Lock()
		p.giveBack(gate)
		p.mu.Unlock()
		return zero, err
	}
	if err := p.outcome(ctx, &c.pendingRun, gate); err != nil {
		return zero, err
	}
	return c.value, nil
}

// outcome waits for a task in the pool, or for the end of ctx.
func (p *Pool) outcome(ctx context.Context, run *pendingRun, gate *poolGate) error {
	select {
	case <-gate.open:
	case <-ctx.Done():
		p.mu.Lock()
		if !run.over {
			defer p.mu.Unlock()
			run.over, run.gate = true, nil
			p.giveBack(gate)
			if run.slot != nil {
				p.queue.remove(run.slot)
				p.release(run.slot)
				p.stats.Cancelled++
				p.makeRoom().pass()
				p.rouse().wake()
			}
			return context.Cause(ctx)
		}
		p.mu.Unlock()
		<-gate.open // its outcome came a moment earlier
	}
	p.mu.Lock()
	p.giveBack(gate)
	p.mu.Unlock()
	return run.err
}
