package supervisor

import (
	"slices"
	"testing"
	"time"

	"paceline/internal/app"
)

func TestReasonOf(t *testing.T) {
	code := &app.Exit{Code: 3, Uptime: app.Duration(2 * time.Second)}
	seen := map[Reason]bool{}
	for _, c := range []struct {
		e      app.Event
		exit   *app.Exit
		memory bool
		want   Reason
	}{
		{app.Event{Type: app.EventRestart, Detail: "by command"}, code, false, ByCommand},
		{app.Event{Type: app.EventRestart, Detail: "changed: /srv/a.js"}, code, false, ByFiles},
		{app.Event{Type: app.EventRestart, Detail: "cron_restart"}, code, false, BySchedule},
		{app.Event{Type: app.EventRestart, Detail: ending(code)}, code, false, ByExit},
		{app.Event{Type: app.EventRestart, Detail: "liveness check: status 503"}, code, false, ByHealth},
		{app.Event{Type: app.EventRestart, Detail: "killed by SIGSEGV after 0s"}, &app.Exit{Code: -1, Signal: "SIGSEGV"}, false, BySignal},
		{app.Event{Type: app.EventRestart, Detail: "killed by SIGKILL (out of memory) after 0s"}, &app.Exit{Code: -1, Signal: "SIGKILL", OOM: true}, false, ByOOM},
		{app.Event{Type: app.EventRestart, Detail: "no such file"}, &app.Exit{Error: "no such file"}, false, ByNoStart},
		{app.Event{Type: app.EventRestart, Detail: "ended unseen"}, nil, false, ByExit},
		{app.Event{Type: app.EventReload}, nil, false, ByReload},
		{app.Event{Type: app.EventReload}, nil, true, ByMemory},
		{app.Event{Type: app.EventExit}, code, false, ""},
	} {
		if got := ReasonOf(c.e, c.exit, c.memory); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.e.Type, c.e.Detail, got, c.want)
		}
		seen[c.want] = true
	}
	for _, r := range Reasons() {
		if !seen[r] {
			t.Errorf("%s is not in the table", r)
		}
	}
	if n := len(Reasons()); n != len(slices.Compact(slices.Sorted(slices.Values(Reasons())))) {
		t.Error("a reason is there twice")
	}
}
