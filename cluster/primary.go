package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"paceline/internal/kernel"
	"paceline/internal/nodeipc"
)

// Balance is who gets the next connection.
type Balance int

// The policies. Datagrams are always Shared.
const (
	// RoundRobin is Node's default: the primary accepts and hands the connections to the
	// workers in turn. The shares are exact, and a worker that does not react gets few
	// connections more; each costs the primary some time.
	RoundRobin Balance = iota
	// Shared gives all workers the same socket: whoever is free accepts. The primary has
	// no part in it, which makes it the faster for many short connections; the shares are
	// uneven.
	Shared
)

// String gives the policy's name.
func (b Balance) String() string {
	switch b {
	case RoundRobin:
		return "round-robin"
	case Shared:
		return "shared"
	}
	return "balance " + itoa(int(b))
}

// Options say what a Primary runs, and how. The zero value runs the program itself on
// all CPUs. Of a duration zero is the default that is named, negative is none.
type Options struct {
	// Program is what the workers run, found as exec.Command does; Args are its arguments.
	// Without a Program it is this one, with this one's arguments unless there are Args.
	// A Node program is Program "node" with its script in Args.
	Program string
	Args    []string
	// PlainNode leaves Node workers as they are. Otherwise a Program that is called node or
	// nodejs gets --require with a script of Paceline's, in a file in the temporary folder until
	// Close, so that one that is told to leave answers with "Connection: close" and keeps idle
	// connections for Grace: Node alone cuts them while a client may be about to use one. Under
	// Node's permission model, asked for in Args, they are always left as they are.
	PlainNode bool
	// Dir is where they run; empty is where this process does.
	Dir string
	// Env is added to this process's environment, as "NAME=value".
	Env []string
	// Stdout and Stderr are the workers', from several goroutines unless they are files.
	// Nil is this process's.
	Stdout, Stderr io.Writer

	// Workers is how many Run keeps alive. Zero is the number of usable CPUs: those of the
	// affinity mask, no more than the cgroup's quota, rounded up.
	Workers int
	// Balance is who gets the next connection.
	Balance Balance

	// WaitReady says that a worker is ready when it says so (Ready, process.send('ready')).
	// Otherwise it is when it listens: for Reload, wherever the one that it replaces does.
	WaitReady bool
	// ReadyTimeout is how long that may take. Zero is 30 s.
	ReadyTimeout time.Duration
	// Grace is how long a worker that is to leave keeps connections open that are idle, so
	// that clients may use them once more; see Drain. Zero is 5 s.
	Grace time.Duration
	// DrainTimeout is how long a worker that is to leave may take for what it has, Grace
	// included, before it gets StopSignal. Zero is 30 s.
	DrainTimeout time.Duration
	// StopSignal is the polite request to end. Nil is SIGTERM.
	StopSignal os.Signal
	// KillTimeout is how long after StopSignal a worker is killed. Zero is 5 s.
	KillTimeout time.Duration

	// MinUptime is how long a worker has to last to count as up: in Run, one that ends
	// sooner is started again with a delay, and Reload goes on after the first successor
	// only when that has lasted so long. Zero is 1 s.
	MinUptime time.Duration
	// Backoff is the delay after the first end within MinUptime. It doubles with each that
	// follows, up to MaxBackoff. Zero is 100 ms, and 15 s.
	Backoff, MaxBackoff time.Duration
	// MaxRestarts is the restart intensity: Run gives up when workers failed more often
	// than this within RestartWindow. Zero is 5 for each of Workers, and 1 min; negative
	// is never. Ends that were asked for do not count.
	MaxRestarts   int
	RestartWindow time.Duration
}

