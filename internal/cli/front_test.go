package cli

import (
	"testing"
	"time"

	"paceline/internal/app"
)

func TestStatusOfApps(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ended := func(state app.State, after time.Duration, e app.Exit) app.Status {
		e.At = at.Add(after)
		return app.Status{Name: "a", State: state, LastExit: &e}
	}
	for name, c := range map[string]struct {
		list      []app.Status
		over      bool
		commanded bool
		status    int
	}{
		"nothing":          {nil, true, true, 0},
		"runs":             {[]app.Status{{State: app.Online}}, false, false, 0},
		"one of two runs":  {[]app.Status{ended(app.Stopped, 0, app.Exit{Code: 1}), {State: app.Waiting}}, false, false, 1},
		"drains":           {[]app.Status{{State: app.Stopped, Draining: true}}, false, false, 0},
		"well":             {[]app.Status{ended(app.Stopped, 0, app.Exit{})}, true, false, 0},
		"the first":        {[]app.Status{ended(app.Stopped, 2, app.Exit{Code: 2}), ended(app.Errored, 1, app.Exit{Code: 3})}, true, false, 3},
		"not the good one": {[]app.Status{ended(app.Stopped, 0, app.Exit{}), ended(app.Errored, 1, app.Exit{Code: 3})}, true, false, 3},
		"by a signal":      {[]app.Status{ended(app.Stopped, 0, app.Exit{Code: -1, Signal: "SIGSEGV"})}, true, false, 139},
		"by a rare signal": {[]app.Status{ended(app.Stopped, 0, app.Exit{Code: -1, Signal: "signal 34"})}, true, false, 162},
		"by a command":     {[]app.Status{ended(app.Stopped, 0, app.Exit{Code: -1, Signal: "SIGINT", Wanted: true})}, true, true, 0},
		"never begun":      {[]app.Status{{State: app.Errored}}, true, false, 1},
		"not to be begun":  {[]app.Status{ended(app.Errored, 0, app.Exit{Error: "no such file"})}, true, false, 1},
		"not started":      {[]app.Status{{State: app.Stopped}}, true, false, 0},
	} {
		over, commanded := allOver(c.list)
		status, _ := statusOf(c.list)
		if over != c.over || over && commanded != c.commanded || status != c.status {
			t.Errorf("%s: got %t %t %d, want %t %t %d", name, over, commanded, status, c.over, c.commanded, c.status)
		}
	}
}

func TestFrontLeavesOwnOutputsAlone(t *testing.T) {
	f := front{starting: newCLI(Options{}).newStarting(), print: app.PrintJSON, noFiles: true, autoExit: true}
	s := app.Spec{OutFile: "/dev/stdout", LogFile: "/dev/fd/2"}
	f.adjust(&s)
	if s.OutFile != "/dev/null" || s.ErrFile != "/dev/null" || s.LogFile != "/dev/null" || s.Print != app.PrintJSON || !f.autoExit {
		t.Errorf("got %+v", s)
	}
	job := app.Spec{Job: "* * * * *", OutFile: "/logs/job.log"}
	if f.adjust(&job); f.autoExit || job.OutFile != "/logs/job.log" {
		t.Errorf("a job comes again: got %+v", job)
	}
}
