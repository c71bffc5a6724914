package cluster

import (
	"errors"
	"net"
	"sync"

	"paceline/internal/nodechild"
)

// share is a worker's part in an address, from the primary's grant to the end of the
// last connection.
type share struct {
	p   *process
	req nodechild.Request
	key string

	ended chan struct{} // closed when nothing is connected any more and nothing comes

	mu      sync.Mutex // guards what follows
	open    int        // connections, and calls of accept that may still return one
	leaving bool       // nothing new is wanted
}

func (s *share) init(p *process, req nodechild.Request, key string) {
	s.p, s.req, s.key, s.ended = p, req, key, make(chan struct{})
}

func (s *share) over() <-chan struct{} { return s.ended }

// enter counts something that must end before the share is over; false if it is to end.
func (s *share) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.open++
	return true
}

// exit is the end of what enter counted.
func (s *share) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.check()
}

// stop begins the end: it is true for the first caller, who has to close the socket.
func (s *share) stop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return false
	}
	s.leaving = true
	s.check()
	return true
}

// isLeaving reports whether nothing new is wanted.
func (s *share) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// check closes ended when all is; the caller holds mu.
func (s *share) check() {
	if s.leaving && s.open == 0 {
		select {
		case <-s.ended:
		default:
			close(s.ended)
		}
	}
}

// listener is a worker's listener: its connections come from a socket that it shares
// (inner), or from the primary (source).
type listener struct {
	share
	inner  net.Listener
	source *nodechild.Source
	addr   net.Addr

	closing sync.Once
	closed  chan struct{} // closed by Close
}

// Addr is what the listener is bound to.
func (l *listener) Addr() net.Addr { return l.addr }

// Accept returns the next connection; see Listen for its end.
func (l *listener) Accept() (net.Conn, error) {
	if l.enter() {
		conn, err := l.accept()
		if err == nil {
			return l.counted(conn), nil
		}
		l.exit()
		if !l.isLeaving() {
			return nil, l.failure(err)
		}
	}
	select {
	case <-l.ended:
	case <-l.closed:
	}
	return nil, l.failure(net.ErrClosed)
}

func (l *listener) accept() (net.Conn, error) {
	if l.inner != nil {
		return l.inner.Accept()
	}
	return l.source.Accept()
}

func (l *listener) failure(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return err
	}
	return &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// leave ends what comes, not what is connected.
func (l *listener) leave() {
	if !l.stop() {
		return
	}
	if l.inner != nil {
		_ = l.inner.Close() // nothing was written to it
	} else {
		l.source.Close()
	}
	_ = l.p.child.Closed(l.key) // fails only without a primary
	l.p.forget(l, l.req)
}

// Close ends Accept. Connections that it has returned stay.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		l.leave()
		close(l.closed)
		err = nil
	})
	if err != nil {
		return &net.OpError{Op: "close", Net: l.addr.Network(), Addr: l.addr, Err: err}
	}
	return nil
}

// counted has the end of a connection noticed; it stays what it was otherwise, so that
// sendfile, splice and the like still work.
func (l *listener) counted(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case *net.TCPConn:
		return &tcpConn{TCPConn: c, counter: counter{l: l}}
	case *net.UnixConn:
		return &unixConn{UnixConn: c, counter: counter{l: l}}
	}
	return &anyConn{Conn: conn, counter: counter{l: l}}
}

// counter is a connection's part in its listener's count.
type counter struct {
	l    *listener
	once sync.Once
}

func (c *counter) release() { c.once.Do(c.l.exit) }

type tcpConn struct {
	*net.TCPConn
	counter
}

// Close closes the connection.
func (c *tcpConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

type unixConn struct {
	*net.UnixConn
	counter
}

// Close closes the connection.
func (c *unixConn) Close() error {
	defer c.release()
	return c.UnixConn.Close()
}

type anyConn struct {
	net.Conn
	counter
}

// Close closes the connection.
func (c *anyConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// packetConn is a worker's socket for datagrams, which all workers receive from.
type packetConn struct {
	share
	*net.UDPConn
}

// Close closes the worker's descriptor of the socket.
func (c *packetConn) Close() error {
	if !c.stop() {
		return net.ErrClosed
	}
	err := c.UDPConn.Close()
	_ = c.p.child.Closed(c.key) // fails only without a primary
	c.p.forget(c, c.req)
	return err
}

func (c *packetConn) leave() { _ = c.Close() }
