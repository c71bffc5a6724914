package monit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"paceline/internal/api"
	"paceline/internal/app"
)

// recorder is a backend that only writes down what is wanted.
type recorder struct{ asked []string }

func (r *recorder) note(format string, a ...any) tea.Cmd {
	r.asked = append(r.asked, fmt.Sprintf(format, a...))
	return nil
}

func (r *recorder) poll(q query) tea.Cmd {
	return r.note("poll detail=%d sample=%v history=%v", q.detail, q.sample, q.history)
}
func (r *recorder) follow(_ int, targets []string) tea.Cmd { return r.note("follow %v", targets) }
func (r *recorder) events() tea.Cmd                        { return r.note("events") }
func (r *recorder) act(a action) tea.Cmd {
	return r.note("%s %s %v %d", a.kind, a.app, a.targets, a.to)
}
func (r *recorder) after(_ time.Duration, msg tea.Msg) tea.Cmd { return r.note("after %T", msg) }

// has reports whether something was wanted since the last wanted.
func (r *recorder) has(want string) bool { return slices.Contains(r.asked, want) }

func (r *recorder) wanted() []string {
	asked := r.asked
	r.asked = nil
	return asked
}

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// sample is a list with an instance in each kind of trouble.
func sample() []app.Status {
	ago := func(d time.Duration) time.Time { return noon().Add(-d) }
	cluster := func(id, index int, cpu float64) app.Status {
		return app.Status{
			ID: id, Name: "api", Index: index, Mode: app.Cluster, Balance: app.RoundRobin, State: app.Online, Ready: true, PID: 4711 + id,
			StartedAt: ago(2*time.Hour + time.Minute), Ports: []string{"*:3000"}, CPU: cpu, MemoryBytes: 54_945_382,
		}
	}
	return []app.Status{
		cluster(0, 0, 3.25), cluster(1, 1, 71.9), cluster(2, 2, 0),
		{
			ID: 3, Name: "worker", Mode: app.Fork, State: app.Errored, Restarts: 16, Unstable: 16,
			Reason:   "16 fast failures in a row, the last: exit code 1",
			LastExit: &app.Exit{Code: 1, At: ago(5 * time.Second)},
		},
		{ID: 4, Name: "mailer", Mode: app.Fork, State: app.Waiting, Restarts: 2, NextRestart: noon().Add(8 * time.Second)},
		{ID: 5, Name: "日本語 \x1b[31mred\x1b]0;t\x07 👩‍💻", Mode: app.Fork, State: app.Online, PID: 9, StartedAt: ago(time.Minute), MemoryBytes: 3 << 30, CPU: 1250},
		{ID: 6, Name: "halted", Mode: app.Fork, State: app.Stopped},
	}
}

// answer is what a daemon says to q.
func answer(q query, list []app.Status) snapshot {
	three := 3
	s := snapshot{query: q, at: noon(), list: list}
	if q.history {
		s.history = new(api.History)
	}
	s.ports = []api.Port{{App: "api", Address: "*:3000", Queue: 3, Copies: []api.Copy{{ID: 1, Queue: &three}}}}
	for i := range list {
		if list[i].ID != q.detail {
			continue
		}
		full := list[i]
		full.Gen, full.Mechanism = 2, "kernel"
		full.Metrics = []app.Metric{{Name: "Heap Size", Value: "9.23", Unit: "MiB"}, {Name: "req\x1b[2J/s", Value: "120"}}
		full.Checks = []app.Checked{{Name: "liveness", Why: "connection refused"}}
		s.detail = &api.AppInfo{
			Spec: app.Spec{
				Name: full.Name, Exec: "/srv/api/server.js", Args: []string{"--verbose"}, Interpreter: "/usr/bin/node", Cwd: "/srv/api",
				OutFile: "/home/me/.paceline/logs/api-out.log", ErrFile: "/home/me/.paceline/logs/api-error.log",
			},
			Instances: []app.Status{full},
		}
	}
	return s
}

// scene is a Model at work, with its backend.
type scene struct {
	*Model
	*recorder
	t *testing.T
}

// begin returns a Model that has had its first answer.
func begin(t *testing.T, colour bool, list []app.Status) *scene {
	t.Helper()
	r := new(recorder)
	s := &scene{newModel(r, colour), r, t}
	s.Init()
	s.send(eventsBegin{}, answer(query{detail: ofApp, sample: true, history: true}, list))
	s.poll(list)
	return s
}

// poll has another second pass.
func (s *scene) poll(list []app.Status) {
	s.t.Helper()
	q := query{detail: ofApp, sample: true}
	if r := s.row(); r != nil {
		q.detail = r.members[0].ID
	}
	s.send(refresh{}, second{}, answer(q, list))
}

func (s *scene) send(msgs ...tea.Msg) {
	for _, msg := range msgs {
		s.Update(msg)
	}
}

// press sends keys: single characters, and names in angle brackets.
func (s *scene) press(keys ...string) {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "backspace": tea.KeyBackspace,
		"space": tea.KeySpace, "end": tea.KeyEnd, "home": tea.KeyHome, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "left": tea.KeyLeft,
	}
	for _, key := range keys {
		k := tea.KeyPressMsg{Text: key}
		if code, ok := special[key]; ok {
			k = tea.KeyPressMsg{Code: code}
		} else {
			k.Code = []rune(key)[0]
		}
		s.Update(k)
	}
}

// write has the selection write log lines.
func (s *scene) write(first bool, texts ...string) {
	l := lines{stream: s.logs.stream, first: first}
	for _, text := range texts {
		l.list = append(l.list, logLine{id: s.row().members[0].ID, stream: api.Out, text: clean(text)})
	}
	s.send(l)
}

func (s *scene) raw() string {
	text := ""
	for _, line := range s.screen() {
		text += line + "\n"
	}
	return text
}

func (s *scene) text() string { return ansi.Strip(s.raw()) }

// golden compares text with a file in testdata; UPDATE=1 writes it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s:\ngot\n%s\nwant\n%s", file, text, want)
	}
}
