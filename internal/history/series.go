package history

import (
	"math"
	"slices"
	"time"
)

// Series is one of the quantities that are kept of an instance.
type Series int

// The series.
const (
	CPU      Series = iota // per cent of one core, mean
	Memory                 // resident bytes, maximum
	Queue                  // connections that wait in its accept queue, maximum
	Accepted               // connections per second, mean
	Restarts               // count
	seriesCount
)

var seriesNames = [seriesCount]string{"cpu", "memory", "queue", "accepted", "restarts"}

// Names lists the names of all series.
func Names() []string { return slices.Clone(seriesNames[:]) }

// ParseSeries finds a series by its name.
func ParseSeries(name string) (Series, bool) {
	i := slices.Index(seriesNames[:], name)
	return Series(i), i >= 0
}

// String returns the series' name.
func (s Series) String() string { return seriesNames[s] }

// resolution is one of the rings of an instance.
type resolution int

const (
	seconds resolution = iota
	minutes
	hours
	resolutions
)

// rings says how long the rings are: a step in seconds, how many steps, and where
// their blocks begin among an instance's.
var rings = [resolutions]struct {
	step  int64
	rows  int64
	first int
}{
	seconds: {1, 600, 0},
	minutes: {60, 1440, 5},
	hours:   {3600, 720, 17},
}

const seriesBlocks = 23

// Resolutions lists the steps that are kept, with how far each reaches back.
func Resolutions() map[time.Duration]time.Duration {
	m := map[time.Duration]time.Duration{}
	for _, r := range rings {
		m[time.Duration(r.step)*time.Second] = time.Duration(r.step*r.rows) * time.Second
	}
	return m
}

// series is the history of one instance.
type series struct {
	key    Key
	seen   int64 // the second in which it was there last
	now    cell  // its row then
	new    bool  // the journal under way has not got it yet
	block  [seriesBlocks]int32
	last   [resolutions]int64 // the step that each ring was written at last; 0: never
	bucket [resolutions]bucket
}

// bucket sums up the seconds of a longer step that is under way.
type bucket struct {
	step           int64 // 0: none
	cpu, accepted  float64
	cpus, accepts  uint32
	memory         float64 // NaN: no sample, as with the two below
	queue, restart float32
}

func (b *bucket) begin(step int64) {
	*b = bucket{step: step, memory: math.NaN(), queue: float32(math.NaN()), restart: float32(math.NaN())}
}

func (b *bucket) add(p point) {
	if !math.IsNaN(p[CPU]) {
		b.cpu, b.cpus = b.cpu+p[CPU], b.cpus+1
	}
	if !math.IsNaN(p[Accepted]) {
		b.accepted, b.accepts = b.accepted+p[Accepted], b.accepts+1
	}
	if b.memory != b.memory || p[Memory] > b.memory {
		b.memory = p[Memory]
	}
	if q := float32(p[Queue]); b.queue != b.queue || q > b.queue {
		b.queue = q
	}
	switch r := float32(p[Restarts]); {
	case r != r:
	case b.restart != b.restart:
		b.restart = r
	default:
		b.restart += r
	}
}

func (b *bucket) point() point {
	p := point{Memory: b.memory, Queue: float64(b.queue), Restarts: float64(b.restart)}
	p[CPU], p[Accepted] = math.NaN(), math.NaN()
	if b.cpus > 0 {
		p[CPU] = b.cpu / float64(b.cpus)
	}
	if b.accepts > 0 {
		p[Accepted] = b.accepted / float64(b.accepts)
	}
	return p
}

// add takes in the row of a second, which is later than all before.
func (s *series) add(b *blocks, second int64, row cell) {
	s.put(b, seconds, second, row)
	p := row.unpack()
	for r := minutes; r < resolutions; r++ {
		bucket := &s.bucket[r]
		if step := second / rings[r].step; bucket.step != step {
			if bucket.step != 0 {
				s.put(b, r, bucket.step, pack(bucket.point()))
			}
			bucket.begin(step)
		}
		bucket.add(p)
	}
}

// put writes a row, and that there was none in the steps since the last.
func (s *series) put(b *blocks, r resolution, step int64, row cell) {
	for skipped := max(s.last[r]+1, step-rings[r].rows+1); s.last[r] != 0 && skipped < step; skipped++ {
		if at := s.row(b, r, skipped); at != nil {
			copy(at, noCell[:])
		}
	}
	s.last[r] = step
	number := &s.block[rings[r].first+int(step%rings[r].rows)/blockRows]
	if *number == 0 {
		if row == noCell {
			return
		}
		if *number = b.take(); *number == 0 {
			return
		}
	}
	copy(s.row(b, r, step), row[:])
}

// row returns where the row of a step is, nil if it has no memory.
func (s *series) row(b *blocks, r resolution, step int64) []byte {
	at := int(step % rings[r].rows)
	number := s.block[rings[r].first+at/blockRows]
	if number == 0 {
		return nil
	}
	at = at % blockRows * cellBytes
	return b.rows(number)[at : at+cellBytes]
}

// at returns the values of a step.
func (s *series) at(b *blocks, r resolution, step int64) point {
	if r != seconds && s.bucket[r].step == step {
		return s.bucket[r].point()
	}
	if step <= s.last[r] && step > s.last[r]-rings[r].rows {
		if row := s.row(b, r, step); row != nil {
			return cell(row).unpack()
		}
	}
	return noCell.unpack()
}

func (s *series) release(b *blocks) {
	for i, number := range s.block {
		if number != 0 {
			b.give(number)
			s.block[i] = 0
		}
	}
}
