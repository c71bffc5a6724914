package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/metrics"
	"paceline/internal/supervisor"
)

func TestRestartsAreCountedByReason(t *testing.T) {
	c := newCounts()
	killed := &app.Exit{Code: -1, Signal: "SIGKILL", OOM: true}
	for _, e := range []app.Event{
		{Type: app.EventStart, ID: 1},
		{Type: app.EventExit, ID: 1, Exit: killed},
		{Type: app.EventRestart, ID: 1, Detail: killed.String() + " after 0s"},
		{Type: app.EventRestart, ID: 1, Detail: "by command"},
		{Type: app.EventMemory, ID: 1, Detail: "uses 90 MB of memory, above its max_memory_restart: it is replaced"},
		{Type: app.EventReload, ID: 1},
		{Type: app.EventReload, ID: 1},
		{Type: app.EventRestart, ID: 2, Detail: "by command"},
		{Type: app.EventWarning, ID: -1, Detail: "about nobody"},
	} {
		c.happened(e)
	}
	want := map[supervisor.Reason]int{supervisor.ByOOM: 1, supervisor.ByCommand: 1, supervisor.ByMemory: 1, supervisor.ByReload: 1}
	if d := cmp.Diff(want, c.restarts(1)); d != "" {
		t.Error(d)
	}
	if n, again := c.takeRecent(1), c.takeRecent(1); n != 4 || again != 0 {
		t.Errorf("%d restarts since the last look, then %d", n, again)
	}
	c.happened(app.Event{Type: app.EventDelete, ID: 1})
	if got := c.restarts(1); len(got) > 0 || c.takeRecent(7) != 0 {
		t.Errorf("of a deleted instance: %v", got)
	}
}

func TestReloadsAreCounted(t *testing.T) {
	c := newCounts()
	c.reloaded([]string{"a", "b"}, nil, []api.Verification{
		{App: "a", Served: 10, Refused: 1}, {App: "a", Served: 5, Reset: 2}, {App: "b", Served: api.Unknown, Refused: 3},
	})
	c.reloaded([]string{"a", "b"}, fmt.Errorf("%w: reload a: it crashes; the old processes keep serving", supervisor.ErrReloadFailed), nil)
	c.reloaded([]string{"a"}, supervisor.ErrReloading, nil)
	g := gathered{samples: map[string][]metrics.Sample{}}
	c.gather(&g)
	got := map[string]float64{}
	for name, list := range g.samples {
		for _, s := range list {
			got[fmt.Sprint(name, s.Labels)] = s.Value
		}
	}
	if d := cmp.Diff(map[string]float64{
		"paceline_reloads_total[a success]": 1, "paceline_reloads_total[a failure]": 1,
		"paceline_reloads_total[b success]": 2, "paceline_reloads_total[b failure]": 0,
		"paceline_reload_connections_total[a served]": 15, "paceline_reload_connections_total[a refused]": 1,
		"paceline_reload_connections_total[a reset]": 2, "paceline_reload_connections_total[b refused]": 3,
		"paceline_reload_connections_total[b reset]": 0, "paceline_daemon_clock_changes_total[]": 0,
	}, got); d != "" {
		t.Error(d)
	}
	c.forget(func(name string) bool { return name == "b" })
	if len(c.reloads) != 1 {
		t.Errorf("what is kept of apps: %v", c.reloads)
	}
}

// The clock is set: one event says so.
func TestClockSetIsToldOnce(t *testing.T) {
	d := newDaemon(t)
	events, stop := d.hub.follow()
	defer stop()
	d.clockSet(-2*time.Hour - 300*time.Millisecond)
	e := <-events
	if e.Type != app.EventWarning || e.Detail != "the system's clock was set back by 2h0m0s; nothing is lost" || len(events) > 0 {
		t.Errorf("got %+v and %d more", e, len(events))
	}
	if d.counts.jumps != 1 {
		t.Errorf("counted %d times", d.counts.jumps)
	}
}

func TestSlowFollowersAreCounted(t *testing.T) {
	h := newHub(func(e app.Event) app.Event { return e })
	_, stop := h.follow()
	defer stop()
	for range followerBuffer + 2 {
		h.publish(app.Event{})
	}
	if n := h.dropped(); n != 1 {
		t.Errorf("%d followers were dropped, want 1", n)
	}
}

func TestAddressText(t *testing.T) {
	for address, want := range map[string]string{
		"[::]:80": "*:80", "0.0.0.0:80": "*:80", "127.0.0.1:80": "127.0.0.1:80", "[::1]:80": "[::1]:80",
	} {
		if got := addressText(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
