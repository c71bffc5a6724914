package daemon

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"paceline/internal/app"
	"paceline/internal/history"
	"paceline/internal/kernel"
	"paceline/internal/nodeipc"
	"paceline/internal/port"
	"paceline/internal/supervisor"
)

// sampleEvery is how often instances are looked at, which is the finest step of their
// history. A hundred idle processes cost less than a thousandth of a core.
const sampleEvery = time.Second

// sampleSoon is how soon after a start they are first read, for all that start
// together at once.
const sampleSoon = 100 * time.Millisecond

// burst is how many processes must have come or gone for their garbage to be
// worth a collection; a single restart must not find the code it needs paged out.
const burst = 10

// calm is how many samples must find as many processes for a burst to be over.
const calm = 2

// sampler looks at all instances every second. One goroutine uses it.
type sampler struct {
	d     *daemon
	store *history.Store

	// What is used again each second.
	places   []supervisor.Place
	samples  []history.Sample
	loads    []port.Load
	accepted []nodeipc.Accepted
	clusters []*cluster
	byApp    map[string][]int      // the places of an app
	totals   map[history.Key]int64 // connections that an instance has had
	newer    map[history.Key]int64 // the same, of this second
}

// sample follows what instances use until the daemon ends.
func (d *daemon) sample() {
	s := sampler{
		d: d, store: d.openHistory(), byApp: map[string][]int{},
		totals: map[history.Key]int64{}, newer: map[history.Key]int64{},
	}
	d.history.Store(s.store)
	close(d.historyOpen)
	defer func() {
		if err := s.store.Close(); err != nil {
			d.log.Warn("close history", "error", err)
		}
	}()
	defer d.host.stats.Close()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	before, cleaned, still := 0, -burst, 0 // the daemon's own start is the first burst
	var soon <-chan time.Time
	for {
		select {
		case <-d.ending.Done():
			return
		case <-d.host.fresh:
			if soon == nil {
				soon = time.After(sampleSoon)
			}
			continue
		case <-soon:
			soon = nil
			d.host.stats.Sample()
			continue
		case <-tick.C:
			s.take()
		}
		// A burst of starts leaves garbage behind, and code that is not needed soon
		// again. Both go back to the system once it is over.
		now := d.host.count()
		if still++; now != before {
			before, still = now, 0
		}
		if still >= calm && max(now-cleaned, cleaned-now) >= burst {
			cleaned = now
			debug.FreeOSMemory()
			if err := kernel.ReleaseCode(); err != nil {
				d.log.Debug("release memory", "error", err)
			}
		}
	}
}

// openHistory reads what an earlier daemon has kept.
func (d *daemon) openHistory() *history.Store {
	o := history.Options{Log: d.warn, Jump: d.clockSet}
	if !nameless(d.Home) {
		o.Dir = filepath.Join(d.Home, "history")
	}
	return history.Open(o)
}

// clockSet tells that the wall clock was set.
func (d *daemon) clockSet(by time.Duration) {
	d.counts.clockSet()
	way := "forward"
	if by < 0 {
		way, by = "back", -by
	}
	d.happened(app.Event{
		At: time.Now(), Type: app.EventWarning, ID: -1,
		Detail: fmt.Sprintf("the system's clock was set %s by %s; nothing is lost", way, by.Round(time.Second)),
	})
}

// take looks at all instances once, if a second has passed.
func (s *sampler) take() {
	passed := s.store.Due()
	if passed == 0 {
		return
	}
	d := s.d
	d.host.stats.Sample()
	s.places = d.supervisor.Places(s.places[:0])
	s.samples = s.samples[:0]
	for _, p := range s.places {
		one := history.Sample{
			Key: history.Key{ID: p.ID, Created: p.Created.UnixNano()},
			CPU: math.NaN(), Memory: math.NaN(), Queue: math.NaN(), Accepted: math.NaN(),
			Restarts: float64(d.counts.takeRecent(p.ID)),
		}
		if u, ok := d.host.stats.Look(p.ID); ok && p.PID != 0 {
			one.Memory = float64(u.MemoryBytes)
			if u.CPUKnown {
				one.CPU = u.CPU
			}
		}
		s.samples = append(s.samples, one)
	}
	s.connections(passed)
	s.store.Record(s.samples)
}

// connections adds what waits at the apps' ports, and what has come.
func (s *sampler) connections(passed int64) {
	s.clusters = s.d.host.clusterList(s.clusters[:0])
	if len(s.clusters) == 0 {
		clear(s.totals)
		return
	}
	for name, list := range s.byApp {
		if s.byApp[name] = list[:0]; len(list) == 0 { // it was empty already
			delete(s.byApp, name)
		}
	}
	for i, p := range s.places {
		s.byApp[p.Name] = append(s.byApp[p.Name], i)
	}
	clear(s.newer)
	for _, c := range s.clusters {
		places := s.byApp[c.name]
		if len(places) == 0 {
			continue
		}
		s.loads = c.set.Loads(s.loads[:0], true)
		for _, l := range s.loads {
			if l.Rank < 0 { // all take from that queue
				for _, i := range places {
					if s.places[i].PID != 0 {
						s.waits(i, l.Peak)
					}
				}
			} else if i := s.at(places, l.Rank); i >= 0 {
				s.waits(i, l.Peak)
				s.has(i, l.Dealt)
			}
		}
		if c.primary != nil {
			s.accepted = c.primary.Accepted(s.accepted[:0])
			for _, a := range s.accepted {
				if i := s.at(places, a.Slot); i >= 0 {
					s.has(i, a.Count)
				}
			}
		}
	}
	s.rates(passed)
}

// rates makes connections per second of what has come since the last look. An instance
// between two processes has no count for a while, and goes on from the last one.
func (s *sampler) rates(passed int64) {
	for i := range s.samples {
		one := &s.samples[i]
		before, known := s.totals[one.Key]
		total, counted := s.newer[one.Key]
		switch {
		case counted && s.places[i].PID != 0:
			one.Accepted = float64(max(total-before, 0)) / float64(passed)
		case !counted && known:
			s.newer[one.Key] = before
		}
	}
	s.totals, s.newer = s.newer, s.totals
}

// at returns which of an app's places has an index, -1 if none.
func (s *sampler) at(places []int, index int) int {
	// As a rule they are in order.
	if index < len(places) && s.places[places[index]].Index == index {
		return places[index]
	}
	if i := slices.IndexFunc(places, func(i int) bool { return s.places[i].Index == index }); i >= 0 {
		return places[i]
	}
	return -1
}

func (s *sampler) waits(i, waiting int) {
	if q := &s.samples[i].Queue; math.IsNaN(*q) {
		*q = float64(waiting)
	} else {
		*q += float64(waiting)
	}
}

func (s *sampler) has(i int, total int64) {
	if total >= 0 {
		s.newer[s.samples[i].Key] += total
	}
}
