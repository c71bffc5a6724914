package nodeipc

import "sync"

// Accepted is how many connections a slot's workers have been handed, and have taken,
// of one address.
type Accepted struct {
	Address string // of the listener
	Slot    int    // WorkerOptions.Slot
	Count   int64  // since the primary was made
}

// place is whose connections are counted together.
type place struct {
	address string
	slot    int
}

// tally counts connections.
type tally struct {
	mu    sync.Mutex // guards count
	count map[place]int64
}

// add counts n more connections; 0 begins to count.
func (t *tally) add(address string, slot int, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[place]int64{}
	}
	t.count[place{address, slot}] += n
}

func (t *tally) list(to []Accepted) []Accepted {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at, n := range t.count {
		to = append(to, Accepted{Address: at.address, Slot: at.slot, Count: n})
	}
	return to
}
