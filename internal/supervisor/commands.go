package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"paceline/internal/app"
)

// Start adds apps and starts their instances. An app that exists is started with
// the new spec if nothing of it runs. Start returns when each instance is ready,
// has failed, or was not ready within listen_timeout, which its Reason says.
// Errors: app.ErrInvalid, ErrExists, ErrSave: nothing has been started then.
// ErrStartFailed: the failed instances are listed as errored.
func (s *Supervisor) Start(ctx context.Context, specs []app.Spec) ([]app.Status, error) {
	for i := range specs {
		if err := specs[i].Validate(); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(specs[:i], func(o app.Spec) bool { return o.Name == specs[i].Name }) {
			return nil, fmt.Errorf("%w: two apps are named %s", app.ErrInvalid, specs[i].Name)
		}
	}
	var b *batch
	err := s.do(ctx, func() (err error) {
		b, err = s.reg.startApps(ctx, specs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.settle(ctx, "start")
}

// startApps is Start in the owner's goroutine.
func (r *registry) startApps(ctx context.Context, specs []app.Spec) (*batch, error) {
	for i := range specs {
		if g := r.apps[specs[i].Name]; g != nil && (g.running() || g.reload != nil) {
			return nil, fmt.Errorf("%w: app %s is running", ErrExists, specs[i].Name)
		}
	}
	var undo []func()
	wish := map[int]wanted{}
	var fresh, again, leaving, resting []*slot
	for i := range specs {
		spec := specs[i]
		g := r.apps[spec.Name]
		rests := g == nil && (spec.NoAutostart || spec.Job != "") // listed only
		if g == nil {
			g = r.newGroup(&spec)
			r.apps[spec.Name] = g
			undo = append(undo, func() { delete(r.apps, spec.Name) })
		} else {
			before := g.spec.Swap(&spec)
			undo = append(undo, func() { g.spec.Store(before) })
		}
		again = append(again, g.staying()...)
		added, gone, back := r.resize(g, spec.Instances)
		undo = append(undo, back)
		leaving = append(leaving, gone...)
		if rests {
			resting = append(resting, added...)
		} else {
			fresh = append(fresh, added...)
		}
	}
	again = slices.DeleteFunc(again, func(sl *slot) bool { return sl.leaving })
	for _, sl := range again {
		wish[sl.id] = wantRunning
	}
	for _, sl := range resting {
		wish[sl.id] = wantStopped
	}
	if err := r.save(wish); err != nil {
		for _, f := range slices.Backward(undo) {
			f()
		}
		return nil, err
	}
	for i := range specs {
		g := r.apps[specs[i].Name]
		r.setSpec(g, g.spec.Load())
	}
	for _, sl := range slices.Concat(fresh, resting) {
		r.bring(sl.current.Load())
	}
	r.relist()
	r.dispatch(ctx, leaving, remove{}, atEnd)
	b := r.newBatch(len(again) + len(fresh) + len(resting))
	b.send(ctx, current(again), start{}, launched)
	b.send(ctx, current(fresh), start{}, launched)
	b.send(ctx, current(resting), stop{}, always)
	return b, nil
}

func current(slots []*slot) (list []*instance) {
	for _, sl := range slots {
		list = append(list, sl.current.Load())
	}
	return list
}

// Stop ends the instances' processes and returns when they are gone.
// Errors: ErrNotFound, ErrSave: nothing has been stopped then. ErrUnkillable.
func (s *Supervisor) Stop(ctx context.Context, ids []int) ([]app.Status, error) {
	return s.end(ctx, ids, "stop", wantStopped, stop{}, atRest)
}

// Delete stops the instances and forgets them. Errors: as Stop.
func (s *Supervisor) Delete(ctx context.Context, ids []int) ([]app.Status, error) {
	return s.end(ctx, ids, "delete", wantGone, remove{}, atEnd)
}

// end is Stop and Delete.
func (s *Supervisor) end(
	ctx context.Context, ids []int, verb string, w wanted, m message, until func(view) bool,
) ([]app.Status, error) {
	var b *batch
	err := s.exclusively(ctx, ids, verb, func(slots []*slot) error {
		wish, news, leaving := map[int]wanted{}, false, []*slot{}
		for _, sl := range slots {
			wish[sl.id] = w
			news = news || sl.record().Wanted != w
			if w == wantGone && !sl.leaving {
				sl.leaving = true
				leaving = append(leaving, sl)
			}
		}
		rewatch := func() {}
		if w == wantStopped {
			rewatch = s.reg.unwatch(slots)
		}
		if news {
			if err := s.reg.save(wish); err != nil {
				for _, sl := range leaving {
					sl.leaving = false
				}
				rewatch()
				return err
			}
		}
		b = s.dispatch(ctx, slots, m, until)
		for _, sl := range slots {
			b.send(ctx, sl.beside, remove{}, atEnd) // what is still draining has no time left
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reports, err := b.collect(ctx)
	for _, r := range reports {
		if r.phase == stuck {
			err = errors.Join(err, fmt.Errorf("%s %s: %w: %s", verb, r.name(), ErrUnkillable, r.status.Reason))
		}
	}
	return b.statuses(), err
}

// Restart replaces each instance's process: the old one is stopped first. What
// did not run is started. It returns as Start does.
// Errors: ErrNotFound, ErrSave, ErrStartFailed.
func (s *Supervisor) Restart(ctx context.Context, ids []int) ([]app.Status, error) {
	return s.restart(ctx, ids, "")
}

// restart is Restart; cause is what wants it, "" a user.
func (s *Supervisor) restart(ctx context.Context, ids []int, cause string) ([]app.Status, error) {
	var b *batch
	err := s.exclusively(ctx, ids, "restart", func(slots []*slot) error {
		wish, news := map[int]wanted{}, false
		for _, sl := range slots {
			if sl.leaving {
				return fmt.Errorf("%w: instance %d is being deleted", ErrNotFound, sl.id)
			}
			wish[sl.id] = wantRunning
			news = news || sl.record().Wanted != wantRunning
		}
		if news {
			if err := s.reg.save(wish); err != nil {
				return err
			}
		}
		b = s.dispatch(ctx, slots, restart{cause: cause}, launched)
		for _, sl := range slots {
			for _, in := range sl.beside {
				in.box.put(remove{})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b.settle(ctx, "restart")
}

// Reset sets the instances' counters to zero. Errors: ErrNotFound.
func (s *Supervisor) Reset(ctx context.Context, ids []int) ([]app.Status, error) {
	var b *batch
	err := s.do(ctx, func() error {
		slots, err := s.reg.find(ids)
		if err != nil {
			return err
		}
		b = s.dispatch(ctx, slots, reset{}, always)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = b.collect(ctx)
	return b.statuses(), err
}

// Update makes the specs those with which the apps' next processes start. Their
// number of instances stays. Errors: app.ErrInvalid, ErrNotFound, ErrSave: then
// nothing has changed.
func (s *Supervisor) Update(ctx context.Context, specs []app.Spec) error {
	for i := range specs {
		if err := specs[i].Validate(); err != nil {
			return err
		}
	}
	return s.do(ctx, func() error {
		before := map[*group]*app.Spec{}
		for _, spec := range specs {
			g := s.reg.apps[spec.Name]
			if g == nil {
				return fmt.Errorf("app %s: %w", spec.Name, ErrNotFound)
			}
			if g.reload != nil {
				return fmt.Errorf("app %s: %w", spec.Name, ErrReloading)
			}
		}
		for _, spec := range specs {
			g := s.reg.apps[spec.Name]
			spec.Instances = g.spec.Load().Instances
			before[g] = g.spec.Swap(&spec)
		}
		if err := s.reg.save(nil); err != nil {
			for g, spec := range before {
				g.spec.Store(spec)
			}
			return err
		}
		for g := range before {
			s.reg.setSpec(g, g.spec.Load())
		}
		return nil
	})
}

// Scale gives an app n instances. More are started at the lowest free indexes;
// fewer are retired as in a reload, the highest index first.
// Errors: ErrNotFound, app.ErrInvalid, ErrUnchanged, ErrSave, ErrStartFailed.
func (s *Supervisor) Scale(ctx context.Context, name string, n int) ([]app.Status, error) {
	if n < 1 || n > app.MaxInstances {
		return nil, fmt.Errorf("%w: instances %d is not between 1 and %d", app.ErrInvalid, n, app.MaxInstances)
	}
	var up, down *batch
	err := s.alone(ctx, "scale", func() ([]*group, error) {
		if g := s.reg.apps[name]; g != nil {
			return []*group{g}, nil
		}
		return nil, fmt.Errorf("app %s: %w", name, ErrNotFound)
	}, func(groups []*group) error {
		g := groups[0]
		if len(g.staying()) == n {
			return fmt.Errorf("scale %s: already %s: %w", name, count(n, "instance"), ErrUnchanged)
		}
		before := g.spec.Load()
		spec := *before
		if before.Mode == app.Fork && before.Instances == 1 {
			spec.MergeLogs = true // no id is in the name of its log file, and it stays where it is
		}
		spec.Instances = n
		g.spec.Store(&spec)
		added, leaving, undo := s.reg.resize(g, n)
		if err := s.reg.save(nil); err != nil {
			undo()
			g.spec.Store(before)
			return err
		}
		s.reg.setSpec(g, &spec)
		for _, sl := range added {
			s.bring(sl.current.Load())
		}
		s.reg.relist()
		up = s.dispatch(ctx, added, start{}, launched)
		down = s.dispatch(ctx, leaving, retire{}, atEnd)
		return nil
	})
	if err != nil {
		return nil, err
	}
	_, err = up.settle(ctx, "scale")
	gone, downErr := down.collect(ctx)
	for _, r := range gone {
		if r.phase == stuck {
			downErr = errors.Join(downErr, fmt.Errorf("scale %s: %w: %s", r.name(), ErrUnkillable, r.status.Reason))
		}
	}
	var list []app.Status
	for _, st := range s.List() {
		if st.Name == name {
			list = append(list, st)
		}
	}
	return list, errors.Join(err, downErr)
}

// exclusively runs f with the slots of ids while none of their apps is reloaded.
func (s *Supervisor) exclusively(ctx context.Context, ids []int, verb string, f func([]*slot) error) error {
	var slots []*slot
	return s.alone(ctx, verb, func() (groups []*group, err error) {
		slots, err = s.reg.find(ids)
		for _, sl := range slots {
			groups = append(groups, sl.group)
		}
		return groups, err
	}, func([]*group) error { return f(slots) })
}

// alone runs f in the owner's goroutine when no reload of the groups is under
// way. One that is gets cancelled, and has cleaned up before f runs.
func (s *Supervisor) alone(
	ctx context.Context, verb string, find func() ([]*group, error), f func([]*group) error,
) error {
	for {
		var over <-chan struct{}
		err := s.do(ctx, func() error {
			groups, err := find()
			if err != nil {
				return err
			}
			for _, g := range groups {
				if g.reload != nil {
					g.reload.cancel(fmt.Errorf("cancelled by a %s", verb))
					over = g.reload.done
				}
			}
			if over != nil {
				return nil
			}
			return f(groups)
		})
		if err != nil || over == nil {
			return err
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closed:
			return ErrClosed
		}
	}
}
