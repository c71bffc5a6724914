package schedule

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// lookAgain is how long the scheduler sleeps at most while there is a schedule:
	// a timer does not run while the machine sleeps, and does not know of a clock
	// that is set.
	lookAgain = time.Minute
	// corrected is how far back the clock must be set to have everything computed
	// anew; below, occurrences would be repeated.
	corrected = 3 * time.Hour
)

// Options are what a Scheduler needs.
type Options struct {
	Log *slog.Logger // nil means slog.Default
	// Fire is called when a pattern's time has come, in a goroutine of its own; at
	// is that time, the first one if several were missed. Calls for one key never
	// overlap: a time that comes while a call runs is passed over, and logged.
	Fire func(key string, at time.Time)
	// Location has the clock that patterns are about; nil means time.Local.
	Location *time.Location
}

// Scheduler calls a function at the times of patterns. Its methods may be called
// from any goroutine.
type Scheduler struct {
	log      *slog.Logger
	fire     func(key string, at time.Time)
	location *time.Location

	wake    chan struct{} // buffered: look again, something has changed
	closing chan struct{}
	close   sync.Once
	running sync.WaitGroup // the loop and calls of fire

	mu      sync.Mutex // guards what follows
	entries map[string]*entry
	busy    map[string]bool // keys of which a call runs
}

type entry struct {
	schedule Schedule
	next     time.Time
}

// New returns a Scheduler without patterns; Close ends its goroutine.
func New(o Options) *Scheduler {
	s := &Scheduler{
		log: o.Log, fire: o.Fire, location: o.Location,
		wake: make(chan struct{}, 1), closing: make(chan struct{}),
		entries: make(map[string]*entry), busy: make(map[string]bool),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.location == nil {
		s.location = time.Local
	}
	s.running.Go(s.run)
	return s
}

// now has no monotonic part, so that what is computed with it is by the clock.
func (s *Scheduler) now() time.Time { return time.Now().In(s.location).Round(0) }

// Sync makes patterns, by key, all there are from now on. One that has not changed
// keeps its next time. The error names those that cannot be parsed, which are left
// out; the others hold.
func (s *Scheduler) Sync(patterns map[string]string) error {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := make(map[string]*entry, len(patterns))
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(patterns)) {
		if e := s.entries[key]; e != nil && e.schedule.text == patterns[key] {
			entries[key] = e
			continue
		}
		parsed, err := Parse(patterns[key])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			continue
		}
		entries[key] = &entry{schedule: parsed, next: parsed.Next(now)}
	}
	s.entries = entries
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
	return errors.Join(errs...)
}

// Next returns when a key's time will come.
func (s *Scheduler) Next(key string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil || e.next.IsZero() {
		return time.Time{}, false
	}
	return e.next, true
}

// Close ends the scheduler and waits for calls of Fire that are running.
func (s *Scheduler) Close() {
	s.close.Do(func() { close(s.closing) })
	s.running.Wait()
}

func (s *Scheduler) run() {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	var last time.Time
	for {
		now := s.now()
		if wait, some := s.look(now, last); some {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		last = now
		select {
		case <-s.closing:
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// look fires what is due and returns how long to sleep; some is false if there is
// nothing to wait for. last is when it looked before.
func (s *Scheduler) look(now, last time.Time) (wait time.Duration, some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	back := !last.IsZero() && last.Sub(now) >= corrected
	wait = lookAgain
	for key, e := range s.entries {
		if back {
			e.next = e.schedule.Next(now)
		}
		if e.next.IsZero() {
			continue
		}
		if !e.next.After(now) {
			s.start(key, e.next)
			e.next = e.schedule.Next(now)
		}
		if !e.next.IsZero() {
			some = true
			wait = min(wait, e.next.Sub(now))
		}
	}
	return wait, some
}

// start calls Fire for a key; s.mu is held.
func (s *Scheduler) start(key string, at time.Time) {
	if s.busy[key] {
		s.log.Warn("what was begun at the last time has not ended; this time is passed over", "app", key, "at", at)
		return
	}
	s.busy[key] = true
	s.running.Go(func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.busy, key)
		}()
		s.fire(key, at)
	})
}
