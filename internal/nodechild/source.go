//go:build unix

package nodechild

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// Source has the connections to one address that the primary accepts and hands over.
type Source struct {
	c   *Child
	key string

	mu     sync.Mutex // guards what follows
	more   sync.Cond  // something of it has changed
	queue  []handed
	closed bool
}

// handed is a connection that the program has not taken yet.
type handed struct {
	fd  int
	seq int64
}

func newSource(c *Child, key string) *Source {
	s := &Source{c: c, key: key}
	s.more.L = &s.mu
	return s
}

// Accept waits for a connection and tells the primary that it is taken. The error is
// net.ErrClosed after Close or when the channel is gone, or about one connection, and
// then the next may do.
func (s *Source) Accept() (net.Conn, error) {
	s.mu.Lock()
	for len(s.queue) == 0 && !s.closed {
		s.more.Wait()
	}
	if len(s.queue) == 0 {
		s.mu.Unlock()
		return nil, net.ErrClosed
	}
	h := s.queue[0]
	s.queue = s.queue[1:]
	s.mu.Unlock()

	conn, err := connOf(h.fd)
	// Gone or not, the connection is ours now: whoever has sent it has its copy.
	_ = s.c.acknowledge(h.seq, err == nil)
	return conn, err
}

// connOf turns a descriptor, which it takes over, into a connection.
func connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	conn, err := net.FileConn(f)
	_ = f.Close() // conn has a duplicate
	return conn, err
}

// Close gives back what the program has not taken; Accept ends.
func (s *Source) Close() {
	s.c.dropSource(s)
	s.mu.Lock()
	rest := s.queue
	s.queue, s.closed = nil, true
	s.more.Broadcast()
	s.mu.Unlock()
	for _, h := range rest {
		s.refuse(h)
	}
}

func (s *Source) refuse(h handed) {
	// Before the primary hands its copy on: ours must not keep the connection open.
	_ = syscall.Close(h.fd)
	_ = s.c.acknowledge(h.seq, false)
}

// add queues a connection, or gives it back at once.
func (s *Source) add(h handed) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.refuse(h)
		return
	}
	s.queue = append(s.queue, h)
	s.more.Signal()
	s.mu.Unlock()
}
