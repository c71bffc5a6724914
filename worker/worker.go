package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"paceline/worker/clone"
)

// DefaultGrace is how long Terminate waits for a worker to end.
const DefaultGrace = 5 * time.Second

// Func is what a worker does. Its context ends when the worker is to end; the
// worker ends when the function has returned, and all that it started by Self.Go.
// An error that it returns is the worker's error event and exit code 1, unless
// its context has ended and it returns that.
type Func func(ctx context.Context, self *Self) error

// Worker is the handle by which the one who started a worker deals with it. All
// methods may be called concurrently.
type Worker struct {
	id    int
	name  string
	grace time.Duration
	port  *Port // the parent's end
	self  *Self
	end   context.CancelCauseFunc
	cause func() error // why its context has ended; nil if it has not
	done  chan struct{}

	mu      sync.Mutex // guards what follows
	events  []Event
	errors  int           // of them
	changed chan struct{} // closed at the next event; nil if nobody waits
	failed  error         // the first error
	code    int           // valid once done is closed
	exited  *int          // what Exit was called with first
	thread  thread
	where   []byte // "goroutine 12 [", as a dump of all stacks has it
}

// Option is a way in which a worker differs from others.
type Option func(*options)

type options struct {
	ctx      context.Context
	data     any
	transfer []clone.Transferable
	name     string
	locked   bool
	grace    time.Duration
	queue    int
}

// WithData gives the worker a clone of v: its workerData. What is in the transfer
// list moves to it.
func WithData(v any, transfer ...clone.Transferable) Option {
	return func(o *options) { o.data, o.transfer = v, transfer }
}

// WithName gives the worker a name, for errors and stuck workers.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// WithLockedThread gives the worker a thread of the operating system of its own,
// which ends with it: for code that changes its thread or depends on it, and to
// know what it uses. Switching to and from it is slower.
func WithLockedThread() Option { return func(o *options) { o.locked = true } }

// WithContext makes the worker end with ctx. If ctx is that of a worker, the new
// one is its child: it has its environment data. Default is a worker of the main
// thread that ends by itself or by Terminate.
func WithContext(ctx context.Context) Option { return func(o *options) { o.ctx = ctx } }

// WithGrace is how long Terminate waits before it says that the worker is stuck.
// Default is DefaultGrace; with 0 it does not wait.
func WithGrace(d time.Duration) Option { return func(o *options) { o.grace = d } }

// WithQueue is how many messages wait at most in each direction between the
// worker and its parent, at least 1. Default is DefaultQueue.
func WithQueue(messages int) Option { return func(o *options) { o.queue = messages } }

// New starts a worker. It ends by itself, by Terminate or with the context of
// WithContext; whoever starts it should Wait for it.
//
// Errors: *clone.Error if its data cannot be copied, ErrDetached, and one that says
// which option makes no sense.
//
//nolint:contextcheck,nolintlint // read where New is called: a worker is no part of the call that starts it, unless WithContext says so
func New(fn Func, opts ...Option) (*Worker, error) {
	o := options{ctx: context.Background(), grace: DefaultGrace, queue: DefaultQueue}
	for _, set := range opts {
		set(&o)
	}
	if fn == nil {
		return nil, errors.New("start worker: no function")
	}
	if o.queue < 1 || o.grace < 0 {
		return nil, fmt.Errorf("start worker: a queue of %d and a grace time of %v: they must be positive", o.queue, o.grace)
	}
	data, commit, err := clone.Transfer(o.data, o.transfer...)
	if err != nil {
		return nil, fmt.Errorf("start worker: copy its data: %w", err)
	}
	environment, err := environmentOf(o.ctx).copy()
	if err != nil {
		commit(false)
		return nil, fmt.Errorf("start worker: copy the environment data: %w", err)
	}
	commit(true)

	parent, own := newChannel(o.queue)
	parent.fixed, own.fixed = true, true
	w := &Worker{
		name: o.name, grace: o.grace, port: parent, done: make(chan struct{}),
	}
	w.self = &Self{w: w, port: own, data: data.Value, locked: o.locked, environment: environment}
	ctx := context.WithValue(o.ctx, selfKey{}, w.self)
	ctx, w.end = context.WithCancelCause(ctx)
	w.cause = func() error { return context.Cause(ctx) }
	process.add(w)
	w.self.group.Add(1)
	go w.run(ctx, fn)
	return w, nil
}

