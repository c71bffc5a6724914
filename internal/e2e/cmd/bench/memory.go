package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// ours are the pids of keeper and daemon.
func ours(box *sandbox.Sandbox) (keeper, daemon int, err error) {
	keeper, kerr := box.KeeperPID()
	daemon, derr := box.DaemonPID()
	return keeper, daemon, errors.Join(kerr, derr)
}

func measureMemory(ctx context.Context, b *bench) (err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if _, err := box.Pace(ctx, "ping"); err != nil {
		return err
	}
	if err := resident(ctx, b, box, "idle", 20); err != nil {
		return err
	}
	if err := sleepers(ctx, box, 500); err != nil {
		return err
	}
	return resident(ctx, b, box, "with 500 sleepers", 28)
}

func resident(ctx context.Context, b *bench, box *sandbox.Sandbox, when string, limit float64) error {
	if err := pause(ctx, 10*time.Second); err != nil {
		return err
	}
	keeper, daemon, err := ours(box)
	if err != nil {
		return err
	}
	k, kerr := proc.RSS(keeper)
	d, derr := proc.RSS(daemon)
	if err := errors.Join(kerr, derr); err != nil {
		return err
	}
	const mb = 1 << 20
	what := fmt.Sprintf("VmRSS %s, keeper %s + daemon %s MB", when, figure(float64(k)/mb), figure(float64(d)/mb))
	b.table.atMost(what, float64(k+d)/mb, limit, "MB")
	return nil
}

// used is the processor time of keeper and daemon so far. Go's threads do not
// end, so that no time is lost with one.
func used(box *sandbox.Sandbox) (keeper, daemon time.Duration, err error) {
	k, d, err := ours(box)
	if err != nil {
		return 0, 0, err
	}
	keeper, kerr := proc.CPU(k)
	daemon, derr := proc.CPU(d)
	return keeper, daemon, errors.Join(kerr, derr)
}

func measureCPU(ctx context.Context, b *bench) (err error) {
	box, err := sandbox.New(b.pace)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	if err := sleepers(ctx, box, 100); err != nil {
		return err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return err
	}
	k0, d0, err := used(box)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := pause(ctx, 20*time.Second); err != nil {
		return err
	}
	took := time.Since(begun)
	k1, d1, err := used(box)
	if err != nil {
		return err
	}
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() }
	k, d := percent(k1-k0), percent(d1-d0)
	b.table.atMost(fmt.Sprintf("of a core, 100 idle children, 20 s: keeper %.3f + daemon %.3f %%", k, d), k+d, 0.1, "%")
	return nil
}
