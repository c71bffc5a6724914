package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// soak is one home with its servers.
type soak struct {
	w       io.Writer
	random  *rand.Rand
	rate    float64
	servers []*server
	box     *sandbox.Sandbox

	broken []string // what did not hold
	round  int
	total  tally
}

// held is what keeper and daemon have open.
type held struct{ keeper, daemon int }

// spare is by how many descriptors the daemons of a soak may differ: what one has
// opened for itself, the next has inherited or opens when it needs it. A leak
// grows beyond it in a few rounds.
const spare = 4

// over reports whether it is more than before.
func (h held) over(before *held) bool {
	return before != nil && (h.keeper > before.keeper+spare || h.daemon > before.daemon+spare)
}

func (s *soak) printf(format string, a ...any) {
	fmt.Fprintf(s.w, format, a...) //nolint:errcheck // who reads may leave
}

func (s *soak) open(ctx context.Context, pace string) error {
	if len(s.servers) == 0 {
		return errors.New("no server given: -go, -node or both")
	}
	box, err := sandbox.New(pace)
	if err != nil {
		return err
	}
	s.box = box
	for _, server := range s.servers {
		if server.port, err = sandbox.ReservePort(); err != nil {
			return err
		}
		if err := server.start(ctx, box); err != nil {
			return err
		}
	}
	return nil
}

func (s *soak) close(ctx context.Context) error {
	if s.box == nil {
		return nil
	}
	err := s.box.Close(ctx)
	for _, server := range s.servers {
		if server.port != nil {
			err = errors.Join(err, server.port.Release())
		}
	}
	return err
}

// rounds goes on until the time is over, under load.
func (s *soak) rounds(ctx context.Context, duration time.Duration) error {
	if s.box == nil || len(s.servers) == 0 {
		return nil
	}
	begun := time.Now()
	asking, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, server := range s.servers {
		wg.Go(func() { server.ask(asking, s.rate) })
	}
	s.printf("%6s %8s %9s %6s %8s %7s %5s %9s %7s %7s %8s\n",
		"round", "time", "requests", "kills", "excused", "failed", "hung", "slowest", "keeper", "daemon", "RSS")
	// The first round opens what is opened once; it is compared with nothing.
	var before *held
	for ctx.Err() == nil && (s.round == 0 || time.Since(begun) < duration) {
		s.round++
		if err := s.play(ctx); err != nil {
			return fmt.Errorf("round %d: %w", s.round, err)
		}
		after, err := s.settle(ctx, before)
		if err != nil {
			return fmt.Errorf("round %d: %w", s.round, err)
		}
		if after.over(before) {
			s.breaks("round %d: keeper and daemon hold %d and %d descriptors, %d and %d after the first round",
				s.round, after.keeper, after.daemon, before.keeper, before.daemon)
		}
		if before == nil {
			before = &after
		}
		s.row(time.Since(begun), after)
	}
	return nil
}

// deed is one trouble.
type deed struct {
	name string
	do   func(context.Context) error
	// beside it, the next one is done
	beside func(context.Context)
}

// play does everything once, in some order. What blocks goes on beside the next.
func (s *soak) play(ctx context.Context) error {
	deeds := []deed{{name: "kill the daemon", do: s.killDaemon}}
	for _, server := range s.servers {
		more := strconv.Itoa(server.copies + 1 + s.random.IntN(2))
		deeds = append(deeds,
			deed{name: "reload " + server.name, do: func(ctx context.Context) error { return s.pace(ctx, "reload", server.name) }},
			deed{name: "scale " + server.name, do: func(ctx context.Context) error {
				return errors.Join(s.pace(ctx, "scale", server.name, more), s.pace(ctx, "scale", server.name, strconv.Itoa(server.copies)))
			}},
			deed{name: "kill a copy of " + server.name, do: func(ctx context.Context) error { return s.killCopy(ctx, server) }},
			deed{name: "kill a copy of " + server.name, do: func(ctx context.Context) error { return s.killCopy(ctx, server) }},
			deed{name: "block a copy of " + server.name, beside: server.block},
		)
	}
	s.random.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, d := range deeds {
		if d.beside != nil {
			wg.Go(func() { d.beside(ctx) })
			pause(ctx, 200*time.Millisecond)
			continue
		}
		if err := d.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		pause(ctx, time.Duration(100+s.random.IntN(400))*time.Millisecond)
	}
	return nil
}

