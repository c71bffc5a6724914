package history

import (
	"math"
	"sync"
	"time"
)

// Key tells instances apart, also those that had the same id one after the other.
type Key struct {
	ID      int
	Created int64 // when the instance was made, in nanoseconds since 1970
}

// Sample is what an instance has used since the last one. NaN is not known.
type Sample struct {
	Key
	CPU      float64 // per cent of one core
	Memory   float64 // bytes
	Queue    float64 // connections that wait
	Accepted float64 // connections per second
	Restarts float64 // count
}

// Instant is a moment by two clocks.
type Instant struct {
	Wall time.Time     // what people set
	Up   time.Duration // what nobody sets: since the boot
	Boot string        // which boot that was; "" if that cannot be told
}

// Options adjust a Store.
type Options struct {
	Dir  string                        // where the files are; "" keeps all in memory
	Log  func(format string, a ...any) // is told what the user should know; nil tells nobody
	Jump func(by time.Duration)        // is told, once each time, that the wall clock was set; nil tells nobody

	now   func() Instant // for tests; nil reads the system's clocks
	every int64          // seconds between two images; 0 means imageEvery
}

// Bounds.
const (
	// imageEvery is how many seconds a journal covers before an image of all is
	// written: reading the journal at a start takes the longer the more it is.
	imageEvery = 1800
	// covered is how many seconds one sample may stand for when it comes late, as on
	// a machine that is busy: rates are means over all of them.
	covered = 5
	// forgetAfter is how many seconds an instance must be missing until its history
	// is: long enough for a restart of everything.
	forgetAfter = 30
	// jumped is by how much the wall clock must be off what it was to have been set.
	// Time services slew by half a millisecond a second.
	jumped = time.Second
)

// Store keeps the history of all instances. Its methods may be called concurrently,
// but Record and Close from one goroutine at a time.
type Store struct {
	o       Options
	now     func() Instant
	journal *journal // nil: there is none
	soon    bool     // too many journals have been read: the next image is due
	saving  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	blocks blocks
	byKey  map[Key]*series
	clock  clock
	closed bool
}

// clock counts seconds.
type clock struct {
	second   int64   // the last one that was recorded,
	recorded Instant // and when that was
	base     int64   // a second, and
	at       Instant // when it was
	offset   time.Duration
	shift    int64 // what makes a second one since 1970
}

// due returns which second it is.
func (c *clock) due(now Instant) int64 {
	return c.base + int64((now.Up-c.at.Up).Round(time.Second)/time.Second)
}

// wallOffset is how far the wall clock is from the one that nobody sets.
func wallOffset(at Instant) time.Duration { return time.Duration(at.Wall.UnixNano()) - at.Up }

// follow notes where the wall clock is, and returns by how much it was set.
func (c *clock) follow(now Instant, second int64) (by time.Duration) {
	offset := wallOffset(now)
	by = offset - c.offset
	c.offset = offset
	if by > -jumped && by < jumped {
		by = 0
	}
	if wall := now.Wall.UnixNano(); by != 0 || abs(wall-(second+c.shift)*int64(time.Second)) > 3*int64(time.Second)/2 {
		c.shift = int64(math.Round(float64(wall)/1e9)) - second
	}
	return by
}

func abs(n int64) int64 { return max(n, -n) }

// Due returns how many seconds have passed since the last Record: 0 means that it is
// too early for another one.
func (s *Store) Due() int64 {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.clock.due(now)-s.clock.second, 0)
}

