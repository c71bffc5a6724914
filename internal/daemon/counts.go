package daemon

import (
	"errors"
	"maps"
	"strings"
	"sync"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/supervisor"
)

// counts is what has happened since this daemon began, for those who ask for figures.
// Events and requests add to it from any goroutine.
type counts struct {
	mu      sync.Mutex // guards what follows
	byID    map[int]*instanceCounts
	reloads map[string]*reloadCounts // by app
	jumps   int                      // how often the wall clock was set
}

// instanceCounts is what has happened to one instance.
type instanceCounts struct {
	restarts map[supervisor.Reason]int
	recent   int       // restarts since the last sample
	exit     *app.Exit // of its last process
	memory   bool      // it is being replaced as it uses too much
}

// reloadCounts is what the reloads of one app have led to.
type reloadCounts struct {
	done, failed           int
	counted, servedKnown   bool // there were ports, and the kernel counts what it queues there
	served, refused, reset int64
}

func newCounts() *counts {
	return &counts{byID: map[int]*instanceCounts{}, reloads: map[string]*reloadCounts{}}
}

// happened takes in an event.
func (c *counts) happened(e app.Event) {
	if e.ID < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e.Type {
	case app.EventDelete:
		delete(c.byID, e.ID)
	case app.EventExit:
		c.of(e.ID).exit = e.Exit
	case app.EventMemory:
		c.of(e.ID).memory = true
	case app.EventRestart, app.EventReload:
		in := c.of(e.ID)
		in.restarts[supervisor.ReasonOf(e, in.exit, in.memory)]++
		in.recent++
		in.memory = false
	}
}

// of returns an instance's counts; the caller holds mu.
func (c *counts) of(id int) *instanceCounts {
	in := c.byID[id]
	if in == nil {
		in = &instanceCounts{restarts: map[supervisor.Reason]int{}}
		c.byID[id] = in
	}
	return in
}

// takeRecent returns how often the instance was restarted since it was asked last.
func (c *counts) takeRecent(id int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.byID[id]
	if in == nil {
		return 0
	}
	n := in.recent
	in.recent = 0
	return n
}

// restarts returns how often the instance was restarted, by reason.
func (c *counts) restarts(id int) map[supervisor.Reason]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := c.byID[id]; in != nil {
		return maps.Clone(in.restarts)
	}
	return nil
}

// reloaded takes in the end of a reload of some apps. One that was refused, or goes on
// without whoever asked for it, is none.
func (c *counts) reloaded(names []string, err error, verified []api.Verification) {
	if err != nil && !errors.Is(err, supervisor.ErrReloadFailed) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if err != nil && strings.Contains(err.Error(), "reload "+name+": ") {
			c.ofReloads(name).failed++
		} else {
			c.ofReloads(name).done++
		}
	}
	for _, v := range verified {
		r := c.ofReloads(v.App)
		r.counted = true
		r.refused += max(v.Refused, 0)
		r.reset += max(v.Reset, 0)
		if v.Served >= 0 {
			r.served, r.servedKnown = r.served+v.Served, true
		}
	}
}

// ofReloads returns an app's counts; the caller holds mu.
func (c *counts) ofReloads(name string) *reloadCounts {
	r := c.reloads[name]
	if r == nil {
		r = &reloadCounts{}
		c.reloads[name] = r
	}
	return r
}

// forget drops what was counted of apps that are no more.
func (c *counts) forget(known func(name string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.reloads, func(name string, _ *reloadCounts) bool { return !known(name) })
}

// clockSet counts that the wall clock was set.
func (c *counts) clockSet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumps++
}
