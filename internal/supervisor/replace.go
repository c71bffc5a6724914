package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"paceline/internal/app"
)

// canaryWait bounds how long the first new process is watched before the others
// follow it: min_uptime, but at most min_uptime's default.
const canaryWait = time.Second

// replace gives one slot a process of spec. draining are instances that have to
// have ended before a further one is retired, so that a reload needs memory for
// few processes more than the app has.
func (r *reload) replace(ctx context.Context, sl *slot, spec *app.Spec, draining []*instance, canary bool) error {
	old, err := r.ask(ctx, sl.current.Load(), nil, always)
	if err == nil {
		if old.overlaps(spec) {
			err = r.succeed(ctx, sl, spec, old, draining, canary)
		} else {
			err = r.restart(ctx, sl, spec, canary)
		}
	}
	if err != nil {
		return instanceError(sl, err)
	}
	return nil
}

// replaceTogether gives the app's slots processes of spec where all of them take
// connections from one queue: only when every successor is there do the old ones
// leave, all at once. Until then a failure costs nothing but the successors.
func (r *reload) replaceTogether(ctx context.Context, spec *app.Spec) (err error) {
	var succeeding []*slot
	var old, next []report // of them
	var others []*slot
	defer func() {
		if err != nil {
			for _, n := range next {
				r.discard(ctx, n.in)
			}
		}
	}()
	for _, sl := range r.slots {
		was, err := r.ask(ctx, sl.current.Load(), nil, always)
		if err != nil {
			return instanceError(sl, err)
		}
		if !was.overlaps(spec) {
			others = append(others, sl)
			continue
		}
		now, err := r.prepare(ctx, sl, spec, was, len(next) == 0)
		if err != nil {
			return instanceError(sl, err)
		}
		succeeding, old, next = append(succeeding, sl), append(old, was), append(next, now)
	}
	for i, sl := range succeeding {
		if err := r.handOver(ctx, sl, old[i].in, next[i]); err != nil {
			next = next[i:] // those before have their slots
			return instanceError(sl, err)
		}
	}
	next = nil
	for _, sl := range others {
		if err := r.replace(ctx, sl, spec, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// overlaps reports whether a process of spec can serve beside this one.
func (v view) overlaps(spec *app.Spec) bool {
	if v.phase != online && v.phase != launching {
		return false
	}
	return isWorker(spec) && isWorker(v.spec) || v.shared && spec.Balance != app.None
}

// succeed starts a successor beside the old process and lets it take over.
func (r *reload) succeed(
	ctx context.Context, sl *slot, spec *app.Spec, old report, draining []*instance, canary bool,
) (err error) {
	next, err := r.prepare(ctx, sl, spec, old, canary)
	if err != nil {
		return err
	}
	if err = r.drained(ctx, draining); err == nil {
		err = r.handOver(ctx, sl, old.in, next)
	}
	if err != nil {
		r.discard(ctx, next.in)
	}
	return err
}

// prepare starts a successor beside the old process and waits until it has proved
// itself. If it does not, nothing of it is left.
func (r *reload) prepare(
	ctx context.Context, sl *slot, spec *app.Spec, old report, canary bool,
) (_ report, err error) {
	r.note("instance %d (id %d): starting a successor", sl.index, sl.id)
	var next *instance
	var b *batch
	if err := r.reg.do(ctx, func() error {
		next = r.reg.newInstance(sl, spec)
		next.m = machine{trial: true, restarts: old.restarts + 1, exit: old.exit}
		next.created = old.status.CreatedAt
		next.publish()
		r.reg.addBeside(next)
		b = r.reg.newBatch(1)
		b.send(ctx, []*instance{next}, start{}, launched)
		return nil
	}); err != nil {
		return report{}, err
	}
	defer func() {
		if err != nil {
			r.discard(ctx, next)
		}
	}()
	reports, err := b.collect(ctx)
	if err != nil {
		return report{}, err
	}
	// Who is handed its sockets listens before it can accept: time has to tell.
	canary = canary || len(spec.Sockets) > 0
	return reports[0], r.proves(ctx, reports[0], old.ports, canary)
}

// handOver makes the successor the slot's instance and retires the old one. Its
// steps are short, and are done to the end even if the reload is cancelled.
func (r *reload) handOver(ctx context.Context, sl *slot, old *instance, next report) error {
	ctx = context.WithoutCancel(ctx)
	// The record that outlives the daemon says which process is the instance: at
	// no time may both write it.
	if !old.box.put(cede{recording: false}) {
		return errors.New("the instance has ended")
	}
	was, err := r.ask(ctx, old, nil, always)
	if err != nil {
		return err
	}
	now, err := r.ask(ctx, next.in, promote{restarts: was.restarts + 1}, always)
	if err != nil {
		return err
	}
	if fallen(next.gen)(now.view) {
		old.box.put(cede{recording: true})
		return fmt.Errorf("the new process ended: %w", died(now.view))
	}
	next.in.box.put(cede{recording: true})
	if _, err := r.ask(ctx, next.in, nil, always); err != nil {
		return err
	}
	if err := r.reg.do(ctx, func() error {
		sl.current.Store(next.in)
		sl.beside[slices.Index(sl.beside, next.in)] = old
		sl.retiring.Add(1)
		old.retired = true
		old.box.put(retire{})
		return nil
	}); err != nil {
		return err
	}
	r.mu.Lock()
	r.replaced, r.retired = append(r.replaced, sl), append(r.retired, old)
	r.mu.Unlock()
	r.note("instance %d (id %d): replaced", sl.index, sl.id)
	r.watch(next)
	return nil
}

// restart replaces the process of a slot in which two cannot be side by side, or
// starts one where none runs.
func (r *reload) restart(ctx context.Context, sl *slot, spec *app.Spec, canary bool) error {
	r.note("instance %d (id %d): restarting", sl.index, sl.id)
	in := sl.current.Load()
	in.box.put(update{spec: spec})
	r.mu.Lock()
	r.replaced = append(r.replaced, sl)
	r.mu.Unlock()
	now, err := r.ask(ctx, in, restart{}, launched)
	if err != nil {
		return err
	}
	if err := r.proves(ctx, now, nil, canary); err != nil {
		return err
	}
	r.watch(now)
	return nil
}

// proves waits until a new process is ready and listens wherever the old one
// does, and for a canary until it has lasted a while.
func (r *reload) proves(ctx context.Context, next report, ports []string, canary bool) error {
	over := fallen(next.gen)
	if over(next.view) {
		return died(next.view)
	}
	limit := policyOf(next.spec).listenTimeout
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	now, err := r.ask(limited, next.in, nil, func(v view) bool { return over(v) || lacks(v, ports) == "" })
	switch {
	case err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)):
		return err
	case err != nil:
		if now, err = r.ask(ctx, next.in, nil, always); err != nil {
			return err
		}
		if lack := lacks(now.view, ports); lack != "" && !over(now.view) {
			return fmt.Errorf("the new process is not ready within %s: %s", limit, lack)
		}
	}
	if over(now.view) {
		return died(now.view)
	}
	if !canary {
		return nil
	}
	r.note("instance %d (id %d): ready, watched for a moment", next.in.slot.index, next.in.slot.id)
	patience := min(time.Duration(now.spec.MinUptime), canaryWait)
	patience -= max(0, time.Since(now.started)) // the clock may have been set back
	limited, cancel = context.WithTimeout(ctx, max(0, patience))
	defer cancel()
	now, err = r.ask(limited, next.in, nil, over)
	switch {
	case err == nil:
		return died(now.view)
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil
	}
	return err
}

// watch reports to fallen if a process that has taken over ends before the
// reload does.
func (r *reload) watch(next report) {
	if r.fallen == nil {
		return
	}
	next.in.box.put(order{waiter: waiter{until: fallen(next.gen), reply: r.fallen, left: r.done}})
}

// discard ends a successor that did not prove itself. A worker of Node's serves
// beside the old process as soon as it listens: what it has begun it finishes, unless
// somebody wants the end of the reload.
func (r *reload) discard(ctx context.Context, next *instance) {
	if ctx.Err() == nil {
		if _, err := r.ask(ctx, next, retire{}, atEnd); err == nil {
			return
		}
	}
	// A cancelled reload cleans up as well.
	if _, err := r.ask(context.WithoutCancel(ctx), next, remove{}, atEnd); err != nil && !errors.Is(err, ErrClosed) {
		r.note("%v", err)
	}
}

// ask gives one instance an order and waits for its report.
func (r *reload) ask(ctx context.Context, in *instance, m message, until func(view) bool) (report, error) {
	b := r.reg.newBatch(1)
	b.send(ctx, []*instance{in}, m, until)
	reports, err := b.collect(ctx)
	if err != nil {
		return report{}, err
	}
	return reports[0], nil
}

// fallen is whether the process gen no longer runs as it should.
func fallen(gen uint64) func(view) bool {
	return func(v view) bool {
		return v.gen != gen || (v.phase != launching && v.phase != online)
	}
}

// lacks says what a new process lacks to take over from one that listens on
// ports; "" if it is nothing.
func lacks(v view, ports []string) string {
	missing := slices.DeleteFunc(slices.Clone(ports), func(p string) bool { return slices.Contains(v.ports, p) })
	p := policyOf(v.spec)
	switch {
	case v.phase != online:
		return "it has not come up"
	case len(missing) > 0 && len(v.ports) == 0:
		return "it listens on nothing instead of " + strings.Join(missing, ", ")
	case len(missing) > 0:
		extra := slices.DeleteFunc(slices.Clone(v.ports), func(p string) bool { return slices.Contains(ports, p) })
		if len(extra) == 0 {
			return "it does not listen on " + strings.Join(missing, ", ")
		}
		return fmt.Sprintf("it listens on another address (%s instead of %s)",
			strings.Join(extra, ", "), strings.Join(missing, ", "))
	case (p.await == aMessage || p.startup || p.readiness) && !v.ready:
		return v.missing(p)
	}
	return ""
}

// died says how a process ended that should not have, with its last words.
func died(v view) error {
	switch {
	case v.phase == stuck:
		return errors.New(v.reason)
	case v.unfit != "":
		return errors.New(v.unfit)
	case v.exit == nil:
		return errors.New("ended unseen")
	}
	text := ending(v.exit)
	var words []string
	for _, line := range v.exit.Stderr {
		if line = strings.TrimSpace(line); line != "" {
			words = append(words, line)
		}
	}
	if len(words) > 0 {
		text += ": " + strings.Join(words, " | ")
	}
	return errors.New(text)
}

// instanceError says which instance an error is about.
func instanceError(sl *slot, err error) error {
	return fmt.Errorf("instance %d (id %d): %w", sl.index, sl.id, err)
}
