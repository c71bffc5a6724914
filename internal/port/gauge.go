package port

import "time"

// The stuck rule's numbers.
const (
	// tick is how often queues that are not empty are looked at. Each look wakes us,
	// which is what the rule costs (0.1 ms on the machine it was measured on); with
	// patience it makes the longest delay of a connection some 40 ms.
	tick = 12500 * time.Microsecond
	// slowTick is the same while nothing can be done about them. It also delays the
	// first look at the sets of other apps.
	slowTick = 2 * tick
	// patience is how long a queue in rotation may be neither empty nor served, over
	// at least so many further looks: if we are late ourselves, so may be everybody.
	patience      = 2 * tick
	patienceLooks = 2
	// loyalty is patience where the client's address decides. Its sessions are in that
	// process: a request that another one gets ends the session, while one that waits
	// is served by a process that was only busy. It is shorter than what clients wait.
	loyalty = 5 * time.Second
	// ration is how much processor time tells that a slot had its chance: an event loop
	// comes to its queue within a fraction of it. One that would go on and has had less
	// is not blocked, the machine is busy. It is a third of patience, so that one that
	// computes is found as soon on a machine of which it gets a third.
	ration = patience / 3
	// famine is how much longer than patience the lack of processor time excuses a slot:
	// were it blocked after all, its clients would have waited as long.
	famine = 3 * tick
	// suspicion is patience for a slot out of rotation.
	suspicion      = 10 * time.Millisecond
	suspicionLooks = 1
	// despair is how long the last slots in rotation must be stuck before those that
	// were stuck earlier come back. It is longer than patience because a worker that
	// blocks keeps a processor busy, and on a small machine the others stumble then;
	// to give the blocked one its share again would not help them.
	despair = 100 * time.Millisecond
	// firstRest is how long a stuck slot rests before it is tried with one
	// connection; each failed trial doubles it up to longestRest. So a blocked slot
	// costs one connection a second a delay of one tick.
	firstRest   = 50 * time.Millisecond
	longestRest = time.Second
	// parole is how long a slot must have been back in rotation for its next rest to
	// be a first one again.
	parole = 5 * time.Second
	// doubtFor is how long a slot that came back only because all were stuck is not
	// trusted with the others' queues while it has not been seen to accept.
	doubtFor = 100 * time.Millisecond
)

// standing is a slot's place in the rotation.
type standing int

const (
	out     standing = iota // not wanted: its process does not listen yet, or not any more
	in                      // gets its share
	resting                 // stuck: gets nothing until its rest is over
	trying                  // stuck: has got, or gets, exactly one connection
)

// gauge follows one slot's queue in a kernel group and applies the stuck rule to
// it. It is pure: time and depths come in, and decisions go out.
type gauge struct {
	standing standing
	depth    int
	stalled  time.Time // since when the queue is neither empty nor shrinking; zero: it is not
	looks    int       // how many looks have found that
	looked   time.Time
	starved  bool          // that is because its processes hardly ran
	before   mark          // when it stalled
	bears    time.Duration // in rotation: how long it may be stalled; zero means patience

	rest  time.Duration // the last rest's length; zero: never rested, or long ago
	until time.Time     // resting: its end; trying: when an empty queue means accepted; in: end of parole
	doubt time.Time     // in: until when it is not trusted; zero: it is
	taken bool          // trying: the one connection was dealt

	ill      time.Time // when the first of the failures in a row began
	failed   time.Time // when the last was seen
	failures int       // how often in a row it was found stuck
}

// enter puts the slot into the rotation, or out of it, as its owner wishes.
func (q *gauge) enter(wanted bool) {
	*q = gauge{depth: q.depth, bears: q.bears}
	if wanted {
		q.standing = in
	}
}

// mark is the state of a queue at a moment.
type mark struct {
	depth int
	dealt uint64
}

// look takes the depth of the queue at a moment, and how many connections the slot
// had been dealt shortly before, without those that the kernel dropped.
func (q *gauge) look(depth int, dealt uint64, now time.Time) {
	last := q.depth
	q.depth = depth
	q.starved = false
	switch {
	case depth == 0:
		q.stalled, q.looks = time.Time{}, 0
	case q.stalled.IsZero() || depth < last:
		q.begin(dealt, now)
	case now.Sub(q.looked) < tick/2: // two looks in a row are one
		return
	default:
		q.looks++
		if gone := q.gone(dealt); gone > 1 && gone > q.came(dealt)/2 {
			q.accepts(dealt, now)
		}
	}
	q.looked = now
	if depth < last || depth == 0 && now.After(q.doubt) {
		q.doubt = time.Time{}
		if q.standing == in {
			q.failures = 0
		}
	}
}

// begin has the queue stand still from now on, until something tells otherwise.
func (q *gauge) begin(dealt uint64, now time.Time) {
	q.stalled, q.looks, q.before = now, 0, mark{q.depth, dealt}
}

// A queue that is found to be full at each look may have had others in it each time:
// more were dealt than it has grown by.

// came returns how many were dealt while the queue seemed to stand still.
func (q *gauge) came(dealt uint64) int { return int(dealt - q.before.dealt) }

// gone returns how many of them are not in the queue: they were accepted, or their
// handshake is not over. If it is most of those that came they cannot all be on their
// way, as it is with clients far off; of fewer the kernel must be asked how many are.
func (q *gauge) gone(dealt uint64) int { return q.came(dealt) - (q.depth - q.before.depth) }

