package supervisor

import (
	"context"
	"fmt"
	"slices"

	"paceline/internal/app"
)

// Rename gives an app another name. Its instances are stopped, and keep their ids.
// Errors: app.ErrInvalid, ErrNotFound, ErrExists, ErrSave: the name stays then;
// ErrUnkillable.
func (s *Supervisor) Rename(ctx context.Context, from, to string) error {
	if err := app.ValidName(to); err != nil {
		return err
	}
	if err := s.do(ctx, func() error { return s.reg.renameable(from, to) }); err != nil {
		return err
	}
	if _, err := s.Stop(ctx, s.idsOf(from)); err != nil {
		return err
	}
	return s.alone(ctx, "rename", func() ([]*group, error) {
		if err := s.reg.renameable(from, to); err != nil { // much may have happened meanwhile
			return nil, err
		}
		return []*group{s.reg.apps[from]}, nil
	}, func(groups []*group) error {
		g := groups[0]
		if g.running() {
			return fmt.Errorf("app %s: %w", from, ErrExists)
		}
		before := g.spec.Load()
		spec := *before
		spec.Name = to
		move := func(from, to string, spec *app.Spec) {
			g.spec.Store(spec)
			delete(s.reg.apps, from)
			s.reg.apps[to] = g
		}
		move(from, to, &spec)
		if err := s.reg.save(nil); err != nil {
			move(to, from, before)
			return err
		}
		s.reg.setSpec(g, &spec)
		s.reg.host.SaveSpec(from, nil)
		s.reg.relist()
		return nil
	})
}

// renameable tells what stands against another name of an app, if anything.
func (r *registry) renameable(from, to string) error {
	if r.apps[from] == nil {
		return fmt.Errorf("app %s: %w", from, ErrNotFound)
	}
	if r.apps[to] != nil {
		return fmt.Errorf("app %s: %w", to, ErrExists)
	}
	for name, g := range r.apps {
		depends := g.spec.Load().DependsOn
		if slices.ContainsFunc(depends, func(d app.Dependency) bool { return d.App == from }) {
			return fmt.Errorf("%w: %s depends on %s, whose name has to stay", app.ErrInvalid, name, from)
		}
	}
	return nil
}
