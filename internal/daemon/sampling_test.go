package daemon

import (
	"math"
	"testing"

	"paceline/internal/history"
	"paceline/internal/supervisor"
)

// An instance whose process is replaced has no socket for a while. What it has had
// before must not count again.
func TestConnectionsCountOnceOverARestart(t *testing.T) {
	s := sampler{totals: map[history.Key]int64{}, newer: map[history.Key]int64{}}
	key := history.Key{ID: 3, Created: 1}
	look := func(pid int, total int64, passed int64) float64 {
		clear(s.newer)
		s.places = []supervisor.Place{{ID: 3, PID: pid}}
		s.samples = []history.Sample{{Key: key, Accepted: math.NaN()}}
		if total >= 0 {
			s.has(0, total)
		}
		s.rates(passed)
		return s.samples[0].Accepted
	}
	for i, c := range []struct {
		pid           int
		total, passed int64
		want          float64
	}{
		{7, 5, 1, 5},
		{7, 105, 2, 50},
		{0, -1, 1, math.NaN()}, // no process, no socket
		{8, -1, 1, math.NaN()}, // does not listen yet
		{8, 108, 1, 3},
		{8, 4, 1, 0}, // its port was opened anew
		{8, 6, 1, 2},
	} {
		got := look(c.pid, c.total, c.passed)
		if got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("look %d: got %v, want %v", i, got, c.want)
		}
	}
}
