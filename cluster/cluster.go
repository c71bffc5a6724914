package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"paceline/internal/nodechild"
	"paceline/internal/nodeipc"
)

// Errors that callers branch on.
var (
	// ErrNoPrimary says that there is nobody to send to: the process has no channel.
	ErrNoPrimary = errors.New("no primary: the process was started without a channel")
	// ErrClosed says that the other end of the channel is gone.
	ErrClosed = errors.New("channel is closed")
	// ErrBusy says that the other end has not read what it was sent before, and that no
	// more is kept for it (4 MiB).
	ErrBusy = errors.New("the other end does not read its channel")
	// ErrTooLarge says that a message does not fit the channel's buffer. A worker may send
	// messages of any length up to 16 MiB, a primary on Linux some 200 KiB.
	ErrTooLarge = errors.New("message is too large for the channel")
	// ErrWorker says that a worker cannot be a primary.
	ErrWorker = errors.New("this process is a worker")
	// ErrDisconnected is the cause of Context when the primary, or Disconnect, has asked
	// the worker to finish what it has.
	ErrDisconnected = errors.New("worker is being disconnected")
	// ErrPrimaryGone is the cause of Context when the primary has ended.
	ErrPrimaryGone = errors.New("primary is gone")
	// ErrShutdown is the cause of Context when the message "shutdown" has come, as
	// `pace start --shutdown-with-message` sends it.
	ErrShutdown = errors.New("shutdown message received")
)

// SignalError is the cause of Context when a stop signal has come.
type SignalError struct{ Signal os.Signal }

// Error says which signal it was.
func (e SignalError) Error() string { return "received " + e.Signal.String() }

// IsWorker reports whether the process is a worker: of a Primary, of Node's cluster
// module, or of Paceline with `pace start -i`. It may be called at any time.
func IsWorker() bool { return self().worker }

// IsPrimary reports whether the process is no worker, as in Node also when it never forks.
func IsPrimary() bool { return !IsWorker() }

// ID returns the worker's number, from 1 on, which no other worker of the same primary
// ever has; 0 in a primary.
func ID() int { return self().id }

// Index returns which of its primary's places the worker has, from 0 on: its successor has
// the same. It is 0 where nobody has given it one.
func Index() int { return self().index }

// Send sends a value, which is marshalled as JSON, to the primary: its program, or
// Paceline, whose events show it. It does not wait until the message is read. Errors:
// ErrNoPrimary, ErrClosed, ErrBusy, or that it cannot be marshalled.
func Send(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send to primary: %w", err)
	}
	p := self()
	if p.child == nil {
		return fmt.Errorf("send to primary: %w", p.noChannel())
	}
	return wrap("send to primary", p.child.Send(data))
}

// Ready tells the primary that the worker can do its work, for those that wait for it:
// Options.WaitReady, `pace start --wait-ready`. Who listens need not say it. Where nobody
// is to be told it does nothing. Errors: ErrClosed, ErrBusy.
func Ready() error {
	if self().child == nil {
		return nil
	}
	return Send("ready")
}

// Messages yields what the primary sends, until ctx ends or the primary is gone, in which
// case what has come before is still yielded. What comes while nobody reads is kept, up to
// 16 MiB, then the oldest are dropped. Each message is yielded once, so that several
// readers share them. Without a primary it ends at once.
func Messages(ctx context.Context) iter.Seq[json.RawMessage] {
	p := self()
	return func(yield func(json.RawMessage) bool) {
		for {
			m, ok := p.inbox.next(ctx)
			if !ok || !yield(m) {
				return
			}
		}
	}
}

// Context returns the notice that the process is to end; context.Cause says why:
// ErrDisconnected, ErrPrimaryGone, ErrShutdown, or a SignalError. From the first call on
// SIGINT and SIGTERM end it instead of the process; the second of them ends the process, as
// if nobody had ever asked.
func Context() context.Context {
	p := self()
	p.signals()
	return p.ctx
}

// Disconnect is the worker's own wish to leave: it closes its listeners, waits until
// their connections have ended, tells the primary that this is no failure, and closes the
// channel. It waits for all that, until ctx ends, whose error it then returns. The process
// itself ends when its main function does. In a primary it does nothing.
func Disconnect(ctx context.Context) error {
	p := self()
	if !p.worker || p.child == nil {
		return nil
	}
	p.leave(ErrDisconnected, true)
	select {
	case <-p.left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("disconnect from primary: %w", context.Cause(ctx))
	}
}

