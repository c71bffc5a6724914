// Command bench compares the pool of paceline/worker with others on the same work.
//
//	make bench-pool               all of it, about a minute
//	cd worker/bench && go run .   the same
//
// Each row is one kind of work: so many producers hand tasks of one length to a pool of
// GOMAXPROCS workers, and the time is that until all have run, divided by their number.
// The pools take turns, in an order that changes each round. For each of the others there
// is the ratio of its time to ours in each round, and what is told is the median of
// these, of the one that does best. Which one that is is found in every other round and
// measured in the rest, and the other way round: the best of several in one and the same
// rounds would look better than it is by what the measurement varies. It is a module of
// its own, so that nobody who uses the package has the others in his graph.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/alitto/pond/v2"
	"github.com/panjf2000/ants/v2"

	"paceline/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// contender is a pool that takes part.
type contender struct {
	name string
	// open makes a pool; submit hands it the task, close waits for all and ends it.
	open func(task func()) (submit func() error, closePool func() error, err error)
}

// queue is how many tasks wait, in those that can be told.
const queue = 1024

func contenders(ctx context.Context, n int) []contender {
	inPond := func(opts ...pond.Option) func(func()) (func() error, func() error, error) {
		return func(task func()) (func() error, func() error, error) {
			p := pond.NewPool(n, opts...)
			return func() error { return p.Go(task) }, func() error { p.StopAndWait(); return nil }, nil
		}
	}
	return []contender{
		{"paceline", func(task func()) (func() error, func() error, error) {
			p, err := worker.NewPool(worker.PoolWorkers(0, n), worker.PoolQueue(queue))
			if err != nil {
				return nil, nil, err
			}
			body := func(context.Context) error { task(); return nil }
			return func() error { return p.Submit(ctx, body) }, func() error { return p.Close(ctx) }, nil
		}},
		{"ants", func(task func()) (func() error, func() error, error) {
			p, err := ants.NewPool(n)
			if err != nil {
				return nil, nil, err
			}
			return func() error { return p.Submit(task) }, func() error { return p.ReleaseTimeout(time.Minute) }, nil
		}},
		{"pond", inPond()},
		{"pond, queue of 1024", inPond(pond.WithQueueSize(queue))},
	}
}

// load is a kind of work.
type load struct {
	producers int
	length    time.Duration
}

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 25, "how often each pool does each work")
	longest := flags.Duration("longest", time.Second, "leave out tasks that are longer")
	each := flags.Duration("each", 50*time.Millisecond, "about how long one round of one pool is")
	cpu := flags.Bool("cpu", false, "compare processor time rather than time, where other programs take the processors")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 2 {
		return fmt.Errorf("%d rounds: give 2 at least", *rounds)
	}
	n := runtime.GOMAXPROCS(0)
	list := contenders(ctx, n)
	say := func(format string, a ...any) { fmt.Fprintf(w, format, a...) } //nolint:errcheck // who reads may have left
	say("%d workers, %s, %d rounds; ns a task, the median; ratio: of the best of the others to ours, above 1 where ours is faster, and its quartiles\n\n%-28s", n, runtime.Version(), *rounds, "")
	for _, c := range list {
		say("%22s", c.name)
	}
	say("%10s\n", "ratio")
	spin := calibrate()
	for _, length := range []time.Duration{0, time.Microsecond, 10 * time.Microsecond, 100 * time.Microsecond} {
		if length > *longest {
			break
		}
		for _, producers := range slices.Compact([]int{1, n, 100}) {
			l := load{producers, length}
			took, ratio, err := compare(ctx, list, l, *rounds, *each, spin, clockOf(*cpu))
			if err != nil {
				return err
			}
			say("%-28s", fmt.Sprintf("%d producers, tasks of %v", producers, length))
			for _, t := range took {
				say("%22.0f", t)
			}
			say("%10.2f  %.2f to %.2f\n", ratio.median, ratio.low, ratio.high)
		}
	}
	return nil
}

// spread is the median of a list, and its quartiles.
type spread struct{ median, low, high float64 }

