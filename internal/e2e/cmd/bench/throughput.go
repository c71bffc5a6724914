package main

import "context"

func measureThroughput(ctx context.Context, b *bench) error {
	var list []study
	for _, d := range []struct {
		ours, theirs string
		server       server
		balance      string
		peer         func(context.Context, *crew) (string, error)
		limit        float64
	}{
		{"go, pace round-robin", "go, own SO_REUSEPORT", b.golang("go"), "round-robin", b.goSharers(workers), 0.97},
		{"go, pace shared", "go, own SO_REUSEPORT", b.golang("go"), "shared", b.goSharers(workers), 0.97},
		{"node, pace round-robin", "node's cluster, round robin", b.node("server.js"), "round-robin", nodeCluster(nodeDeals), 1.7},
		{"node, pace round-robin", "node, own SO_REUSEPORT", b.node("server.js"), "round-robin", nodeSharers, 0.97},
	} {
		list = append(list, study{name: d.ours, atMost: 3 * duelRounds * duelRun, measure: func(ctx context.Context) error {
			return b.with(ctx, d.server, workers, []string{"--balance", d.balance}, func(a *app) error {
				return b.peer(ctx, d.peer, func(ctx context.Context, other string) error {
					return b.duel(ctx, duel{
						ours: d.ours, theirs: d.theirs, addr: a.port.Addr(), other: other,
						limit: d.limit,
					})
				})
			})
		}})
	}
	return b.studies(ctx, list)
}
