package supervisor

import "sync"

// mailbox takes messages from any goroutine without ever making it wait. It is
// unbounded: what fills it are a process's few facts and commands of users.
type mailbox struct {
	mu     sync.Mutex // guards queue, closed and taken
	queue  []message
	closed bool
	taken  bool          // what take returned is being acted on
	signal chan struct{} // holds one token while queue may hold something
}

func newMailbox() *mailbox { return &mailbox{signal: make(chan struct{}, 1)} }

// put adds a message. False: nobody will read it any more.
func (b *mailbox) put(m message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.queue = append(b.queue, m)
	select {
	case b.signal <- struct{}{}:
	default:
	}
	return true
}

// close refuses further messages and returns those that are left.
func (b *mailbox) close() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue, b.closed = nil, true
	return q
}

// take removes and returns all messages. acted says that they have been acted on.
func (b *mailbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue, b.taken = nil, true
	return q
}

func (b *mailbox) acted() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = false
}

// quiet reports whether all that was put has been acted on.
func (b *mailbox) quiet() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) == 0 && !b.taken
}
