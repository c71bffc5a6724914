package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// maxInboxBytes bounds what is kept for a program that does not read its messages.
const maxInboxBytes = 16 << 20

// inbox holds messages until somebody reads them.
type inbox struct {
	more chan struct{} // has a token when something was added

	mu     sync.Mutex // guards what follows
	queue  []json.RawMessage
	bytes  int
	closed chan struct{}
	done   bool
}

func (b *inbox) init() {
	b.more = make(chan struct{}, 1)
	b.closed = make(chan struct{})
}

func (b *inbox) add(m json.RawMessage) {
	b.mu.Lock()
	b.queue = append(b.queue, m)
	b.bytes += len(m)
	for b.bytes > maxInboxBytes && len(b.queue) > 1 {
		b.take()
	}
	b.mu.Unlock()
	b.wake()
}

func (b *inbox) wake() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// take removes the oldest message; the caller holds mu.
func (b *inbox) take() json.RawMessage {
	m := b.queue[0]
	b.queue[0] = nil
	b.queue = b.queue[1:]
	b.bytes -= len(m)
	return m
}

// close has readers end when they have read what there is.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.done = true
		close(b.closed)
	}
}

// next returns the oldest message, and waits for one. It is false when ctx ends or no
// more can come.
func (b *inbox) next(ctx context.Context) (json.RawMessage, bool) {
	for ctx.Err() == nil {
		b.mu.Lock()
		done := b.done
		if len(b.queue) > 0 {
			m := b.take()
			if len(b.queue) > 0 {
				b.wake() // for another reader
			}
			b.mu.Unlock()
			return m, true
		}
		b.mu.Unlock()
		if done {
			return nil, false
		}
		select {
		case <-b.more:
		case <-b.closed:
		case <-ctx.Done():
		}
	}
	return nil, false
}

// drainNotice says that a worker is about to be replaced, and how long its idle
// connections may stay.
type drainNotice struct {
	begun chan struct{} // closed when it is
	rush  chan struct{} // closed when there is no more time

	first, last sync.Once
	grace       time.Duration // once begun: what the primary says, 0 if nothing
}

func newDrainNotice() *drainNotice {
	return &drainNotice{begun: make(chan struct{}), rush: make(chan struct{})}
}

func (d *drainNotice) begin(grace time.Duration) {
	d.first.Do(func() {
		d.grace = grace
		close(d.begun)
	})
}

// hurry ends the grace.
func (d *drainNotice) hurry() { d.last.Do(func() { close(d.rush) }) }
