package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"paceline/internal/e2e/load"
)

const (
	busyFor = 3 * time.Second // how long one of two copies computes
	tooLate = 100 * time.Millisecond
	// busyRequests is how many requests are made at the higher rate, at least.
	busyRequests = 1800
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

// blocked makes requests at two rates while one copy after the other is kept busy.
// Each request has a connection of its own and begins when it is due, however long
// the others take.
func (b *bench) blocked(ctx context.Context, name, addr string, ours bool) error {
	for _, rate := range []int{20, 200} {
		blocks := 1
		if rate == 200 {
			blocks = int(busyRequests / (float64(rate) * busyFor.Seconds()))
		}
		stalls := watchStalls(ctx)
		r, err := underBlocks(ctx, addr, rate, blocks)
		stalled := stalls()
		if err != nil {
			return err
		}
		late := r.Over(tooLate) + r.Failed
		what := fmt.Sprintf("%s, %d/s: p50 %s, p99 %s, max %s ms", name, rate,
			figure(ms(r.Quantile(0.5))), figure(ms(r.Quantile(0.99))), figure(ms(r.Quantile(1))))
		measured := fmt.Sprintf("%d of %d late", late, r.Requests)
		if ours {
			b.table.row(what, measured, "0", late == 0 && (rate < 200 || r.Requests >= busyRequests))
		} else {
			b.table.info(what, measured)
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

// underBlocks is what the others see while one request after the other makes a copy
// compute. Between two of them is a moment in which both are free.
func underBlocks(ctx context.Context, addr string, rate, blocks int) (load.Result, error) {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var r load.Result
	var wg sync.WaitGroup
	wg.Go(func() { r = load.Run(during, load.Config{Addr: addr, Rate: float64(rate)}) })
	// Not at a moment in which another request is due: what a copy accepts in one go
	// with the request that blocks it, nobody can save.
	err := pause(ctx, 327*time.Millisecond)
	for n := 0; n < blocks && err == nil; n++ {
		path := fmt.Sprintf("/timer?ms=%d", busyFor.Milliseconds())
		busy := load.Run(ctx, load.Config{Addr: addr, Path: path, Clients: 1, Requests: 1, Timeout: 4 * busyFor})
		if busy.Failed > 0 {
			err = fmt.Errorf("the request that keeps a copy busy: %s", busy)
		} else {
			err = pause(ctx, 300*time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	return r, err
}
