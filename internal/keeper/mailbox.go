package keeper

import "sync"

// mailbox passes events on to a reader who may be slow, or waiting for a reply
// himself, without ever making the sender wait.
type mailbox struct {
	out  chan Event
	quit chan struct{} // closed when nobody reads any more
	wake chan struct{}

	mu     sync.Mutex // guards queue and closed
	queue  []Event
	closed bool
}

func newMailbox() *mailbox {
	return &mailbox{out: make(chan Event, 64), quit: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (m *mailbox) put(e Event) {
	m.mu.Lock()
	m.queue = append(m.queue, e)
	m.mu.Unlock()
	m.ring()
}

// close makes deliver end when it has delivered what is there.
func (m *mailbox) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.ring()
}

// discard makes deliver end at once. It may be called once.
func (m *mailbox) discard() { close(m.quit) }

func (m *mailbox) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() (queue []Event, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	queue, m.queue = m.queue, nil
	return queue, m.closed
}

// deliver closes out at its end.
func (m *mailbox) deliver() {
	defer close(m.out)
	for {
		select {
		case <-m.wake:
		case <-m.quit:
			return
		}
		queue, closed := m.take()
		for _, e := range queue {
			select {
			case m.out <- e:
			case <-m.quit:
				return
			}
		}
		if closed {
			return
		}
	}
}