func (s *soak) pace(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err := s.box.Pace(ctx, args...)
	return err
}

func (s *soak) killDaemon(ctx context.Context) error {
	pid, err := s.box.DaemonPID()
	if err != nil {
		return err
	}
	if err := proc.Kill(pid); err != nil {
		return err
	}
	return s.pace(ctx, "ping") // answered by the next one
}

// killCopy kills one that runs, and waits until as many as before do.
func (s *soak) killCopy(ctx context.Context, server *server) error {
	list, err := s.box.Instances(ctx)
	if err != nil {
		return err
	}
	var pids []int
	for _, in := range list {
		if in.Name == server.name && in.PID != 0 {
			pids = append(pids, in.PID)
		}
	}
	if len(pids) == 0 {
		return errors.New("none runs")
	}
	if err := server.kill(ctx, pids[s.random.IntN(len(pids))]); err != nil {
		return err
	}
	return s.allRun(ctx)
}

// allRun waits until every copy is online.
func (s *soak) allRun(ctx context.Context) error {
	n := 0
	for _, server := range s.servers {
		n += server.copies
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	list, err := s.box.WaitStatus(ctx, n, "online")
	if err != nil {
		return fmt.Errorf("wait for %d copies: %w; there are %+v", n, err, list)
	}
	return nil
}

// settle waits until all run again and what was open for the moment is closed, and
// returns how much is open.
func (s *soak) settle(ctx context.Context, before *held) (h held, err error) {
	if err := s.allRun(ctx); err != nil {
		return h, err
	}
	pause(ctx, time.Second)
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = proc.Poll(wait, 100*time.Millisecond, func() (bool, error) {
		if h, err = s.count(); err != nil {
			return false, err
		}
		return !h.over(before), nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = nil // the caller compares
	}
	return h, err
}

func (s *soak) count() (h held, err error) {
	for _, p := range []struct {
		pid func() (int, error)
		n   *int
	}{{s.box.KeeperPID, &h.keeper}, {s.box.DaemonPID, &h.daemon}} {
		pid, err := p.pid()
		if err != nil {
			return h, err
		}
		if *p.n, err = proc.Descriptors(pid); err != nil {
			return h, err
		}
	}
	return h, nil
}

// memory is what keeper and daemon hold, in MB.
func (s *soak) memory() (mb int64) {
	for _, pid := range []func() (int, error){s.box.KeeperPID, s.box.DaemonPID} {
		if p, err := pid(); err == nil {
			if rss, err := proc.RSS(p); err == nil {
				mb += rss >> 20
			}
		}
	}
	return mb
}

// row ends a round.
func (s *soak) row(at time.Duration, h held) {
	var sum tally
	for _, server := range s.servers {
		t := server.take()
		if t.hung > 0 {
			s.breaks("round %d: %d requests to %s took more than %v", s.round, t.hung, server.name, hang)
		}
		if t.failed > 0 {
			s.breaks("round %d: %d requests failed without a kill, the first to %s", s.round, t.failed, t.first)
		}
		sum.add(t)
	}
	s.total.add(sum)
	s.print(fmt.Sprint(s.round), at, sum, h)
}

func (s *soak) print(name string, at time.Duration, t tally, h held) {
	s.printf("%6s %8s %9d %6d %8d %7d %5d %9s %7d %7d %5d MB\n", name, at.Round(time.Second), t.requests, t.kills, t.excused,
		t.failed, t.hung, t.slowest.Round(time.Millisecond), h.keeper, h.daemon, s.memory())
}

func (t *tally) add(u tally) {
	t.requests += u.requests
	t.excused += u.excused
	t.failed += u.failed
	t.hung += u.hung
	t.kills += u.kills
	t.slowest = max(t.slowest, u.slowest)
}

func (s *soak) breaks(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	s.broken = append(s.broken, text)
	s.printf("  ✗ %s\n", text)
}

// verdict sums up, and reports whether everything has held.
func (s *soak) verdict() bool {
	s.printf("%d rounds: %d requests, %d failed that a killed copy may have accepted (%d kills), %d others failed, %d hung\n",
		s.round, s.total.requests, s.total.excused, s.total.kills, s.total.failed, s.total.hung)
	if len(s.broken) > 0 {
		s.printf("%d things did not hold\n", len(s.broken))
		return false
	}
	s.printf("all holds\n")
	return true
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
