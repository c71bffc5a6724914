package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"paceline/internal/e2e/load"
)

const (
	busyFor = 3050 * time.Millisecond // how long one of two copies computes: 610 requests at 200/s
	tooLate = 100 * time.Millisecond
	// busyRequests is how many requests are due while a copy is busy, at least.
	busyRequests = 1800
	busyBlocks   = 3
	// apart is the time between two blocks in which a copy that was out of rotation
	// is surely back: one of two is busy, and the other is there. soon is one in
	// which it may not be, and the only one left is the next to be busy.
	apart = 1500 * time.Millisecond
	soon  = 300 * time.Millisecond
)

func measureBlocked(ctx context.Context, b *bench) error {
	node := b.node("server.js")
	return b.peerFolder(func(c *crew) error {
		python := server{name: "python, one thread", needs: "python3", file: c.file("single.py")}
		var list []study
		for _, s := range []server{node, python} {
			for _, balance := range []string{"shared", "round-robin"} {
				name := fmt.Sprintf("%s, pace %s", s.name, balance)
				list = append(list, study{name: name, measure: func(ctx context.Context) error {
					return b.blockedApp(ctx, name, s, balance)
				}})
			}
		}
		for _, p := range []struct {
			name  string
			start func(context.Context, *crew) (string, error)
		}{
			{"node's cluster, round robin", nodeCluster(nodeDeals)},
			{"node's cluster, SCHED_NONE", nodeCluster(nodeShares)},
			{"node, plain SO_REUSEPORT", nodeSharers},
			{"python, plain SO_REUSEPORT", sharers(workers, []string{"REUSEPORT=1"}, func(c *crew) []string { return []string{"python3", c.file("single.py")} })},
			{"node behind nginx, round robin", behind(nginx(""))},
			{"node behind nginx, least_conn", behind(nginx("least_conn"))},
			{"node behind haproxy, roundrobin", behind(haproxy("roundrobin"))},
			{"node behind haproxy, leastconn", behind(haproxy("leastconn"))},
		} {
			list = append(list, study{name: p.name, measure: func(ctx context.Context) error {
				return b.peer(ctx, p.start, func(ctx context.Context, addr string) error {
					return b.blocked(ctx, p.name, addr, false)
				})
			}})
		}
		return b.studies(ctx, list)
	})
}

func (b *bench) blockedApp(ctx context.Context, name string, s server, balance string) error {
	return b.with(ctx, s, workers, []string{"--balance", balance}, func(a *app) error {
		return b.blocked(ctx, name, a.port.Addr(), true)
	})
}

// blocked makes requests at two rates while one copy or the other is kept busy. Each
// request has a connection of its own and begins when it is due, however long the
// others take.
func (b *bench) blocked(ctx context.Context, name, addr string, ours bool) error {
	for _, c := range []struct {
		rate, blocks int
		gap          time.Duration
	}{{20, 1, apart}, {200, busyBlocks, apart}, {200, busyBlocks, soon}} {
		if c.gap == soon && !ours {
			break
		}
		stalls := watchStalls(ctx)
		r, err := underBlocks(ctx, addr, c.rate, c.blocks, c.gap)
		stalled := stalls()
		if err != nil {
			return err
		}
		late := r.Over(tooLate) + r.Failed
		what := fmt.Sprintf("%s, %d/s: p50 %s, p99 %s, max %s ms", name, c.rate,
			figure(ms(r.Quantile(0.5))), figure(ms(r.Quantile(0.99))), figure(ms(r.Quantile(1))))
		measured := fmt.Sprintf("%d of %d late", late, r.Requests)
		switch {
		case !ours:
			b.table.info(what, measured)
		case c.gap == soon:
			b.table.info(fmt.Sprintf("  the next block %s ms after: max %s ms", figure(ms(soon)), figure(ms(r.Quantile(1)))), measured)
		default:
			b.table.row(what, measured, "0", late == 0 && (c.rate < 200 || r.Requests >= busyRequests))
		}
		if r.Failed > 0 {
			b.table.say("      %s", r)
		}
		if ours && late > 0 && stalled > tooLate/4 {
			b.table.say("      this program itself had to wait for a CPU for up to %s ms meanwhile", figure(ms(stalled)))
		}
	}
	return nil
}

// watchStalls finds how long a goroutine that wants to run every few milliseconds
// had to wait for it at most: where that is long, answers are late for the same reason.
func watchStalls(ctx context.Context) (most func() time.Duration) {
	const every = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan time.Duration, 1)
	go func() {
		var worst time.Duration
		for last := time.Now(); pause(ctx, every) == nil; last = time.Now() {
			worst = max(worst, time.Since(last)-every)
		}
		found <- worst
	}()
	return func() time.Duration {
		cancel()
		return <-found
	}
}

// underBlocks is what the others see of one request after the other that makes a copy
// compute: those that were due meanwhile. The gap is how long both are free between two.
func underBlocks(ctx context.Context, addr string, rate, blocks int, gap time.Duration) (load.Result, error) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards made
	var made []load.Request
	var wg sync.WaitGroup
	wg.Go(func() {
		load.Run(during, load.Config{Addr: addr, Rate: float64(rate), Each: func(q load.Request) {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, q)
		}})
	})
	var spans []span
	// Not at a moment in which another request is due: what a copy accepts in one go
	// with the request that blocks it, nobody can save.
	err := pause(ctx, 327*time.Millisecond)
	for n := 0; n < blocks && err == nil; n++ {
		begun := time.Now()
		path := fmt.Sprintf("/timer?ms=%d", busyFor.Milliseconds())
		busy := load.Run(ctx, load.Config{Addr: addr, Path: path, Clients: 1, Requests: 1, Timeout: 4 * busyFor})
		spans = append(spans, span{begun, time.Now()})
		if busy.Failed > 0 {
			err = fmt.Errorf("the request that keeps a copy busy: %s", busy)
		} else {
			err = pause(ctx, gap)
		}
	}
	cancel()
	wg.Wait()
	return within(made, spans), err
}

// span is a time in which a copy was busy.
type span struct{ begun, end time.Time }

// within is the result of the requests that were due in one of the spans.
func within(made []load.Request, spans []span) load.Result {
	r := load.Result{Errors: map[string]int{}}
	for _, q := range made {
		if !slices.ContainsFunc(spans, func(s span) bool { return !q.Begun.Before(s.begun) && q.Begun.Before(s.end) }) {
			continue
		}
		r.Requests++
		if q.Err != nil {
			r.Failed++
			r.Errors[load.Kind(q.Err)]++
			continue
		}
		r.Latencies = append(r.Latencies, q.Took)
	}
	slices.Sort(r.Latencies)
	return r
}
