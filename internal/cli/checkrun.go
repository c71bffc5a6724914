package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/probe"
)

// facts are what a check has seen.
type facts struct {
	spec *app.Spec // the app's own, not the copy's
	name string    // of the copy

	before   app.Status    // once it listens; without a port if it never did
	listened bool          // on a TCP address
	limit    time.Duration // how long it might have taken
	took     time.Duration // from its start to that
	ended    *app.Exit     // it ended by itself

	target       probe.Target
	noHTTP       bool // it listens, but does not speak it
	load         []probe.Result
	signal       disposition // of the stop signal, in the old process
	began, over  time.Time   // of the reload
	reloadFailed string      // why, if it did
	verified     []api.Verification
	stopped      *app.Exit // how the old process ended; nil if that is not known
	after        app.Status
}

// Times of the steps.
const (
	checkPoll = 20 * time.Millisecond
	// exitGrace is how long news may take beyond a limit that the daemon keeps.
	exitGrace = 2 * time.Second
	// cleanUp is how long the deletion of the copy may take, also after Ctrl-C.
	cleanUp   = 15 * time.Second
	findLimit = 2 * time.Second // for one try of the protocol
)

// gather runs the copy and collects what happens to it.
func (k *check) gather(ctx context.Context, spec *app.Spec) (f *facts, err error) {
	copied := copyOf(spec, k.limit)
	f = &facts{spec: spec, name: copied.Name}
	exits := k.watchExits(ctx, copied.Name)
	defer exits.close()
	defer func() { err = errors.Join(err, k.remove(ctx, copied.Name)) }()
	k.progress("starting a copy as %s", copied.Name)
	if err := k.start(ctx, f, &copied); err != nil || !f.listened {
		return f, err
	}
	addresses, err := loopback(f.before.Ports)
	if err != nil {
		return f, err
	}
	f.target, err = probe.Find(ctx, addresses, k.path, findLimit)
	if f.noHTTP = errors.Is(err, probe.ErrNoHTTP); err != nil && !f.noHTTP {
		return f, err
	}
	f.signal = dispositionOf(f.before.PID, spec.KillSignal)
	return f, k.reloadUnderLoad(ctx, f, exits)
}

// remove deletes the copy, also if ctx has ended.
func (k *check) remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	_, err := k.local.Delete(ctx, api.TargetsRequest{Targets: []string{name}})
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeNotFound || err == nil || errors.Is(err, api.ErrNoDaemon) {
		return nil
	}
	return fmt.Errorf("delete the copy: %w; `pace delete %s` tries again", err, name)
}

// progress tells on a terminal what goes on: a check takes a while.
func (k *check) progress(format string, a ...any) {
	if _, terminal := k.Terminal(k.Stderr); terminal && !k.silent {
		k.step(fmt.Sprintf(format, a...))
	}
}

// status is the copy's only instance; found is false while there is none.
func (k *check) status(ctx context.Context, name string) (st app.Status, found bool, err error) {
	list, err := k.client.Instances(ctx, api.InstancesQuery{Targets: []string{name}})
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeNotFound {
		return st, false, nil
	}
	if err != nil || len(list) == 0 {
		return st, false, err
	}
	return list[0], true, nil
}

// start starts the copy and waits until it listens, ends, or has had its time.
// An error means that there is nothing to judge.
func (k *check) start(ctx context.Context, f *facts, copied *app.Spec) error {
	var request sync.WaitGroup
	defer request.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan error, 1)
	request.Go(func() {
		_, err := k.client.Start(ctx, api.StartRequest{Specs: []app.Spec{*copied}})
		answer <- err
	})
	began, answered := time.Now(), false
	limit := time.NewTimer(time.Duration(copied.ListenTimeout) + exitGrace)
	defer limit.Stop()
	poll := time.NewTicker(checkPoll)
	defer poll.Stop()
	for {
		st, found, err := k.status(ctx, copied.Name)
		if err != nil {
			return err
		}
		if found {
			f.see(&st, began)
		}
		if f.ended != nil && (f.ended.Code != 0 || f.ended.Error != "") {
			k.lastWords([]app.Status{st})
			return fmt.Errorf("the copy did not come up: %s", f.ended)
		}
		alive := !found || st.State == app.Online || st.State == app.Launching
		if f.ended != nil || answered && (f.listened || !alive) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-answer:
			answered = true
			if e, ok := errors.AsType[*api.Error](err); err != nil && (f.listened || !ok || e.Code != api.CodeStartFailed) {
				return err
			}
		case <-poll.C:
		case <-limit.C:
			return nil
		}
	}
}

// see takes notice of the copy's status while it starts.
func (f *facts) see(st *app.Status, began time.Time) {
	switch {
	case st.LastExit != nil && !st.LastExit.Wanted && st.State != app.Online && st.State != app.Launching:
		f.ended = st.LastExit
	case !f.listened && len(tcp(st.Ports)) > 0:
		if !st.StartedAt.IsZero() {
			began = st.StartedAt
		}
		f.listened, f.took = true, time.Since(began)
	}
	f.before = *st
}

