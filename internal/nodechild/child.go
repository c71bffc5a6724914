//go:build unix

package nodechild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// Child is our end of the channel. Its methods may be called from any goroutine.
type Child struct {
	o    Options
	conn *net.UnixConn
	out  outbox
	done chan struct{} // closed when the channel is gone

	mu      sync.Mutex // guards what follows
	seq     int64
	asked   map[int64]chan answer // queries and the like that wait, by our number; nil: nobody does any more
	sources map[string]*Source
	closed  bool
}

// answer is what the primary replied, with the descriptor that came with it or -1.
type answer struct {
	message
	fd int
}

// Attach starts to speak on the channel. The error says that the file is no channel; that
// nobody is at its other end any more is an Event.
func Attach(o Options) (*Child, error) {
	conn, err := net.FileConn(o.File)
	err = errors.Join(err, o.File.Close())
	if err != nil {
		return nil, fmt.Errorf("attach to the primary's channel: %w", err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("attach to the primary's channel: not a unix socket"), conn.Close())
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to the primary's channel: %w", err), u.Close())
	}
	c := &Child{
		o: o, conn: u, out: outbox{conn: u, raw: raw}, done: make(chan struct{}),
		asked: map[int64]chan answer{}, sources: map[string]*Source{},
	}
	if o.Cluster {
		_ = c.tell("online", "") // if the primary is gone already, reading says so
	}
	go c.read()
	return c, nil
}

// Done is closed when the channel is gone.
func (c *Child) Done() <-chan struct{} { return c.done }

// Send sends one JSON value, which the primary's program receives as a message. It does
// not wait. Errors: ErrClosed, ErrBusy, or that it is not JSON.
func (c *Child) Send(value []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil { // also takes newlines out
		return fmt.Errorf("send message: %w", err)
	}
	b.WriteByte('\n')
	if err := c.out.write(b.Bytes(), true); err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}

// Query asks the primary for an address. Errors: a syscall.Errno as the primary's bind
// or listen gave it, ErrClosed, or that of ctx.
func (c *Child) Query(ctx context.Context, r Request) (Grant, error) {
	a, err := c.ask(ctx.Done(), "queryServer", r.query())
	if errors.Is(err, errGivenUp) {
		return Grant{}, ctx.Err()
	}
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Key: a.key, Addr: a.addr}
	switch {
	case a.errno != 0:
		return Grant{}, syscall.Errno(a.errno)
	case a.fd >= 0:
		g.Handle = os.NewFile(uintptr(a.fd), "listener")
	default:
		if g.Source = c.source(a.key); g.Source == nil {
			return Grant{}, ErrClosed
		}
	}
	return g, nil
}

// Listening tells the primary that the program listens on what it was granted.
func (c *Child) Listening(r Request, port int) error { return c.tell("listening", r.members(port)) }

// Closed tells the primary that a listener is closed.
func (c *Child) Closed(key string) error { return c.tell("close", keyMember(key)) }

// Leave tells the primary that the end that follows is the program's own wish, and waits
// until it knows, or the channel is gone.
func (c *Child) Leave() error {
	_, err := c.ask(nil, "exitedAfterDisconnect", "")
	return err
}

// Close ends the channel when all that was sent is written. The primary's messages still
// come until it closes its end, which Done tells.
func (c *Child) Close() { c.out.close() }

// Flush waits until all that was sent is written.
func (c *Child) Flush(ctx context.Context) error {
	select {
	case <-c.out.flushed():
		return nil
	case <-c.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell sends a message that has no answer.
func (c *Child) tell(act, more string) error {
	c.mu.Lock()
	defer c.mu.Unlock() // so that numbers and lines are in the same order
	c.seq++
	return c.out.write(clusterLine(act, more, c.seq), false)
}

var errGivenUp = errors.New("given up")

// ask sends a message and waits for its answer, whose descriptor is the caller's.
func (c *Child) ask(giveUp <-chan struct{}, act, more string) (answer, error) {
	reply := make(chan answer, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return answer{}, ErrClosed
	}
	c.seq++
	seq := c.seq
	c.asked[seq] = reply
	err := c.out.write(clusterLine(act, more, seq), false)
	c.mu.Unlock()
	var a answer
	if err == nil {
		select {
		case a = <-reply:
			return a, nil
		case <-c.done:
			err = ErrClosed
		case <-giveUp:
			err = errGivenUp
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a = <-reply: // it came in between
		return a, nil
	default:
		c.asked[seq] = nil
		return answer{}, err
	}
}

// source makes the queue for connections of a key; nil if the channel is gone.
func (c *Child) source(key string) *Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	s := c.sources[key]
	if s == nil {
		s = newSource(c, key)
		c.sources[key] = s
	}
	return s
}

func (c *Child) dropSource(s *Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sources[s.key] == s {
		delete(c.sources, s.key)
	}
}

// acknowledge is our word on a connection.
func (c *Child) acknowledge(seq int64, accepted bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	return c.out.write(ackLine(seq, accepted, c.seq), false)
}
