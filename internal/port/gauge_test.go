package port

import (
	"slices"
	"testing"
	"time"
)

var epoch = time.Unix(1000, 0)

// TestStuck runs looks at one slot, a tick apart, and asks when it is stuck.
func TestStuck(t *testing.T) {
	for _, c := range []struct {
		name   string
		depths []int
		dealt  []uint64 // empty: none
		want   int      // index of the first look that finds it stuck; -1: none
	}{
		{"empty", []int{0, 0, 0, 0, 0}, nil, -1},
		{"one that waits", []int{1, 1, 1, 1}, nil, 2},
		{"late", []int{0, 0, 1, 1, 1, 1}, nil, 4},
		{"growing", []int{1, 2, 3, 4}, []uint64{0, 1, 2, 3}, 2},
		{"emptied now and then", []int{1, 1, 0, 1, 1, 0}, nil, -1},
		{"shrinking", []int{9, 9, 8, 8, 7, 7, 6}, nil, -1},
		{"always one, but never the same", []int{1, 1, 1, 1, 1, 1}, []uint64{0, 2, 4, 6, 8, 10}, -1},
		{"served, though too slowly", []int{1, 2, 3, 4, 5, 6, 7, 8}, []uint64{0, 4, 8, 12, 16, 20, 24, 28}, -1},
		{"hardly served at all", []int{1, 4, 7, 10}, []uint64{0, 4, 8, 12}, 2},
		{"one handshake under way", []int{1, 1, 1}, []uint64{0, 1, 1}, 2},
		{"then stands still", []int{1, 1, 1, 1, 1, 1}, []uint64{0, 2, 4, 4, 4, 4}, 4},
	} {
		q := &gauge{}
		q.enter(true)
		got := -1
		for i, depth := range c.depths {
			var dealt uint64
			if c.dealt != nil {
				dealt = c.dealt[i]
			}
			now := epoch.Add(time.Duration(i) * tick)
			q.look(depth, dealt, now)
			if q.stuck(now) {
				got = i
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: stuck at look %d, want %d", c.name, got, c.want)
		}
	}
}

// It is known that some of those that came were accepted, though not from the looks.
func TestStuckAccepts(t *testing.T) {
	q := &gauge{}
	q.enter(true)
	q.failures = 3
	look := func(i, depth int, dealt uint64) bool {
		now := epoch.Add(time.Duration(i) * tick)
		q.look(depth, dealt, now)
		return q.stuck(now)
	}
	for i, c := range []struct {
		depth int
		dealt uint64
		stuck bool
	}{{5, 0, false}, {9, 7, false}, {13, 15, true}} {
		if got := look(i, c.depth, c.dealt); got != c.stuck {
			t.Fatalf("look %d: stuck %v, want %v", i, got, c.stuck)
		}
	}
	if gone := q.gone(15); gone != 7 {
		t.Errorf("%d are gone, want 7", gone)
	}
	q.accepts(15, epoch.Add(2*tick))
	if q.stuck(epoch.Add(2*tick)) || q.failures != 0 {
		t.Errorf("after it has accepted: stuck, or %d failures", q.failures)
	}
	if look(3, 13, 15) || !look(4, 13, 15) {
		t.Error("it has stood still since, for 25 ms: want it stuck then, and not before")
	}
}

// A slot that bears more is not stuck while it is only busy, and rests the longer.
func TestStuckBears(t *testing.T) {
	a, b := &gauge{bears: loyalty}, &gauge{bears: loyalty}
	a.enter(true)
	b.enter(true)
	now := epoch
	for ; now.Sub(epoch) < loyalty; now = now.Add(tick) {
		a.look(1, 0, now)
		b.look(0, 0, now)
		if d := judge([]*gauge{a, b}, false, now); len(d.flush) > 0 {
			t.Fatalf("after %v its queue is moved", now.Sub(epoch))
		}
	}
	a.look(1, 0, now)
	b.look(0, 0, now)
	d := judge([]*gauge{a, b}, false, now)
	if !slices.Equal(d.flush, []int{0}) || a.standing != resting || a.until != now.Add(time.Second) {
		t.Errorf("after %v: %+v, rests until %v", now.Sub(epoch), d, a.until.Sub(now))
	}
}

// We may be late ourselves: two looks a second apart say nothing.
func TestStuckNeedsLooks(t *testing.T) {
	q := &gauge{}
	q.enter(true)
	for i := range patienceLooks {
		now := epoch.Add(time.Duration(i) * time.Second)
		q.look(1, 0, now)
		if q.stuck(now) {
			t.Errorf("stuck after %d looks", i+1)
		}
		q.look(1, 0, now.Add(time.Microsecond)) // the timer and the watch at once: one look
	}
	now := epoch.Add(patienceLooks * time.Second)
	if q.look(1, 0, now); !q.stuck(now) {
		t.Error("not stuck after all looks")
	}
}

// bench plays a group: looks every 5 ms at queues that behave as told.
type bench struct {
	t       *testing.T
	slots   []*gauge
	depths  []int
	pending bool
	now     time.Time
	last    decision
	flushed []int // how often
	tried   []int
}

func newBench(t *testing.T, n int) *bench {
	b := &bench{t: t, now: epoch, depths: make([]int, n), flushed: make([]int, n), tried: make([]int, n)}
	for range n {
		q := &gauge{}
		q.enter(true)
		b.slots = append(b.slots, q)
	}
	return b
}

// step lets so many ticks pass.
func (b *bench) step(n int) {
	for range n {
		b.now = b.now.Add(tick)
		for i, q := range b.slots {
			q.look(b.depths[i], 0, b.now)
		}
		b.last = judge(b.slots, b.pending, b.now)
		for _, i := range b.last.flush {
			b.flushed[i]++
			b.depths[i] = 0
			b.slots[i].moved()
		}
		if b.last.try >= 0 {
			b.tried[b.last.try]++
			b.pending = true
		}
		if b.last.cancel {
			b.pending = false
		}
	}
}

func (b *bench) want(what string, standings ...standing) {
	b.t.Helper()
	var got []standing
	for _, q := range b.slots {
		got = append(got, q.standing)
	}
	if !slices.Equal(got, standings) {
		b.t.Errorf("%s: got %v, want %v", what, got, standings)
	}
}

// ticks returns how many it takes for a time to pass.
func ticks(d time.Duration) int { return int((d + tick - 1) / tick) }

func TestStuckSlotLeavesAndComesBack(t *testing.T) {
	b := newBench(t, 2)
	b.depths[1] = 3
	b.step(2)
	b.want("two looks", in, in)
	b.step(1)
	b.want("three looks", in, resting)
	if b.flushed[1] != 1 || b.depths[1] != 0 {
		t.Errorf("flushed %d times, %d left", b.flushed[1], b.depths[1])
	}
	b.step(ticks(firstRest))
	b.want("rest is over", in, trying)
	b.step(ticks(time.Second)) // no connection comes
	b.want("nobody has come to try it with", in, trying)

	b.pending, b.depths[1] = false, 1 // one comes, and waits
	b.step(2)
	b.want("failed", in, resting)
	if b.flushed[1] != 2 || b.slots[1].rest != 2*firstRest {
		t.Errorf("flushed %d times, rest %v", b.flushed[1], b.slots[1].rest)
	}
	b.step(ticks(2 * firstRest))
	b.want("second trial", in, trying)
	b.pending = false // one comes, and is accepted before we look
	b.step(2)
	b.want("accepted", in, in)

	b.depths[1] = 1 // a relapse within the parole
	b.step(3)
	b.want("relapse", in, resting)
	if b.slots[1].rest != 4*firstRest {
		t.Errorf("rest after a relapse: %v, want %v", b.slots[1].rest, 4*firstRest)
	}
	b.step(ticks(4 * firstRest))
	b.pending = false
	b.step(2)
	b.want("back again", in, in)
	b.step(ticks(parole))
	b.depths[1] = 1
	b.step(3)
	if b.slots[1].rest != firstRest {
		t.Errorf("rest long after: %v, want %v", b.slots[1].rest, firstRest)
	}
}

func TestBlockedSlotCostsOneConnectionASecond(t *testing.T) {
	b := newBench(t, 2)
	b.depths[1] = 1
	for range ticks(12 * time.Second) {
		b.step(1)
		if b.pending {
			b.pending, b.depths[1] = false, 1
		}
	}
	// 50, 100, 200, 400, 800 ms, and then one a second.
	if n := b.tried[1]; n < 12 || n > 17 {
		t.Errorf("tried %d times in 12 s", n)
	}
	if b.flushed[0] != 0 || b.slots[0].standing != in {
		t.Error("the healthy one was touched")
	}
}

func TestNeverNobody(t *testing.T) {
	b := newBench(t, 3)
	b.depths = []int{0, 1, 0}
	b.step(3)
	b.want("one stuck", in, resting, in)
	b.depths = []int{1, 0, 1}
	b.step(3)
	b.want("all stuck", in, trying, in)
	b.step(ticks(despair))
	b.want("all stuck for long", in, in, in)
	if b.flushed[0]+b.flushed[2] != 0 {
		t.Errorf("flushed %v: nobody was there to take them", b.flushed)
	}
	if !b.last.hopeless {
		t.Error("not hopeless")
	}
	b.depths[1] = 1
	b.step(40)
	b.want("for long", in, in, in)
	if b.flushed[0]+b.flushed[2] != 0 {
		t.Errorf("flushed %v: the queues go round", b.flushed)
	}
	b.depths[2] = 0 // one accepts
	b.step(1)
	b.want("one accepts again", resting, resting, in)
	if b.flushed[0] != 1 || b.flushed[1] != 2 {
		t.Errorf("flushed %v", b.flushed)
	}
}

// A slot that came back only because all were stuck gets nobody's queue until it
// has been seen to accept.
func TestDoubtfulSlotIsNotTrusted(t *testing.T) {
	b := newBench(t, 2)
	b.depths[0] = 1
	b.step(3)
	b.want("first", resting, in)
	b.depths[1] = 1
	b.step(1 + ticks(despair))
	b.want("then the other", in, in)
	b.step(2)
	b.want("0 has nothing in its queue, and proves nothing", in, in)
	b.depths[0] = 2
	b.step(1)
	b.depths[0] = 1 // it accepts
	b.step(1)
	b.want("0 accepts", in, resting)
}

// The last healthy slot stumbles: the blocked one does not come back for that.
func TestStumble(t *testing.T) {
	b := newBench(t, 2)
	b.depths[0] = 1
	b.step(3)
	b.depths[1] = 1
	b.step(ticks(despair) - 1)
	b.want("one blocked, one late", trying, in)
	b.depths[1] = 0
	b.step(1)
	b.want("it goes on", trying, in)
	if b.flushed[1] != 0 {
		t.Errorf("flushed %v", b.flushed)
	}
}

func TestOutOfRotation(t *testing.T) {
	b := newBench(t, 2)
	b.slots[1].enter(false)
	b.depths[1] = 1 // its handshake had begun before
	b.step(2)
	if b.flushed[1] != 1 {
		t.Errorf("a straggler was moved %d times, want 1", b.flushed[1])
	}
	b.slots[0].enter(false)
	b.depths[1] = 1
	b.step(10)
	if b.flushed[1] != 1 || !b.last.hopeless {
		t.Errorf("nobody in rotation: moved %d times, hopeless %v", b.flushed[1], b.last.hopeless)
	}
}

func TestOneTrialAtATime(t *testing.T) {
	b := newBench(t, 3)
	b.depths = []int{0, 1, 1}
	b.step(3)
	b.want("two stuck", in, resting, resting)
	b.step(ticks(firstRest))
	b.want("one is tried", in, trying, resting)
	if b.last.again.IsZero() || b.last.again.Sub(b.now) > 4*tick {
		t.Errorf("judged again %v from now", b.last.again.Sub(b.now))
	}
	b.pending = false
	b.step(3)
	b.want("then the other", in, in, trying)
}
