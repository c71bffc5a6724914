package port

import (
	"slices"
	"testing"
	"time"

	"paceline/internal/port/dispatch"
)

func TestTempo(t *testing.T) {
	type step struct {
		after time.Duration
		came  uint64
		run   int
	}
	const look = tempoLook // 25 ms: 100 are 4,000 a second
	for name, c := range map[string]struct {
		copies int
		steps  []step
	}{
		"slow":                    {2, []step{{0, 0, 0}, {tick, 20, 0}, {tick, 20, 1}, {time.Second, 900, 1}, {time.Second, 1900, 1}}},
		"fast":                    {2, []step{{0, 0, 0}, {tick, 25, 0}, {tick, 25, 2}, {tick, 0, 2}, {tick, 50, 2}}},
		"very fast":               {2, []step{{0, 0, 0}, {look, 150, 4}, {look, 1500, 4}}},
		"faster":                  {2, []step{{0, 0, 0}, {look, 49, 1}, {look, 50, 2}, {look, 149, 2}, {look, 150, 4}}},
		"slower":                  {2, []step{{0, 0, 0}, {look, 150, 4}, {look, 75, 4}, {look, 74, 2}, {look, 25, 2}, {look, 24, 1}, {look, 25, 1}}},
		"fast for so many":        {16, []step{{0, 0, 0}, {look, 200, 1}}},
		"more than the list has":  {dispatch.MaxSlots/longestRun + 1, []step{{0, 0, 0}, {look, 100_000, 1}}},
		"as many as the list has": {dispatch.MaxSlots / longestRun, []step{{0, 0, 0}, {look, 100_000, 4}}},
		"to one":                  {1, []step{{0, 0, 0}, {look, 200, 1}}},
		"to nobody":               {0, []step{{0, 0, 0}, {look, 200, 1}}},
		"a burst after a silence": {2, []step{{0, 0, 0}, {time.Hour, 30, 1}, {tick, 500, 1}}},
		"silence after a burst":   {2, []step{{0, 0, 0}, {look, 200, 4}, {tempoRest, 0, 1}}},
	} {
		var q tempo
		now, dealt := time.Unix(1000, 0), uint64(7)
		for i, s := range c.steps {
			now, dealt = now.Add(s.after), dealt+s.came
			again := q.look(dealt, c.copies, now)
			if q.run != s.run {
				t.Errorf("%s: step %d: %d in a row, want %d", name, i, q.run, s.run)
			}
			if q.run > 1 != again.After(now) {
				t.Errorf("%s: step %d: %d in a row, to look again in %v", name, i, q.run, again.Sub(now))
			}
		}
	}
}

// Whenever the tempo changes, the next connection is the first of a row, and goes to
// whose turn it would have been.
func TestTurns(t *testing.T) {
	copies := []int{3, 5, 8}
	for _, run := range []int{0, 1, 2, 4} {
		for dealt := range uint64(30) {
			q := tempo{run: run}
			list := q.turns(copies, dealt)
			row := max(run, 1)
			var got, want []int
			for i := range 2 * len(list) {
				got = append(got, list[(int(dealt)+i)%len(list)])
				want = append(want, copies[(int(dealt)+i/row)%len(copies)])
			}
			if len(list) != row*len(copies) || !slices.Equal(got, want) {
				t.Errorf("%d in a row, %d dealt: got %v, want %v", run, dealt, got, want)
			}
		}
	}
}
