// Package engine is a worker whose code is not Go: what worker/wasm and worker/js
// have in common. Messages cross as bytes, in a queue for each direction that has a
// bound in bytes, so that a guest that posts without end costs its host no more than
// that; the rest is a worker of package worker.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"paceline/worker"
)

// DefaultQueueBytes is Options.QueueBytes where it is zero.
const DefaultQueueBytes = 4 << 20

// Codec turns messages into bytes and back. It is used concurrently.
type Codec interface {
	Encode(v any) ([]byte, error)
	Decode(payload []byte) (any, error)
}

// Options are those of a Worker.
type Options struct {
	Codec Codec
	// QueueBytes is how many bytes of messages wait at most in each direction, and so
	// the size of the largest message. Zero means DefaultQueueBytes.
	QueueBytes int
	// Context ends the worker, as Terminate does. Nil means none.
	Context context.Context
	// Name is for errors; it may be empty.
	Name string
	// Grace is how long Terminate waits. Zero means worker.DefaultGrace.
	Grace time.Duration
}

// Func runs an engine until its guest ends or ctx does. Its error is the worker's
// error event, unless ctx has ended and it is its cause.
type Func func(ctx context.Context, g *Guest) error

// Worker is the handle of the one who started it. All methods may be called
// concurrently.
type Worker struct {
	w       *worker.Worker
	codec   Codec
	in, out *queue // to the guest, from it
}

// Start starts a worker that runs fn.
func Start(fn Func, o Options) (*Worker, error) {
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.QueueBytes < 0 || o.Grace < 0 {
		return nil, fmt.Errorf("start worker: a queue of %d bytes and a grace time of %v: they must be positive", o.QueueBytes, o.Grace)
	}
	w := &Worker{codec: o.Codec, in: &queue{limit: o.QueueBytes}, out: &queue{limit: o.QueueBytes}}
	options := []worker.Option{worker.WithName(o.Name)}
	if o.Context != nil {
		options = append(options, worker.WithContext(o.Context))
	}
	if o.Grace > 0 {
		options = append(options, worker.WithGrace(o.Grace))
	}
	var err error
	w.w, err = worker.New(func(ctx context.Context, self *worker.Self) error {
		defer w.out.close(false)
		defer w.in.close(true)
		return fn(ctx, &Guest{self: self, in: w.in, out: w.out})
	}, options...)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// ID is the number of the worker among all of the process: Node calls it threadId.
func (w *Worker) ID() int { return w.w.ID() }

// Name is what Options.Name said.
func (w *Worker) Name() string { return w.w.Name() }

// Post sends the worker a message and never waits.
//
// Errors: worker.ErrQueueFull, worker.ErrClosed after the worker's end or CloseInput,
// *SizeError, and what the codec says of a value that it cannot write.
func (w *Worker) Post(v any) error {
	payload, err := w.codec.Encode(v)
	if err != nil {
		return err
	}
	_, err = w.in.push(payload)
	return err
}

// Send is Post that waits for room.
//
// Errors: those of Post but ErrQueueFull, and the cause of ctx.
func (w *Worker) Send(ctx context.Context, v any) error {
	payload, err := w.codec.Encode(v)
	if err != nil {
		return err
	}
	return w.in.send(ctx, payload)
}

// CloseInput says that no more messages come. The worker still gets those that wait.
func (w *Worker) CloseInput() { w.in.close(false) }

// Receive waits for a message of the worker.
//
// Errors: worker.ErrClosed once the worker has ended and there is none left, the
// cause of ctx, and *worker.MessageError if a message cannot be read.
func (w *Worker) Receive(ctx context.Context) (any, error) {
	payload, err := w.out.receive(ctx)
	if err != nil {
		return nil, err
	}
	v, err := w.codec.Decode(payload)
	if err != nil {
		return nil, &worker.MessageError{Value: payload, Err: err}
	}
	return v, nil
}

// Messages are the messages of the worker until it ends, or with an error until ctx
// does. One that cannot be read is an error too, and not the last.
func (w *Worker) Messages(ctx context.Context) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for {
			v, err := w.Receive(ctx)
			if errors.Is(err, worker.ErrClosed) {
				return
			}
			_, unread := errors.AsType[*worker.MessageError](err)
			if !yield(v, err) || err != nil && !unread {
				return
			}
		}
	}
}

// Events are the worker's events: see [worker.Worker.Events].
func (w *Worker) Events(ctx context.Context) iter.Seq[worker.Event] { return w.w.Events(ctx) }

// Once is the first event of that type: see [worker.Worker.Once].
func (w *Worker) Once(ctx context.Context, t worker.EventType) (worker.Event, error) {
	return w.w.Once(ctx, t)
}

// Done is closed when the worker has ended.
func (w *Worker) Done() <-chan struct{} { return w.w.Done() }

// ExitCode is the worker's exit code, and whether it has ended.
func (w *Worker) ExitCode() (int, bool) { return w.w.ExitCode() }

// Wait waits for the end of the worker. Messages that it has sent can still be
// received afterwards.
//
// Errors: *worker.ExitError if its code is not 0, and the cause of ctx.
func (w *Worker) Wait(ctx context.Context) error { return w.w.Wait(ctx) }

// Terminate ends the worker and waits until it has ended, whatever its code does, as
// far as the engine can: see the engine's package.
//
// Errors: *worker.StuckError after the grace time, and the cause of ctx.
func (w *Worker) Terminate(ctx context.Context) error { return w.w.Terminate(ctx) }

// Guest is the worker seen from inside, for the engine. All methods may be called
// concurrently.
type Guest struct {
	self    *worker.Self
	in, out *queue
}

// Self is the worker of package worker beneath.
func (g *Guest) Self() *worker.Self { return g.self }

// Receive waits for a message of the parent. The error is worker.ErrClosed when no
// more come, or the cause of ctx.
func (g *Guest) Receive(ctx context.Context) ([]byte, error) { return g.in.receive(ctx) }

// Post sends the parent a message, which takes payload, and never waits.
//
// Errors: worker.ErrQueueFull and *SizeError.
func (g *Guest) Post(payload []byte) error {
	_, err := g.out.push(payload)
	return err
}

// Send is Post that waits for room, or for the end of ctx.
func (g *Guest) Send(ctx context.Context, payload []byte) error { return g.out.send(ctx, payload) }
