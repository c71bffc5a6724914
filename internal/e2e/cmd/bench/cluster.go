package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/sandbox"
)

const (
	// Both of a pair are measured in turn, so often and for so long each: machines that are
	// others' as well change their pace within seconds.
	duelRounds = 21
	duelRun    = time.Second

	keptLoad  = 16 // clients, each with a kept connection
	floodLoad = 32 // clients with a connection per request; the target for Node comes from wrk -t1 -c32
)

// measureCluster compares servers in turn, so that what else the machine does
// meets both; the ratio is the median of the rounds' ratios.
func measureCluster(ctx context.Context, b *bench) error {
	return errors.Join(clusterShared(ctx, b), clusterRoundRobin(ctx, b))
}

func clusterShared(ctx context.Context, b *bench) (err error) {
	a, err := b.startApp(ctx, b.node("server.js"), workers, "--balance", "shared")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	return b.peer(ctx, nodeCluster(nodeShares), func(ctx context.Context, other string) error {
		return b.duel(ctx, duel{
			ours: "pace --balance shared", theirs: "Node's cluster, SCHED_NONE",
			addr: a.port.Addr(), other: other, limit: 0.95,
		})
	})
}

func clusterRoundRobin(ctx context.Context, b *bench) (err error) {
	pm2, err := b.findPM2(ctx)
	if err != nil {
		return err
	}
	a, err := b.startApp(ctx, b.node("server.js"), workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	addr, stop, err := b.underPM2(ctx, pm2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return b.duel(ctx, duel{
		ours: "pace --balance round-robin", theirs: "PM2 " + pm2.version,
		addr: a.port.Addr(), other: addr, limit: 1.2,
	})
}

type duel struct {
	ours, theirs string
	addr, other  string
	limit        float64       // 0: there is none
	rounds       int           // duelRounds if zero
	keep         bool          // connections are kept
	run          time.Duration // of each in a round; duelRun if zero
}

// duel makes requests to both in turn.
func (b *bench) duel(ctx context.Context, d duel) error {
	var ours, theirs, ratio []float64
	run, rounds := cmp.Or(d.run, duelRun), cmp.Or(d.rounds, duelRounds)
	for _, addr := range []string{d.addr, d.other} {
		if err := answers(ctx, addr); err != nil {
			return err
		}
		if _, err := perSecond(ctx, addr, d.keep, time.Second); err != nil { // warm up
			return err
		}
	}
	for range rounds {
		o, err := perSecond(ctx, d.addr, d.keep, run)
		if err != nil {
			return fmt.Errorf("%s: %w", d.ours, err)
		}
		t, err := perSecond(ctx, d.other, d.keep, run)
		if err != nil {
			return fmt.Errorf("%s: %w", d.theirs, err)
		}
		ours, theirs, ratio = append(ours, o), append(theirs, t), append(ratio, o/t)
	}
	b.table.info(fmt.Sprintf("%s, median of %d", d.ours, rounds), figure(median(ours))+" req/s")
	b.table.info(d.theirs, figure(median(theirs))+" req/s")
	if d.limit == 0 {
		b.table.info("  ratio", figure(median(ratio)))
		return nil
	}
	b.table.atLeast("  ratio", median(ratio), d.limit, "")
	return nil
}

func perSecond(ctx context.Context, addr string, keep bool, d time.Duration) (float64, error) {
	during, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var r load.Result
	if keep {
		r = load.Run(during, load.Config{Addr: addr, Clients: keptLoad, KeepAlive: true})
	} else {
		var err error
		if r, err = load.Flood(during, load.Config{Addr: addr, Clients: floodLoad}); err != nil {
			return 0, err
		}
	}
	if r.Failed > 0 {
		return 0, errors.New(r.String())
	}
	return r.PerSecond(), ctx.Err()
}

// pm2 is PM2 as npm has installed it. It is only run.
type pm2 struct{ bin, version string }

func (b *bench) findPM2(ctx context.Context) (pm2, error) {
	dir := filepath.Join(b.cache, "pm2")
	p := pm2{bin: filepath.Join(dir, "node_modules/.bin/pm2")}
	if !exists(p.bin) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return p, err
		}
		wait, cancel := context.WithTimeout(ctx, 3*time.Minute)
		defer cancel()
		npm := exec.CommandContext(wait, "npm", "install", "--prefix", dir, "--no-fund", "--no-audit", "--ignore-scripts", "pm2")
		if out, err := npm.CombinedOutput(); err != nil || !exists(p.bin) {
			return p, fmt.Errorf("%w: PM2 cannot be installed here: npm: %w %.200s", errSkip, err, strings.TrimSpace(string(out)))
		}
	}
	// Not from itself: it would start its daemon to tell.
	version := exec.CommandContext(ctx, "npm", "ls", "--prefix", dir, "--depth=0", "--parseable", "--long", "pm2")
	out, err := version.Output()
	if _, v, ok := strings.Cut(strings.TrimSpace(string(out)), "pm2@"); ok && err == nil {
		p.version, _, _ = strings.Cut(v, ":")
	}
	return p, nil
}

// underPM2 runs the same server in PM2's cluster mode.
func (b *bench) underPM2(ctx context.Context, p pm2) (addr string, stop func() error, err error) {
	port, err := sandbox.ReservePort()
	if err != nil {
		return "", nil, err
	}
	home, err := os.MkdirTemp("", "pm2-")
	if err != nil {
		return "", nil, errors.Join(err, port.Release())
	}
	call := func(ctx context.Context, args ...string) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, p.bin, args...)
		cmd.Env = append(os.Environ(), "PM2_HOME="+home, "PORT="+strconv.Itoa(port.Number))
		cmd.Env = append(cmd.Env, sandbox.Marks(home)...)
		cmd.WaitDelay = 2 * time.Second
		// No pipe for its output: PM2's daemon would hold it open.
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("pm2 %s: %w", strings.Join(args, " "), err)
		}
		return nil
	}
	stop = func() error {
		err := call(context.WithoutCancel(ctx), "kill")
		return errors.Join(err, sandbox.Reap(ctx, home), os.RemoveAll(home), port.Release())
	}
	err = call(ctx, "start", b.example("node/server.js"), "--name", "app", "-i", strconv.Itoa(workers))
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return port.Addr(), stop, nil
}
