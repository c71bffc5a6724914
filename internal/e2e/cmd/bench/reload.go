package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"paceline/internal/e2e/load"
)

// What each case is asked at least.
const (
	reloadRequests = 50_000
	reloads        = 10
)

func measureReload(ctx context.Context, b *bench) error {
	for _, script := range []string{"graceful.js", "server.js"} {
		for _, keep := range []bool{false, true} {
			if err := reloadCase(ctx, b, script, keep); err != nil {
				return err
			}
		}
	}
	return nil
}

// reloadCase replaces both workers again and again until all requests are made.
func reloadCase(ctx context.Context, b *bench, script string, keep bool) (err error) {
	a, err := b.startApp(ctx, b.node(script), workers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	path := "/"
	if script == "graceful.js" {
		path = "/?ms=2" // a handler that waits a little
	}
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var r load.Result
	var made atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		r = load.Run(during, load.Config{
			Addr: a.port.Addr(), Path: path, KeepAlive: keep,
			Each: func(load.Request) { made.Add(1) },
		})
	})
	n := 0
	for ; err == nil && (n < reloads || made.Load() < reloadRequests); n++ {
		if _, err = a.box.Pace(ctx, "reload", a.name); err == nil {
			err = pause(ctx, 100*time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	if err != nil {
		return err
	}
	connections := "a connection per request"
	if keep {
		connections = "keep-alive"
	}
	b.failures(fmt.Sprintf("%s, %s, %d reloads, p99 %s ms", script, connections, n, figure(ms(r.Quantile(0.99)))), r)
	return nil
}

// failures is a row of requests of which none may fail.
func (b *bench) failures(what string, r load.Result) {
	b.table.row(what, fmt.Sprintf("%d of %d", r.Failed, r.Requests), "0", r.Failed == 0 && r.Requests > 0)
	if r.Failed > 0 {
		b.table.say("      %s", r)
	}
}
