package why

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// past makes the events of one instance, each a second after the one before.
type past struct {
	spec   app.Spec
	status app.Status
	events []app.Event
	at     time.Time
	gen    uint64
}

func newPast() *past {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd = "api", "/srv/api.js", "/srv"
	return &past{spec: spec, status: app.Status{Name: "api", State: app.Online}, at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
}

func (p *past) add(e app.Event) *past {
	e.Seq, e.At, e.Name = uint64(len(p.events)+1), p.at, "api"
	if e.Gen == 0 && e.ID == 0 {
		e.Gen = p.gen
	}
	p.at = p.at.Add(time.Second)
	p.events = append(p.events, e)
	return p
}

func (p *past) start(version string) *past {
	p.gen++
	p.status.StartedAt, p.status.Gen = p.at, p.gen
	return p.add(app.Event{Type: app.EventStart, PID: 100 + int(p.gen), Version: version})
}

func (p *past) exit(e app.Exit) *past {
	e.At = p.at
	p.status.LastExit = &e
	return p.add(app.Event{Type: app.EventExit, Exit: &e})
}

func (p *past) command(what string) *past {
	return p.add(app.Event{Type: app.EventCommand, ID: -1, Detail: what, By: "ann (pace, pid 7)"})
}

func (p *past) wait(d time.Duration) *past { p.at = p.at.Add(d); return p }

func (p *past) explain() api.Why {
	return Explain(Facts{Spec: p.spec, Status: p.status, Events: p.events, Now: p.at, Location: time.UTC})
}

const lived = app.Duration(5 * time.Minute)

func TestExplain(t *testing.T) {
	failed := func(code int, lines ...string) app.Exit {
		return app.Exit{Code: code, Uptime: app.Duration(20 * time.Millisecond), Stderr: lines}
	}
	for name, c := range map[string]struct {
		past *past
		want []string // found in the texts of the answer
		not  string
	}{
		"well":    {newPast().start("v1").wait(time.Hour), []string{"healthy true", "is well: online for 1h", "no restart in the last hour"}, "command: "},
		"exit 1":  {newPast().start("v1").exit(failed(1, "boom")).start("v1"), []string{"healthy false", "what: exit code 1 after 20ms", "cause: the program itself", "stderr: boom", "command: pace logs api --err"}, ""},
		"outside": {newPast().start("v1").exit(app.Exit{Code: -1, Signal: "SIGKILL", Uptime: lived}).start("v1"), []string{"killed by SIGKILL", "SIGKILL from outside", "command: journalctl --since '2026-11-23 11:59:01'"}, ""},
		"by us":   {newPast().start("v1").command("signal SIGKILL").exit(app.Exit{Code: -1, Signal: "SIGKILL", Uptime: lived}).start("v1"), []string{"cause: Paceline, as ann (pace, pid 7) asked it to send SIGKILL"}, "outside"},
		"signal of an earlier process": {
			newPast().start("v1").command("signal SIGKILL").start("v1").exit(app.Exit{Code: -1, Signal: "SIGKILL", Uptime: lived}),
			[]string{"SIGKILL from outside"},
			"asked it",
		},
		"oom":         {newPast().start("v1").exit(app.Exit{Code: -1, Signal: "SIGKILL", OOM: true, Uptime: lived}).start("v1"), []string{"cause: the kernel, for want of memory", "evidence: the kernel's counter", "command: free -m"}, "outside"},
		"segfault":    {newPast().start("v1").exit(app.Exit{Code: -1, Signal: "SIGSEGV", Uptime: lived}).start("v1"), []string{"fault in native code"}, "outside"},
		"not started": {newPast().start("v1").exit(app.Exit{Code: -1, Error: "execute /srv/api.js: no such file or directory"}), []string{"could not be started", "command: ls -ld /srv /srv/api.js"}, ""},
		"port":        {newPast().start("v1").exit(failed(1, "Error: listen EADDRINUSE: address already in use :::3000")), []string{"command: ss -ltnp 'sport = :3000'"}, ""},
		"port in Go":  {newPast().start("v1").exit(failed(1, "listen tcp 127.0.0.1:3000: bind: address already in use")), []string{"command: ss -ltnp 'sport = :3000'"}, ""},
		"module":      {newPast().start("v1").exit(failed(1, "Error: Cannot find module 'express'")), []string{"a package is missing: express", "command: cd /srv && npm install"}, ""},
		"no command":  {newPast().start("v1").exit(failed(127, "sh: 1: gulp: not found")), []string{"127 is a shell's word", "missing on its PATH: gulp"}, ""},
		"memory":      {newPast().start("v1").add(app.Event{Type: app.EventMemory, Detail: "uses 300 MB of memory"}), []string{"what: uses 300 MB", "max_memory_restart", "command: pace show api"}, ""},
		"hang":        {newPast().start("v1").add(app.Event{Type: app.EventHang, Detail: "no answer for 10s; stacks in /h/reports/api-0.txt"}), []string{"it hung: no answer", "command: less /h/reports/api-0.txt"}, ""},
		"stopped": {
			func() *past {
				p := newPast().start("v1").command("stop").exit(app.Exit{Code: -1, Signal: "SIGINT", Wanted: true, Uptime: lived}).add(app.Event{Type: app.EventStop})
				p.status.State = app.Stopped
				return p
			}(), []string{"stopped by command since 12:00:03, by ann (pace, pid 7)", "command: pace restart api"}, "what: ",
		},
		"given up": {
			func() *past {
				p := newPast()
				for range 16 {
					p.start("v1").exit(failed(3))
				}
				p.add(app.Event{Type: app.EventOverlimit, Detail: "16 fast failures in a row"})
				p.status.State, p.status.Reason, p.status.NextRestart = app.Errored, "16 fast failures in a row, the last: exit code 3", p.at.Add(3*time.Minute)
				return p
			}(), []string{"api (0) is errored: exit code 3", "tried once more at 12:03:33", "16 fast failures", "crashes 16", "command: pace restart api"}, "",
		},
		"changed": {
			newPast().start("commit 1").wait(time.Hour).command("restart").add(app.Event{Type: app.EventConfig, ID: -1, Detail: "env.PORT changed"}).
				exit(app.Exit{Code: -1, Signal: "SIGINT", Wanted: true, Uptime: lived}).start("commit 2").exit(failed(1)),
			[]string{"changed: version: commit 1 -> commit 2", "changed: configuration at 13:00:02: env.PORT changed, by ann (pace, pid 7)", "good 13:00:03"},
			"",
		},
		"not changed": {newPast().start("v").wait(time.Hour).exit(app.Exit{Code: 1, Uptime: lived}).start("v"), []string{"good 13:00:01"}, "changed: "},
		"depends": {
			func() *past {
				p := newPast()
				p.spec.DependsOn = []app.Dependency{{App: "db"}}
				p.status.State, p.status.Reason = app.Waiting, "waits for db to be ready"
				return p
			}(), []string{"waits for db", "command: pace why db"}, "",
		},
		"unready": {
			func() *past {
				p := newPast().start("v")
				p.spec.Health = &app.Health{Readiness: &app.HealthCheck{HTTP: "http://127.0.0.1:1/x"}}
				p.status.Checks = []app.Checked{{Name: "readiness", Why: "connection refused", At: p.at}}
				return p
			}(), []string{"its readiness check fails since 12:00:01: connection refused", "command: curl -sv http://127.0.0.1:1/x"}, "",
		},
		"secrets": {
			func() *past {
				p := newPast()
				p.spec.Env = map[string]string{"API_TOKEN": "t0ps3cret"}
				p.status.State, p.status.Reason = app.Errored, "t0ps3cret"
				return p.start("v").exit(failed(1, "bad t0ps3cret", "postgres://joe:pw123@db")).add(app.Event{Type: app.EventWarning, Detail: "t0ps3cret"})
			}(), []string{"stderr: bad ***", "postgres://joe:***@db"}, "t0ps3cret",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text := told(c.past.explain())
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
			if c.not != "" && strings.Contains(text, c.not) {
				t.Errorf("%q is in\n%s", c.not, text)
			}
		})
	}
}

