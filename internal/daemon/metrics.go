package daemon

import (
	"cmp"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/metrics"
	"paceline/internal/stats"
	"paceline/internal/supervisor"
)

// showMetrics answers with all figures of the moment.
func (d *daemon) showMetrics(w http.ResponseWriter, r *http.Request) {
	list, err := d.selected(nil)
	if err != nil {
		d.fail(w, err)
		return
	}
	g := gathered{samples: map[string][]metrics.Sample{}}
	d.gatherInstances(&g, list, api.DecodeMetrics(r.URL.Query()).PSS)
	d.gatherLogs(&g, list)
	gatherPorts(&g, d.host.portsOf(list))
	specs := d.specs()
	d.counts.forget(func(name string) bool { return specs[name] != nil })
	d.counts.gather(&g)
	d.gatherOwn(&g)
	w.Header().Set("Content-Type", api.MetricsType)
	if _, err := w.Write(g.text()); err != nil {
		d.log.Debug("send answer", "error", err)
	}
}

// gathered is values by the name of their family.
type gathered struct {
	samples map[string][]metrics.Sample
}

// add takes in one value, which has no like.
func (g *gathered) add(name string, value float64, labels ...string) {
	g.samples[name] = append(g.samples[name], metrics.Sample{Labels: labels, Value: value})
}