// run is the goroutine of the worker.
func (w *Worker) run(ctx context.Context, fn Func) {
	defer w.finish()
	if w.self.locked {
		// Never unlocked, so the thread ends with the goroutine, and with whatever the
		// function has made of it.
		runtime.LockOSThread()
	}
	w.mu.Lock()
	w.thread.begin(w.self.locked)
	w.where = goroutine()
	w.mu.Unlock()
	w.record(Event{Type: EventOnline})
	w.self.call(ctx, func(ctx context.Context) error { return fn(ctx, w.self) })
}

// finish runs when the function has ended, by returning, a panic or Goexit.
func (w *Worker) finish() {
	w.self.group.Wait()
	w.end(context.Canceled)
	w.mu.Lock()
	w.thread.finish()
	switch {
	case w.exited != nil:
		w.code = *w.exited
	case w.failed != nil:
		w.code = 1
	}
	code := w.code
	w.mu.Unlock()
	w.self.port.shut()
	process.remove(w)
	w.record(Event{Type: EventExit, Code: code})
}

// fail is the end of one of the worker's goroutines by an error, which ends the
// others.
func (w *Worker) fail(err error) {
	cause := w.cause()
	_, panicked := err.(*PanicError) //nolint:errorlint // made by call, never wrapped
	ended := cause != nil && !panicked && (errors.Is(err, cause) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
	if ended {
		err = cause
	}
	w.mu.Lock()
	if w.failed == nil {
		w.failed = err
	}
	w.mu.Unlock()
	if !ended {
		w.record(Event{Type: EventError, Err: err})
	}
	w.end(err)
}

// ID is the number of the worker: from 1 on, none twice. Node calls it threadId.
func (w *Worker) ID() int { return w.id }

// Name is what WithName said.
func (w *Worker) Name() string { return w.name }

// Port is this end of the channel to the worker. It cannot be transferred.
func (w *Worker) Port() *Port { return w.port }

// Post sends the worker a message: see [Port.Post].
func (w *Worker) Post(v any, transfer ...clone.Transferable) error {
	return w.port.Post(v, transfer...)
}

// Send sends the worker a message and waits for room: see [Port.Send].
func (w *Worker) Send(ctx context.Context, v any, transfer ...clone.Transferable) error {
	return w.port.Send(ctx, v, transfer...)
}

// Receive waits for a message of the worker: see [Port.Receive].
func (w *Worker) Receive(ctx context.Context) (any, error) { return w.port.Receive(ctx) }

// Messages are the messages of the worker until it ends: see [Port.Messages].
func (w *Worker) Messages(ctx context.Context) iter.Seq2[any, error] { return messages(ctx, w) }

// Done is closed when the worker has ended.
func (w *Worker) Done() <-chan struct{} { return w.done }

// ExitCode is the worker's exit code, and whether it has ended.
func (w *Worker) ExitCode() (int, bool) {
	select {
	case <-w.done:
		return w.code, true
	default:
		return 0, false
	}
}

// Wait waits for the end of the worker.
//
// Errors: *ExitError if its code is not 0, and the cause of ctx when that ends.
func (w *Worker) Wait(ctx context.Context) error {
	select {
	case <-w.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if w.code == 0 {
		return nil
	}
	return &ExitError{Worker: w.id, Name: w.name, Code: w.code, Err: w.failed}
}

// Terminate ends the context of the worker and waits until it has ended. Nothing
// can end a function of Go from outside: one that does not watch its context goes
// on, and Terminate says so after the grace time. Should it end later, that is an
// exit as any other.
//
// A worker that returns nil then has exit code 0, one that returns the error of
// its context 1, and no error event.
//
// Errors: *StuckError, and the cause of ctx when that ends.
func (w *Worker) Terminate(ctx context.Context) error {
	w.end(ErrTerminated)
	grace := time.NewTimer(w.grace)
	defer grace.Stop()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-grace.C:
	}
	w.mu.Lock()
	where := w.where
	w.mu.Unlock()
	return &StuckError{Worker: w.id, Name: w.name, Grace: w.grace, Stack: stackOf(where)}
}

// Usage is what the worker's thread has used.
//
// Errors: ErrNotLocked, and errors.ErrUnsupported where threads cannot be told apart.
func (w *Worker) Usage() (Usage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.thread.usage()
}

// Unref has WaitAll not wait for the worker.
func (w *Worker) Unref() { process.setRef(w, false) }

// Ref undoes Unref.
func (w *Worker) Ref() { process.setRef(w, true) }

// goroutine is how the caller is called in a dump of all stacks: "goroutine 12 [".
func goroutine() []byte {
	var text [64]byte
	head := text[:runtime.Stack(text[:], false)]
	if i := bytes.IndexByte(head, '['); i >= 0 {
		return bytes.Clone(head[:i+1])
	}
	return nil
}

// stackOf is the stack of a goroutine out of a dump of all.
func stackOf(where []byte) []byte {
	if where == nil {
		return nil
	}
	for size := 1 << 16; size <= 1<<24; size *= 4 {
		all := make([]byte, size)
		n := runtime.Stack(all, true)
		for one := range bytes.SplitSeq(all[:n], []byte("\n\n")) {
			if bytes.HasPrefix(one, where) {
				return bytes.Clone(one)
			}
		}
		if n < size {
			return nil
		}
	}
	return nil
}

// Self is the worker seen from inside: what its function is given. All methods
// may be called concurrently.
type Self struct {
	w           *Worker
	port        *Port
	data        any
	locked      bool
	environment *environment
	group       sync.WaitGroup // the function, and what Go started
}

type selfKey struct{}

// FromContext is the worker that ctx belongs to, nil if none: in the main thread.
func FromContext(ctx context.Context) *Self {
	s, _ := ctx.Value(selfKey{}).(*Self)
	return s
}

// IsMainThread says whether ctx belongs to no worker.
func IsMainThread(ctx context.Context) bool { return FromContext(ctx) == nil }

// ThreadID is the id of the worker that ctx belongs to, 0 if none.
func ThreadID(ctx context.Context) int {
	if s := FromContext(ctx); s != nil {
		return s.ID()
	}
	return 0
}

// ID is the number of the worker.
func (s *Self) ID() int { return s.w.id }

// Name is what WithName said.
func (s *Self) Name() string { return s.w.name }

// Data is the worker's own copy of what WithData gave it: workerData.
func (s *Self) Data() any { return s.data }

// Parent is the worker's end of the channel to the one who started it: parentPort.
// It cannot be transferred.
func (s *Self) Parent() *Port { return s.port }

// Post sends the parent a message: see [Port.Post].
func (s *Self) Post(v any, transfer ...clone.Transferable) error {
	return s.port.Post(v, transfer...)
}

// Send sends the parent a message and waits for room: see [Port.Send].
func (s *Self) Send(ctx context.Context, v any, transfer ...clone.Transferable) error {
	return s.port.Send(ctx, v, transfer...)
}

// Receive waits for a message of the parent: see [Port.Receive].
func (s *Self) Receive(ctx context.Context) (any, error) { return s.port.Receive(ctx) }

// Messages are the messages of the parent: see [Port.Messages].
func (s *Self) Messages(ctx context.Context) iter.Seq2[any, error] { return messages(ctx, s) }

// Usage is what the worker's thread has used; see [Worker.Usage].
func (s *Self) Usage() (Usage, error) { return s.w.Usage() }

// Go starts a goroutine of this worker with the worker's context, in which a
// panic or an error is the end of this worker, as in its function. A panic in a
// goroutine that a go statement started is the end of the whole program: nothing
// can catch it from outside. The worker ends when all have.
//
// It is for the worker's own goroutines to call.
func (s *Self) Go(ctx context.Context, fn func(ctx context.Context) error) {
	s.group.Add(1)
	go s.call(ctx, fn)
}

// call runs one of the worker's goroutines to its end.
func (s *Self) call(ctx context.Context, fn func(ctx context.Context) error) {
	defer s.group.Done()
	defer func() {
		if v := recover(); v != nil {
			s.w.fail(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	if err := fn(ctx); err != nil {
		s.w.fail(err)
	}
}

// Exit ends the worker with that code: the calling goroutine at once, running
// what it has deferred, the others by their context. It is for the worker's own
// goroutines; the first call counts.
func (s *Self) Exit(code int) {
	s.w.mu.Lock()
	if s.w.exited == nil {
		s.w.exited = &code
	}
	s.w.mu.Unlock()
	s.w.end(context.Canceled)
	runtime.Goexit()
}