// told is all that an answer says.
func told(w api.Why) string {
	lines := []string{
		fmt.Sprint("healthy ", w.Healthy), "summary: " + w.Summary, "now: " + w.Now, fmt.Sprint("restarts ", w.Restarts, " crashes ", w.Crashes),
	}
	add := func(name string, texts ...string) {
		for _, text := range texts {
			if text != "" {
				lines = append(lines, name+": "+text)
			}
		}
	}
	add("what", w.What)
	add("cause", w.Cause)
	add("evidence", w.Evidence...)
	add("stderr", w.Stderr...)
	add("memory", w.Memory)
	add("changed", w.Changed...)
	for _, s := range w.Next {
		add("text", s.Text)
		add("command", s.Command)
	}
	if !w.LastGood.IsZero() {
		lines = append(lines, "good "+w.LastGood.UTC().Format(time.TimeOnly))
	}
	return strings.Join(lines, "\n")
}

func TestMemoryTrend(t *testing.T) {
	p := newPast().start("v").exit(app.Exit{Code: -1, Signal: "SIGKILL", OOM: true, Uptime: lived})
	f := Facts{Spec: p.spec, Status: p.status, Events: p.events, Now: p.at}
	for n := range 11 {
		f.Memory = append(f.Memory, Sample{At: p.at.Add(time.Duration(n) * time.Minute), Bytes: int64(50+10*n) << 20})
	}
	f.Memory = slices.Insert(f.Memory, 3, Sample{At: p.at, Bytes: -1})
	if got := Explain(f).Memory; got != "memory 50mb to 150mb within 10m0s, at most 150mb: it grows" {
		t.Errorf("got %q", got)
	}
}

// The clock was set back by a day: nothing is negative, and nothing panics.
func TestClockSetBack(t *testing.T) {
	p := newPast().start("v").exit(app.Exit{Code: 1, Uptime: lived}).start("v")
	p.at = p.at.Add(-24 * time.Hour)
	if text := told(p.explain()); strings.Contains(text, "-") && strings.Contains(text, "for -") {
		t.Errorf("got\n%s", text)
	}
}
