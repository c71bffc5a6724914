package port

import (
	"time"

	"paceline/internal/port/dispatch"
)

// To deal in strict turn wakes another process for each connection, which is dear
// where thousands come every second. There each copy gets up to four in a row, which
// saves wakes: a process that has done one finds the next. The shares stay exact, as
// no copy is ever ahead of another by more than what it gets in a row, or by twice
// that after a change of the tempo.
//
// In a row are only so many that the last of them, at what a connection costs a copy
// at that tempo, waits no more than a millisecond for the others. Whoever opens some
// connections to keep them meets strict turns, unless it is in such a crowd that
// chance decides anyway which are its neighbours.
const (
	longestRun  = 4
	runFor      = 1000 // connections per second and copy, for each but the first of a row
	tempoLook   = 2 * tick
	tempoRest   = 8 * tick // how long few may be taken for many
	keepRunFrom = 2        // a row stays as long while there are half as many
)

// tempo follows how fast the connections of one group come. It is pure, as gauge is.
type tempo struct {
	run   int // how many in a row a copy gets; 0 is 1
	dealt uint64
	at    time.Time // of the last look that counted; zero: none
}

// look takes how many connections have been dealt so far, and to how many copies, and
// returns when it must look again; zero: whenever it is convenient.
func (t *tempo) look(dealt uint64, copies int, now time.Time) (again time.Time) {
	took := now.Sub(t.at)
	switch {
	case t.at.IsZero():
		t.dealt, t.at = dealt, now
	case took >= tempoLook:
		each := int(float64(dealt-t.dealt) / took.Seconds() / float64(max(copies, 1)))
		t.run = max(run(each), min(t.run, run(keepRunFrom*each)))
		if copies < 2 || longestRun*copies > dispatch.MaxSlots {
			t.run = 1
		}
		t.dealt, t.at = dealt, now
	}
	if t.run > 1 {
		return t.at.Add(tempoRest)
	}
	return time.Time{}
}

// run returns how many in a row a copy gets that gets so many per second.
func run(each int) int {
	run := 1
	for 2*run <= longestRun && each >= (2*run-1)*runFor {
		run *= 2
	}
	return run
}

// turns returns the list of who gets the connections, one after the other and then
// from its start. The next is at the place dealt in it, with which a row begins.
func (t *tempo) turns(copies []int, dealt uint64) []int {
	run := max(t.run, 1)
	n := run * len(copies)
	list := make([]int, n)
	for i := range n {
		at := dealt + uint64(i)
		list[at%uint64(n)] = copies[(dealt+uint64(i/run))%uint64(len(copies))]
	}
	return list
}
