package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Drain says how Server ends. The zero value is ready to use.
type Drain struct {
	// Grace is how long a connection that is idle when the worker is to be replaced may
	// stay for one more request, whose answer then closes it. Zero means what the primary
	// says (Options.Grace), else 5 s; negative means none. It is not given when the server
	// ends for another reason: nobody is there then to serve the next request.
	Grace time.Duration
	// Timeout is how long requests may take from then on, before their connections are
	// cut. Zero means 30 s; negative means for ever.
	Timeout time.Duration
}

const (
	defaultGrace        = 5 * time.Second
	defaultServeTimeout = 30 * time.Second
)

// ListenAndServe serves HTTP on an address that all workers share, until the process is
// to end (see Context). It then finishes the requests that there are and returns nil: main
// may return. A nil handler is http.DefaultServeMux. As with http.Server.Shutdown,
// connections that a handler has hijacked are not waited for. The errors are those of Listen
// and http.Server.Serve, and ErrCut.
func ListenAndServe(network, addr string, handler http.Handler) error {
	l, err := Listen(network, addr)
	if err != nil {
		return err
	}
	return Serve(&http.Server{Handler: handler}, l, Drain{})
}

// ErrCut says that requests were still under way when Drain.Timeout was over.
var ErrCut = errors.New("requests were cut")

// Serve is ListenAndServe for a server and a listener of the caller's own, of Listen or
// any other; tls.NewListener makes it HTTPS. It takes both over: ConnState and Handler of
// the server are called as before, but from others.
func Serve(s *http.Server, l net.Listener, d Drain) error {
	return self().serve(Context(), s, l, d)
}

func (p *process) serve(ctx context.Context, s *http.Server, l net.Listener, d Drain) error {
	open := openConnsOf(s)
	handler := s.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-p.drain.begun:
			w.Header().Set("Connection", "close")
		case <-ctx.Done():
			w.Header().Set("Connection", "close")
		default:
		}
		handler.ServeHTTP(w, r)
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		select {
		case <-ctx.Done(): // the listener has ended by itself, with the last connection
		default:
			return err
		}
	case <-ctx.Done():
		// When Serve has returned it has told of all connections that it has accepted.
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return errors.Join(fmt.Errorf("stop listening: %w", err), s.Close())
		}
		if err := <-served; errors.Is(err, http.ErrServerClosed) {
			return err // the caller has shut it down as well
		}
	}
	if errors.Is(context.Cause(ctx), ErrDisconnected) {
		p.awaitIdle(open, d.grace(p.drain))
	}
	end := context.WithoutCancel(ctx)
	timeout := cmp.Or(d.Timeout, defaultServeTimeout)
	if timeout > 0 {
		var cancel context.CancelFunc
		end, cancel = context.WithTimeout(end, timeout)
		defer cancel()
	}
	if !finish(end, s, open) {
		return errors.Join(fmt.Errorf("%w after %v", ErrCut, timeout), s.Close())
	}
	return s.Shutdown(end) // nobody is connected any more; this is for RegisterOnShutdown
}

// finish returns when no connection is left: idle ones are closed, others when they have
// answered. It is false if ctx ends before. http.Server.Shutdown would not do: it drops a
// request that has just been read.
func finish(ctx context.Context, s *http.Server, open *openConns) bool {
	again := time.NewTicker(100 * time.Millisecond) // for those that become idle without an answer
	defer again.Stop()
	for {
		s.SetKeepAlivesEnabled(false) // closes those that are idle now
		select {
		case <-open.none():
			return true
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

// grace returns how long idle connections may stay.
func (d Drain) grace(n *drainNotice) time.Duration {
	switch {
	case d.Grace < 0:
		return 0
	case d.Grace > 0:
		return d.Grace
	}
	select {
	case <-n.begun:
		if n.grace > 0 {
			return n.grace
		}
	default:
	}
	return defaultGrace
}

// awaitIdle returns when no connection is left, or the grace is over.
func (p *process) awaitIdle(open *openConns, grace time.Duration) {
	end := time.NewTimer(grace)
	defer end.Stop()
	select {
	case <-open.none():
	case <-end.C:
	case <-p.drain.rush:
	}
}

// openConns knows whether a server has connections.
type openConns struct {
	mu   sync.Mutex // guards what follows
	n    int
	wait chan struct{} // closed when there are none; nil if nobody has asked
}

// openConnsOf watches a server that has not begun.
func openConnsOf(s *http.Server) *openConns {
	c := &openConns{}
	before := s.ConnState
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			c.change(1)
		case http.StateHijacked:
			uncount(conn)
			c.change(-1)
		case http.StateClosed:
			c.change(-1)
		}
		if before != nil {
			before(conn, state)
		}
	}
	return c
}

// uncount has a connection that the server does not know any more be none that is
// waited for.
func uncount(conn net.Conn) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok { // of TLS
		conn = wrapped.NetConn()
	}
	if own, ok := conn.(interface{ release() }); ok {
		own.release()
	}
}

func (c *openConns) change(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += by
	if c.n == 0 && c.wait != nil {
		close(c.wait)
		c.wait = nil
	}
}

// none returns a channel that is closed when there is no connection.
func (c *openConns) none() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wait == nil {
		c.wait = make(chan struct{})
		if c.n == 0 {
			close(c.wait)
		}
	}
	wait := c.wait
	if c.n == 0 {
		c.wait = nil
	}
	return wait
}