// defaults fills in what is left out.
func (o Options) defaults() (Options, error) {
	if o.Program == "" {
		exe, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find this program: %w", err)
		}
		o.Program = exe
		if o.Args == nil {
			o.Args = os.Args[1:]
		}
	}
	if o.Workers < 0 || o.Workers > maxWorkers {
		return o, fmt.Errorf("workers: %d is not between 0 and %d", o.Workers, maxWorkers)
	}
	if o.Balance != RoundRobin && o.Balance != Shared {
		return o, fmt.Errorf("balance: %v is not known", o.Balance)
	}
	o.Workers = cmp.Or(o.Workers, kernel.CPUs())
	o.Args, o.Env = slices.Clone(o.Args), slices.Clone(o.Env)
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.StopSignal == nil {
		o.StopSignal = syscall.SIGTERM
	}
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{
		{&o.ReadyTimeout, 30 * time.Second},
		{&o.Grace, defaultGrace},
		{&o.DrainTimeout, 30 * time.Second},
		{&o.KillTimeout, 5 * time.Second},
		{&o.MinUptime, time.Second},
		{&o.Backoff, 100 * time.Millisecond},
		{&o.MaxBackoff, 15 * time.Second},
		{&o.RestartWindow, time.Minute},
	} {
		*d.of = cmp.Or(*d.of, d.value)
	}
	o.MaxRestarts = cmp.Or(o.MaxRestarts, 5*o.Workers)
	return o, nil
}

// maxWorkers keeps a typing error from exhausting the machine.
const maxWorkers = 4096

// Primary starts workers and shares listeners among them. Its methods may be called from
// any goroutine. It needs Linux.
type Primary struct {
	o       Options
	ipc     *nodeipc.Primary
	sockets *sockets
	preload preload
	hub     hub
	reload  chan struct{} // has a token while nobody reloads

	mu      sync.Mutex // guards what follows
	workers map[int]*Worker
	slots   map[int]*Worker // who has, or last had, a place
	lastID  int
	fails   []time.Time // of workers, within the window
	closed  bool
}

// NewPrimary makes a primary without workers. Errors: ErrWorker in a worker, whose
// primary is another; options that make no sense.
func NewPrimary(o Options) (*Primary, error) {
	if IsWorker() {
		return nil, fmt.Errorf("make primary: %w", ErrWorker)
	}
	o, err := o.defaults()
	if err != nil {
		return nil, fmt.Errorf("make primary: %w", err)
	}
	p := &Primary{
		o: o, sockets: newSockets(o.Balance == RoundRobin), reload: make(chan struct{}, 1),
		workers: map[int]*Worker{}, slots: map[int]*Worker{},
	}
	p.ipc = nodeipc.NewPrimary(nodeipc.PrimaryOptions{Open: p.sockets.open})
	p.reload <- struct{}{}
	return p, nil
}

// Workers returns those whose process has not ended, by ID.
func (p *Primary) Workers() []*Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.Collect(maps.Values(p.workers))
	slices.SortFunc(list, func(a, b *Worker) int { return cmp.Compare(a.id, b.id) })
	return list
}

// Fork starts another worker, in the first place that is free, with env added to what
// Options.Env says, and does not wait until it is ready; Worker.WaitReady does. Errors: the
// program cannot be started; ErrClosed.
func (p *Primary) Fork(env ...string) (*Worker, error) { return p.fork(-1, env) }

// fork starts a worker in a place, the first free one if that is negative.
func (p *Primary) fork(slot int, env []string) (*Worker, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, fmt.Errorf("fork worker: primary: %w", ErrClosed)
	}
	own := slot < 0
	if own {
		for slot = 0; p.slots[slot] != nil && !p.slots[slot].ended(); {
			slot++
		}
	}
	p.lastID++
	w := newWorker(p, p.lastID, slot)
	if own {
		p.slots[slot] = w
	}
	p.mu.Unlock()
	if err := w.start(env); err != nil {
		close(w.done)
		return nil, fmt.Errorf("fork worker %d: %w", w.id, err)
	}
	p.mu.Lock()
	closed := p.closed
	p.workers[w.id] = w
	p.mu.Unlock()
	go w.wait()
	if closed { // meanwhile, and Close may not have seen it
		w.kill()
		<-w.done
		return nil, fmt.Errorf("fork worker %d: primary: %w", w.id, ErrClosed)
	}
	return w, nil
}

