package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"paceline/internal/app"
)

// ApplyOptions say how apps are brought to new specs.
type ApplyOptions struct {
	// Reload replaces running instances by successors; otherwise they are stopped
	// and started.
	Reload   bool
	Parallel int          // as in ReloadOptions
	Progress func(string) // as in ReloadOptions
	// Stopped, if not nil, is called for an app all of whose processes had to end
	// before it is started anew.
	Stopped func(name string)
}

// Apply brings apps to specs: those whose names are not there yet are started, the
// others get the new spec, as many instances as it says, and a restart or reload.
// It returns what was acted on, and what it has changed in apps that were there.
// Errors: app.ErrInvalid: nothing has been done then; else as Start, Restart,
// Reload and Scale, all apps having been tried.
func (s *Supervisor) Apply(ctx context.Context, specs []app.Spec, o ApplyOptions) ([]app.Status, []app.Change, error) {
	for i := range specs {
		if err := specs[i].Validate(); err != nil {
			return nil, nil, err
		}
	}
	if _, err := app.StartOrder(specs); err != nil {
		return nil, nil, err
	}
	present := map[string]app.Spec{}
	for _, spec := range s.Apps() {
		present[spec.Name] = spec
	}
	var fresh, anew, same []app.Spec // not there; there, but of another mode or balance; there
	var changes []app.Change
	for _, spec := range specs {
		old, ok := present[spec.Name]
		if !ok {
			fresh = append(fresh, spec)
			continue
		}
		changes = append(changes, app.Diff(&old, &spec)...)
		switch {
		case old.Mode == spec.Mode && dealing(&old) == dealing(&spec):
			same = append(same, spec)
		case o.Reload && old.Mode == spec.Mode:
			return nil, nil, fmt.Errorf("%w: %s gets balance %s, which no reload can do; restart it",
				app.ErrInvalid, spec.Name, dealing(&spec))
		case o.Reload:
			return nil, nil, fmt.Errorf("%w: %s becomes %s mode, which no reload can do; restart it",
				app.ErrInvalid, spec.Name, spec.Mode)
		default:
			anew = append(anew, spec)
		}
	}
	touched := map[int]bool{}
	var failures error
	add := func(list []app.Status, err error) {
		for i := range list {
			touched[list[i].ID] = true
		}
		failures = errors.Join(failures, err)
	}
	add(s.applyPresent(ctx, same, o))
	for _, spec := range anew {
		if _, err := s.Stop(ctx, s.idsOf(spec.Name)); err != nil {
			add(nil, err)
			continue
		}
		if o.Stopped != nil {
			o.Stopped(spec.Name)
		}
		fresh = append(fresh, spec)
	}
	if len(fresh) > 0 {
		add(s.Start(ctx, fresh))
	}
	return s.statusesOf(touched), changes, failures
}

// applyPresent is Apply for apps that keep their mode.
func (s *Supervisor) applyPresent(ctx context.Context, specs []app.Spec, o ApplyOptions) ([]app.Status, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	var done []app.Status
	var failures error
	scale := func(wanted func(n, has int) bool) {
		for _, spec := range specs {
			if has := len(s.idsOf(spec.Name)); has > 0 && wanted(spec.Instances, has) {
				list, err := s.Scale(ctx, spec.Name, spec.Instances)
				done, failures = append(done, list...), errors.Join(failures, err)
			}
		}
	}
	scale(func(n, has int) bool { return n < has }) // what leaves need not be replaced first
	jobs := map[int]bool{}                          // a job runs when it is due, not because its file is read again
	var ids []int
	var kept []app.Spec
	specs = slices.DeleteFunc(slices.Clone(specs), func(spec app.Spec) bool {
		if spec.Job == "" {
			ids = append(ids, s.idsOf(spec.Name)...)
			return false
		}
		kept = append(kept, spec)
		for _, id := range s.idsOf(spec.Name) {
			jobs[id] = true
		}
		return true
	})
	if len(kept) > 0 {
		failures = errors.Join(failures, s.Update(ctx, kept))
		done = append(done, s.statusesOf(jobs)...)
	}
	if len(ids) == 0 {
		return done, failures
	}
	var list []app.Status
	var err error
	if o.Reload {
		list, err = s.Reload(ctx, ids, ReloadOptions{Parallel: o.Parallel, Progress: o.Progress, Specs: specs})
	} else if err = s.Update(ctx, specs); err == nil {
		list, err = s.Restart(ctx, ids)
	}
	done, failures = append(done, list...), errors.Join(failures, err)
	if err == nil { // a failed release does not spread
		scale(func(n, has int) bool { return n > has })
	}
	return done, failures
}

// dealing is the policy that was asked for. All processes of an app share its sockets,
// so that it changes only while none runs.
func dealing(s *app.Spec) app.Balance { return cmp.Or(s.Balance, app.RoundRobin) }

// idsOf returns the ids of an app's instances.
func (s *Supervisor) idsOf(name string) (ids []int) {
	for _, st := range s.List() {
		if st.Name == name {
			ids = append(ids, st.ID)
		}
	}
	return ids
}

// statusesOf returns the present status of those of the instances that are still
// there, once, by id.
func (s *Supervisor) statusesOf(ids map[int]bool) []app.Status {
	return slices.DeleteFunc(s.List(), func(st app.Status) bool { return !ids[st.ID] })
}
