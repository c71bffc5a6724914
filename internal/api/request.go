package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"time"
)

func stream[T any](ctx context.Context, c *Client, path string, query url.Values, h Handler[T]) error {
	var response *http.Response
	err := retry(ctx, func() (err error) {
		response, err = c.do(ctx, http.MethodGet, path, query, nil, "") //nolint:bodyclose // closed below
		return err
	})
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if h.Begun != nil {
		h.Begun()
	}
	var stopped error
	err = readEvents(response.Body, func(data []byte, last bool) error {
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			stopped = fmt.Errorf("read event: %w", err)
			return stopped
		}
		if stopped = h.Value(v); stopped == nil && last && h.Idle != nil {
			stopped = h.Idle()
		}
		return stopped
	})
	if err == nil || stopped != nil {
		return err
	}
	return c.lost(ctx, err)
}

func (c *Client) act(ctx context.Context, path string, q any) (r ActionReply, err error) {
	err = c.post(ctx, path, q, &r)
	if e, ok := errors.AsType[*Error](err); ok && e.Reply != nil {
		r = *e.Reply
	}
	return r, err
}

// follow is act with an answer that may come as a stream of Progress. A daemon
// that knows no such stream answers as to act.
func (c *Client) follow(ctx context.Context, path string, q any, progress func(string)) (r ActionReply, err error) {
	response, err := c.send(ctx, path, q, streamType)
	if err == nil && !isStream(response.Header.Get("Content-Type")) {
		err = c.read(ctx, response, &r)
	} else if err == nil {
		r, err = c.end(ctx, response.Body, progress)
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Reply != nil {
		r = *e.Reply
	}
	return r, err
}

// end reads and closes a stream of Progress until the event that is the answer.
func (c *Client) end(ctx context.Context, body io.ReadCloser, progress func(string)) (ActionReply, error) {
	defer body.Close() //nolint:errcheck // nothing was written
	var last *Progress
	var broken error
	err := readEvents(body, func(data []byte, _ bool) error {
		var p Progress
		if broken = json.Unmarshal(data, &p); broken != nil {
			broken = fmt.Errorf("read event: %w", broken)
			return broken
		}
		if p.Step != "" {
			progress(p.Step)
		}
		if p.Reply != nil || p.Error != nil {
			last = &p
			return io.EOF
		}
		return nil
	})
	switch {
	case broken != nil:
		return ActionReply{}, broken
	case last == nil && err == nil: // the stream ended in the middle
		return ActionReply{}, c.lost(ctx, io.ErrUnexpectedEOF)
	case last == nil:
		return ActionReply{}, c.lost(ctx, err)
	case last.Error != nil:
		return ActionReply{}, last.Error
	}
	return *last.Reply, nil
}

// post sends q once: what it asks for must not happen twice.
func (c *Client) post(ctx context.Context, path string, q, answer any) error {
	response, err := c.send(ctx, path, q, "")
	if err != nil {
		return err
	}
	return c.read(ctx, response, answer)
}

// send posts q and returns the answer, of the type accept if that is not "".
func (c *Client) send(ctx context.Context, path string, q any, accept string) (*http.Response, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return c.do(ctx, http.MethodPost, path, nil, body, accept)
}

func (c *Client) get(ctx context.Context, path string, query url.Values, answer any) error {
	return retry(ctx, func() error {
		response, err := c.do(ctx, http.MethodGet, path, query, nil, "")
		if err != nil {
			return err
		}
		return c.read(ctx, response, answer)
	})
}

// A request that only reads is repeated if its daemon dies before it answers:
// the keeper starts the next one within 200 ms, later only if it crashes on.
const (
	retries    = 8
	firstRetry = 10 * time.Millisecond
)

func retry(ctx context.Context, request func() error) error {
	wait := firstRetry
	for n := 0; ; n++ {
		err := request()
		if !errors.Is(err, ErrLost) || n == retries {
			return err
		}
		if !sleep(ctx, wait) {
			return context.Cause(ctx)
		}
		wait *= 2
	}
}

// do sends one request and returns the answer if it is not an error.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body []byte, accept string) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "pace", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	if v := response.Header.Get(VersionHeader); v != "" {
		c.version.Store(&v)
	}
	if response.StatusCode >= 400 {
		return nil, c.refused(ctx, response)
	}
	return response, nil
}

// read decodes and closes a whole answer.
func (c *Client) read(ctx context.Context, response *http.Response, into any) error {
	defer response.Body.Close() //nolint:errcheck // nothing was written
	body, err := c.body(ctx, response)
	if err != nil {
		return err
	}
	if list, ok := into.(*Briefs); ok {
		err = list.decode(body)
	} else {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// body reads a whole answer, which the caller closes.
func (c *Client) body(ctx context.Context, response *http.Response) (body []byte, err error) {
	if n := response.ContentLength; n >= 0 {
		body = make([]byte, n)
		_, err = io.ReadFull(response.Body, body)
	} else {
		body, err = io.ReadAll(response.Body)
	}
	if err != nil {
		return nil, c.lost(ctx, err)
	}
	return body, nil
}

// refused turns an error answer into an *Error.
func (c *Client) refused(ctx context.Context, response *http.Response) error {
	var body ErrorBody
	if err := c.read(ctx, response, &body); err != nil || body.Error.Message == "" {
		// Not one of ours: another version's, or net/http's own "404 page not found".
		code := CodeInternal
		if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusMethodNotAllowed {
			code = CodeUnsupported
		}
		return &Error{Code: code, Message: "the daemon does not know this request (" + response.Status + ")"}
	}
	return &body.Error
}

// lost says what a failed exchange means.
func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*dialError](err); ok {
		return e.err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL, which means nothing to people
	}
	return fmt.Errorf("%w (%w)", ErrLost, err)
}

// dialError marks an error from before anything was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// maxSocketPath is what a sockaddr_un holds on Linux, less its final zero.
const maxSocketPath = 107

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	path := filepath.Join(c.options.Home, SocketName)
	if len(path) > maxSocketPath {
		return nil, &dialError{fmt.Errorf("the socket's path %s is longer than %d bytes; choose a shorter PACELINE_HOME", path, maxSocketPath)}
	}
	conn, err := connect(ctx, path)
	if errors.Is(err, ErrNoDaemon) && c.options.Ensure != nil {
		if err := c.options.Ensure(ctx); err != nil {
			return nil, &dialError{err}
		}
		conn, err = connect(ctx, path)
	}
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

func connect(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		conn, err := d.DialContext(ctx, "unix", path)
		switch {
		case err == nil:
			return conn, nil
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
			return nil, ErrNoDaemon
		case errors.Is(err, syscall.EAGAIN): // the socket's queue is full: the daemon is busy or being replaced
			if !sleep(ctx, wait) {
				return nil, context.Cause(ctx)
			}
			continue
		}
		if e, ok := errors.AsType[*net.OpError](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
}

// sleep waits for d; it reports whether ctx still holds.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
