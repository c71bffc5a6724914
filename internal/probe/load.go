package probe

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Load says how much is sent.
type Load struct {
	Rate    int           // connections per second, each with one request; 0 for none
	Kept    int           // connections that are kept alive
	Every   time.Duration // from a request on a kept connection to its next one
	Timeout time.Duration // for a request
}

// Small is a load that a copy of any server bears: 20 connections a second, and
// 20 requests a second on 4 more that are kept alive.
func Small() Load {
	return Load{Rate: 20, Kept: 4, Every: 200 * time.Millisecond, Timeout: 5 * time.Second}
}

// Run sends load until ctx ends, waits for the requests that are under way, and
// returns the results by the time they began.
func (t Target) Run(ctx context.Context, load Load) []Result {
	r := run{target: t, load: load}
	var senders sync.WaitGroup
	if load.Rate > 0 {
		senders.Go(func() { r.fresh(ctx) })
	}
	for i := range load.Kept {
		// apart in time, so that the load is even
		senders.Go(func() { r.kept(ctx, load.Every*time.Duration(i)/time.Duration(load.Kept)) })
	}
	senders.Wait()
	slices.SortStableFunc(r.results, func(a, b Result) int { return a.Began.Compare(b.Began) })
	return r.results
}

type run struct {
	target Target
	load   Load

	mu      sync.Mutex // guards results
	results []Result
}

func (r *run) add(one Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, one)
}

// one sends a request; its time is its own: the end of the run does not cut it.
func (r *run) one(ctx context.Context, c *conn, keep bool) *conn {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.load.Timeout)
	defer cancel()
	result, next := r.target.request(ctx, c, keep)
	r.add(result)
	return next
}

// maxUnderWay bounds the connections to a server that does not answer.
const maxUnderWay = 100

// fresh opens connections at an even rate, whatever becomes of them.
func (r *run) fresh(ctx context.Context) {
	tick := time.NewTicker(time.Second / time.Duration(r.load.Rate))
	defer tick.Stop()
	var underWay sync.WaitGroup
	defer underWay.Wait()
	room := make(chan struct{}, maxUnderWay)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case room <- struct{}{}:
			underWay.Go(func() {
				r.one(ctx, nil, false)
				<-room
			})
		default:
		}
	}
}

// kept sends one request after the other on a connection, and opens another one
// when that ends.
func (r *run) kept(ctx context.Context, first time.Duration) {
	next := time.NewTimer(first)
	defer next.Stop()
	var c *conn
	defer func() { c.end() }()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if c != nil && c.closed() {
			r.add(Result{Began: time.Now(), Kept: true, Outcome: Closed})
			c.end()
			c = nil
		}
		c = r.one(ctx, c, true)
		next.Reset(r.load.Every)
	}
}
