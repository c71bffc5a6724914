package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"paceline/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shortDir is a folder whose path leaves room for a socket's name.
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

// serve answers on home's socket until the test ends.
func serve(t *testing.T, home string, h http.Handler) *httptest.Server {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(home, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func connectTo(t *testing.T, h http.Handler) *Client {
	t.Helper()
	home := shortDir(t)
	serve(t, home, h)
	c := New(Options{Home: home})
	t.Cleanup(c.Close)
	return c
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set(VersionHeader, "1.2.3")
	json.NewEncoder(w).Encode(v)
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		conn.Close()
	}
}

// TestClientUsesEveryRoute calls every method against a mux made of the route
// table, which answers 404 to anything else.
func TestClientUsesEveryRoute(t *testing.T) {
	called := map[string]string{}
	mux := http.NewServeMux()
	for _, r := range Routes() {
		mux.HandleFunc(r.Pattern(), func(w http.ResponseWriter, req *http.Request) {
			called[r.Name] = req.URL.RawQuery
			switch {
			case r.Stream:
				e, err := NewEventWriter(w)
				if err == nil {
					err = e.Send(map[string]any{"name": "api"})
				}
				if err != nil {
					t.Error(err)
				}
			case r.Name == OpInstances || r.Name == OpApps || r.Name == OpDoctor || r.Name == OpPorts || r.Name == OpWhy:
				write(w, []any{})
			default:
				write(w, map[string]any{})
			}
		})
	}
	c, ctx := connectTo(t, mux), t.Context()
	targets := TargetsRequest{Targets: []string{"all"}}
	two := []string{"a b", "/x&y/"}
	for name, call := range map[string]func() error{
		OpVersion:   func() error { _, err := c.Version(ctx); return err },
		OpInstances: func() error { _, err := c.Instances(ctx, InstancesQuery{Targets: two, Brief: true}); return err },
		OpApps:      func() error { _, err := c.Apps(ctx, AppsQuery{Env: true}); return err },
		OpStart:     func() error { _, err := c.Start(ctx, StartRequest{}); return err },
		OpApply:     func() error { _, err := c.Apply(ctx, ApplyRequest{}, nil); return err },
		OpStop:      func() error { _, err := c.Stop(ctx, targets); return err },
		OpRestart:   func() error { _, err := c.Restart(ctx, targets); return err },
		OpReload:    func() error { _, err := c.Reload(ctx, targets, nil); return err },
		OpDelete:    func() error { _, err := c.Delete(ctx, targets); return err },
		OpReset:     func() error { _, err := c.Reset(ctx, targets); return err },
		OpFlush:     func() error { _, err := c.Flush(ctx, targets); return err },
		OpScale:     func() error { _, err := c.Scale(ctx, ScaleRequest{}); return err },
		OpSignal:    func() error { _, err := c.Signal(ctx, SignalRequest{}); return err },
		OpSend:      func() error { _, err := c.Send(ctx, SendRequest{}); return err },
		OpTrigger:   func() error { _, err := c.Trigger(ctx, TriggerRequest{}); return err },
		OpReopen:    func() error { _, err := c.Reopen(ctx); return err },
		OpLogs: func() error {
			return c.Logs(ctx, LogsQuery{Lines: 3, Stream: Err, Follow: true}, Handler[LogLine]{Value: func(LogLine) error { return nil }})
		},
		OpEvents: func() error {
			q := EventsQuery{
				Targets: two[:1], Types: []app.EventType{app.EventExit, app.EventReloadFailed}, Since: time.Unix(0, 1).UTC(), After: 7, Lines: 3, Follow: true,
			}
			return c.Events(ctx, q, Handler[app.Event]{Value: func(app.Event) error { return nil }})
		},
		OpWhy: func() error { _, err := c.Why(ctx, WhyQuery{Targets: two}); return err },
		OpHistory: func() error {
			_, err := c.History(ctx, HistoryQuery{
				Targets: two, Series: []string{"cpu"}, Since: time.Unix(1, 5).UTC(), Until: time.Unix(2, 0).UTC(), Step: app.Duration(time.Minute),
			})
			return err
		},
		OpPorts:     func() error { _, err := c.Ports(ctx, PortsQuery{Targets: two}); return err },
		OpMetrics:   func() error { _, err := c.Metrics(ctx, MetricsQuery{PSS: true}); return err },
		OpSave:      func() error { _, err := c.Save(ctx, SaveRequest{Force: true}); return err },
		OpResurrect: func() error { _, err := c.Resurrect(ctx, ResurrectRequest{}); return err },
		OpKill:      func() error { _, err := c.Kill(ctx, KillRequest{}); return err },
		OpUpdate:    func() error { _, err := c.Update(ctx, UpdateRequest{}); return err },
		OpDoctor:    func() error { _, err := c.Doctor(ctx); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := called[name]; !ok {
			t.Errorf("%s: not what was called", name)
		}
	}
	for _, r := range Routes() {
		if _, ok := called[r.Name]; !ok {
			t.Errorf("no method of Client calls %s", r.Name)
		}
	}
	want := map[string]string{
		OpInstances: "brief=1&target=a+b&target=%2Fx%26y%2F", OpApps: "env=1", OpWhy: "target=a+b&target=%2Fx%26y%2F", OpLogs: "follow=1&lines=3&stream=err",
		OpEvents:  "after=7&follow=1&lines=3&since=1970-01-01T00%3A00%3A00.000000001Z&target=a+b&type=exit&type=reload+failed",
		OpHistory: "series=cpu&since=1970-01-01T00%3A00%3A01.000000005Z&step=1m0s&target=a+b&target=%2Fx%26y%2F&until=1970-01-01T00%3A00%3A02Z",
		OpPorts:   "target=a+b&target=%2Fx%26y%2F", OpMetrics: "pss=1",
	}
	for name, query := range want {
		if called[name] != query {
			t.Errorf("%s: got query %q, want %q", name, called[name], query)
		}
	}
}

func TestClientErrors(t *testing.T) {
	status := 0
	var text string
	c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(VersionHeader, "1.2.3")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	for _, r := range []struct {
		name, body string
		status     int
		want       Error
	}{
		{"ours", `{"error":{"code":"not_found","message":"no app api"}}`, 404, Error{Code: CodeNotFound, Message: "no app api"}},
		{
			"with a reply", `{"error":{"code":"start_failed","message":"m","reply":{"instances":[{"id":3}]}}}`, 422,
			Error{Code: CodeStartFailed, Message: "m", Reply: &ActionReply{Instances: []app.Status{{ID: 3}}}},
		},
		{"of a later version", `{"error":{"code":"teapot","message":"m","more":1}}`, 418, Error{Code: "teapot", Message: "m"}},
		{"net/http's own", "404 page not found\n", 404, Error{Code: CodeUnsupported, Message: "the daemon does not know this request (404 Not Found)"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			status, text = r.status, r.body
			reply, err := c.Stop(t.Context(), TargetsRequest{Targets: []string{"api"}})
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if d := cmp.Diff(r.want, *e); d != "" {
				t.Error(d)
			}
			if e.Reply != nil && len(reply.Instances) != 1 {
				t.Errorf("the reply was lost: %+v", reply)
			}
		})
	}
	if v := c.DaemonVersion(); v != "1.2.3" {
		t.Errorf("DaemonVersion: got %q", v)
	}
}

func TestNoDaemon(t *testing.T) {
	home := shortDir(t)
	c := New(Options{Home: home})
	if _, err := c.Version(t.Context()); !errors.Is(err, ErrNoDaemon) || err.Error() != ErrNoDaemon.Error() {
		t.Errorf("no socket: got %v, want ErrNoDaemon", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(home, SocketName)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := c.Stop(t.Context(), TargetsRequest{}); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("socket that nobody listens on: got %v, want ErrNoDaemon", err)
	}
	if err := c.Gone(t.Context()); err != nil {
		t.Errorf("Gone: %v", err)
	}
	long := New(Options{Home: "/" + strings.Repeat("x", 200)})
	if _, err := long.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "PACELINE_HOME") {
		t.Errorf("a path too long for a socket: got %v", err)
	}
}

func TestEnsureStartsADaemon(t *testing.T) {
	home := shortDir(t)
	ensured := 0
	c := New(Options{Home: home, Ensure: func(context.Context) error {
		ensured++
		serve(t, home, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, Version{PID: 7}) }))
		return nil
	}})
	defer c.Close()
	for range 2 {
		if v, err := c.Version(t.Context()); err != nil || v.PID != 7 {
			t.Errorf("got %+v, %v", v, err)
		}
	}
	if ensured != 1 {
		t.Errorf("a daemon was started %d times", ensured)
	}
	failing := errors.New("home is not yours")
	c = New(Options{Home: shortDir(t), Ensure: func(context.Context) error { return failing }})
	if _, err := c.Kill(t.Context(), KillRequest{}); !errors.Is(err, failing) || errors.Is(err, ErrLost) {
		t.Errorf("got %v, want what Ensure said", err)
	}
}