// take gives a place to a worker, and returns who had it.
func (p *Primary) take(w *Worker) (before *Worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.slots[w.slot]
	p.slots[w.slot] = w
	return before
}

// takeAfter gives a place to a worker unless another has taken it after before.
func (p *Primary) takeAfter(before, w *Worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slots[w.slot] != before {
		return false
	}
	p.slots[w.slot] = w
	return true
}

// inSlot returns who has a place, nil if nobody has had it.
func (p *Primary) inSlot(slot int) *Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slots[slot]
}

// gone is called by a worker whose process has ended.
func (p *Primary) gone(w *Worker) {
	p.sockets.forget(w.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.workers, w.id)
}

// Disconnect has all workers finish what they have, and end; see Worker.Disconnect. The
// addresses are let go. If ctx ends first those that are left are killed, and its error is
// returned.
func (p *Primary) Disconnect(ctx context.Context) error {
	all := p.Workers()
	for _, w := range all {
		w.leave()
	}
	var err error
	for _, w := range all {
		select {
		case <-w.done:
			continue
		case <-ctx.Done():
		}
		err = fmt.Errorf("disconnect workers: %w", context.Cause(ctx))
		break
	}
	for _, w := range all { // none is left unless ctx has ended
		w.kill()
		<-w.done
	}
	if len(p.Workers()) == 0 {
		p.ipc.Trim()
		p.sockets.closeAll()
	}
	return err
}

// Close kills the workers that are left and lets go of everything. It waits for that. An
// error is about the file of Options.PlainNode, which could not be removed.
func (p *Primary) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, w := range p.Workers() {
		w.kill()
		<-w.done
	}
	p.ipc.Close()
	p.sockets.closeAll()
	p.hub.close()
	if err := p.preload.close(); err != nil {
		return fmt.Errorf("close primary: %w", err)
	}
	return nil
}

// Reload replaces the workers one after the other: it starts a successor, waits until
// that is ready, and only then has the old one leave (Worker.Disconnect), whose end it
// waits for. As somebody serves all the time no request fails. It returns when all have been
// replaced, or at the first successor that ends or is not ready in time: that is killed, the
// old worker stays, as do those not replaced yet, and the error says why. The same if ctx
// ends. Only one Reload is under way; others wait for it.
func (p *Primary) Reload(ctx context.Context) error {
	select {
	case <-p.reload:
		defer func() { p.reload <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("reload: %w", context.Cause(ctx))
	}
	for i, old := range p.Workers() {
		if old.leaving() {
			continue
		}
		if err := p.replace(ctx, old, i == 0); err != nil {
			return fmt.Errorf("reload: %w", err)
		}
	}
	return nil
}

// replace starts a successor for a worker. first: it also has to last.
func (p *Primary) replace(ctx context.Context, old *Worker, first bool) error {
	w, err := p.fork(old.slot, old.env)
	if err != nil {
		return err
	}
	err = w.awaitReady(ctx, old.addrs(), true)
	if err == nil && first && p.o.MinUptime > 0 {
		last := time.NewTimer(time.Until(w.started.Add(p.o.MinUptime)))
		defer last.Stop()
		select {
		case <-w.done:
			err = w.endedBefore("up for " + p.o.MinUptime.String())
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-last.C:
		}
	}
	if err != nil {
		w.kill()
		<-w.done
		return fmt.Errorf("worker %d stays, its successor failed: %w", old.id, err)
	}
	before := p.take(w) // not old if that has died meanwhile and Run was quick
	for _, gone := range []*Worker{before, old} {
		if gone == nil {
			continue
		}
		gone.leave()
		select {
		case <-gone.done:
		case <-ctx.Done():
			return fmt.Errorf("wait for worker %d to end: %w", gone.id, context.Cause(ctx))
		}
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }

// errNotReady says that a worker is up but not ready in time.
var errNotReady = errors.New("not ready in time")
