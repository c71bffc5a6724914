package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"paceline/internal/e2e/helper"
	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
)

const (
	killRate = 500 // requests per second, each with a connection of its own
	kills    = 5
	// dying is how long a process may take from kill -9 until its sockets are closed.
	dying = 100 * time.Millisecond
)

func measureAnyKill(ctx context.Context, b *bench) error {
	var list []study
	for _, s := range []server{b.golang("go"), b.node("server.js"), b.python(), b.ruby()} {
		for _, balance := range []string{"round-robin", "shared"} {
			name := fmt.Sprintf("%s, pace %s", s.name, balance)
			list = append(list, study{name: name, measure: func(ctx context.Context) error {
				return b.peerFolder(func(c *crew) error {
					one, tally := s, ""
					if one.file == b.exe {
						tally = c.dir
						one.args = slices.Concat(one.args, []string{"-tally", tally})
					}
					return b.with(ctx, one, workers, []string{"--balance", balance}, func(a *app) error {
						return b.killCopies(ctx, a, name, tally)
					})
				})
			}})
		}
	}
	return b.studies(ctx, list)
}

// death is one copy killed.
type death struct {
	pid int
	at  time.Time
}

// killCopies kills one copy after the other under load. What the dead one had
// accepted is lost, and nothing else may be: a request fails by a reset or an end
// while the process dies, and is one of those that were on their way then. A server
// that keeps a tally tells exactly how many it had accepted.
func (b *bench) killCopies(ctx context.Context, a *app, name, tally string) error {
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex // guards made
	var made []load.Request
	var r load.Result
	var wg sync.WaitGroup
	wg.Go(func() {
		r = load.Run(during, load.Config{Addr: a.port.Addr(), Rate: killRate, Timeout: hung, Each: func(q load.Request) {
			mu.Lock()
			defer mu.Unlock()
			made = append(made, q)
		}})
	})
	err := pause(ctx, time.Second)
	var deaths []death
	for n := 0; n < kills && err == nil; n++ {
		var d death
		if d, err = a.killOne(ctx, n); err == nil {
			deaths = append(deaths, d)
			err = pause(ctx, 700*time.Millisecond)
		}
	}
	cancel()
	wg.Wait()
	if err != nil {
		return err
	}
	return b.losses(name, tally, r, made, deaths)
}

func (a *app) killOne(ctx context.Context, n int) (death, error) {
	list, err := a.box.Instances(ctx)
	if err != nil {
		return death{}, err
	}
	victim := list[n%len(list)]
	d := death{pid: victim.PID, at: time.Now()}
	return d, errors.Join(proc.Kill(victim.PID), replaced(ctx, a.box, victim))
}

// losses tells what failed, and what of it had been accepted.
func (b *bench) losses(name, tally string, r load.Result, made []load.Request, deaths []death) error {
	open, others := 0, 0
	first, last := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	for _, q := range made {
		during, accepted := blame(q, deaths)
		if during {
			open++
		}
		if q.Err != nil && !accepted {
			others++
			after := sinceDeath(q, deaths)
			first, last = min(first, after), max(last, after)
		}
	}
	b.table.row(fmt.Sprintf("%s, kill -9 %d times at %d/s: failed, not accepted by the dead", name, len(deaths), killRate),
		fmt.Sprintf("%d of %d", others, r.Requests), "0", others == 0 && r.Requests > 0)
	if r.Failed > 0 {
		b.table.say("      %s", r)
	}
	if others > 0 {
		b.table.say("      the %d began %s to %s ms after the nearest kill", others, figure(ms(first)), figure(ms(last)))
	}
	if tally == "" {
		b.table.info("  failed in all; on their way while a copy died", fmt.Sprintf("%d; %d", r.Failed, open))
	} else {
		accepted := int64(0)
		for _, d := range deaths {
			in, out, err := helper.Tally(tally, d.pid)
			if err != nil {
				return err
			}
			accepted += in - out
		}
		b.table.row("  failed in all, of what the dead had accepted by their own count", fmt.Sprint(r.Failed), fmt.Sprintf("<= %d", accepted), int64(r.Failed) <= accepted)
	}
	b.table.row("  hung for more than 2 s", fmt.Sprint(r.Hung), "0", r.Hung == 0)
	return nil
}

// blame says whether a copy died while a request was on its way, and whether a failed
// one can have been among what that copy had accepted. One that began later, or was
// refused, or got no answer at all, cannot.
func blame(q load.Request, deaths []death) (during, accepted bool) {
	end := q.Begun.Add(q.Took)
	during = slices.ContainsFunc(deaths, func(d death) bool { return q.Begun.Before(d.at.Add(dying)) && end.After(d.at) })
	torn := []string{"connection reset", "closed without an answer", "answer cut off", "broken pipe"}
	return during, during && q.Err != nil && slices.Contains(torn, load.Kind(q.Err))
}

// sinceDeath is how long before (less than zero) or after the nearest death a request began.
func sinceDeath(q load.Request, deaths []death) time.Duration {
	nearest := time.Duration(math.MaxInt64)
	for _, d := range deaths {
		if since := q.Begun.Sub(d.at); since.Abs() < nearest.Abs() {
			nearest = since
		}
	}
	return nearest
}
