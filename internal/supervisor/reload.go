package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"paceline/internal/app"
)

// maxReloads is how many apps one call reloads at a time, as in PM2.
const maxReloads = 2

// ReloadOptions say how to reload. The zero value is right for most.
type ReloadOptions struct {
	Parallel int          // instances of an app at a time; 0 means 1
	Progress func(string) // is told of each step, from the goroutine of the call
	Specs    []app.Spec   // what apps are to become; the others keep their spec
}

// reload is the replacement of an app's processes by new ones, slot by slot.
type reload struct {
	reg      *registry
	g        *group
	slots    []*slot   // by index
	before   *app.Spec // what the app was,
	spec     *app.Spec // what it is to become; the same if there is no new spec
	parallel int
	together bool          // see Host.Together
	progress chan<- string // steps nobody reads are lost
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when it is over
	fallen   chan report   // processes that ended after they had taken over; nil: nobody looks

	mu       sync.Mutex  // guards the two below
	replaced []*slot     // the new process has the slot
	retired  []*instance // old ones that finish what they have; see drained
}

// Reload replaces the instances' processes by new ones: without a gap where old
// and new can serve side by side, else one after the other. If a new process
// does not become ready, or does not last, the old ones stay. What does not run
// is started. When ctx ends, the reload goes on.
// Errors: ErrNotFound, ErrReloading, ErrSave, app.ErrInvalid: then nothing has
// been touched. ErrReloadFailed.
func (s *Supervisor) Reload(ctx context.Context, ids []int, o ReloadOptions) ([]app.Status, error) {
	for i := range o.Specs {
		if err := o.Specs[i].Validate(); err != nil {
			return nil, err
		}
	}
	var slots []*slot
	steps, results := make(chan string, 64), make(chan error, app.MaxInstances)
	apps := 0
	if err := s.do(ctx, func() (err error) {
		if slots, err = s.reg.find(ids); err != nil {
			return err
		}
		reloads, err := s.reg.prepareReloads(slots, o, steps)
		if err != nil {
			return err
		}
		apps = len(reloads)
		turns := make(chan struct{}, maxReloads)
		for _, r := range reloads {
			s.reg.startReload(ctx, r, turns, results)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	say := func(step string) {
		if o.Progress != nil {
			o.Progress(step)
		}
	}
	var err error
	for apps > 0 {
		select {
		case step := <-steps:
			say(step)
		case e := <-results:
			err = errors.Join(err, e)
			apps--
		case <-ctx.Done():
			return nil, fmt.Errorf("the reload goes on: %w", ctx.Err())
		case <-s.closed:
			return nil, ErrClosed
		}
	}
	for len(steps) > 0 {
		say(<-steps)
	}
	list := make([]app.Status, len(slots))
	for i, sl := range slots {
		list[i] = sl.show()
	}
	return list, err
}

// prepareReloads makes a reload for each app of the slots, in the owner's
// goroutine. On an error nothing has changed.
func (reg *registry) prepareReloads(slots []*slot, o ReloadOptions, steps chan<- string) ([]*reload, error) {
	var reloads []*reload
	for _, sl := range reg.withSiblings(slots) {
		g := sl.group
		if sl.leaving {
			return nil, fmt.Errorf("%w: instance %d is being deleted", ErrNotFound, sl.id)
		}
		if g.reload != nil {
			return nil, fmt.Errorf("reload %s: %w", g.name(), ErrReloading)
		}
		i := slices.IndexFunc(reloads, func(r *reload) bool { return r.g == g })
		if i < 0 {
			i = len(reloads)
			spec := g.spec.Load()
			reloads = append(reloads, &reload{
				reg: reg, g: g, before: spec, spec: spec, parallel: max(1, o.Parallel), progress: steps,
				done: make(chan struct{}), together: reg.host.Together(g.name()),
			})
		}
		reloads[i].slots = append(reloads[i].slots, sl)
	}
	for _, spec := range o.Specs {
		i := slices.IndexFunc(reloads, func(r *reload) bool { return r.before.Name == spec.Name })
		if i < 0 {
			return nil, fmt.Errorf("app %s: %w among those to reload", spec.Name, ErrNotFound)
		}
		spec.Instances = reloads[i].before.Instances
		reloads[i].spec = &spec
	}
	wish := map[int]wanted{}
	for _, r := range reloads {
		slices.SortFunc(r.slots, func(a, b *slot) int { return a.index - b.index })
		r.g.spec.Store(r.spec)
	}
	news := len(o.Specs) > 0
	for _, sl := range slots {
		wish[sl.id] = wantRunning
		news = news || sl.record().Wanted != wantRunning
	}
	if news {
		if err := reg.save(wish); err != nil {
			for _, r := range reloads {
				r.g.spec.Store(r.before)
			}
			return nil, err
		}
	}
	for _, r := range reloads {
		if r.spec != r.before {
			reg.keepSpec(r.spec)
		}
	}
	return reloads, nil
}

// withSiblings adds to the slots the others that have to be replaced together with
// them; see Host.Together.
func (reg *registry) withSiblings(slots []*slot) []*slot {
	all := slices.Clone(slots)
	for _, sl := range slots {
		if !reg.host.Together(sl.group.name()) {
			continue
		}
		for _, sibling := range sl.group.staying() {
			runs := sibling.current.Load().status.Load().PID != 0
			if runs && !slices.Contains(all, sibling) {
				all = append(all, sibling)
			}
		}
	}
	return all
}

// startReload lets a reload run as soon as it is its turn.
func (reg *registry) startReload(ctx context.Context, r *reload, turns chan struct{}, results chan<- error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // it outlives the call; see alone
	r.cancel, r.g.reload = cancel, r
	r.g.reloading.Store(true)
	reg.wg.Go(func() {
		defer cancel(nil)
		err := context.Canceled
		select {
		case turns <- struct{}{}:
			err = r.run(ctx)
			<-turns
		case <-ctx.Done():
			err = r.report(ctx, context.Cause(ctx))
		case <-reg.closed:
			err = ErrClosed
		}
		if closed := reg.do(context.WithoutCancel(ctx), func() error { r.over(err); return nil }); closed != nil {
			err = closed
		}
		results <- err
	})
}

// over ends the reload, in the owner's goroutine.
func (r *reload) over(err error) {
	switch {
	case r.spec == r.before:
	case err == nil:
		r.reg.setSpec(r.g, r.spec)
	default:
		r.reg.setSpec(r.g, r.before)
		r.reg.touch()
	}
	r.g.reload = nil
	r.g.reloading.Store(false)
	close(r.done)
}

// run reloads the app. ctx ends when another command wants the app.
func (r *reload) run(ctx context.Context) error {
	err := r.watched(ctx, func(ctx context.Context) error {
		if r.together {
			if err := r.replaceTogether(ctx, r.spec); err != nil {
				return err
			}
			return r.drained(ctx, r.takeRetired())
		}
		// The first goes alone and is watched for a while: if the new release is
		// bad, this is all that it gets.
		if err := r.replace(ctx, r.slots[0], r.spec, nil, true); err != nil {
			return err
		}
		for batch := range slices.Chunk(r.slots[1:], r.parallel) {
			if err := r.replaceAll(ctx, batch, r.spec); err != nil {
				return err
			}
		}
		return r.drained(ctx, r.takeRetired())
	})
	if err == nil {
		return nil
	}
	return r.report(ctx, err)
}

// report says what has become of a reload that did not come to its end, and puts
// back what has to be.
func (r *reload) report(ctx context.Context, err error) error {
	select {
	case <-r.reg.closed:
		return ErrClosed
	default:
	}
	r.mu.Lock()
	replaced := slices.Clone(r.replaced)
	r.mu.Unlock()
	text := fmt.Sprintf("%v; ", err)
	var indexes []string
	for _, sl := range replaced {
		indexes = append(indexes, fmt.Sprint(sl.index))
	}
	which := "instance " + strings.Join(indexes, ", ")
	if len(indexes) > 1 {
		which = "instances " + strings.Join(indexes, ", ")
	}
	switch {
	case len(replaced) == 0:
		text += "the old processes keep serving"
	case r.spec == r.before && len(replaced) < len(r.slots):
		text += which + " already replaced, the others keep their old processes"
	case r.spec == r.before:
		text += which + " already replaced"
	case ctx.Err() != nil:
		text += which + " already replaced"
	default:
		r.note("putting back %s", which)
		if back := r.replaceAll(ctx, replaced, r.before); back != nil {
			text += fmt.Sprintf("%s could not be put back: %v", which, back)
		} else {
			text += which + " put back"
		}
	}
	r.reg.event(app.Event{At: time.Now(), Type: app.EventReloadFailed, ID: -1, Name: r.before.Name, Detail: text})
	return &failure{ErrReloadFailed, fmt.Sprintf("reload %s: %s", r.before.Name, text)}
}

// watched runs f under a context that ends when a process which has taken over
// does not last, and returns why f was ended, if it was.
func (r *reload) watched(ctx context.Context, f func(context.Context) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	r.fallen = make(chan report, len(r.slots))
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case fallen := <-r.fallen:
			fail(instanceError(fallen.in.slot, fmt.Errorf("the new process ended after it had taken over: %w", died(fallen.view))))
		case <-ctx.Done():
		}
	}()
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	fail(nil)
	<-watching
	r.fallen = nil
	return err
}

// replaceAll replaces several slots at once, and returns when all of them are
// done or have failed. The processes that the batch before has replaced drain
// while this one's start.
func (r *reload) replaceAll(ctx context.Context, slots []*slot, spec *app.Spec) error {
	draining := r.takeRetired()
	errs := make([]error, len(slots))
	var wg sync.WaitGroup
	for i, sl := range slots {
		wg.Go(func() { errs[i] = r.replace(ctx, sl, spec, draining, false) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// takeRetired returns the old instances that nobody waits for yet.
func (r *reload) takeRetired() []*instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	ins := r.retired
	r.retired = nil
	return ins
}

// drained waits until the old instances have ended.
func (r *reload) drained(ctx context.Context, ins []*instance) error {
	b := r.reg.newBatch(len(ins))
	b.send(ctx, ins, nil, atEnd)
	_, err := b.collect(ctx)
	return err
}

// note tells whoever follows the reload about a step.
func (r *reload) note(format string, a ...any) {
	select {
	case r.progress <- fmt.Sprintf(format, a...):
	default:
	}
}
