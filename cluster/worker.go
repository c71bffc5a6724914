package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"paceline/internal/nodeipc"
)

// Worker is a primary's view of one of its workers, from the start of the process to its
// end and beyond. Its methods may be called from any goroutine.
type Worker struct {
	p       *Primary
	id      int
	slot    int
	env     []string
	cmd     *exec.Cmd
	started time.Time
	ipc     *nodeipc.Worker
	hungUp  chan struct{} // closed when the channel is
	done    chan struct{} // closed when the process has ended
	going   sync.Once

	mu         sync.Mutex      // guards what follows
	forked     bool            // Forked is published
	early      []Event         // what came before that
	change     chan struct{}   // closed, and made anew, when something of it changes
	online     bool            // it has taken up its channel
	ready      bool            // it has said so
	listens    map[string]bool // addresses
	left       bool            // it was told to leave
	disconnect bool            // it was told to leave, or has said that it does
	exit       Exit
}

func newWorker(p *Primary, id, slot int) *Worker {
	return &Worker{
		p: p, id: id, slot: slot, hungUp: make(chan struct{}), done: make(chan struct{}),
		change: make(chan struct{}), listens: map[string]bool{},
	}
}

// start runs the process.
func (w *Worker) start(env []string) error {
	o := w.p.o
	args, err := w.p.preload.args(&o)
	if err != nil {
		return err
	}
	ours, theirs, err := nodeipc.Pair()
	if err != nil {
		return err
	}
	// Before the process, so that nobody who has the worker finds it without.
	w.ipc, err = nodeipc.Attach(nodeipc.WorkerOptions{Channel: ours, Primary: w.p.ipc, Slot: w.id, Event: w.heard})
	if err != nil {
		return errors.Join(err, ours.Close(), theirs.Close())
	}
	w.env = slices.Clone(env)
	w.cmd = exec.Command(o.Program, args...) //nolint:noctx // a worker lasts until it is told otherwise
	w.cmd.Dir, w.cmd.Stdout, w.cmd.Stderr = o.Dir, o.Stdout, o.Stderr
	w.cmd.WaitDelay = time.Second // a grandchild may hold the other end of Stdout for ever
	w.cmd.ExtraFiles = []*os.File{theirs}
	w.cmd.Env = slices.Concat(os.Environ(), o.Env, env, []string{
		"NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json",
		"NODE_UNIQUE_ID=" + itoa(w.id), "NODE_APP_INSTANCE=" + itoa(w.slot),
	})
	w.started = time.Now()
	if err := errors.Join(w.cmd.Start(), theirs.Close()); err != nil {
		if w.cmd.Process != nil {
			err = errors.Join(err, w.cmd.Process.Kill(), w.cmd.Wait())
		}
		return errors.Join(err, w.ipc.Close())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.p.hub.publish(Event{Kind: Forked, Worker: w})
	for _, e := range w.early {
		w.p.hub.publish(e)
	}
	w.forked, w.early = true, nil
	return nil
}

// hangUpWait bounds how long the last messages of a process that has ended are waited
// for. They are there; but a process of its own may hold the channel open.
const hangUpWait = time.Second

// wait ends when the process has.
func (w *Worker) wait() {
	_ = w.cmd.Wait() // what it says is in the state, too
	late := time.NewTimer(hangUpWait)
	defer late.Stop()
	select {
	case <-w.hungUp:
	case <-late.C:
		w.publish(Event{Kind: Disconnected, Worker: w})
	}
	_ = w.ipc.Close() // always nil
	exit := Exit{Code: w.cmd.ProcessState.ExitCode()}
	if status, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Signal = status.Signal()
	}
	w.update(func() {
		w.exit = exit
		clear(w.listens)
	})
	w.p.gone(w)
	close(w.done)
	w.publish(Event{Kind: Exited, Worker: w, Exit: exit})
}

// heard acts on what the worker says. It runs on a goroutine that others wait for.
func (w *Worker) heard(e nodeipc.Event) {
	told := Event{Worker: w, Addr: e.Addr}
	switch e.Kind {
	case nodeipc.Online:
		told.Kind = Online
		w.update(func() { w.online = true })
	case nodeipc.Listening:
		told.Kind = Listening
		w.update(func() { w.listens[addrName(e.Addr)] = true })
	case nodeipc.Closed:
		w.update(func() { delete(w.listens, addrName(e.Addr)) })
		return
	case nodeipc.Ready:
		told.Kind = SaidReady
		w.update(func() { w.ready = true })
	case nodeipc.Message:
		told.Kind, told.Message = Message, e.Message
	case nodeipc.Leaving:
		w.update(func() { w.disconnect = true })
		return
	case nodeipc.Disconnected:
		told.Kind = Disconnected
		close(w.hungUp) // it comes once, as the last
	case nodeipc.Warning:
		told.Kind, told.Text = Warned, e.Text
	}
	w.publish(told)
}

func addrName(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.Network() + " " + a.String()
}

// publish tells all readers, after what they have to know first.
func (w *Worker) publish(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.forked {
		w.early = append(w.early, e)
		return
	}
	w.p.hub.publish(e)
}

// update changes the state and tells those that wait for it.
func (w *Worker) update(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.change)
	w.change = make(chan struct{})
}

// ID returns the worker's number, from 1 on, which no other worker of the primary ever
// has: its NODE_UNIQUE_ID, and cluster.worker.id in Node.
func (w *Worker) ID() int { return w.id }