// wrap says what was tried, in this package's errors.
func wrap(what string, err error) error {
	for _, known := range []struct{ from, to error }{
		{nodechild.ErrClosed, ErrClosed},
		{nodechild.ErrBusy, ErrBusy},
		{nodeipc.ErrClosed, ErrClosed},
		{nodeipc.ErrBusy, ErrBusy},
		{nodeipc.ErrTooLarge, ErrTooLarge},
	} {
		if errors.Is(err, known.from) {
			return fmt.Errorf("%s: %w", what, known.to)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// process is this process as its primary sees it.
type process struct {
	worker    bool
	own       bool // TCP listeners are its own
	id, index int
	child     *nodechild.Child // nil: no channel
	broken    error            // why there is none, though there should be

	ctx     context.Context
	cancel  context.CancelCauseFunc
	signals func() // has signals end ctx, from the first call on
	inbox   inbox
	drain   *drainNotice
	left    chan struct{} // closed when nothing is left to be done for the primary

	mu        sync.Mutex // guards what follows
	listeners map[leaver]struct{}
	indexes   map[string]map[int]struct{} // in use, by address; see request
	leaving   bool
}

// leaver is a listener of a worker, which drains when the worker is to leave.
type leaver interface {
	leave()                // take no more
	over() <-chan struct{} // closed when nothing is connected any more
}

// channel is what the process was started with.
type channel struct {
	fd        int // -1: none
	id, index int
	mode      string
	own       bool // TCP listeners are to be the process's own: they are shared all the same
}

// inherited is read before main begins, so that no child of the program's own takes the
// channel for its own: Node does the same.
var inherited = takeChannel()

// self is this process; at the first call it takes up the channel.
var self = sync.OnceValue(func() *process { return newProcess(inherited) })

// takeChannel takes the channel out of the environment.
func takeChannel() channel {
	c := channel{fd: -1, mode: os.Getenv("NODE_CHANNEL_SERIALIZATION_MODE"), own: os.Getenv("PACELINE_LISTEN") == "own"}
	if fd, err := strconv.Atoi(os.Getenv("NODE_CHANNEL_FD")); err == nil && fd > 2 {
		c.fd = fd
		closeOnExec(fd)
	}
	if id, err := strconv.Atoi(os.Getenv("NODE_UNIQUE_ID")); err == nil && id > 0 {
		c.id = id
	}
	if index, err := strconv.Atoi(os.Getenv("NODE_APP_INSTANCE")); err == nil && index > 0 {
		c.index = index
	}
	for _, name := range channelVars {
		_ = os.Unsetenv(name) // fails for impossible names only
	}
	return c
}

var channelVars = []string{"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID", "PACELINE_LISTEN"}

func newProcess(c channel) *process {
	p := &process{
		own: c.own, index: c.index, left: make(chan struct{}), drain: newDrainNotice(),
		listeners: map[leaver]struct{}{}, indexes: map[string]map[int]struct{}{},
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.signals = sync.OnceFunc(func() { go p.awaitSignal(stopSignals()) })
	p.inbox.init()
	if c.fd < 0 {
		p.inbox.close()
		return p
	}
	if c.mode == "advanced" {
		p.worker, p.id = c.id > 0, c.id
		p.broken = errors.New(`the primary's channel uses Node's advanced serialisation; set its "serialization" to "json"`)
		p.inbox.close()
		return p
	}
	made := make(chan struct{})
	defer close(made)
	child, err := nodechild.Attach(nodechild.Options{
		File: os.NewFile(uintptr(c.fd), "channel"), Cluster: c.id > 0,
		Event: func(e nodechild.Event) {
			<-made
			p.heard(e)
		},
	})
	if err != nil {
		// The variable was another process's: as if it had not been there.
		p.broken = err
		p.inbox.close()
		return p
	}
	p.child, p.worker, p.id = child, c.id > 0, c.id
	return p
}

// noChannel says why there is nobody to talk to.
func (p *process) noChannel() error {
	if p.broken != nil {
		return fmt.Errorf("%w: %w", ErrNoPrimary, p.broken)
	}
	return ErrNoPrimary
}

// heard acts on what the primary says.
func (p *process) heard(e nodechild.Event) {
	switch e.Kind {
	case nodechild.Message:
		p.inbox.add(e.Message)
		if string(e.Message) == `"shutdown"` {
			p.cancel(ErrShutdown)
		}
	case nodechild.Drain:
		p.drain.begin(e.Grace)
	case nodechild.Disconnect:
		p.leave(ErrDisconnected, false)
	case nodechild.Gone:
		p.inbox.close()
		p.leave(ErrPrimaryGone, false)
	}
}

// leave has the worker finish what it has, and then closes the channel. own: the primary
// is told that it was the worker's wish.
func (p *process) leave(cause error, own bool) {
	p.cancel(cause)
	if !p.worker {
		return // whatever it listens on is its own
	}
	p.mu.Lock()
	if p.leaving {
		p.mu.Unlock()
		return
	}
	p.leaving = true
	var all []leaver
	for l := range p.listeners {
		all = append(all, l)
	}
	p.mu.Unlock()
	for _, l := range all {
		l.leave()
	}
	go func() {
		defer close(p.left)
		for _, l := range all {
			<-l.over()
		}
		if own {
			_ = p.child.Leave() // fails only without a primary
		}
		p.child.Close()
	}()
}

func stopSignals() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	return c
}

// awaitSignal ends the context at the first signal.
func (p *process) awaitSignal(c chan os.Signal) {
	select {
	case s := <-c:
		signal.Stop(c)
		p.cancel(SignalError{s})
	case <-p.ctx.Done():
		// The signal that follows a disconnect still must not cut what is being
		// finished; the one after that may.
		<-c
		signal.Stop(c)
	}
	p.drain.hurry()
}
