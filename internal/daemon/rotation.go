package daemon

import (
	"maps"
	"slices"

	"paceline/internal/app"
	"paceline/internal/supervisor"
)

// Rotate implements supervisor.Host.
func (h *host) Rotate(r supervisor.Ref, on bool) {
	p := h.find(keyOf(r))
	if p == nil {
		return
	}
	if c := h.sharedBy(p); c != nil {
		c.setAside(p.key, !on)
		h.place(c)
		return
	}
	// It shares nothing yet, and begins as its checks have it when it does.
	h.mu.Lock()
	p.aside = !on
	h.mu.Unlock()
}

// beginsAside reports whether an app's processes get no connections, as long as there
// are others, until their checks have passed.
func beginsAside(s *app.Spec) bool {
	return s.Health != nil && (s.Health.Startup != nil || s.Health.Readiness != nil)
}

// setAside notes whether a process's checks say that it is to get no connections.
func (c *cluster) setAside(key string, aside bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory.Aside[key] == aside {
		return
	}
	if aside {
		c.memory.Aside[key] = true
	} else {
		delete(c.memory.Aside, key)
	}
	c.keep(c.encode())
}

// setLeaving says that a process gets no more connections: it finishes what it has, or has
// ended.
func (c *cluster) setLeaving(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving[key] = true
}

// forget drops what is known of the place of a process that is gone; the caller holds
// mu.
func (c *cluster) forget(key string) {
	delete(c.leaving, key)
	if c.memory.Aside[key] {
		delete(c.memory.Aside, key)
		c.keep(c.encode())
	}
}

// members returns the processes that may be in rotation, each with the number of its
// seat or slot. The caller holds mu.
func (c *cluster) members() map[string]int {
	list := map[string]int{}
	for key, is := range c.memory.Seats {
		if !is.Trial && !c.leaving[key] {
			list[key] = is.Number
		}
	}
	for slot, keys := range c.serving {
		for key := range keys {
			if !c.leaving[key] {
				list[key] = slot
			}
		}
	}
	return list
}

// keptOut returns the processes that are kept from new connections because they are not
// ready. While none is ready they all get their share: an answer of one that is not is
// better than none. So do those that take from one queue, from which none can be kept
// alone. The caller holds mu.
func (c *cluster) keptOut() map[string]bool {
	if c.memory.Mechanism == mechanismShared || len(c.memory.Aside) == 0 {
		return nil
	}
	members := c.members()
	out := map[string]bool{}
	for key := range members {
		if c.memory.Aside[key] {
			out[key] = true
		}
	}
	if len(out) == len(members) {
		return nil
	}
	return out
}

// rotation works out which seats and slots get connections. A slot of Node's does as
// long as one of its processes may: the two of a reload have one queue.
func (c *cluster) rotation() map[int]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := map[int]bool{}
	if c.settled {
		for _, is := range c.memory.Seats {
			wanted[is.Number] = false
		}
	}
	for slot, keys := range c.serving {
		wanted[slot] = false
		for key := range keys { // what finishes here accepts what is in its queue
			wanted[slot] = wanted[slot] || c.leaving[key] && !c.memory.Aside[key]
		}
	}
	out := c.keptOut()
	for key, number := range c.members() {
		if _, known := wanted[number]; known && !out[key] {
			wanted[number] = true
		}
	}
	return wanted
}

// place tells the ports who is in rotation, as far as it has changed, and anew about
// the numbers named. Those who enter come first: there is always somebody.
func (c *cluster) place(anew ...int) {
	c.placing.Lock()
	defer c.placing.Unlock()
	wanted := c.rotation()
	for _, on := range []bool{true, false} {
		for _, number := range slices.Sorted(maps.Keys(wanted)) {
			was, told := c.placed[number]
			if wanted[number] != on || told && was == on && !slices.Contains(anew, number) {
				continue
			}
			c.placed[number] = on
			c.set.Use(number, on)
		}
	}
	maps.DeleteFunc(c.placed, func(number int, _ bool) bool { _, there := wanted[number]; return !there })
}

// place has ports and workers follow the rotation of an app: where we hand connections
// over it is the workers that are in or out.
func (h *host) place(c *cluster, anew ...int) {
	c.place(anew...)
	if c.primary == nil {
		return
	}
	c.placing.Lock()
	defer c.placing.Unlock()
	c.mu.Lock()
	out, members := c.keptOut(), c.members()
	c.mu.Unlock()
	for _, on := range []bool{true, false} {
		for key := range members {
			p := h.find(key)
			if out[key] == on || c.rested[key] == out[key] || p == nil {
				continue
			}
			worker := p.worker.Load()
			if worker == nil {
				continue
			}
			if err := worker.Rotate(on); err != nil {
				h.log.Debug("rotate", "process", key, "error", err)
			}
			c.rested[key] = out[key]
		}
	}
	maps.DeleteFunc(c.rested, func(key string, _ bool) bool { _, there := members[key]; return !there })
}

// standsAside reports whether a process is kept from new connections because its checks
// say that it is not ready, and if not, whether it would be if that could be done.
func (c *cluster) standsAside(key string) (out, would bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keptOut()[key], c.memory.Aside[key]
}