// reloadUnderLoad sends load before, during and after a reload.
func (k *check) reloadUnderLoad(ctx context.Context, f *facts, exits *exits) error {
	var load sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	if !f.noHTTP {
		load.Go(func() { f.load = f.target.Run(running, k.load) })
	}
	err := k.reloadOnce(ctx, f, exits)
	stop()
	load.Wait()
	return err
}

func (k *check) reloadOnce(ctx context.Context, f *facts, exits *exits) error {
	if !f.noHTTP {
		k.progress("%s of load on %s", k.phase, f.target.Address)
		if !pause(ctx, k.phase) {
			return context.Cause(ctx)
		}
	}
	k.progress("reloading it under that load")
	f.began = time.Now()
	reply, err := k.client.Reload(ctx, api.TargetsRequest{Targets: []string{f.name}, Verify: true}, nil)
	f.over = time.Now()
	f.verified = reply.Verified
	if e, ok := errors.AsType[*api.Error](err); ok && e.Code == api.CodeReloadFailed {
		f.reloadFailed = e.Message
	} else if err != nil {
		return err
	} else if f.stopped = exits.wait(ctx, f.before.Gen, time.Duration(f.spec.KillTimeout)+exitGrace); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !f.noHTTP {
		k.progress("%s of load after it", k.phase)
		if !pause(ctx, k.phase) {
			return context.Cause(ctx)
		}
	}
	f.after, _, err = k.status(ctx, f.name)
	return err
}

// pause waits for d; it reports whether ctx still holds.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// exits collects how the processes of an app end.
type exits struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup
	news   chan struct{}

	mu sync.Mutex // guards by
	by map[uint64]app.Exit
}

// watchExits watches until it is closed. What it misses is not known, which is
// no error.
func (k *check) watchExits(ctx context.Context, name string) *exits {
	ctx, cancel := context.WithCancel(ctx)
	e := &exits{cancel: cancel, news: make(chan struct{}, 1), by: map[uint64]app.Exit{}}
	e.ended.Go(func() {
		for again := true; again; again = pause(ctx, waitPoll) { // the daemon may be replaced meanwhile
			err := k.client.Events(ctx, api.EventsQuery{Follow: true}, api.Handler[app.Event]{Value: func(ev app.Event) error {
				if ev.Type == app.EventExit && ev.Name == name && ev.Exit != nil {
					e.add(ev.Gen, *ev.Exit)
				}
				return nil
			}})
			if err != nil && !errors.Is(err, api.ErrLost) {
				return
			}
		}
	})
	return e
}

func (e *exits) add(gen uint64, exit app.Exit) {
	e.mu.Lock()
	e.by[gen] = exit
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// wait returns how the process gen has ended, nil if that is not known after
// limit.
func (e *exits) wait(ctx context.Context, gen uint64, limit time.Duration) *app.Exit {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		e.mu.Lock()
		exit, ok := e.by[gen]
		e.mu.Unlock()
		if ok {
			return &exit
		}
		select {
		case <-ctx.Done():
			return nil
		case <-late.C:
			return nil
		case <-e.news:
		}
	}
}

func (e *exits) close() {
	e.cancel()
	e.ended.Wait()
}

// tcp returns the TCP addresses among ports.
func tcp(ports []string) []app.Socket {
	var list []app.Socket
	for _, text := range ports {
		if s, err := app.ParseSocket(text); err == nil && s.Network == "tcp" && s.Port != 0 {
			list = append(list, s)
		}
	}
	return list
}

// loopback returns the TCP addresses of the copy. None may be one that others
// reach: then the daemon has not moved the copy, and load would hit the app.
func loopback(ports []string) ([]string, error) {
	var list []string
	for _, s := range tcp(ports) {
		ip, err := netip.ParseAddr(s.Host)
		if err != nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("the copy listens on %s, not on a port of its own: nothing was sent to it", s.Address())
		}
		list = append(list, s.Address())
	}
	return list, nil
}

// disposition is what a process does with a signal, as far as the kernel knows.
type disposition string

// The dispositions. A language's own runtime may have caught a signal that the
// program does nothing about.
const (
	unknownSignal disposition = ""
	defaultSignal disposition = "default"
	ignoredSignal disposition = "ignored"
	caughtSignal  disposition = "caught"
)

// dispositionOf asks the kernel. It is not known where there is no /proc.
func dispositionOf(pid int, signal string) disposition {
	sig, err := app.ParseSignal(signal)
	if err != nil || pid <= 0 {
		return unknownSignal
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return unknownSignal
	}
	return parseDisposition(string(text), sig)
}

// parseDisposition reads /proc/PID/status: masks in hexadecimal, whose bit 0 is
// signal 1 (proc_pid_status(5)).
func parseDisposition(text string, sig syscall.Signal) disposition {
	found := 0
	result := defaultSignal
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigIgn" && name != "SigCgt" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return unknownSignal
		}
		found++
		if mask&(1<<(uint(sig)-1)) == 0 {
			continue
		}
		if result = ignoredSignal; name == "SigCgt" {
			result = caughtSignal
		}
	}
	if found != 2 {
		return unknownSignal
	}
	return result
}
