package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// demo is the stage: one home, one port, one app called "server".
type demo struct {
	*screen
	box    *sandbox.Sandbox
	port   *sandbox.Port
	script string
	name   string
	node   bool // else a program that pace has no knowledge of
	closed bool
}

func newDemo(s *screen, pace, script string) (*demo, error) {
	script, err := filepath.Abs(script)
	if err != nil {
		return nil, err
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		return nil, err
	}
	box, err := sandbox.New(pace, "PORT="+strconv.Itoa(port.Number))
	if err != nil {
		return nil, errors.Join(err, port.Release())
	}
	s.say("private home %s, port %d", box.Home, port.Number)
	name := strings.TrimSuffix(filepath.Base(script), filepath.Ext(script))
	return &demo{screen: s, box: box, port: port, script: script, name: name, node: filepath.Ext(script) == ".js"}, nil
}

// clear removes whatever is there, at the end or in the middle.
func (d *demo) clear(ctx context.Context) error {
	if d.closed {
		return nil
	}
	d.closed = true
	return errors.Join(d.box.Close(ctx), d.port.Release())
}

// pace shows and runs one command.
func (d *demo) pace(ctx context.Context, args ...string) error {
	d.command(append([]string{"pace"}, short(args)...)...)
	if !d.tty {
		out, err := d.box.Pace(ctx, args...)
		d.print(out)
		return err
	}
	cmd := d.box.Command(ctx, args...) // straight to the terminal, for its colours and its width
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pace %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// short leaves the folders of paths out, as who types would be in them.
func short(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if filepath.IsAbs(a) {
			args[i] = filepath.Base(a)
		}
	}
	return args
}

func (d *demo) load(ctx context.Context, c load.Config) load.Result {
	c.Addr = d.port.Addr()
	return load.Run(ctx, c)
}

func (d *demo) start(ctx context.Context) error {
	begun := time.Now()
	if err := d.pace(ctx, "start", d.script, "-i", "max"); err != nil {
		return err
	}
	took := time.Since(begun)
	pids, err := d.box.PIDs(ctx)
	if err != nil {
		return err
	}
	if len(pids) < 2 {
		d.say("this machine has one CPU; two workers show more")
		if err := d.pace(ctx, "scale", d.name, "2"); err != nil {
			return err
		}
	}
	if err := d.pace(ctx, "list"); err != nil {
		return err
	}
	list, err := d.box.WaitStatus(ctx, max(2, len(pids)), "online")
	if err != nil {
		return err
	}
	d.claim(len(list) >= 2, "%d workers are online on port %d (the first command, which also started the daemon, took %s)",
		len(list), d.port.Number, ms(took))
	return nil
}

func (d *demo) balance(ctx context.Context) error {
	pids, err := d.box.PIDs(ctx)
	if err != nil {
		return err
	}
	var turns []string
	r := d.load(ctx, load.Config{Clients: 1, Requests: 6 * len(pids), Each: func(q load.Request) {
		turns = append(turns, strings.TrimPrefix(strings.TrimSpace(q.Body), "process "))
	}})
	d.say("%d requests, one after the other, each on a connection of its own:", r.Requests)
	d.say("  %s ...", strings.Join(turns[:min(len(turns), 12)], " "))
	// One queue for all is emptied by whoever is quicker: then it takes more of them
	// until each has had its turn.
	all := d.everyone(ctx, len(pids))
	for _, body := range slices.Sorted(maps.Keys(all.Bodies)) {
		d.say("  %-16s %d answers of %d", strings.TrimSpace(body), all.Bodies[body], all.Requests)
	}
	d.claim(r.Failed+all.Failed == 0 && len(all.Bodies) == len(pids), "%d different pids answered, none failed", len(all.Bodies))
	return nil
}

