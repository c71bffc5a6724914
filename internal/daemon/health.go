package daemon

import (
	"context"
	"errors"
	"os/exec"
	"time"

	"paceline/internal/health"
	"paceline/internal/supervisor"
)

// checkHealth makes a process's health checks until it ends.
func (h *host) checkHealth(p *process) {
	if p.Spec.Health == nil {
		return
	}
	env, err := environ(p.Launch, given{pm2: h.pm2Vars(p.Launch)})
	if err != nil {
		h.log.Warn("check health", "process", p.key, "error", err)
		return
	}
	ctx, cancel := context.WithCancel(h.ending)
	h.checks.Go(func() {
		defer cancel()
		health.Run(ctx, p.Spec.Health, health.Process{
			Dir: p.Spec.Cwd, Env: env, Grace: time.Duration(p.Spec.ListenTimeout), Prepare: func(cmd *exec.Cmd) { runAs(cmd, p.Spec.User) },
			Steer: func(from, to uint16) func() bool { return h.steer(p, from, to) },
		}, func(name string, failure error) {
			is := supervisor.Checked{Check: name, OK: failure == nil}
			if failure != nil {
				is.Why, is.Silent = failure.Error(), errors.Is(failure, health.ErrSilent)
			}
			p.sink(is)
		})
	})
	h.checks.Go(func() {
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
		cancel()
	})
}

// steer has a connection from one port to another reach a process among those that share
// it; nil: it cannot be done.
func (h *host) steer(p *process, from, to uint16) (over func() (reached bool)) {
	c := h.sharedBy(p)
	if c == nil {
		return nil
	}
	if c.handsOff() {
		if worker := p.worker.Load(); worker != nil {
			return worker.Expect(from)
		}
		return nil
	}
	number := p.Index
	if !asksForAll(p) {
		is, ok := c.has(p.key)
		if !ok {
			return nil
		}
		number = is.Number
	}
	if s := c.set.Steer(from, to, number); s != nil {
		return s.Over
	}
	return nil
}
