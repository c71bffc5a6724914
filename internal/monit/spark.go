package monit

import (
	"math"
	"strings"
)

// kept is how many samples there are of an instance, one a second.
const kept = 120

// samples are the last values of one figure. NaN: there is none.
type samples struct {
	values [kept]float64
	n      int // how many there have been
}

func (s *samples) add(v float64) {
	s.values[s.n%kept] = v
	s.n++
}

// at returns the value i samples ago.
func (s *samples) at(i int) float64 {
	if i >= min(s.n, kept) {
		return math.NaN()
	}
	return s.values[(s.n-1-i)%kept]
}

// trail is what an instance or an app has used.
type trail struct{ cpu, memory samples }

// bars are the eighths of a column.
const bars = "▁▂▃▄▅▆▇█"

// chart draws the last n values, the newest to the right. The top is the largest of
// them, but at least least, so that a little noise is no mountain.
func (s *samples) chart(n int, least float64) string {
	top := least
	for i := range n {
		if v := s.at(i); v > top {
			top = v
		}
	}
	var b strings.Builder
	steps := []rune(bars)
	for i := n - 1; i >= 0; i-- {
		v := s.at(i)
		if math.IsNaN(v) {
			b.WriteByte(' ')
			continue
		}
		step := int(v / top * float64(len(steps)))
		b.WriteRune(steps[max(0, min(step, len(steps)-1))])
	}
	return b.String()
}

func nan() float64 { return math.NaN() }

// plus adds figures, of which one that is not known counts nothing.
func plus(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}
