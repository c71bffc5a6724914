package worker

import (
	"math/bits"
	"time"
)

// PoolStats is what a pool does and has done, at one moment. The counts since its
// beginning add up: Submitted is the sum of Queued, Running, Completed, Failed,
// Panicked, Cancelled and Dropped.
type PoolStats struct {
	Workers int // goroutines, idle and busy
	Idle    int // those without a task
	Queued  int // tasks that wait for a worker
	Running int // tasks that run, also those whose Run has returned already
	Blocked int // calls of Submit and Run that wait for room in the queue

	Submitted uint64 // tasks that were taken into the pool
	Completed uint64 // that returned nil
	Failed    uint64 // that returned an error, or ran into their timeout
	Panicked  uint64 // that panicked or ended their goroutine; each has cost a worker, which was replaced
	Cancelled uint64 // that never ran, as their context ended or the pool stopped
	Dropped   uint64 // that gave way to others, by PoolDropOldest and PoolDropNewest
	Refused   uint64 // not taken in: the pool was full, closed, stopped or paused, or the context ended while it was full

	// Wait is the time from Submit, or Run, to the start, of the tasks that were started,
	// and Run from there to the end, of those that have ended. While tasks take less
	// than 100 µs, one of 64 is timed and stands for all of them, as reading the clock
	// would take longer than all else that the pool does.
	Wait, Run PoolHistogram

	Paused bool // after too many panics: see PoolPanicPause
	// Nice is by how much the workers' threads are nicer than the program's: 0 without
	// PoolBackground, and where the system knows no such thing.
	Nice int
}

// poolBuckets is the number of buckets with a bound: 1 µs to 2^26 µs, or 67 s.
const poolBuckets = len(PoolHistogram{}.Buckets) - 1

// PoolHistogram counts durations. Bucket i holds those of at most 2^i µs that are in no
// earlier one: 1, 2, 4 µs and so on to 67.1 s (i = 26); the last, of index 27, those
// beyond.
type PoolHistogram struct {
	Buckets [28]uint64
	Count   uint64        // of all buckets
	Sum     time.Duration // of all durations
}

// PoolBound is the upper bound of a histogram's bucket i, which it includes; of the
// last the largest Duration there is.
func PoolBound(i int) time.Duration {
	if i >= poolBuckets {
		return 1<<63 - 1
	}
	return time.Microsecond << max(i, 0)
}

func (h *PoolHistogram) observe(nanoseconds int64, weight uint16) {
	i := 0
	if us := (nanoseconds + 999) / 1000; us > 1 {
		i = min(bits.Len64(uint64(us-1)), poolBuckets)
	}
	h.Buckets[i] += uint64(weight)
	h.Count += uint64(weight)
	h.Sum += time.Duration(nanoseconds) * time.Duration(weight)
}

// Quantile returns the bound of the bucket in which the share q, from 0 to 1, of the
// durations is reached: at most twice the true value, for values of 1 µs to 67 s. It
// is 0 if there are none.
func (h PoolHistogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	want := max(uint64(q*float64(h.Count)+0.5), 1)
	for i, n := range h.Buckets {
		if n >= want {
			return PoolBound(i)
		}
		want -= n
	}
	return PoolBound(poolBuckets)
}

// Mean returns the mean of the durations, 0 if there are none.
func (h PoolHistogram) Mean() time.Duration {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / time.Duration(h.Count)
}

// Stats returns what the pool does and has done. It may be called at any time, also
// after Close, from any goroutine; it holds up the pool for less than a microsecond.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Workers, s.Idle, s.Running = p.workers, p.workers-p.running, p.running
	s.Queued, s.Blocked = p.queue.n, p.blocked.n
	s.Submitted = uint64(s.Queued+s.Running) + s.Completed + s.Failed + s.Panicked + s.Cancelled + s.Dropped
	s.Paused = p.state == poolPaused
	return s
}