// Record keeps the samples of all instances that there are. It does nothing if Due is
// 0. An instance that is missing for half a minute is forgotten.
func (s *Store) Record(samples []Sample) {
	now := s.now()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	second := s.clock.due(now)
	passed := second - s.clock.second
	if passed <= 0 {
		s.mu.Unlock()
		return
	}
	by := s.clock.follow(now, second)
	first := second
	if passed <= covered {
		first = s.clock.second + 1
	}
	f := frame{first: first, second: second, at: now, full: s.journal.fresh()}
	for i := range samples {
		p := samples[i]
		sr := s.of(p.Key)
		row := pack(point{CPU: p.CPU, Memory: p.Memory, Queue: p.Queue, Accepted: p.Accepted, Restarts: p.Restarts})
		if f.full || sr.new || row != sr.now || sr.seen != s.clock.second {
			f.entries = append(f.entries, entry{key: p.Key, row: row})
		}
		sr.new = false
		from := first
		if sr.seen != s.clock.second { // it was not there before
			from = second
		}
		sr.fill(&s.blocks, from, second, row)
	}
	s.clock.second, s.clock.recorded = second, now
	f.gone = s.missing(second, len(samples))
	s.mu.Unlock()
	if by != 0 && s.o.Jump != nil {
		s.o.Jump(by)
	}
	s.write(f)
}

// of returns the series of an instance, a new one if there is none.
func (s *Store) of(k Key) *series {
	sr := s.byKey[k]
	if sr == nil {
		sr = &series{key: k, new: true}
		s.byKey[k] = sr
	}
	return sr
}

// fill adds a row for each of some seconds; restarts count in the last.
func (s *series) fill(b *blocks, first, last int64, row cell) {
	s.seen, s.now = last, row
	if first < last {
		p := row.unpack()
		if p[Restarts] > 0 {
			p[Restarts] = 0
		}
		for before := pack(p); first < last; first++ {
			s.add(b, first, before)
		}
	}
	s.add(b, last, row)
}

// missing returns the instances that have just gone, and forgets those that went long
// ago.
func (s *Store) missing(second int64, present int) (gone []Key) {
	if len(s.byKey) == present {
		return nil
	}
	for k, sr := range s.byKey {
		switch {
		case sr.seen == second:
		case second-sr.seen > forgetAfter:
			sr.release(&s.blocks)
			delete(s.byKey, k)
		default:
			gone = append(gone, k)
		}
	}
	return gone
}

// Query selects values.
type Query struct {
	Keys   []Key
	Series []Series
	Step   time.Duration // one of Resolutions
	// Since and Until bound the time; zero means as far as the ring of that step goes,
	// and now.
	Since, Until time.Time
}

// Answer is the values that were asked for.
type Answer struct {
	Start  time.Time // of the first step, by the wall clock as it is now
	Points int
	Values [][]float64 // for each key each series; NaN is no sample
}

// Query returns what is kept. The last value may be of a step under way.
func (s *Store) Query(q Query) Answer {
	r := seconds
	for r+1 < resolutions && q.Step > time.Duration(rings[r].step)*time.Second {
		r++
	}
	step, rows := rings[r].step, rings[r].rows
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.clock.second
	if !q.Until.IsZero() {
		last = min(last, q.Until.Unix()-s.clock.shift)
	}
	to := floorDiv(last, step)
	from := s.clock.second/step - rows + 1
	if !q.Since.IsZero() {
		from = max(from, floorDiv(q.Since.Unix()-s.clock.shift, step))
	}
	points := int(max(to-from+1, 0))
	a := Answer{Start: time.Unix(from*step+s.clock.shift, 0), Points: points}
	for _, k := range q.Keys {
		lists := make([][]float64, len(q.Series))
		for i := range lists {
			lists[i] = make([]float64, points)
		}
		sr := s.byKey[k]
		for n := range points {
			p := noCell.unpack()
			if sr != nil {
				p = sr.at(&s.blocks, r, from+int64(n))
			}
			for i, which := range q.Series {
				lists[i][n] = p[which]
			}
		}
		a.Values = append(a.Values, lists...)
	}
	return a
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Bytes is how much memory the rings take.
func (s *Store) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	const perSeries = 400 // a series, with its place in the map
	return s.blocks.bytes() + perSeries*len(s.byKey)
}

// Close ends the journal and lets the memory go.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.saving.Wait()
	err := s.journal.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey = map[Key]*series{}
	if e := s.blocks.close(); err == nil {
		err = e
	}
	return err
}
