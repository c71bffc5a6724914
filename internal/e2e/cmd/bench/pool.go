package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"paceline/internal/e2e/load"
)

const (
	poolRounds  = 7
	poolIdleFor = 3 * time.Second
	poolLoadFor = 4 * time.Second
	poolRate    = 200 // requests of / per second
	poolClients = 32  // each always has a request of pbkdf2 under way
)

// poolServer is the example server in one of its ways.
type poolServer struct {
	name string
	args []string
	// Of each round: the time of / without other requests and with them.
	idle, busy []poolPhase
	derived    []float64 // answers to pbkdf2 per second meanwhile
}

// poolPhase is the latencies of one phase, in order.
type poolPhase []time.Duration

func (p poolPhase) quantile(q float64) time.Duration {
	return load.Result{Latencies: p}.Quantile(q)
}

// measurePool finds what requests to / have of others that compute. All servers are
// measured in each round, one after the other, each from its start.
func measurePool(ctx context.Context, b *bench) error {
	program := filepath.Join(b.cache, "bin", "sdk-pool")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: %s is missing; make bench builds it", errSkip, program)
	}
	servers := []*poolServer{
		{name: "pool, in the background"},
		{name: "no pool", args: []string{"-pool=false"}},
		{name: "pool, not in the background", args: []string{"-background=false"}},
		{name: fmt.Sprintf("the same, %d of %d processors", max(runtime.NumCPU()-1, 1), runtime.NumCPU()), args: []string{"-background=false", "-workers", fmt.Sprint(max(runtime.NumCPU()-1, 1))}},
	}
	for range poolRounds {
		for _, s := range servers {
			start := sharers(1, nil, func(*crew) []string { return append([]string{program}, s.args...) })
			if err := b.peer(ctx, start, s.round); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	ours, none := servers[0], servers[1]
	for _, s := range servers {
		b.table.info(fmt.Sprintf("%s: p99 of / idle, under load", s.name), fmt.Sprintf("%s, %s ms", figure(ms(p99(s.idle))), figure(ms(p99(s.busy)))))
		b.table.info("  of the rounds, under load", fmt.Sprint(each(s.busy)))
		b.table.info("  pbkdf2 meanwhile", figure(median(s.derived))+" /s")
	}
	b.table.atMost("p99 of / under load, of what it is idle", float64(p99(ours.busy))/float64(p99(ours.idle)), 3, "")
	b.table.atMost("p99 of / under load, of what it is without the pool", float64(p99(ours.busy))/float64(p99(none.busy)), 0.1, "")
	return b.writePool(servers)
}

// p99 is the median of the rounds' p99.
func p99(rounds []poolPhase) time.Duration {
	var list []time.Duration
	for _, r := range rounds {
		list = append(list, r.quantile(0.99))
	}
	return median(list)
}

func each(rounds []poolPhase) (list []string) {
	for _, r := range rounds {
		list = append(list, figure(ms(r.quantile(0.99))))
	}
	return list
}

// round measures / alone, and then while pbkdf2 takes all that it can get.
func (s *poolServer) round(ctx context.Context, addr string) error {
	if _, err := s.phase(ctx, addr, time.Second); err != nil { // to warm up
		return err
	}
	idle, err := s.phase(ctx, addr, poolIdleFor)
	if err != nil {
		return err
	}
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan load.Result, 1)
	go func() {
		answers <- load.Run(during, load.Config{Addr: addr, Path: "/pbkdf2", KeepAlive: true, Clients: poolClients, Timeout: time.Minute})
	}()
	err = pause(ctx, time.Second) // until all are at work
	var busy poolPhase
	if err == nil {
		busy, err = s.phase(ctx, addr, poolLoadFor)
	}
	cancel()
	derived := <-answers
	switch {
	case err != nil:
		return err
	case derived.Failed > 0:
		return fmt.Errorf("pbkdf2: %s", derived)
	}
	s.idle, s.busy = append(s.idle, idle), append(s.busy, busy)
	s.derived = append(s.derived, derived.PerSecond())
	return nil
}

func (s *poolServer) phase(ctx context.Context, addr string, d time.Duration) (poolPhase, error) {
	r := load.Run(ctx, load.Config{Addr: addr, Rate: poolRate, Requests: int(d.Seconds() * poolRate), Timeout: time.Minute})
	if r.Failed > 0 {
		return nil, fmt.Errorf("requests to /: %s", r)
	}
	return r.Latencies, ctx.Err()
}

// writePool keeps the figures of all rounds together, and draws them.
func (b *bench) writePool(servers []*poolServer) error {
	var data bytes.Buffer
	fmt.Fprintln(&data, "server,load,quantile,ms")
	var lines []line
	for i, s := range servers {
		phases := []struct {
			name   string
			rounds []poolPhase
		}{{"none", s.idle}, {"pbkdf2", s.busy}}
		for _, phase := range phases {
			all := slices.Sorted(slices.Values(slices.Concat(phase.rounds...)))
			l := line{name: s.name}
			if phase.name == "none" {
				l.name = "no load"
			}
			for _, q := range plotted() {
				v := ms(poolPhase(all).quantile(q))
				l.y = append(l.y, v)
				fmt.Fprintf(&data, "%s,%s,%g,%.4f\n", s.name, phase.name, q, v)
			}
			if phase.name != "none" || i == 0 {
				lines = append(lines, l)
			}
		}
	}
	title := fmt.Sprintf("Time of / while %d clients ask for pbkdf2, %d processors", poolClients, runtime.NumCPU())
	for name, text := range map[string][]byte{"pool.csv": data.Bytes(), "pool.svg": quantilePlot(title, lines)} {
		file := filepath.Join(b.cache, name)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
		b.table.say("  written: %s", file)
	}
	return nil
}
