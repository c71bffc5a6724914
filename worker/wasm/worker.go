package wasm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"paceline/worker"
	"paceline/worker/clone"
	"paceline/worker/engine"
)

// Encoding is how the messages to a guest are written. What comes from it may be in
// either: the V8 form begins with the byte 0xff, which no JSON does.
type Encoding int

const (
	// JSON is encoding/json, which every language has. Messages from the guest are
	// what json.Unmarshal makes of them: float64, map[string]any and so on.
	JSON Encoding = iota
	// V8 is the form of worker/clone: cycles, maps, times, bytes and large numbers.
	V8
)

// Options are those of a Worker. The zero value is a guest with no arguments, no
// environment, no files and no time limit.
type Options struct {
	// Args are the guest's arguments. The first is the name of the program.
	Args []string
	// Env is the guest's environment, as "key=value". It has nothing of the host's.
	Env []string
	// FS is what the guest sees as its root, read only. Nil means no files.
	// os.DirFS follows links out of its folder; (*os.Root).FS does not.
	FS fs.FS
	// Stderr gets what the guest writes to its standard error, in whole lines of at
	// most 64 KiB, one for each Write. It must not block: the guest waits for it, and
	// neither its deadline nor Terminate reaches it there. Nil means that only the
	// end is kept, for StderrTail.
	Stderr io.Writer
	// Timeout is how long the guest may run in all, of the wall clock. Zero means no
	// limit. A guest that exceeds it is ended, whatever it does: *TimeoutError.
	Timeout time.Duration

	// Encoding of the messages to the guest. Zero means JSON.
	Encoding Encoding
	// QueueBytes is how many bytes of messages wait at most in each direction, and so
	// the size of the largest. Zero means engine.DefaultQueueBytes. A guest that posts
	// to a full queue waits.
	QueueBytes int
	// Context ends the worker. Nil means none.
	Context context.Context
	// Name is for errors; it may be empty.
	Name string
}

// TimeoutError says that a guest was ended because its time was over.
type TimeoutError struct{ Limit time.Duration }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the guest was ended: it ran longer than its limit of %v", e.Limit)
}

// Unwrap is context.DeadlineExceeded.
func (e *TimeoutError) Unwrap() error { return context.DeadlineExceeded }

// Worker is one instance of a Module. Its methods are those of engine.Worker.
// Terminate ends any guest: there is no code that a worker cannot be ended in.
//
// Its exit code is the guest's. A trap, such as an access outside of its memory or
// a stack that is too deep, output that is no message, and the end of its time are
// error events.
type Worker struct {
	*engine.Worker
	stderr *lines
}

// Start starts a worker that runs the module. Each has a memory of its own, and
// shares nothing with others but the compiled code.
func (m *Module) Start(o Options) (*Worker, error) {
	if o.QueueBytes == 0 {
		o.QueueBytes = engine.DefaultQueueBytes
	}
	if o.Timeout < 0 || o.Encoding < JSON || o.Encoding > V8 {
		return nil, fmt.Errorf("start WebAssembly worker: a timeout of %v and the encoding %d: they are not known", o.Timeout, o.Encoding)
	}
	w := &Worker{stderr: &lines{to: o.Stderr}}
	var err error
	w.Worker, err = engine.Start(func(ctx context.Context, g *engine.Guest) error {
		if o.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, &TimeoutError{o.Timeout})
			defer cancel()
		}
		return m.guest(ctx, g, o, w.stderr)
	}, engine.Options{Codec: codec(o.Encoding), QueueBytes: o.QueueBytes, Context: o.Context, Name: o.Name})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (m *Module) guest(ctx context.Context, g *engine.Guest, o Options, stderr *lines) error {
	// What is wrong with the output ends the guest: it would find no other way.
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	out := newSplitter(o.QueueBytes, func(payload []byte) error { return g.Send(ctx, payload) })
	code, err := m.run(ctx, process{
		args: o.Args, env: o.Env, files: o.FS,
		stdin: &input{ctx: ctx, receive: g.Receive},
		stdout: writer(func(b []byte) (int, error) {
			n, err := out.Write(b)
			if err != nil {
				end(err)
			}
			return n, err
		}),
		stderr: stderr,
	})
	stderr.flush()
	if err == nil {
		err = out.finish()
	}
	if err == nil && code != 0 {
		g.Self().Exit(code)
	}
	return err
}

// StderrTail is the end of what the guest has written to its standard error, at most
// 4 KiB: where a program says why it ends.
func (w *Worker) StderrTail() string { return w.stderr.last() }

type codec Encoding

// Encode writes a message in the guest's encoding.
func (c codec) Encode(v any) ([]byte, error) {
	if Encoding(c) == V8 {
		return clone.Marshal(v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write a message as JSON: %w", err)
	}
	return b, nil
}

// Decode reads a message in either.
func (c codec) Decode(payload []byte) (v any, err error) {
	if len(payload) > 0 && payload[0] == 0xff {
		return clone.Unmarshal(payload)
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return nil, fmt.Errorf("read a message as JSON: %w", err)
	}
	return v, nil
}

type writer func(b []byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// input is a guest's standard input: the messages as frames, and the end when no
// more come.
type input struct {
	ctx     context.Context
	receive func(context.Context) ([]byte, error)
	rest    []byte
}

func (in *input) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(in.rest) == 0 {
		payload, err := in.receive(in.ctx)
		if err != nil {
			return 0, io.EOF // when ctx is done the guest has no time to look at it
		}
		in.rest = frame(payload)
	}
	n := copy(b, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

const (
	maxLine   = 64 << 10
	tailBytes = 4 << 10
)

// lines is a guest's standard error.
type lines struct {
	to io.Writer

	mu   sync.Mutex // guards what follows
	line []byte     // the one that has no end yet
	tail []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, b[max(0, len(b)-tailBytes):]...)
	if len(l.tail) > tailBytes {
		l.tail = append(l.tail[:0], l.tail[len(l.tail)-tailBytes:]...)
	}
	if l.to == nil {
		return len(b), nil
	}
	for rest := b; len(rest) > 0; {
		take, end := len(rest), false
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			take, end = i+1, true
		}
		if room := maxLine - len(l.line); take > room {
			take, end = room, true
		}
		l.line, rest = append(l.line, rest[:take]...), rest[take:]
		if end || len(l.line) == maxLine {
			if err := l.write(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

// write passes the line on. The caller has the lock.
func (l *lines) write() error {
	line := l.line
	l.line = l.line[:0]
	_, err := l.to.Write(line)
	return err
}

// flush passes on what has no end and will get none.
func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		_ = l.write() // the guest, who would be told, is gone
	}
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.tail)
}

var _ worker.Receiver = (*Worker)(nil)
