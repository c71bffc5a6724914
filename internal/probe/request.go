package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Target is a server that speaks HTTP/1.
type Target struct {
	Address string // "127.0.0.1:8080"
	Path    string // of the requests: "/"
	TLS     bool   // whose certificate is not looked at
}

// Outcome says what became of a request.
type Outcome int

// The outcomes.
const (
	Answered Outcome = iota // a whole answer came, of whatever status
	Refused                 // no connection was made
	Reset                   // the connection ended before the answer began
	Cut                     // it ended in the middle of the answer
	Hung                    // no answer, or no end of it, in time
	// Dropped: a kept-alive connection, whose last answer had not announced its
	// end, was closed before the answer to its next request began.
	Dropped
	// Closed is as Dropped, but seen before the next request was sent: nothing
	// was lost, by luck.
	Closed
	Garbled // what came is not HTTP
)

// String returns a word for tables and tests.
func (o Outcome) String() string {
	words := []string{"answered", "refused", "reset", "cut", "hung", "dropped", "closed", "garbled"}
	if o < 0 || int(o) >= len(words) {
		return fmt.Sprintf("outcome %d", int(o))
	}
	return words[o]
}

// Lost tells whether a client saw an error.
func (o Outcome) Lost() bool { return o != Answered && o != Closed }

// Result is one request, or one kept-alive connection that was found Closed.
type Result struct {
	Began   time.Time
	Took    time.Duration
	Kept    bool // on a connection that had carried an answer before
	Outcome Outcome
	Status  int   // of an answer that began
	Err     error // why there is none
}

// conn is one connection to a target.
type conn struct {
	net.Conn
	reader *bufio.Reader
	used   bool // it has carried an answer
}

func (t Target) dial(ctx context.Context) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	if t.TLS {
		s := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
		if err := s.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c = s
	}
	return &conn{Conn: c, reader: bufio.NewReader(c)}, nil
}

func (c *conn) end() {
	if c != nil {
		c.Close() //nolint:errcheck // nothing depends on it
	}
}

// request sends one GET on c, or on a connection of its own if c is nil, and
// returns the connection if it may carry another one.
func (t Target) request(ctx context.Context, c *conn, keep bool) (r Result, next *conn) {
	r.Began = time.Now()
	defer func() { r.Took = time.Since(r.Began) }()
	if c == nil {
		var err error
		if c, err = t.dial(ctx); err != nil {
			r.Outcome, r.Err = Refused, err
			if timedOut(err) {
				r.Outcome = Hung
			}
			return r, nil
		}
	}
	r.Kept = c.used
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a connection that is closed has no deadline
	defer stop()
	response, err := t.exchange(c, keep)
	if err != nil {
		r.Outcome, r.Err = headless(err, c), err
		c.end()
		return r, nil
	}
	r.Status = response.StatusCode
	_, err = io.Copy(io.Discard, response.Body)
	err = errors.Join(err, response.Body.Close())
	if err != nil {
		if r.Outcome, r.Err = Cut, err; timedOut(err) {
			r.Outcome = Hung
		}
		c.end()
		return r, nil
	}
	if !keep || response.Close || !stop() {
		c.end()
		return r, nil
	}
	c.used = true
	return r, c
}

// exchange sends a request and reads the head of its answer.
func (t Target) exchange(c *conn, keep bool) (*http.Response, error) {
	head := "GET " + t.Path + " HTTP/1.1\r\nHost: " + t.Address + "\r\nUser-Agent: paceline-check\r\nAccept: */*\r\n"
	if !keep {
		head += "Connection: close\r\n"
	}
	// An error here is not the last word: what the server sent before it closed
	// the connection may still be read.
	_, sent := io.WriteString(c, head+"\r\n")
	if _, err := c.reader.Peek(1); err != nil {
		if sent != nil {
			err = sent
		}
		return nil, &silence{err}
	}
	const begin = "HTTP/"
	got, err := c.reader.Peek(len(begin))
	if err != nil {
		return nil, err
	}
	if string(got) != begin {
		return nil, errors.New("the answer is not HTTP")
	}
	response, err := http.ReadResponse(c.reader, &http.Request{Method: http.MethodGet})
	if err != nil && !timedOut(err) {
		if _, over := c.reader.Peek(1); ended(over) { // half a line of a header looks malformed
			err = io.ErrUnexpectedEOF
		}
	}
	return response, err
}

// silence is an error that came before the first byte of the answer.
type silence struct{ err error }

func (s *silence) Error() string { return s.err.Error() }
func (s *silence) Unwrap() error { return s.err }

// headless sorts an error that came before the end of the answer's head.
func headless(err error, c *conn) Outcome {
	_, silent := errors.AsType[*silence](err)
	switch {
	case timedOut(err):
		return Hung
	case !ended(err):
		return Garbled
	case !silent:
		return Cut
	case c.used:
		return Dropped
	}
	return Reset
}

// ended tells whether err is the end of a connection.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// glance is how long a look at an idle connection may take: what has arrived is
// read at once.
const glance = time.Millisecond

// closed tells whether the server has ended an idle connection.
func (c *conn) closed() bool {
	if err := c.SetReadDeadline(time.Now().Add(glance)); err != nil {
		return true
	}
	_, err := c.reader.Peek(1)
	if err == nil || !timedOut(err) {
		return true // also if it says something that nobody asked for
	}
	return c.SetReadDeadline(time.Time{}) != nil
}

// ErrNoHTTP is what Find returns if no address answers as HTTP does.
var ErrNoHTTP = errors.New("does not speak HTTP/1")

// Find returns the first of the addresses that answers to HTTP, or to it over
// TLS. Each try may take as long as wait. Errors: ErrNoHTTP, ctx's.
func Find(ctx context.Context, addresses []string, path string, wait time.Duration) (Target, error) {
	for _, address := range addresses {
		var plain *Target // answers, but with 400
		for _, secure := range []bool{false, true} {
			t := Target{Address: address, Path: path, TLS: secure}
			try, cancel := context.WithTimeout(ctx, wait)
			r, _ := t.request(try, nil, false)
			cancel()
			if ctx.Err() != nil {
				return Target{}, context.Cause(ctx)
			}
			// 400 is what Go's and nginx' TLS servers answer to plain HTTP.
			if r.Outcome == Answered && (secure || r.Status != http.StatusBadRequest) {
				return t, nil
			}
			if r.Outcome == Answered {
				plain = &t
			}
		}
		if plain != nil {
			return *plain, nil
		}
	}
	return Target{}, ErrNoHTTP
}