// accepts tells that some were accepted.
func (q *gauge) accepts(dealt uint64, now time.Time) {
	if q.standing == in && q.overdue(now) {
		q.begin(dealt, now)
		q.doubt, q.failures = time.Time{}, 0
	}
}

// stuck reports whether the queue has not moved for too long, and not for want of
// processor time.
func (q *gauge) stuck(now time.Time) bool {
	return !q.stalled.IsZero() && q.overdue(now) && !q.starved
}

// mayStarve reports whether want of processor time is still an excuse.
func (q *gauge) mayStarve(now time.Time) bool {
	return now.Sub(q.stalled) < max(patience, q.bears)+famine
}

func (q *gauge) overdue(now time.Time) bool {
	wait, looks := suspicion, suspicionLooks
	if q.standing == in {
		wait, looks = max(patience, q.bears), patienceLooks
	}
	return q.looks >= looks && now.Sub(q.stalled) >= wait
}

// moved tells that the queue was moved away.
func (q *gauge) moved() { q.depth, q.stalled, q.looks = 0, time.Time{}, 0 }

// decision is what judge wants done, by the index of the gauge. The rotation is
// what the gauges' standing says afterwards, and is published first.
type decision struct {
	flush    []int     // move these queues to the slots in rotation
	try      int       // give this slot the next connection; -1: none
	cancel   bool      // take back the last try
	back     []int     // are back in rotation now
	waiting  bool      // there are connections that nobody has accepted
	hopeless bool      // nothing can be done about them
	again    time.Time // judge again by then, though no queue calls for it; zero: need not
}

// judge applies the rule to the slots of one group after a look at each. Pending
// says that the connection for the slot that is trying has not come yet.
func judge(slots []*gauge, pending bool, now time.Time) decision {
	d := decision{try: -1}
	var healthy, busyTrying, inRotation bool
	desperate := true
	for _, q := range slots {
		d.waiting = d.waiting || q.depth > 0
		busyTrying = busyTrying || q.standing == trying
		if q.standing == in {
			inRotation = true
			healthy = healthy || q.doubt.IsZero() && !q.stuck(now)
			desperate = desperate && q.stuck(now) && now.Sub(q.stalled) >= despair
		}
	}
	d.hopeless = d.waiting && !healthy
	if desperate {
		return d.allIn(slots, now)
	}
	// With nobody left that accepts, one that rests may be the one that does by now.
	helpless := inRotation && !healthy && d.waiting
	for i, q := range slots {
		stuck := healthy && q.stuck(now) // else nobody is there to take its queue
		switch {
		case q.standing == in && stuck:
			if now.After(q.until) {
				q.rest = 0
			}
			q.lieDown(now)
			d.flush = append(d.flush, i)
		case q.standing == trying && stuck:
			q.lieDown(now)
			d.flush = append(d.flush, i)
			d.cancel = d.cancel || pending
		case stuck: // a straggler: its handshake had begun before
			d.flush = append(d.flush, i)
		case q.standing == resting && (helpless || !now.Before(q.until)) && q.depth == 0 && !busyTrying:
			q.standing, q.taken, busyTrying = trying, false, true
			d.try = i
			q.until = now.Add(suspicion)
		case q.standing == trying && !q.taken && !pending:
			q.taken = true
			q.until = now.Add(suspicion)
		case q.standing == trying && q.taken && q.depth == 0 && !now.Before(q.until):
			q.standing, q.failures = in, 0
			q.until = now.Add(parole)
			d.back = append(d.back, i)
		}
		d.plan(q, now)
	}
	return d
}

// lieDown begins a rest. Where it took long to come to that, a trial costs more as
// well, as it goes to another's client: the rests are as much longer.
func (q *gauge) lieDown(now time.Time) {
	if q.failures == 0 {
		q.ill = q.stalled
	}
	q.failures++
	q.failed = now
	first, longest := max(firstRest, q.bears/5), max(longestRest, 6*q.bears)
	q.rest = min(max(2*q.rest, first), longest)
	q.standing = resting
	q.until = now.Add(q.rest)
	q.doubt = time.Time{}
}

// allIn is the answer when no slot is known to accept. Those that come back are in
// doubt, or the queues would go round between them.
func (d decision) allIn(slots []*gauge, now time.Time) decision {
	for i, q := range slots {
		switch q.standing {
		case trying:
			d.cancel = true
		case resting:
		default:
			continue
		}
		q.standing = in
		q.until = now.Add(parole)
		q.doubt = now.Add(doubtFor)
		d.back = append(d.back, i)
	}
	return d
}

// plan notes when the slot must be judged again although no queue calls for it.
func (d *decision) plan(q *gauge, now time.Time) {
	var at time.Time
	switch {
	case q.standing == resting:
		at = q.until
		if !at.After(now) { // waits for its turn, or for its queue to be moved
			at = now.Add(suspicion)
		}
	case q.standing == trying && q.taken:
		at = now.Add(tick)
	case q.standing == trying:
		// The connection may come at once or next week. If it is not accepted, its
		// queue calls; this is only to see soon that it was.
		at = now.Add(min(max(now.Sub(q.until), 4*tick), longestRest))
	default:
		return
	}
	if d.again.IsZero() || at.Before(d.again) {
		d.again = at
	}
}