// everyone makes requests until so many workers have answered, or 2,000.
func (d *demo) everyone(ctx context.Context, workers int) load.Result {
	sum := load.Result{Bodies: map[string]int{}}
	for ctx.Err() == nil && sum.Requests < 2000 && sum.Failed == 0 && (sum.Requests == 0 || len(sum.Bodies) < workers) {
		r := d.load(ctx, load.Config{Clients: 2, Requests: 20 * workers})
		sum.Requests += r.Requests
		sum.Failed += r.Failed
		sum.Errors = r.Errors
		for body, n := range r.Bodies {
			sum.Bodies[body] += n
		}
	}
	return sum
}

func (d *demo) block(ctx context.Context) error {
	const blocked = 4 * time.Second
	d.command("curl", fmt.Sprintf("localhost:%d/timer?ms=%d", d.port.Number, blocked.Milliseconds()), "&")
	var wg sync.WaitGroup
	var timer load.Result
	wg.Go(func() {
		timer = d.load(ctx, load.Config{Path: fmt.Sprintf("/timer?ms=%d", blocked.Milliseconds()), Clients: 1, Requests: 1})
	})
	pause(ctx, 100*time.Millisecond) // for the worker to begin
	during, cancel := context.WithTimeout(ctx, blocked-300*time.Millisecond)
	defer cancel()
	r := d.load(during, load.Config{Clients: 4, Pause: 15 * time.Millisecond})
	wg.Wait()
	for body := range timer.Bodies {
		d.say("%s", strings.TrimSpace(body))
	}
	if !d.node {
		d.say("(a busy handler takes a core; in Go it leaves the rest of its process running, in others it blocks all of it)")
	}
	stuck := r.Over(500 * time.Millisecond)
	d.say("meanwhile %s to /: half of them within %s, 95 %% within %s", r, ms(r.Quantile(0.5)), ms(r.Quantile(0.95)))
	d.say("%d of them had been dealt to the busy worker and waited for it", stuck)
	d.claim(timer.Failed == 0 && r.Failed == 0 && r.Requests >= 100, "every request was answered")
	d.claim(r.Quantile(0.95) < 100*time.Millisecond && stuck <= 2, "/ stayed quick while one worker was busy for %s", blocked)
	return nil
}

// both runs a load of new and, if wanted, one of keep-alive connections while act
// works.
func (d *demo) both(ctx context.Context, keep bool, act func() error) (fresh, kept load.Result, err error) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { fresh = d.load(during, load.Config{Clients: 4}) })
	if keep {
		wg.Go(func() { kept = d.load(during, load.Config{Clients: 4, KeepAlive: true}) })
	}
	pause(ctx, 500*time.Millisecond)
	err = act()
	pause(ctx, 500*time.Millisecond)
	cancel()
	wg.Wait()
	return fresh, kept, err
}

// report shows what the load has seen and claims that it was perfect.
func (d *demo) report(fresh, kept load.Result) {
	d.say("  a connection per request: %s", fresh)
	if kept.Requests > 0 {
		d.say("  keep-alive connections:   %s", kept)
	}
	d.claim(fresh.Requests > 0 && fresh.Failed == 0 && kept.Failed == 0,
		"%d requests made, %d failed", fresh.Requests+kept.Requests, fresh.Failed+kept.Failed)
}

func (d *demo) reload(ctx context.Context) error {
	before, err := d.box.PIDs(ctx)
	if err != nil {
		return err
	}
	if d.node {
		d.say("4 clients with a connection per request and 4 with kept ones ask as fast as they can, and meanwhile:")
	} else {
		// Only the program itself can say Connection: close before it ends.
		d.say("4 clients with a connection per request ask as fast as they can, and meanwhile:")
	}
	begun := time.Now()
	var took time.Duration
	fresh, kept, err := d.both(ctx, d.node, func() error {
		begun = time.Now()
		err := d.pace(ctx, "reload", d.name)
		took = time.Since(begun)
		return err
	})
	if err != nil {
		return err
	}
	d.report(fresh, kept)
	after, err := d.box.PIDs(ctx)
	if err != nil {
		return err
	}
	same := 0
	for _, pid := range after {
		if slices.Contains(before, pid) {
			same++
		}
	}
	d.claim(len(after) == len(before) && same == 0, "every worker is a new process: %v are now %v (%s)", before, after, ms(took))
	return nil
}

