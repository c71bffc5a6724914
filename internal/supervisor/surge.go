package supervisor

import (
	"context"
	"errors"
)

// surge replaces a process that is unfit by a successor that is up before it leaves, as
// a reload does. If there is none, unreplaced tells the instance so. Where several copies
// take from one queue, a reload would replace all of them for one: it is restarted alone,
// and the others serve meanwhile.
func (s *Supervisor) surge(in *instance, gen uint64) {
	ctx := context.Background()
	for {
		var over <-chan struct{}
		mine, alone := false, false
		if err := s.do(ctx, func() error {
			g := in.slot.group
			mine = in.slot.current.Load() == in && !in.slot.leaving
			alone = s.host.Together(g.name()) && len(g.staying()) > 1
			if g.reload != nil {
				over = g.reload.done
			}
			return nil
		}); err != nil || !mine { // another one has its slot by now, and it leaves
			return
		}
		if over != nil {
			select {
			case <-over:
				continue
			case <-s.closed:
				return
			}
		}
		if alone {
			in.box.put(about{gen, unreplaced{}})
			return
		}
		switch _, err := s.Reload(ctx, []int{in.slot.id}, ReloadOptions{}); {
		case errors.Is(err, ErrReloading): // it has begun in between
		case err != nil && !errors.Is(err, ErrClosed):
			in.box.put(about{gen, unreplaced{why: err.Error()}})
			return
		default:
			return
		}
	}
}
