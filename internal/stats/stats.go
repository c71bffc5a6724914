// Package stats samples what the processes of instances use of CPU and memory.
package stats

import (
	"sync"
	"time"
)

// rereadAfter is how long the memory of a process that does not run is taken to be what
// it was: the kernel may take some of it away.
const rereadAfter = 10 * time.Second

// minInterval is the shortest time over which CPU use is computed. The kernel
// counts it in ticks of 10 ms, so that less would be mostly rounding.
const minInterval = 200 * time.Millisecond

// Options adjusts a Sampler; the zero value is what the daemon uses.
type Options struct {
	// MaxOpen is how many descriptors may be kept open, one per process; the
	// others are opened at each sample, which costs about twice as much.
	// Zero means a quarter of the process's limit, negative none.
	MaxOpen int

	now func() time.Time // for tests; nil means time.Now
}

// Sampler holds the last known use of each tracked process. Sample and Close
// belong to one goroutine; the other methods may be called from any.
type Sampler struct {
	now     func() time.Time
	maxOpen int

	// Of the goroutine that samples:
	open   int        // descriptors kept
	batch  []*tracked // what is being sampled, reused
	stale  []*tracked // untracked while sampling did not run, reused
	buffer [1024]byte // a stat line is below 400 bytes

	mu      sync.Mutex // guards what follows and tracked.Usage
	byID    map[int]*tracked
	removed []*tracked // descriptors to be closed by the next Sample
}

// Usage is what one process uses.
type Usage struct {
	CPU         float64 // per cent of one core, between the last two samples
	MemoryBytes uint64  // resident memory
	CPUSeconds  float64 // of all cores, since the process started, its children not included
	Threads     int
	CPUKnown    bool // there have been two samples
}

// tracked is one process. All but usage belongs to the sampling goroutine once
// it is in the map; usage is guarded by Sampler.mu.
type tracked struct {
	usage Usage

	pid        int
	startTicks uint64
	fd         int  // -1: not open
	gone       bool // the process has ended: never looked at again

	last    time.Duration // CPU time used at the time of
	at      time.Time
	clocked bool      // last is by its clock, not in ticks
	readAt  time.Time // its stat line
	fresh   Usage     // to become usage
}

// New returns a Sampler that tracks nothing yet.
func New(o Options) *Sampler {
	s := &Sampler{now: o.now, maxOpen: o.MaxOpen, byID: make(map[int]*tracked)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.maxOpen == 0 {
		s.maxOpen = openLimit() / 4
	}
	return s
}

// Track makes pid the process of instance id, in place of an earlier one.
// startTicks, as StartTicks returns it, tells it from a later process of the
// same number; zero accepts whoever has it at the next sample.
func (s *Sampler) Track(id, pid int, startTicks uint64) {
	t := &tracked{pid: pid, startTicks: startTicks, fd: -1}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(id)
	s.byID[id] = t
}

// Untrack forgets the process of instance id, if there is one.
func (s *Sampler) Untrack(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(id)
}

func (s *Sampler) remove(id int) {
	if old := s.byID[id]; old != nil {
		delete(s.byID, id)
		s.removed = append(s.removed, old)
	}
}

// Get returns what the process of instance id used at the last sample: zeros
// if it is not tracked, has ended, or was not sampled yet. CPU needs two
// samples that are 200 ms or more apart.
func (s *Sampler) Get(id int) (cpu float64, memoryBytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.byID[id]; t != nil {
		return t.usage.CPU, t.usage.MemoryBytes
	}
	return 0, 0
}

// Look returns all that is known of the process of instance id, and whether there has
// been a sample of it and it has not ended since.
func (s *Sampler) Look(id int) (u Usage, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.byID[id]; t != nil {
		return t.usage, t.usage.Threads > 0
	}
	return Usage{}, false
}

// Sample looks at every tracked process once. It takes some microseconds per process,
// less than one if that has not run, and allocates nothing while the set of processes
// stays the same.
func (s *Sampler) Sample() {
	s.mu.Lock()
	s.batch, s.stale = s.batch[:0], append(s.stale[:0], s.removed...)
	clear(s.removed)
	s.removed = s.removed[:0]
	for _, t := range s.byID {
		s.batch = append(s.batch, t)
	}
	s.mu.Unlock()

	for _, t := range s.stale {
		s.close(t)
	}
	clear(s.stale)
	for _, t := range s.batch {
		s.look(t)
	}

	s.mu.Lock()
	for _, t := range s.batch {
		t.usage = t.fresh
	}
	s.mu.Unlock()
	clear(s.batch)
}

// Close closes the descriptors and forgets every process.
func (s *Sampler) Close() {
	s.mu.Lock()
	for id := range s.byID {
		s.remove(id)
	}
	s.mu.Unlock()
	s.Sample()
}

// look updates t.fresh from the kernel. To ask for the time that a process has run is
// much cheaper than its stat line, and of one that has not run that is all there is to
// know. That it is still this process the stat line says, once it has run.
func (s *Sampler) look(t *tracked) {
	if t.gone {
		return
	}
	at := s.now()
	ran, clocked := cpuClock(t.pid)
	if clocked && t.clocked && ran == t.last && at.Sub(t.readAt) < rereadAfter {
		s.advance(t, ran, at)
		return
	}
	r, err := s.read(t)
	switch {
	case err == errScarce: //nolint:errorlint // never wrapped: it is this package's own
		return // keep what is known
	case err != nil || t.startTicks != 0 && r.startTicks != t.startTicks:
		t.gone, t.fresh = true, Usage{}
		s.close(t)
		return
	}
	if !clocked {
		ran = time.Duration(r.cpuTicks) * time.Second / ticksPerSecond
	}
	t.startTicks, t.readAt, t.clocked = r.startTicks, at, clocked
	t.fresh.MemoryBytes, t.fresh.Threads = r.memoryBytes, r.threads
	s.advance(t, ran, at)
}

// advance takes in how long the process has run.
func (s *Sampler) advance(t *tracked, ran time.Duration, at time.Time) {
	t.fresh.CPUSeconds = ran.Seconds()
	if t.at.IsZero() {
		t.last, t.at = ran, at
		return
	}
	if elapsed := at.Sub(t.at); elapsed >= minInterval {
		t.fresh.CPU, t.fresh.CPUKnown = 0, true
		if ran > t.last { // in ticks, threads that end can make the sum step back by one
			t.fresh.CPU = 100 * float64(ran-t.last) / float64(elapsed)
		}
		t.last, t.at = ran, at
	}
}

// reading is what the kernel says about a process.
type reading struct {
	cpuTicks    uint64 // user and system, of all its threads, since it started
	startTicks  uint64 // when it started, in ticks since boot
	memoryBytes uint64
	threads     int
}

// ticksPerSecond is USER_HZ, 100 on every architecture that Go runs on.
const ticksPerSecond = 100