func TestReadingIsRepeatedWhenTheDaemonDies(t *testing.T) {
	var requests atomic.Int32
	c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			hangUp(w)
		case 2: // in the middle of its answer
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "[")
			hangUp(w)
		default:
			write(w, []app.Status{{ID: 5}})
		}
	}))
	list, err := c.Instances(t.Context(), InstancesQuery{})
	if err != nil || len(list) != 1 || list[0].ID != 5 {
		t.Errorf("got %v, %v", list, err)
	}
	if n := requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestActionIsNotRepeatedWhenTheDaemonDies(t *testing.T) {
	var requests atomic.Int32
	c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		hangUp(w)
	}))
	_, err := c.Restart(t.Context(), TargetsRequest{Targets: []string{"api"}})
	if !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	if strings.Contains(err.Error(), "http://") {
		t.Errorf("%q names a URL, which tells nobody anything", err)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestContextEndsARequest(t *testing.T) {
	c := connectTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	if _, err := c.Version(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

func TestLogs(t *testing.T) {
	want := []LogLine{
		{ID: 1, Name: "api", Stream: Out, Line: "a <b> & \"c\"\t\u2028"},
		{ID: 1, Name: "api", Stream: Err, Raw: []byte("\xff\x00")},
		{ID: 2, Name: "api", Stream: Out, Line: strings.Repeat("x", MaxLogLine), More: true},
	}
	c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := NewEventWriter(w)
		for _, l := range want {
			if err == nil {
				err = e.Send(l) // fails when the client has had enough
			}
		}
		if r.URL.Query().Get("follow") != "" {
			err = errors.Join(err, e.Flush())
			hangUp(w)
		}
		if err != nil {
			t.Log(err)
		}
	}))
	var got []LogLine
	begun, idle := 0, 0
	h := Handler[LogLine]{
		Begun: func() { begun++ },
		Value: func(l LogLine) error { got = append(got, l); return nil },
		Idle:  func() error { idle++; return nil },
	}
	if err := c.Logs(t.Context(), LogsQuery{}, h); err != nil {
		t.Errorf("a stream that the daemon ended: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if begun != 1 || idle == 0 {
		t.Errorf("begun %d times, idle %d times", begun, idle)
	}
	if err := c.Logs(t.Context(), LogsQuery{Follow: true}, h); !errors.Is(err, ErrLost) {
		t.Errorf("a stream that was cut: got %v, want ErrLost", err)
	}
	stop := errors.New("stop")
	h.Value = func(LogLine) error { return stop }
	if err := c.Logs(t.Context(), LogsQuery{}, h); !errors.Is(err, stop) || errors.Is(err, ErrLost) {
		t.Errorf("got %v, want the handler's error", err)
	}
}

func TestLogLineText(t *testing.T) {
	for _, text := range []string{"", "plain", "ünï", "\xff\xfe", "a\x00b"} {
		var l LogLine
		l.SetText([]byte("\xffearlier"))
		l.SetText([]byte(text))
		if got := l.Text(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
}

func TestReadEvents(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"one", "data: a\n\n", []string{"a"}},
		{"no blank", "data:a\n\n", []string{"a"}},
		{"carriage returns", "data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		{"several lines", "data: a\ndata: b\n\n", []string{"a\nb"}},
		{"comments and other fields", ": keep-alive\n\nevent: x\nid: 1\ndata: a\nretry: 5\n\n", []string{"a"}},
		{"unfinished", "data: a\n\ndata: b\n", []string{"a"}},
		{"longer than the buffer", "data: " + strings.Repeat("x", 200_000) + "\n\n", []string{strings.Repeat("x", 200_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := readEvents(strings.NewReader(c.text), func(data []byte, _ bool) error {
				got = append(got, string(data))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if err := readEvents(&endless{}, nil); err == nil {
		t.Error("an event without end was read")
	}
}

func TestBriefKeepsWhatAListShows(t *testing.T) {
	now := time.Now()
	full := app.Status{
		ID: 1, Name: "api", Namespace: "web", State: app.Online, StartedAt: now, OutFile: "/x", CreatedAt: now,
		Metrics: []app.Metric{{Name: "users", Value: "3"}}, Actions: []string{"drop"},
		LastExit: &app.Exit{Code: 1, At: now, Stderr: []string{"x"}}, Reason: "r", Ready: true,
	}
	brief := Brief(full)
	want := app.Status{
		ID: 1, Name: "api", State: app.Online, StartedAt: now.Truncate(time.Millisecond),
		LastExit: &app.Exit{Code: 1, At: now}, Reason: "r", Ready: true,
	}
	if d := cmp.Diff(want, brief); d != "" {
		t.Error(d)
	}
	if full.LastExit.Stderr == nil {
		t.Error("Brief changed what it was given")
	}
}
