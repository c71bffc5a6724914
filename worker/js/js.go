package js

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"paceline/worker/clone"
	"paceline/worker/engine"
)

const (
	// DefaultMemoryBytes is Options.MemoryBytes where it is zero.
	DefaultMemoryBytes = 64 << 20
	// DefaultMaxWorkers is Options.MaxWorkers where it is zero.
	DefaultMaxWorkers = 64

	minMemoryBytes = 1 << 20
)

// Options are those of a Worker. The zero value is a worker without files,
// environment and output.
type Options struct {
	// Name is the name of the script, which __filename and stacks show as /Name. If it
	// ends in .mjs the script is an ES module; so is any other that has import or
	// export statements. Empty means "worker.js".
	Name string
	// Main makes the script the main thread of its program: isMainThread is true,
	// parentPort and workerData are null, and nothing can be posted to it.
	Main bool
	// Data is workerData.
	Data any
	// Args are process.argv from the third on.
	Args []string
	// Env is process.env, as "key=value". It has nothing of the host's.
	Env []string
	// FS has the files that require, import and new Worker find, by paths from its
	// root. Nil means that there is the script alone.
	FS fs.FS
	// Stdout and Stderr get what console and process.stdout write, a call at a time
	// whichever isolate it is of. They must not block: nothing ends the isolate then.
	// Nil means that it is lost.
	Stdout, Stderr io.Writer

	// MemoryBytes is the most that each isolate may allocate. It is a hard limit: the
	// program gets an error "out of memory", and ends with ERR_WORKER_OUT_OF_MEMORY if
	// it does not catch it. Zero means DefaultMemoryBytes; at least 1 MiB. A Worker's
	// resourceLimits.maxOldGenerationSizeMb can lower it.
	MemoryBytes int64
	// MaxWorkers is how many isolates the program may have beside its first. Zero
	// means DefaultMaxWorkers, negative none.
	MaxWorkers int
	// Timeout is how long the program may run in all. Zero means no limit. It is a
	// cooperative limit: see the package.
	Timeout time.Duration
	// QueueBytes is how many bytes of messages wait at most: to the worker, from it,
	// and together between its isolates. It is the size of the largest message as
	// well. Zero means engine.DefaultQueueBytes. In JavaScript postMessage throws
	// ERR_WORKER_QUEUE_FULL beyond it.
	QueueBytes int
	// Context ends the worker. Nil means none.
	Context context.Context
	// Grace is how long Terminate waits. Zero means worker.DefaultGrace.
	Grace time.Duration
}

// Worker is a JavaScript program, with all its isolates. Its methods are those of
// engine.Worker. Messages of JavaScript are what clone.Unmarshal makes of them, and
// what is posted is written by clone.Marshal.
//
// Its exit code is that of its first isolate. An error that the program does not
// catch is an error event, an *Error, as is the end of its time.
type Worker struct{ *engine.Worker }

// Error is an error that a program has not caught.
type Error struct {
	Name    string // "TypeError"
	Message string
	Stack   string // one "    at ..." line for each frame
	Code    string // as "ERR_WORKER_OUT_OF_MEMORY"; empty if it has none
}

func (e *Error) Error() string { return strings.TrimSuffix(e.head(), "\n") }

// head is the first line of a stack, as V8 writes it.
func (e *Error) head() string {
	if e.Message == "" {
		return e.Name + "\n"
	}
	return e.Name + ": " + e.Message + "\n"
}

// TimeoutError says that a program was ended because its time was over.
type TimeoutError struct{ Limit time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the program was ended: it ran longer than its limit of %v", e.Limit)
}

// Unwrap is context.DeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// New starts a worker that runs a script.
func New(script string, o Options) (*Worker, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("start JavaScript worker: %w", err)
	}
	data, err := clone.Marshal(map[string]any{"workerData": o.Data})
	if err != nil {
		return nil, fmt.Errorf("start JavaScript worker: copy its data: %w", err)
	}
	w, err := engine.Start(func(ctx context.Context, g *engine.Guest) error {
		if o.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, &TimeoutError{o.Timeout})
			defer cancel()
		}
		return run(ctx, g, o, script, data)
	}, engine.Options{Codec: codec{}, QueueBytes: o.QueueBytes, Context: o.Context, Name: o.Name, Grace: o.Grace})
	if err != nil {
		return nil, err
	}
	return &Worker{w}, nil
}

// complete fills in defaults.
func (o *Options) complete() error {
	if o.Name == "" {
		o.Name = "worker.js"
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = DefaultMemoryBytes
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = engine.DefaultQueueBytes
	}
	switch {
	case o.MaxWorkers == 0:
		o.MaxWorkers = DefaultMaxWorkers
	case o.MaxWorkers < 0:
		o.MaxWorkers = 0
	}
	switch {
	case o.MemoryBytes < minMemoryBytes:
		return fmt.Errorf("a memory limit of %d bytes: it must be 1 MiB at least", o.MemoryBytes)
	case o.Timeout < 0:
		return fmt.Errorf("a timeout of %v: it must be positive", o.Timeout)
	case o.Main && o.Data != nil:
		return fmt.Errorf("data for a main thread: it has no workerData")
	}
	return nil
}

// run is the program: its first isolate.
func run(ctx context.Context, g *engine.Guest, o Options, script string, data []byte) error {
	file := path.Join("/", o.Name)
	p := &program{options: o, guest: g, file: file, script: script, channels: map[string][]*endpoint{}, isolates: 1}
	i := &isolate{
		program: p, main: o.Main, memory: o.MemoryBytes, env: pairs(o.Env), argv: append([]string{file}, o.Args...), began: time.Now(),
		ports: map[int]*endpoint{}, workers: map[int]*isolate{}, ready: make(chan struct{}, 1),
	}
	i.ctx, i.end = context.WithCancel(ctx)
	var own *endpoint
	var startup *message
	if !o.Main {
		i.thread = 1
		own = &endpoint{taken: make(chan struct{}, 1)}
		own.peer = &endpoint{peer: own, outside: true}
		i.adopt(own)
		startup = &message{payload: data}
	}
	p.threads = i.thread
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		if own != nil {
			p.pump(i.ctx, own)
		}
	}()
	code := i.run(file, startup)
	<-pumped
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case i.failure != nil:
		return i.failure
	case code != 0:
		g.Self().Exit(code)
	}
	return nil
}

// codec is the form of V8.
type codec struct{}

// Encode is clone.Marshal.
func (codec) Encode(v any) ([]byte, error) { return clone.Marshal(v) }

// Decode is clone.Unmarshal.
func (codec) Decode(b []byte) (any, error) { return clone.Unmarshal(b) }
