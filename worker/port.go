package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"paceline/worker/clone"
)

// DefaultQueue is how many messages wait in each direction of a channel at most,
// unless WithQueue says otherwise.
const DefaultQueue = 1024

// What calls on ports return, apart from [*clone.Error] for what cannot be copied.
var (
	ErrClosed    = errors.New("port is closed")
	ErrQueueFull = errors.New("queue of the port is full: the receiver is behind")
	ErrDetached  = clone.ErrDetached
)

// Receiver is what messages come from: a [Port], a [Worker], a [Self] or a
// [BroadcastChannel].
type Receiver interface {
	Receive(ctx context.Context) (any, error)
}

// Port is one end of a channel of messages, as MessagePort of Node. Messages come
// out of the other end in the order in which they went in; each is a structured
// clone of what was sent.
//
// A port can be given away through another: it is a [clone.Transferable]. Its
// queue goes with it and this handle is detached: calls return ErrDetached.
//
// All methods may be called concurrently. Of several goroutines that receive from
// one port each message goes to one.
type Port struct {
	in, out *queue
	fixed   bool // a worker's own, which stays where it is
}

// NewMessageChannel returns the two ends of a new channel.
func NewMessageChannel() (*Port, *Port) { return newChannel(DefaultQueue) }

func newChannel(limit int) (*Port, *Port) {
	one, two := &queue{limit: limit}, &queue{limit: limit}
	a, b := &Port{in: one, out: two}, &Port{in: two, out: one}
	one.owner, two.owner = a, b
	return a, b
}

// Post sends a clone of v and does not wait. What is in the transfer list moves
// instead of being copied: the receiver has it then, and the handles here are
// detached. If Post fails nothing has moved.
//
// Errors: ErrQueueFull, ErrClosed, ErrDetached, *clone.Error.
func (p *Port) Post(v any, transfer ...clone.Transferable) error {
	m, commit, err := p.prepare(v, transfer)
	if err != nil {
		return err
	}
	_, err = p.out.reserve()
	return p.deliver(m, commit, err)
}

// deliver adds the message in its reserved place, if err says that it has one.
func (p *Port) deliver(m message, commit func(bool), err error) error {
	// What moves is the receiver's before it can be received.
	commit(err == nil)
	if err == nil {
		p.out.fill(m)
	}
	return err
}

// Send is Post that waits for room in the queue, or until ctx ends.
func (p *Port) Send(ctx context.Context, v any, transfer ...clone.Transferable) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m, commit, err := p.prepare(v, transfer)
	if err != nil {
		return err
	}
	for {
		wait, err := p.out.reserve()
		if wait == nil {
			return p.deliver(m, commit, err)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			commit(false)
			return context.Cause(ctx)
		}
	}
}

// prepare makes the message of a value.
func (p *Port) prepare(v any, transfer []clone.Transferable) (message, func(bool), error) {
	if !p.held() {
		return message{}, nil, ErrDetached
	}
	for _, t := range transfer {
		if o, ok := t.(*Port); ok && (o.in == p.in || o.in == p.out) {
			return message{}, nil, errors.New("a port cannot be transferred through its own channel")
		}
	}
	copied, commit, err := clone.Transfer(v, transfer...)
	if err != nil {
		return message{}, nil, err
	}
	m := message{value: copied.Value}
	for _, t := range copied.Moved {
		if o, ok := t.(*Port); ok {
			m.ports = append(m.ports, o)
		}
	}
	return m, commit, nil
}

// held says whether the port is this handle's.
func (p *Port) held() bool {
	p.in.mu.Lock()
	defer p.in.mu.Unlock()
	return p.in.owner == p && !p.in.moving
}

// Receive waits for the next message. The value is the caller's own.
//
// Errors: ErrClosed when the channel is closed and all that was sent before has
// been received, ErrDetached, and the cause of ctx when that ends.
func (p *Port) Receive(ctx context.Context) (any, error) { return p.in.receive(ctx, p) }

// TryReceive is the next message if there is one: receiveMessageOnPort of Node.
func (p *Port) TryReceive() (any, bool) {
	v, wait, err := p.in.pop(p)
	return v, wait == nil && err == nil
}

// Messages are the messages as they come, until the channel is closed. If it ends
// otherwise, as by ctx, the last pair holds the error.
func (p *Port) Messages(ctx context.Context) iter.Seq2[any, error] { return messages(ctx, p) }

func messages(ctx context.Context, r Receiver) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for {
			v, err := r.Receive(ctx)
			if errors.Is(err, ErrClosed) {
				return
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Len is the number of messages that wait to be received.
func (p *Port) Len() int { return p.in.len() }

// Close closes the channel. The other end can still receive what was sent before;
// what waits at this end is dropped. Closing it again does nothing.
//
// Errors: ErrDetached.
func (p *Port) Close() error {
	if !p.held() {
		return ErrDetached
	}
	p.shut()
	return nil
}

func (p *Port) shut() {
	p.in.close(true)
	p.out.close(false)
}

// BeginTransfer implements [clone.Transferable].
func (p *Port) BeginTransfer() (any, func(bool), error) {
	if p.fixed {
		return nil, nil, errors.New("the port between a worker and its parent cannot be transferred")
	}
	q := p.in
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.owner != p || q.moving {
		return nil, nil, ErrDetached
	}
	q.moving = true
	moved := &Port{in: p.in, out: p.out}
	return moved, func(delivered bool) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.moving = false
		if delivered {
			q.owner = moved
			q.wake()
		}
	}, nil
}

// MessageError is a message that has been received and is not of the type that
// the receiver asked for.
type MessageError struct {
	Value any   // the message
	Err   error // what does not fit
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("message is not what is expected: %v", e.Err)
}

// Unwrap is what does not fit.
func (e *MessageError) Unwrap() error { return e.Err }

// Receive is the next message as a T: a value of that type as it is, any other as
// [clone.As] makes it one, such as a struct of the object that JavaScript sent.
//
// Errors: those of r.Receive, and *MessageError, of which a worker has an event.
func Receive[T any](ctx context.Context, r Receiver) (T, error) {
	var none T
	v, err := r.Receive(ctx)
	if err != nil {
		return none, err
	}
	t, err := clone.As[T](v)
	if err == nil {
		return t, nil
	}
	wrong := &MessageError{Value: v, Err: err}
	if w, ok := r.(interface{ NoteMessageError(err *MessageError) }); ok {
		w.NoteMessageError(wrong)
	}
	return none, wrong
}