// compare returns the median time of a task with each pool, and how much longer the best
// of the others takes than the first.
func compare(ctx context.Context, list []contender, l load, rounds int, each time.Duration, spin func(time.Duration), clock func() (time.Duration, error)) ([]float64, spread, error) {
	tasks := max(int(each/(l.length/time.Duration(runtime.GOMAXPROCS(0))+300*time.Nanosecond)), 1000)
	times := make([][]float64, len(list))
	ratios := make([][]float64, len(list))
	for round := range rounds + 1 {
		this := make([]float64, len(list))
		for i := range list {
			if ctx.Err() != nil {
				return nil, spread{}, context.Cause(ctx)
			}
			at := (i + round) % len(list)
			took, err := measure(list[at], l, tasks, spin, clock)
			if err != nil {
				return nil, spread{}, fmt.Errorf("%s: %w", list[at].name, err)
			}
			this[at] = took
		}
		if round == 0 {
			continue // to warm up
		}
		for i, t := range this {
			times[i] = append(times[i], t)
			ratios[i] = append(ratios[i], t/this[0])
		}
	}
	medians := make([]float64, len(list))
	for i := range list {
		medians[i] = median(times[i])
	}
	one, other := bestBy(ratios[1:], 0), bestBy(ratios[1:], 1)
	all := slices.Sorted(slices.Values(slices.Concat(one, other)))
	return medians, spread{math.Sqrt(median(one) * median(other)), all[len(all)/4], all[len(all)*3/4]}, nil
}

// bestBy finds who is best in half of the rounds, and returns its ratios in the other half.
func bestBy(ratios [][]float64, half int) []float64 {
	found, measured := math.Inf(1), []float64(nil)
	for _, list := range ratios {
		var halves [2][]float64
		for round, r := range list {
			halves[round%2] = append(halves[round%2], r)
		}
		if m := median(halves[half]); m < found {
			found, measured = m, halves[1-half]
		}
	}
	return measured
}

func median(list []float64) float64 {
	list = slices.Clone(list) // which stays in its order
	slices.Sort(list)
	return list[len(list)/2]
}

// measure has one pool do the work, and returns nanoseconds a task.
func measure(c contender, l load, tasks int, spin func(time.Duration), clock func() (time.Duration, error)) (float64, error) {
	var done sync.WaitGroup
	done.Add(tasks)
	submit, closePool, err := c.open(func() {
		spin(l.length)
		done.Done()
	})
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex // guards failed
	var failed error
	var producers sync.WaitGroup
	runtime.GC()
	begun, err := clock()
	if err != nil {
		return 0, err
	}
	for i := range l.producers {
		own := tasks / l.producers
		if i < tasks%l.producers {
			own++
		}
		producers.Go(func() {
			for range own {
				if err := submit(); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					done.Done()
				}
			}
		})
	}
	producers.Wait()
	done.Wait()
	ended, err := clock()
	if err != nil {
		return 0, err
	}
	if err := closePool(); err != nil {
		return 0, err
	}
	return float64((ended - begun).Nanoseconds()) / float64(tasks), failed
}

// clockOf is the time, or the processor time of this program, since some moment.
func clockOf(cpu bool) func() (time.Duration, error) {
	if begun := time.Now(); !cpu {
		return func() (time.Duration, error) { return time.Since(begun), nil }
	}
	return func() (time.Duration, error) {
		var u syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
	}
}

// calibrate returns a function that computes for a time without looking at the clock,
// which would cost more than the shortest of these tasks.
func calibrate() func(time.Duration) {
	turn := func(n int) (x uint64) {
		x = 88172645463325252
		for range n {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		return x
	}
	const sample = 1_000_000
	best := time.Hour
	for range 20 {
		begun := time.Now()
		sink(turn(sample))
		best = min(best, time.Since(begun))
	}
	perNano := float64(sample) / float64(best.Nanoseconds())
	return func(d time.Duration) { sink(turn(int(float64(d.Nanoseconds()) * perNano))) }
}

//go:noinline
func sink(uint64) {}
