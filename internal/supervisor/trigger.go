package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paceline/internal/app"
)

// FilesChanged restarts an app because files of it have changed: what runs, and
// what was given up, as the change may be the remedy. What was stopped stays so.
// Errors: as Restart.
func (s *Supervisor) FilesChanged(ctx context.Context, name, file string) error {
	return s.trigger(ctx, name, causeFiles+file, true, app.Online, app.Launching, app.Waiting, app.Errored)
}

// Cron restarts what runs of an app because its cron_restart is due: instances that
// share a port are reloaded. What was stopped stays so.
// Errors: as Restart and Reload.
func (s *Supervisor) Cron(ctx context.Context, name string) error {
	return s.trigger(ctx, name, causeCron, false, app.Online, app.Launching, app.Waiting)
}

// trigger restarts the instances of an app that are in one of the states.
func (s *Supervisor) trigger(ctx context.Context, name, cause string, stopFirst bool, states ...app.State) error {
	var ids []int
	shares := false
	for _, st := range s.List() {
		if st.Name == name && slices.Contains(states, st.State) {
			ids = append(ids, st.ID)
			shares = st.Mode == app.Cluster
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var err error
	if shares && !stopFirst {
		_, err = s.Reload(ctx, ids, ReloadOptions{})
	} else {
		_, err = s.restart(ctx, ids, cause)
	}
	return err
}

// OverMemory reloads an instance whose processes use more memory than its app's
// max_memory_restart allows, and says so. gen is the process that was measured; a
// later one is left alone. Errors: as Reload.
func (s *Supervisor) OverMemory(ctx context.Context, id int, gen uint64, bytes int64) error {
	i := slices.IndexFunc(s.List(), func(st app.Status) bool { return st.ID == id })
	if i < 0 {
		return nil
	}
	st := s.List()[i]
	if st.Gen != gen || st.State != app.Online {
		return nil
	}
	s.event(app.Event{
		At: time.Now(), Type: app.EventMemory, ID: id, Name: st.Name, Gen: gen, PID: st.PID,
		Detail: fmt.Sprintf("uses %d MB of memory, %s: it is replaced", bytes>>20, aboveMemory),
	})
	_, err := s.Reload(ctx, []int{id}, ReloadOptions{})
	return err
}

// RunJob runs a job once, because it is due. If its last run goes on, this one is
// left out, with an event that says so. Errors: ErrNotFound, ErrSave, ErrStartFailed.
func (s *Supervisor) RunJob(ctx context.Context, name string) error {
	var b *batch
	err := s.do(ctx, func() error {
		g := s.reg.apps[name]
		if g == nil {
			return fmt.Errorf("app %s: %w", name, ErrNotFound)
		}
		var rest []*slot
		for _, sl := range g.staying() {
			st := sl.current.Load().status.Load()
			switch st.State {
			case app.Stopped, app.Errored:
				rest = append(rest, sl)
			default:
				s.event(app.Event{
					At: time.Now(), Type: app.EventWarning, ID: sl.id, Name: name, Gen: st.Gen, PID: st.PID,
					Detail: "the run that is due now is left out, as the one before goes on",
				})
			}
		}
		b = s.dispatch(ctx, rest, start{}, launched)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = b.settle(ctx, "run")
	return err
}

// Watch switches an app's watch on or off; it does nothing for one that has none.
// Errors: ErrNotFound, ErrSave.
func (s *Supervisor) Watch(ctx context.Context, name string, on bool) error {
	return s.do(ctx, func() error {
		g := s.reg.apps[name]
		if g == nil {
			return fmt.Errorf("app %s: %w", name, ErrNotFound)
		}
		undo := g.watch(on)
		if undo == nil {
			return nil
		}
		if err := s.reg.save(nil); err != nil {
			undo()
			return err
		}
		s.reg.setSpec(g, g.spec.Load())
		return nil
	})
}

// watch changes the spec so that the app is watched or not. nil: it was so.
func (g *group) watch(on bool) (undo func()) {
	before := g.spec.Load()
	if before.Watch == nil || before.Watching() == on {
		return nil
	}
	spec, rule := *before, *before.Watch
	rule.Off = !on
	spec.Watch = &rule
	g.spec.Store(&spec)
	return func() { g.spec.Store(before) }
}

// unwatch stops the watch of the slots' apps, as a stop does in PM2.
func (r *registry) unwatch(slots []*slot) (undo func()) {
	var all []func()
	for _, sl := range slots {
		if f := sl.group.watch(false); f != nil {
			all = append(all, f)
			r.setSpec(sl.group, sl.group.spec.Load())
		}
	}
	return func() {
		for _, f := range all {
			f()
		}
		for _, sl := range slots {
			r.setSpec(sl.group, sl.group.spec.Load())
		}
	}
}
