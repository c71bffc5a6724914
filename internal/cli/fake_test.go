package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // golden files hold times
	goleak.VerifyTestMain(m)
}

// now is when all tests happen.
func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local) }

// fake is a daemon whose answers a test gives.
type fake struct {
	t       *testing.T
	home    string
	version string
	server  *httptest.Server

	mu      sync.Mutex // guards answers and seen
	answers map[string]func(r *http.Request) any
	seen    []string // operations with a body: "stop {...}"
}

// newFake starts a daemon that answers what answers says; an operation that is
// not in it answers an empty list or object.
func newFake(t *testing.T, answers map[string]func(r *http.Request) any) *fake {
	t.Helper()
	f := &fake{t: t, home: shortDir(t), version: "1.0.0", answers: maps.Clone(answers)}
	if f.answers == nil {
		f.answers = map[string]func(*http.Request) any{}
	}
	f.listen()
	t.Cleanup(func() { f.server.Close() })
	return f
}

func (f *fake) listen() {
	mux := http.NewServeMux()
	for _, r := range api.Routes() {
		mux.HandleFunc(r.Pattern(), func(w http.ResponseWriter, req *http.Request) { f.serve(r, w, req) })
	}
	l, err := net.Listen("unix", filepath.Join(f.home, api.SocketName))
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = httptest.NewUnstartedServer(mux)
	f.server.Listener.Close()
	f.server.Listener = l
	f.server.Start()
}

func (f *fake) serve(r api.Route, w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		f.t.Error(err)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	if req.Method == http.MethodPost {
		f.seen = append(f.seen, r.Name+" "+string(body))
	}
	answer := f.answers[r.Name]
	f.mu.Unlock()
	w.Header().Set(api.VersionHeader, f.version)
	var result any = map[string]any{}
	switch {
	case answer != nil:
		result = answer(req)
	case r.Name == api.OpInstances || r.Name == api.OpApps || r.Name == api.OpDoctor:
		result = []any{}
	}
	switch v := result.(type) {
	case func(w http.ResponseWriter):
		v(w)
		return
	case *api.Error:
		w.WriteHeader(v.Code.Status())
		result = api.ErrorBody{Error: *v}
	}
	json.NewEncoder(w).Encode(result) //nolint:errchkjson // the test sees it
}

// requests returns the actions that were asked for so far.
func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.seen, "\n")
}

func (f *fake) set(op string, answer func(*http.Request) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[op] = answer
}

func give(v any) func(*http.Request) any { return func(*http.Request) any { return v } }

// run executes a command against the daemon.
func (f *fake) run(args ...string) result {
	f.t.Helper()
	return f.with(f.t.Context(), Options{}, args...)
}

// with executes a command in surroundings of the test's.
func (f *fake) with(ctx context.Context, o Options, args ...string) result {
	f.t.Helper()
	if o.Version == "" {
		o.Version = "1.0.0"
	}
	o.Home = f.home
	return execute(ctx, o, args...)
}

type result struct {
	exit           int
	stdout, stderr string
}

func execute(ctx context.Context, o Options, args ...string) result {
	var stdout, stderr bytes.Buffer
	o.Args, o.Now = args, now
	if o.Stdout == nil {
		o.Stdout = &stdout
	}
	o.Stderr = &stderr
	exit := Run(ctx, o)
	return result{exit, stdout.String(), stderr.String()}
}

// want holds a result to its exit status and to parts of its output.
func (r result) want(t *testing.T, exit int, stdout, stderr string) {
	t.Helper()
	if r.exit != exit || !strings.Contains(r.stdout, stdout) || !strings.Contains(r.stderr, stderr) ||
		stdout == "" && r.stdout != "" || stderr == "" && r.stderr != "" {
		t.Errorf("got %+v\nwant exit %d, stdout with %q, stderr with %q", r, exit, stdout, stderr)
	}
	if strings.Count(r.stderr, "\n") > 1 && exit != 0 {
		t.Errorf("an error of more than one line: %q", r.stderr)
	}
}

// golden compares text with a file in testdata; UPDATE=1 writes it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
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

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pace") //nolint:usetesting // t.TempDir has the test's name in it, and a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// terminal pretends that the output is one.
func terminal(width int) func(io.Writer) (int, bool) {
	return func(io.Writer) (int, bool) { return width, true }
}

// sample is a list with an instance in each kind of trouble.
func sample() []app.Status {
	t := now()
	ago := func(d time.Duration) time.Time { return t.Add(-d) }
	return []app.Status{
		{
			ID: 0, Name: "api", Mode: app.Cluster, Balance: app.RoundRobin, State: app.Online, Ready: true, PID: 4711, Restarts: 0,
			StartedAt: ago(2*time.Hour + time.Minute), Ports: []string{"*:3000"}, CPU: 3.25, MemoryBytes: 54_945_382,
		},
		{
			ID: 1, Name: "api", Index: 1, Mode: app.Cluster, Balance: app.RoundRobin, State: app.Online, Ready: true, PID: 4712, Restarts: 1,
			StartedAt: ago(119 * time.Second), Ports: []string{"*:3000", "/run/api.sock"}, MemoryBytes: 900,
			LastExit: &app.Exit{Code: -1, Signal: "SIGKILL", OOM: true, At: ago(2 * time.Minute)},
		},
		{
			ID: 2, Name: "worker", Mode: app.Fork, State: app.Errored, Restarts: 16, Unstable: 16,
			Reason:   "16 fast failures in a row, the last: exit code 1",
			LastExit: &app.Exit{Code: 1, At: ago(5 * time.Second), Uptime: app.Duration(40 * time.Millisecond), PID: 4800, Stderr: []string{"Error: no database", "    at main.js:3"}},
		},
		{
			ID: 3, Name: "mailer", Mode: app.Fork, State: app.Waiting, Restarts: 2, NextRestart: t.Add(8 * time.Second),
			LastExit: &app.Exit{Code: 7, At: ago(2 * time.Second)},
		},
		{
			ID: 4, Name: "once", Mode: app.Fork, State: app.Stopped,
			LastExit: &app.Exit{Code: 0, At: ago(26 * time.Hour)},
		},
		{
			ID: 5, Name: "halted", Mode: app.Fork, State: app.Stopped,
			LastExit: &app.Exit{Code: -1, Signal: "SIGINT", At: ago(time.Hour), Wanted: true},
		},
		{
			ID: 6, Name: "npm-app", Mode: app.Fork, State: app.Online, Ready: true, PID: 5000, StartedAt: ago(3 * 24 * time.Hour),
			MemoryBytes: 3 << 30, Reason: "npm swallows the channel: start the script itself",
		},
	}
}
