package engine

import (
	"context"
	"fmt"
	"sync"

	"paceline/worker"
)

// overhead is what a message costs beside its bytes: so that messages of no bytes
// have a bound as well.
const overhead = 64

// SizeError is a message that is larger than its queue.
type SizeError struct{ Bytes, Limit int }

func (e *SizeError) Error() string {
	return fmt.Sprintf("a message of %d bytes is too large: at most %d (QueueBytes) are taken", e.Bytes, e.Limit)
}

// queue is one direction, bounded in bytes.
type queue struct {
	limit int

	mu      sync.Mutex // guards what follows
	items   [][]byte   // oldest first
	bytes   int        // of items, with their overhead
	closed  bool
	changed chan struct{} // closed at the next change; nil if nobody waits
}

// wait is closed at the next change. The caller has the lock.
func (q *queue) wait() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

func (q *queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// push adds a message, or says why not; if it is full, with what to wait for.
func (q *queue) push(payload []byte) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, worker.ErrClosed
	case len(payload) > q.limit:
		return nil, &SizeError{len(payload), q.limit}
	case len(q.items) > 0 && q.bytes+len(payload)+overhead > q.limit:
		return q.wait(), worker.ErrQueueFull
	}
	q.items = append(q.items, payload)
	q.bytes += len(payload) + overhead
	q.wake()
	return nil, nil
}

func (q *queue) send(ctx context.Context, payload []byte) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wait, err := q.push(payload)
		if wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

func (q *queue) receive(ctx context.Context) ([]byte, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		payload, wait, err := q.pop()
		if wait == nil {
			return payload, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

func (q *queue) pop() ([]byte, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 {
		payload := q.items[0]
		q.items[0] = nil
		q.items = q.items[1:]
		q.bytes -= len(payload) + overhead
		q.wake()
		return payload, nil, nil
	}
	if q.closed {
		return nil, nil, worker.ErrClosed
	}
	return nil, q.wait(), nil
}

// close ends the direction. What waits can still be received unless drop is set.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if drop {
		q.items, q.bytes = nil, 0
	}
	q.wake()
}
