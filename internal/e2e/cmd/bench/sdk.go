package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// Each server of a pair is measured sdkRounds times for sdkRun, in turn: the difference
// looked for is small, and what else the machine does changes within a few seconds.
const (
	sdkRounds = 41
	sdkRun    = 700 * time.Millisecond
)

// measureSDK compares workers of package cluster that share a listener with the same
// program whose workers have a socket each, with SO_REUSEPORT.
func measureSDK(ctx context.Context, b *bench) error {
	exe := filepath.Join(b.cache, "bin", "sdk")
	if !exists(exe) {
		return fmt.Errorf("%w: %s is not built; make bench builds it", errSkip, exe)
	}
	run := func(sharing string) func(context.Context, *crew) (string, error) {
		return func(ctx context.Context, c *crew) (string, error) {
			port, err := c.reserve()
			if err != nil {
				return "", err
			}
			return port.Addr(), c.run(ctx, []string{"PORT=" + strconv.Itoa(port.Number)}, nil, exe, "bench", sharing)
		}
	}
	var list []study
	for _, d := range []struct {
		name    string
		sharing string
		keep    bool
		limit   float64
	}{
		{"cluster, shared listener", "shared", false, 0.97},
		{"cluster, shared listener, kept connections", "shared", true, 0.97},
		{"cluster, round robin", "round-robin", false, 0},
		{"cluster, round robin, kept connections", "round-robin", true, 0},
	} {
		list = append(list, study{name: d.name, atMost: 5 * sdkRounds * sdkRun, measure: func(ctx context.Context) error {
			return b.peer(ctx, run(d.sharing), func(ctx context.Context, ours string) error {
				return b.peer(ctx, run("reuseport"), func(ctx context.Context, theirs string) error {
					return b.duel(ctx, duel{
						ours: d.name, theirs: "the same, SO_REUSEPORT", addr: ours, other: theirs,
						limit: d.limit, rounds: sdkRounds, run: sdkRun, keep: d.keep,
					})
				})
			})
		}})
	}
	return b.studies(ctx, list)
}
