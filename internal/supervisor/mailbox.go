package supervisor

import "sync"

// mailbox takes messages from any goroutine without ever making it wait. It is
// unbounded: what fills it are a process's few facts and commands of users.
type mailbox struct {
	mu     sync.Mutex // guards queue and closed
	queue  []message
	closed bool
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

// take removes and returns all messages.
func (b *mailbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue
	b.queue = nil
	return q
}
