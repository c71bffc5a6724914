package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"paceline/internal/ready"
)

const (
	headerTimeout = 10 * time.Second // for a request's head to arrive
	idleTimeout   = 75 * time.Second // of a kept connection; longer than the 60 s of the usual proxies
	maxHeader     = 64 << 10         // bytes
	// lastRequest is how long clients have for one more request on a connection
	// they keep, whose answer tells them to leave. It is well below an app's
	// default kill_timeout.
	lastRequest = time.Second
)

// Main is the server's process: args follow Role on its command line. It ends when
// ctx does and the requests in hand are answered.
func Main(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) error {
	o, err := parse(args, getenv)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	l, err := listen(ctx, o)
	if err != nil {
		return fmt.Errorf("serve %s: %w", o.Path, err)
	}
	if _, err := fmt.Fprintf(out, "serving %s at http://%s/\n", o.Path, l.Addr()); err != nil {
		return errors.Join(fmt.Errorf("write the output: %w", err), l.Close())
	}
	if err := ready.Say(getenv); err != nil {
		return errors.Join(fmt.Errorf("serve %s: %w", o.Path, err), l.Close())
	}
	return run(ctx, o, l, errs)
}

// listen finds out what can be found out before the first request.
func listen(ctx context.Context, o Options) (net.Listener, error) {
	root, err := os.OpenRoot(o.Path)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	if err := root.Close(); err != nil {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address())
}

// run serves on l, which it closes, until ctx ends.
func run(ctx context.Context, o Options, l net.Listener, errs io.Writer) error {
	logger := log.New(errs, "", 0)
	h := newHandler(o, logger)
	conns := &connections{none: make(chan struct{})}
	server := &http.Server{
		Handler: h, ConnState: conns.changed, ErrorLog: logger,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", o.Path, err)
	case <-ctx.Done():
	}
	// A plain Shutdown would close kept connections at once, also one on which a
	// request is on its way.
	h.closing.Store(true)
	if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve %s: %w", o.Path, err)
	}
	if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) { // the listener is closed, so it ends
		return fmt.Errorf("serve %s: %w", o.Path, err)
	}
	timer := time.NewTimer(lastRequest)
	defer timer.Stop()
	select {
	case <-conns.close():
	case <-timer.C:
	}
	// Answers take as long as they take; who manages us bounds it.
	if err := server.Shutdown(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("serve %s: %w", o.Path, err)
	}
	return nil
}

// connections counts those that are open.
type connections struct {
	mu      sync.Mutex // guards the others
	open    int
	closing bool
	none    chan struct{} // closed when none is left after close
}

func (c *connections) changed(_ net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
	case http.StateClosed, http.StateHijacked:
		if c.open--; c.open == 0 && c.closing {
			close(c.none)
		}
	case http.StateActive, http.StateIdle:
	}
}

// close returns what is closed when no connection is open any more. No new ones
// may come by then.
func (c *connections) close() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing = true; c.open == 0 {
		close(c.none)
	}
	return c.none
}
