package daemon

import (
	"slices"
	"time"

	"paceline/internal/api"
	"paceline/internal/port"
)

// verification counts what becomes of the connections to some apps.
type verification struct {
	began time.Time
	apps  []countedApp
}

// countedApp is one app with its counts from before.
type countedApp struct {
	c      *cluster
	before []port.Counters
	cut    int
}

// verify begins to count.
func (h *host) verify(names []string) *verification {
	v := &verification{began: time.Now()}
	for _, name := range names {
		h.mu.Lock()
		c := h.clusters[name]
		h.mu.Unlock()
		if c != nil {
			v.apps = append(v.apps, countedApp{c: c, before: c.set.Counters(), cut: c.cutSoFar()})
		}
	}
	return v
}

// cutSoFar returns how many connections had a request in flight when their process
// had to end.
func (c *cluster) cutSoFar() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

// end returns what was counted.
func (v *verification) end() (list []api.Verification) {
	took := time.Since(v.began)
	for _, a := range v.apps {
		cut := int64(a.c.cutSoFar() - a.cut)
		for _, now := range a.c.set.Counters() {
			one := api.Verification{
				App: a.c.name, Address: now.Address, Served: now.Dealt, Refused: now.Dropped,
				Reset: cut, Moved: now.Moved, DurationMS: took.Milliseconds(),
			}
			i := slices.IndexFunc(a.before, func(b port.Counters) bool { return b.Address == now.Address })
			if i >= 0 {
				before := a.before[i]
				one.Refused -= before.Dropped
				one.Moved -= before.Moved
				if one.Served >= 0 {
					one.Served -= before.Dealt
				}
			}
			if one.Served < 0 {
				one.Served = api.Unknown
				one.Notes = append(one.Notes, "one socket serves all instances, and the kernel does not count what it queues there")
			}
			cut = 0 // a process's, whatever it listens on: told once
			list = append(list, one)
		}
	}
	return list
}