func (d *demo) killWorker(ctx context.Context) error {
	list, err := d.box.Instances(ctx)
	if err != nil {
		return err
	}
	victim := list[0]
	d.command("kill", "-9", strconv.Itoa(victim.PID))
	begun := time.Now()
	if err := proc.Kill(victim.PID); err != nil {
		return err
	}
	var back sandbox.Instance
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err = proc.Poll(wait, 10*time.Millisecond, func() (bool, error) {
		list, err := d.box.Instances(ctx)
		if err != nil || len(list) == 0 {
			return false, err
		}
		back = list[0]
		return back.PID != victim.PID && back.PID != 0 && back.Env.Status == "online", nil
	})
	took := time.Since(begun)
	if err != nil {
		return err
	}
	if d.node {
		if err := d.pace(ctx, "wait", d.name, "ready"); err != nil {
			return err
		}
	}
	if err := d.pace(ctx, "list"); err != nil {
		return err
	}
	d.claim(back.ID == victim.ID && back.Env.Restarts == victim.Env.Restarts+1,
		"instance %d is back as pid %d after %s, with its restart counted", back.ID, back.PID, ms(took))
	r := d.everyone(ctx, len(list))
	d.claim(r.Failed == 0 && len(r.Bodies) == len(list), "and it answers: %s, by %d pids", r, len(r.Bodies))
	return nil
}

func (d *demo) killDaemon(ctx context.Context) error {
	before, err := d.box.Instances(ctx)
	if err != nil {
		return err
	}
	daemon, err := d.box.DaemonPID()
	if err != nil {
		return err
	}
	var gap time.Duration
	d.say("again under load:")
	fresh, kept, err := d.both(ctx, true, func() error {
		d.command("kill", "-9", strconv.Itoa(daemon), "  # the daemon")
		begun := time.Now()
		if err := proc.Kill(daemon); err != nil {
			return err
		}
		// The socket stays open, so this waits for the next daemon rather than fails.
		if _, err := d.box.Pace(ctx, "ping"); err != nil {
			return err
		}
		gap = time.Since(begun)
		return nil
	})
	if err != nil {
		return err
	}
	d.report(fresh, kept)
	next, err := d.box.DaemonPID()
	if err != nil {
		return err
	}
	d.claim(next != daemon && !proc.Alive(daemon), "the keeper started the next daemon, pid %d; it answered after %s", next, ms(gap))
	if err := d.pace(ctx, "list"); err != nil {
		return err
	}
	after, err := d.box.Instances(ctx)
	if err != nil {
		return err
	}
	d.claim(slices.Equal(before, after), "it knows all %d instances: same pids, restarts and uptime", len(after))
	return nil
}

func (d *demo) end(ctx context.Context) error {
	all, err := d.box.Processes()
	if err != nil {
		return err
	}
	if err := errors.Join(d.pace(ctx, "delete", "all"), d.pace(ctx, "kill")); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	left := all
	if err := proc.Poll(wait, 10*time.Millisecond, func() (bool, error) {
		left, err = d.box.Processes()
		return len(left) == 0, err
	}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	for _, p := range left {
		d.say("left: %s", p)
	}
	d.claim(len(all) >= 4 && len(left) == 0, "of the %d processes, keeper and daemon among them, none is left", len(all))
	_, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", d.port.Addr())
	d.claim(errors.Is(err, syscall.ECONNREFUSED), "nobody listens on port %d any more", d.port.Number)
	return d.clear(ctx)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ms writes a duration in milliseconds, with a digit after the point below ten.
func ms(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