// text writes all families in their order.
func (g *gathered) text() []byte {
	var w metrics.Writer
	for _, f := range metrics.Families() {
		w.Write(f, g.samples[f.Name]...)
	}
	return w.Bytes()
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (d *daemon) gatherInstances(g *gathered, list []app.Status, pss bool) {
	for _, s := range d.supervisor.Apps() {
		g.add("paceline_app_instances", float64(s.Instances), s.Name)
	}
	for _, s := range list {
		id := strconv.Itoa(s.ID)
		g.add("paceline_instance_info", 1, s.Name, id, strconv.Itoa(s.Index), cmp.Or(s.Namespace, "default"), string(s.Mode))
		g.add("paceline_instance_up", metrics.Truth(s.State == app.Online), s.Name, id)
		g.add("paceline_instance_ready", metrics.Truth(s.Ready), s.Name, id)
		for _, state := range app.States() {
			g.add("paceline_instance_state", metrics.Truth(s.State == state), s.Name, id, string(state))
		}
		for _, c := range s.Checks {
			g.add("paceline_instance_check_passed", metrics.Truth(c.OK), s.Name, id, c.Name)
		}
		restarts := d.counts.restarts(s.ID)
		for _, reason := range supervisor.Reasons() {
			g.add("paceline_instance_restarts_total", float64(restarts[reason]), s.Name, id, string(reason))
		}
		if e := s.LastExit; e != nil {
			g.add("paceline_instance_last_exit_code", float64(e.Code), s.Name, id)
			g.add("paceline_instance_last_exit_time_seconds", unixSeconds(e.At), s.Name, id)
		}
		if s.PID != 0 {
			d.gatherProcess(g, s, id, pss)
		}
	}
}

// gatherProcess adds what is known of an instance's present process.
func (d *daemon) gatherProcess(g *gathered, s app.Status, id string, pss bool) {
	g.add("paceline_instance_start_time_seconds", unixSeconds(s.StartedAt), s.Name, id)
	g.add("paceline_instance_uptime_seconds", max(time.Since(s.StartedAt).Round(time.Millisecond).Seconds(), 0), s.Name, id)
	if u, ok := d.host.stats.Look(s.ID); ok {
		g.add("paceline_instance_cpu_seconds_total", u.CPUSeconds, s.Name, id)
		g.add("paceline_instance_resident_memory_bytes", float64(u.MemoryBytes), s.Name, id)
		g.add("paceline_instance_threads", float64(u.Threads), s.Name, id)
	}
	var startTicks uint64
	if p := d.host.leader(s.PID); p != nil {
		startTicks = p.startTicks
	}
	if n, err := stats.OpenFiles(s.PID, startTicks); err == nil { // another user's, or just gone
		g.add("paceline_instance_open_fds", float64(n), s.Name, id)
	}
	if pss {
		if n, err := stats.ProportionalMemory(s.PID, startTicks); err == nil {
			g.add("paceline_instance_proportional_memory_bytes", float64(n), s.Name, id)
		}
	}
	seen := map[string]bool{}
	for _, m := range s.Metrics {
		if v, ok := metrics.ParseValue(m.Value); ok && !seen[m.Name] {
			seen[m.Name] = true
			g.add("paceline_custom", v, s.Name, id, m.Name, m.Unit)
		}
	}
}

// gatherLogs adds what was written to the apps' log files. Several instances may share
// one.
func (d *daemon) gatherLogs(g *gathered, list []app.Status) {
	var names, paths []string
	seen := map[string]bool{}
	for _, s := range list {
		for _, path := range []string{s.OutFile, s.ErrFile, s.LogFile} {
			if path != "" && path != os.DevNull && !seen[path] {
				seen[path] = true
				names, paths = append(names, s.Name), append(paths, path)
			}
		}
	}
	for i, n := range d.host.pump.Written(paths) {
		g.add("paceline_log_written_bytes_total", float64(n.Bytes), names[i], paths[i])
		g.add("paceline_log_dropped_bytes_total", float64(n.DroppedBytes), names[i], paths[i])
		g.add("paceline_log_dropped_lines_total", float64(n.DroppedLines), names[i], paths[i])
	}
}

func gatherPorts(g *gathered, ports []api.Port) {
	for _, p := range ports {
		g.add("paceline_port_info", 1, p.App, p.Address, string(p.Balance), p.Mechanism)
		if p.Accepted != nil {
			g.add("paceline_port_connections_accepted_total", float64(*p.Accepted), p.App, p.Address)
		}
		g.add("paceline_port_connections_dropped_total", float64(p.Dropped), p.App, p.Address)
		g.add("paceline_port_connections_moved_total", float64(p.Moved), p.App, p.Address)
		g.add("paceline_port_connections_waiting", float64(p.Queue), p.App, p.Address)
		g.add("paceline_port_connections_waiting_max", float64(p.QueueMax), p.App, p.Address)
		g.add("paceline_port_stuck_total", float64(p.Stuck), p.App, p.Address)
		for _, c := range p.Copies {
			id := strconv.Itoa(c.ID)
			if c.Queue != nil {
				g.add("paceline_instance_connections_waiting", float64(*c.Queue), p.App, id, p.Address)
			}
			if c.Accepted != nil {
				g.add("paceline_instance_connections_accepted_total", float64(*c.Accepted), p.App, id, p.Address)
			}
		}
	}
}

// gather adds what the daemon has counted of apps and of itself.
func (c *counts) gather(g *gathered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := make([]string, 0, len(c.reloads))
	for name := range c.reloads {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r := c.reloads[name]
		g.add("paceline_reloads_total", float64(r.done), name, "success")
		g.add("paceline_reloads_total", float64(r.failed), name, "failure")
		if r.servedKnown {
			g.add("paceline_reload_connections_total", float64(r.served), name, "served")
		}
		if r.counted {
			g.add("paceline_reload_connections_total", float64(r.refused), name, "refused")
			g.add("paceline_reload_connections_total", float64(r.reset), name, "reset")
		}
	}
	g.add("paceline_daemon_clock_changes_total", float64(c.jumps))
}

// gatherOwn adds what the daemon itself uses.
func (d *daemon) gatherOwn(g *gathered) {
	g.add("paceline_daemon_info", 1, d.Version)
	g.add("paceline_daemon_start_time_seconds", unixSeconds(d.started))
	g.add("paceline_daemon_goroutines", float64(runtime.NumGoroutine()))
	if u, err := stats.Of(os.Getpid()); err == nil {
		g.add("paceline_daemon_cpu_seconds_total", u.CPUSeconds)
		g.add("paceline_daemon_resident_memory_bytes", float64(u.MemoryBytes))
	}
	if store := d.history.Load(); store != nil {
		g.add("paceline_daemon_history_bytes", float64(store.Bytes()))
	}
	g.add("paceline_daemon_events_lost_total", float64(d.hub.dropped()))
}
