package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

const (
	deathClients = 4 // with a connection per request, and as many with kept ones
	// hung is how long an answer may take before nobody would wait for it.
	hung = 2 * time.Second
)

func measureDeath(ctx context.Context, b *bench) (err error) {
	a, err := b.startApp(ctx, b.node("server.js"), workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	if err := daemonDies(ctx, b, a); err != nil {
		return err
	}
	if err := daemonIsUpdated(ctx, b, a); err != nil {
		return err
	}
	return workersDie(ctx, b, a)
}

// under makes requests of both kinds while act works, n times, with time to
// recover after each.
func (a *app) under(ctx context.Context, n int, act func(int) error) (fresh, kept load.Result, err error) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	run := func(r *load.Result, keep bool) {
		*r = load.Run(during, load.Config{Addr: a.port.Addr(), KeepAlive: keep, Clients: deathClients, Timeout: hung})
	}
	wg.Go(func() { run(&fresh, false) })
	wg.Go(func() { run(&kept, true) })
	err = pause(ctx, time.Second)
	for i := 0; i < n && err == nil; i++ {
		if err = act(i); err == nil {
			err = pause(ctx, 1200*time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	return fresh, kept, err
}

// gap is a row for something after which every request is answered and every
// worker is still the same process.
func (b *bench) gap(ctx context.Context, a *app, what string, n int, act func(int) error) error {
	before, err := a.box.PIDs(ctx)
	if err != nil {
		return err
	}
	fresh, kept, err := a.under(ctx, n, act)
	if err != nil {
		return err
	}
	after, err := a.box.PIDs(ctx)
	if err != nil {
		return err
	}
	b.failures(what+", a connection per request", fresh)
	b.failures(what+", keep-alive", kept)
	same := 0
	for _, pid := range before {
		if slices.Contains(after, pid) {
			same++
		}
	}
	b.table.row("  pids kept", fmt.Sprintf("%d of %d", same, len(before)), fmt.Sprint(len(before)), same == len(before))
	return nil
}

func daemonDies(ctx context.Context, b *bench, a *app) error {
	var back []time.Duration
	if err := b.gap(ctx, a, "kill -9 of the daemon, 5 times", 5, func(int) error {
		pid, err := a.box.DaemonPID()
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := proc.Kill(pid); err != nil {
			return err
		}
		// The socket stays open: this waits for the next daemon's answer.
		if _, err := a.box.Pace(ctx, "ping"); err != nil {
			return err
		}
		back = append(back, time.Since(begun))
		return nil
	}); err != nil {
		return err
	}
	b.table.atMost("  until the next daemon answers pace ping, under that load", ms(median(back)), 200, "ms")
	return nil
}

func daemonIsUpdated(ctx context.Context, b *bench, a *app) error {
	return b.gap(ctx, a, "pace update, 3 times", 3, func(int) error {
		old, err := a.box.DaemonPID()
		if err != nil {
			return err
		}
		if _, err := a.box.Pace(ctx, "update"); err != nil {
			return err
		}
		_, err = a.box.NextDaemon(ctx, old)
		return err
	})
}

// workersDie loses the requests that the worker had accepted: at most one per
// client and kill. The others are answered by the other worker.
func workersDie(ctx context.Context, b *bench, a *app) error {
	const kills = 5
	fresh, kept, err := a.under(ctx, kills, func(n int) error {
		list, err := a.box.Instances(ctx)
		if err != nil {
			return err
		}
		victim := list[n%len(list)]
		if err := proc.Kill(victim.PID); err != nil {
			return err
		}
		return replaced(ctx, a.box, victim)
	})
	if err != nil {
		return err
	}
	for _, r := range []struct {
		what string
		load.Result
	}{{"a connection per request", fresh}, {"keep-alive", kept}} {
		// Refused or without an end would be requests that no worker had accepted.
		accepted := r.Errors["connection reset"] + r.Errors["closed without an answer"] + r.Errors["answer cut off"] + r.Errors["broken pipe"]
		most := kills * deathClients
		b.table.row("kill -9 of a worker, 5 times, "+r.what, fmt.Sprintf("%d of %d", r.Failed, r.Requests),
			fmt.Sprintf("<= %d", most), r.Failed == accepted && r.Failed <= most)
		if r.Failed > 0 {
			b.table.say("      %s", r.Result)
		}
		b.table.row("  hung for more than 2 s", fmt.Sprint(r.Hung), "0", r.Hung == 0)
	}
	return nil
}

// replaced waits until another process is online in an instance's place.
func replaced(ctx context.Context, box *sandbox.Sandbox, old sandbox.Instance) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return proc.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		list, err := box.Instances(ctx)
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(list, func(in sandbox.Instance) bool {
			return in.ID == old.ID && in.PID != old.PID && in.PID != 0 && in.Env.Status == "online"
		}), nil
	})
}
