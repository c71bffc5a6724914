package worker

import (
	"context"
	"sync"
)

// message is what a queue holds: a value that belongs to the receiver alone, and
// the ports in it, which are closed if nobody will ever take it out.
type message struct {
	value any
	ports []*Port
}

// drop closes the ports of a message that nobody will receive.
func (m message) drop() {
	for _, p := range m.ports {
		p.shut()
	}
}

// queue is one direction of a channel.
type queue struct {
	limit int

	mu      sync.Mutex // guards what follows
	owner   *Port      // the handle that may receive; another after a transfer
	moving  bool       // a transfer of it has begun
	items   []message  // oldest first, from head on
	head    int
	places  int           // reserved for messages that are about to be added
	closed  bool          // nothing is added any more
	changed chan struct{} // closed at the next change; nil if nobody waits
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) - q.head
}

// wake tells everyone who waits to look again. The caller has the lock.
func (q *queue) wake() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// wait is closed at the next change. The caller has the lock.
func (q *queue) wait() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

// reserve takes a place for a message, or says why not; if the queue is full, with
// a channel that is closed when that may have changed.
func (q *queue) reserve() (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, ErrClosed
	case len(q.items)-q.head+q.places >= q.limit:
		return q.wait(), ErrQueueFull
	}
	q.places++
	return nil, nil
}

// fill adds a message in a place that reserve has taken. If the queue has been
// closed since, it is as one that was closed right after.
func (q *queue) fill(m message) {
	q.mu.Lock()
	q.places--
	closed := q.closed
	if !closed {
		q.add(m)
	}
	q.mu.Unlock()
	if closed {
		m.drop()
	}
}

func (q *queue) add(m message) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, m)
	q.wake()
}

// missed stands in a queue for so many messages that were not added to it.
type missed int

// offer adds a message, or if the queue is full counts it as missed. The count
// has a place in the queue, one beyond its limit.
func (q *queue) offer(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if n := len(q.items); n-q.head >= q.limit {
		if count, ok := q.items[n-1].value.(missed); ok {
			q.items[n-1].value = count + 1
			return
		}
		m = message{value: missed(1)}
	}
	q.add(m)
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// pop takes the oldest message out for the handle p. With neither a message nor
// an error there is none yet, and the channel is closed when there may be.
func (q *queue) pop(p *Port) (any, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.owner != p:
		return nil, nil, ErrDetached
	case q.head < len(q.items):
		m := q.items[q.head]
		q.items[q.head] = message{}
		q.head++
		if q.head == len(q.items) {
			q.items, q.head = q.items[:0], 0
		}
		q.wake()
		return m.value, nil, nil
	case q.closed:
		return nil, nil, ErrClosed
	}
	return nil, q.wait(), nil
}

// receive waits for the oldest message.
func (q *queue) receive(ctx context.Context, p *Port) (any, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		v, wait, err := q.pop(p)
		if wait == nil {
			return v, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

// close ends the direction: nothing is added any more. What is there can still be
// received unless drop is set.
func (q *queue) close(drop bool) {
	q.mu.Lock()
	q.closed = true
	var dropped []message
	if drop {
		dropped = q.items[q.head:]
		q.items, q.head = nil, 0
	}
	q.wake()
	q.mu.Unlock()
	for _, m := range dropped {
		m.drop()
	}
}