// Index returns which place the worker has, from 0 on; its successor has the same.
func (w *Worker) Index() int { return w.slot }

// PID returns the process's id, which may be another's once it has ended.
func (w *Worker) PID() int { return w.cmd.Process.Pid }

// Done is closed when the process has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

func (w *Worker) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Exit returns how the process ended; ended is false while it has not.
func (w *Worker) Exit() (exit Exit, ended bool) {
	if !w.ended() {
		return Exit{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.exit, true
}

// ExitedAfterDisconnect reports whether the worker was told to leave, by Disconnect or
// Reload, or has left by its own wish (Disconnect in the worker,
// cluster.worker.disconnect()). An end without it is a failure, whatever the exit code.
func (w *Worker) ExitedAfterDisconnect() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.disconnect
}

// Listens returns the addresses that the worker listens on.
func (w *Worker) Listens() []string {
	var list []string
	for _, name := range w.addrs() {
		_, addr, _ := strings.Cut(name, " ")
		list = append(list, addr)
	}
	return list
}

func (w *Worker) addrs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.listens))
}

// Send sends a value, which is marshalled as JSON, to the worker's Messages or
// process.on('message'). It does not wait until it is read. Errors: ErrClosed, ErrBusy,
// ErrTooLarge, or that it cannot be marshalled.
func (w *Worker) Send(v any) error {
	what := "send to worker " + itoa(w.id)
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return wrap(what, w.ipc.Send(data))
}

// Kill sends a signal to the process, Options.StopSignal if it is nil. One that has ended
// is no error.
func (w *Worker) Kill(sig os.Signal) error {
	if sig == nil {
		sig = w.p.o.StopSignal
	}
	if err := w.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to worker %d: %w", sig, w.id, err)
	}
	return nil
}

func (w *Worker) kill() { _ = w.cmd.Process.Kill() } // it has ended: that is all that is wanted

// Disconnect has the worker leave: it gets no more connections, closes its listeners,
// finishes what it has, and closes its channel, upon which a Node worker, and one that uses
// Serve, ends. After Options.DrainTimeout it gets Options.StopSignal, after KillTimeout it
// is killed. Disconnect waits for the end of the process; if ctx ends first its error is
// returned, and the worker goes on leaving.
func (w *Worker) Disconnect(ctx context.Context) error {
	w.leave()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("disconnect worker %d: %w", w.id, context.Cause(ctx))
	}
}

// leaving reports whether the worker was told to leave.
func (w *Worker) leaving() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

// leave tells the worker to leave, once, and sees to it that it does.
func (w *Worker) leave() {
	w.going.Do(func() {
		online := false
		w.update(func() { w.left, w.disconnect, online = true, true, w.online })
		grace := w.p.o.Grace
		if grace < 0 {
			grace = time.Millisecond
		}
		var err error
		if online {
			err = errors.Join(w.ipc.Drain(nodeipc.DrainOptions{Grace: grace}), w.ipc.Disconnect())
		}
		patience := w.p.o.DrainTimeout
		if !online || err != nil { // it is no worker yet, or no more: nothing can be cut
			patience = 0
		}
		go w.escalate(patience)
	})
}

// escalate ends a process that does not end by itself.
func (w *Worker) escalate(patience time.Duration) {
	if !w.endsWithin(patience) {
		if err := w.Kill(nil); err != nil {
			w.publish(Event{Kind: Warned, Worker: w, Text: err.Error()})
		}
		if !w.endsWithin(w.p.o.KillTimeout) {
			w.kill()
		}
	}
}

// endsWithin waits for the end, for ever if d is negative.
func (w *Worker) endsWithin(d time.Duration) bool {
	if d < 0 {
		<-w.done
		return true
	}
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-w.done:
		return true
	case <-late.C:
		return false
	}
}

// WaitReady waits until the worker is ready: until it listens on something, or with
// Options.WaitReady until it has said so. Errors: that it ended before, or was not ready
// within Options.ReadyTimeout; that of ctx.
func (w *Worker) WaitReady(ctx context.Context) error {
	if err := w.awaitReady(ctx, nil, false); err != nil {
		return fmt.Errorf("wait for worker %d: %w", w.id, err)
	}
	return nil
}

// awaitReady waits until the worker is ready: it listens on all the addresses, or on one
// if there are none. nothing: if there are none it need not listen, to be online is enough.
func (w *Worker) awaitReady(ctx context.Context, on []string, nothing bool) error {
	var late <-chan time.Time
	if d := w.p.o.ReadyTimeout; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		late = timer.C
	}
	for {
		w.mu.Lock()
		ready, change := w.isReady(on, nothing), w.change
		w.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-change:
		case <-w.done:
			return w.endedBefore("ready")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late:
			return fmt.Errorf("%w (%v)", errNotReady, w.p.o.ReadyTimeout)
		}
	}
}

// isReady is awaitReady's condition; the caller holds mu.
func (w *Worker) isReady(on []string, nothing bool) bool {
	switch {
	case w.p.o.WaitReady:
		return w.ready
	case len(on) == 0:
		return len(w.listens) > 0 || nothing && w.online
	}
	return !slices.ContainsFunc(on, func(a string) bool { return !w.listens[a] })
}

func (w *Worker) endedBefore(what string) error {
	exit, _ := w.Exit()
	return fmt.Errorf("it ended with %v before it was %s", exit, what)
}
