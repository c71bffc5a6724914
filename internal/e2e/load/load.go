// Package load makes HTTP requests, in a closed loop or at a rate, and counts exactly which failed.
package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what to ask, how, and how often.
type Config struct {
	Network   string // "tcp" if empty, or "unix"
	Addr      string // "127.0.0.1:3000" or a path
	Path      string // "/" if empty
	KeepAlive bool   // one connection per client, kept; else one per request
	Clients   int    // requests at the same time; 8 if zero
	// Requests ends the run after so many. Zero: it goes on until ctx ends; a
	// request that has begun is finished and counted in any case.
	Requests int
	// Pause is how long each client waits between two requests. Zero: not at all.
	Pause time.Duration
	// Timeout is how long one request may take before it counts as hung. Zero means 10 s.
	Timeout time.Duration
	// Rate, if not zero, is how many requests begin per second, however long the
	// others take: an open loop, a connection for each. Clients, KeepAlive and Pause
	// have no meaning then, and the time of a request counts from when it was due.
	Rate float64
	// Check, if not nil, is asked about each answer's body; one with an error has
	// failed. It is called from many goroutines.
	Check func(body []byte) error
	// Each, if not nil, is called after each request, from many goroutines.
	Each func(Request)
}

// Request is one that was made.
type Request struct {
	Begun time.Time
	Took  time.Duration
	Body  string // only if Config.Each is set
	Err   error
}

// Result is what a run has seen.
type Result struct {
	Requests int            // made, whether answered or not
	Failed   int            // not answered with 200 and a whole body
	Hung     int            // those of Failed that ran into the timeout
	Errors   map[string]int // Failed by kind
	// Reconnects counts kept connections that the server had ended in an orderly
	// way, by "Connection: close" or while idle: no request was lost by it.
	Reconnects int
	Bodies     map[string]int // answers by text, the first 1,000 different ones
	Latencies  []time.Duration
	Took       time.Duration
}

// Run makes requests until as many as asked for are made or ctx ends.
func Run(ctx context.Context, c Config) Result {
	c = c.withDefaults()
	if c.Rate > 0 {
		return atRate(ctx, &c)
	}
	var left atomic.Int64
	left.Store(int64(c.Requests))
	results := make([]Result, c.Clients)
	begun := time.Now()
	var wg sync.WaitGroup
	for n := range results {
		wg.Go(func() { results[n] = client(ctx, &c, n, &left) })
	}
	wg.Wait()
	sum := newResult()
	sum.Took = time.Since(begun)
	for _, r := range results {
		sum.add(r)
	}
	slices.Sort(sum.Latencies)
	return sum
}

// unlimited is Config.Requests if a run has no end of its own.
const unlimited = 1 << 62

func (c Config) withDefaults() Config {
	c.Network = cmp.Or(c.Network, "tcp")
	c.Path = cmp.Or(c.Path, "/")
	c.Clients = cmp.Or(c.Clients, 8)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Requests = cmp.Or(c.Requests, unlimited)
	return c
}

func client(ctx context.Context, c *Config, n int, left *atomic.Int64) Result {
	r := newResult()
	var k *conn
	defer func() {
		if k != nil {
			k.close()
		}
	}()
	for ctx.Err() == nil && left.Add(-1) >= 0 {
		if k != nil && k.stale() {
			r.Reconnects++
			k.close()
			k = nil
		}
		begun := time.Now()
		var body []byte
		var err error
		if k == nil {
			k, err = dial(c, n)
		}
		again := false
		if err == nil {
			body, again, err = k.do(c.Timeout)
		}
		if err == nil {
			err = c.check(body)
		}
		took := time.Since(begun)
		r.count(body, took, err)
		if c.Each != nil {
			c.Each(Request{Begun: begun, Took: took, Body: string(body), Err: err})
		}
		if k != nil && (!again || !c.KeepAlive || err != nil) {
			if c.KeepAlive && err == nil {
				r.Reconnects++
			}
			k.close()
			k = nil
		}
		if c.Pause > 0 {
			pause(ctx, c.Pause)
		}
	}
	return r
}

// errBody is the mark of an answer that Config.Check did not like.
var errBody = errors.New("wrong body")

func (c *Config) check(body []byte) error {
	if c.Check == nil {
		return nil
	}
	if err := c.Check(body); err != nil {
		return fmt.Errorf("%w %.80q: %w", errBody, body, err)
	}
	return nil
}

func newResult() Result {
	return Result{Errors: map[string]int{}, Bodies: map[string]int{}}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (r *Result) count(body []byte, took time.Duration, err error) {
	r.Requests++
	if err != nil {
		r.Failed++
		kind := Kind(err)
		r.Errors[kind]++
		if kind == "timeout" {
			r.Hung++
		}
		return
	}
	r.Latencies = append(r.Latencies, took)
	if _, known := r.Bodies[string(body)]; known || len(r.Bodies) < 1000 {
		r.Bodies[string(body)]++
	}
}

func (r *Result) add(s Result) {
	r.Requests += s.Requests
	r.Failed += s.Failed
	r.Hung += s.Hung
	r.Reconnects += s.Reconnects
	r.Latencies = append(r.Latencies, s.Latencies...)
	for k, n := range s.Errors {
		r.Errors[k] += n
	}
	for k, n := range s.Bodies {
		r.Bodies[k] += n
	}
}

// Kind names the way in which a request failed.
func Kind(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, errBody):
		return "wrong body"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, syscall.EPIPE):
		return "broken pipe"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no local port left"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "answer cut off"
	case errors.Is(err, io.EOF):
		return "closed without an answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return err.Error()
}

// PerSecond is the rate of the requests that were answered.
func (r Result) PerSecond() float64 {
	return float64(r.Requests-r.Failed) / r.Took.Seconds()
}

// Quantile returns the latency below which the share q (0 to 1) of the answers lies.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(q*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// Over returns how many answers took longer than d.
func (r Result) Over(d time.Duration) int {
	n, _ := slices.BinarySearch(r.Latencies, d+1)
	return len(r.Latencies) - n
}

// String is one line: how many, how many failed, and how.
func (r Result) String() string {
	s := fmt.Sprintf("%d requests, %d failed", r.Requests, r.Failed)
	if r.Failed > 0 {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(r.Errors)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", r.Errors[k], k))
		}
		s += " (" + strings.Join(kinds, ", ") + ")"
	}
	return s
}
