package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"paceline/internal/e2e/load"
)

// What each program is asked at least.
const (
	anyRequests = 20_000
	anyReloads  = 3
)

func measureAnyReload(ctx context.Context, b *bench) error {
	var list []study
	for _, c := range []struct {
		server
		clients int
	}{
		{b.golang("go, no signal handler, answers after 300 ms", "-wait", "300ms"), 256},
		{b.golang("go, no signal handler"), 0},
		{b.golang("go, graceful, answers after 20 ms", "-graceful", "-wait", "20ms"), 32},
		{b.python(), 0},
		{b.ruby(), 0},
		{b.php(), 0},
		{b.node("server.js"), 0},
	} {
		list = append(list, study{name: c.name, atMost: 2 * time.Minute, measure: func(ctx context.Context) error {
			// Patience: under this load an interpreter may need a while to begin.
			return b.with(ctx, c.server, workers, []string{"--listen-timeout", "20s"}, func(a *app) error {
				return b.reloadUntil(ctx, a, c.name, c.clients)
			})
		}})
	}
	return b.studies(ctx, list)
}

// The examples of other languages.
func (b *bench) python() server {
	return server{name: "python, threading", needs: "python3", file: b.example("python/server.py")}
}

func (b *bench) ruby() server {
	return server{name: "ruby", needs: "ruby", file: b.example("ruby/server.rb")}
}

func (b *bench) php() server {
	return server{name: "php -S", needs: "php", file: b.example("php/start.sh")}
}

// reloadUntil replaces the copies again and again until all requests are made, each
// with a connection of its own, or time is short.
func (b *bench) reloadUntil(ctx context.Context, a *app, name string, clients int) error {
	const long = 75 * time.Second
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var r load.Result
	var made atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		r = load.Run(during, load.Config{Addr: a.port.Addr(), Clients: clients, Each: func(load.Request) { made.Add(1) }})
	})
	var err error
	n := 0
	for begun := time.Now(); err == nil && (n < anyReloads || made.Load() < anyRequests) && time.Since(begun) < long; n++ {
		if _, err = a.box.Pace(ctx, "reload", a.name); err == nil {
			err = pause(ctx, 100*time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	what := fmt.Sprintf("%s, %d reloads, p50 %s, p99 %s ms", name, n, figure(ms(r.Quantile(0.5))), figure(ms(r.Quantile(0.99))))
	b.table.row(what, fmt.Sprintf("%d of %d", r.Failed, r.Requests), "0",
		err == nil && r.Failed == 0 && r.Requests >= anyRequests && n >= anyReloads)
	if r.Failed > 0 {
		b.table.say("      %s", r)
	}
	return err
}
