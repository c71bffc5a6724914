package daemon

import (
	"maps"
	"time"

	"paceline/internal/stats"
	"paceline/internal/supervisor"
)

// memoryEvery is how often what apps with a max_memory_restart use is measured:
// well within the second in which it is to be acted on.
const memoryEvery = 500 * time.Millisecond

// memoryPatience is how long an instance that could not be replaced is left alone.
const memoryPatience = 10 * time.Second

// boundMemory tells the supervisor of instances that use more memory than their
// max_memory_restart.
func (d *daemon) boundMemory() {
	tick := time.NewTicker(memoryEvery)
	defer tick.Stop()
	tick.Stop()
	ticks := false
	until := map[string]time.Time{} // by process: it is being seen to
	for {
		// Nobody is woken where no app has a bound.
		if bounds := d.boundsMemory(); bounds && !ticks {
			tick.Reset(memoryEvery)
			ticks = true
		} else if !bounds && ticks {
			tick.Stop()
			ticks = false
		}
		select {
		case <-d.ending.Done():
			return
		case <-d.changed:
			continue
		case <-tick.C:
		}
		now := time.Now()
		maps.DeleteFunc(until, func(_ string, t time.Time) bool { return now.After(t) })
		for _, p := range d.host.all() {
			bound := p.Spec.MaxMemoryBytes
			if _, seen := until[p.key]; seen || bound <= 0 {
				continue
			}
			bytes, err := stats.TreeMemory(p.pid, p.startTicks)
			if err != nil {
				d.log.Debug("measure memory", "process", p.key, "error", err)
				continue
			}
			if bytes > bound {
				until[p.key] = now.Add(memoryPatience)
				go d.overMemory(p.Ref, bytes)
			}
		}
	}
}

// boundsMemory reports whether any app has a bound.
func (d *daemon) boundsMemory() bool {
	for _, s := range d.supervisor.Apps() {
		if s.MaxMemoryBytes > 0 {
			return true
		}
	}
	return false
}

func (d *daemon) overMemory(r supervisor.Ref, bytes int64) {
	if err := d.supervisor.OverMemory(d.ending, r.ID, r.Gen, bytes); err != nil {
		d.log.Warn("replace an instance above its max_memory_restart", "id", r.ID, "error", err)
	}
}
