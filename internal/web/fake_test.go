package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; a busy machine is slow.
const patience = 30 * time.Second

// fakeDaemon has two apps, of which one has the name of the other's namespace.
type fakeDaemon struct {
	mu       sync.Mutex // guards the others
	acts     []string   // what was done: "restart [0 1]"
	status   []app.Status
	history  api.History
	queries  []api.HistoryQuery
	asked    int // times that Instances was called
	lines    []api.LogLine
	searched api.LogsQuery // the last one for logs
	events   chan app.Event
}

func newFake() *fakeDaemon {
	return &fakeDaemon{
		events: make(chan app.Event, 16),
		status: []app.Status{
			{ID: 0, Name: "api", Namespace: "shop", State: app.Online, PID: 11, CPU: 12.34, MemoryBytes: 40 << 20, Ports: []string{"*:3000"}},
			{ID: 1, Name: "api", Namespace: "shop", State: app.Online, PID: 12, CPU: 1, MemoryBytes: 41 << 20},
			{ID: 2, Name: "shop", State: app.Errored, LastExit: &app.Exit{Code: 1}, Reason: "16 fast failures"},
		},
	}
}

func (f *fakeDaemon) did(format string, a ...any) (api.ActionReply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = append(f.acts, fmt.Sprintf(format, a...))
	return api.ActionReply{Instances: f.status[:1], Warnings: []string{"look out"}}, nil
}

func (f *fakeDaemon) done() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.acts, "; ")
}

func (f *fakeDaemon) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "1.2.3", Home: "/secret/home"}, nil
}

func (f *fakeDaemon) Instances(context.Context, api.InstancesQuery) ([]app.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return append([]app.Status{}, f.status...), nil
}

func (f *fakeDaemon) Apps(_ context.Context, q api.AppsQuery) ([]api.AppInfo, error) {
	env := map[string]string{"NODE_ENV": "production", "STRIPE_KEY": "sk_live_1", "DB": "postgres://u:pw@h/d", "EMPTY_TOKEN": ""}
	spec := app.Spec{
		Name: "api", Exec: "/srv/api.js", Interpreter: "/usr/bin/node", Cwd: "/srv",
		Args: []string{"--api-token=abc", "--password", "hunter2", "--port", "3000", "redis://:pw@h"}, EnvOwn: []string{"NODE_ENV"},
	}
	if q.Env {
		spec.Env = env
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return []api.AppInfo{{Spec: spec, Instances: f.status[:2]}, {Spec: app.Spec{Name: "shop", Exec: "/srv/x"}, Instances: f.status[2:]}}, nil
}

func (f *fakeDaemon) Stop(_ context.Context, q api.TargetsRequest) (api.ActionReply, error) {
	return f.did("stop %v", q.Targets)
}

func (f *fakeDaemon) Restart(_ context.Context, q api.TargetsRequest) (api.ActionReply, error) {
	return f.did("restart %v", q.Targets)
}

func (f *fakeDaemon) Reload(_ context.Context, q api.TargetsRequest, _ func(string)) (api.ActionReply, error) {
	return f.did("reload %v", q.Targets)
}

func (f *fakeDaemon) Flush(_ context.Context, q api.TargetsRequest) (api.ActionReply, error) {
	return f.did("flush %v", q.Targets)
}

func (f *fakeDaemon) Scale(_ context.Context, q api.ScaleRequest) (api.ActionReply, error) {
	return f.did("scale %s %s", q.App, q.Instances)
}

func (f *fakeDaemon) Logs(ctx context.Context, q api.LogsQuery, h api.Handler[api.LogLine]) error {
	f.mu.Lock()
	f.searched = q
	f.mu.Unlock()
	for _, l := range f.lines {
		if err := h.Value(l); err != nil {
			return err
		}
	}
	if q.Follow {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fakeDaemon) Events(ctx context.Context, _ api.EventsQuery, h api.Handler[app.Event]) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-f.events:
			if err := h.Value(e); err != nil {
				return err
			}
		}
	}
}

func (f *fakeDaemon) History(_ context.Context, q api.HistoryQuery) (api.History, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, q)
	h := f.history
	h.Series = append([]api.HistorySeries{}, h.Series...)
	return h, nil
}

func (f *fakeDaemon) Ports(context.Context, api.PortsQuery) ([]api.Port, error) {
	count := int64(100)
	return []api.Port{{App: "api", Accepted: &count, Queue: 3}}, nil
}

func (f *fakeDaemon) Metrics(context.Context, api.MetricsQuery) ([]byte, error) {
	return []byte("pace_up 1\n"), nil
}

// token is the one of all tests.
const token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// site is a dashboard about a fake daemon.
type site struct {
	*server
	t       *testing.T
	daemon  *fakeDaemon
	handler http.Handler
	clock   *clock
	journal *journal
}

type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

type journal struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func newSite(t *testing.T) *site {
	t.Helper()
	f, c, j := newFake(), &clock{at: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}, &journal{}
	s := newServer(config{
		daemon: f, token: token, address: "127.0.0.1:9615", log: log.New(j, "", 0), now: c.now,
		hosts: allowed(Options{Listen: DefaultListen}, true, nil),
	})
	return &site{server: s, t: t, daemon: f, handler: s.handler(), clock: c, journal: j}
}

// request is one to the dashboard at its own address, as a page of ours makes it.
func (s *site) request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:9615"+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "http://127.0.0.1:9615")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

// reply is an answer whose body has been read.
type reply struct {
	StatusCode int
	Status     string
	Header     http.Header
	cookies    []*http.Cookie
}

func (r reply) Cookies() []*http.Cookie { return r.cookies }

// ask answers a request and returns what is in the answer.
func (s *site) ask(r *http.Request) (reply, string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	answer := w.Result()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Status, answer.Header, answer.Cookies()}, string(body)
}

// signedIn is what signing in gives.
type signedIn struct {
	cookie *http.Cookie
	key    string
}

func (s *site) login() signedIn {
	s.t.Helper()
	answer, body := s.ask(s.request("POST", "/api/login", `{"token":"`+token+`"}`))
	var reply struct{ Key string }
	if err := json.Unmarshal([]byte(body), &reply); err != nil || answer.StatusCode != http.StatusOK || len(answer.Cookies()) != 1 {
		s.t.Fatalf("login: %d %s %v", answer.StatusCode, body, err)
	}
	return signedIn{answer.Cookies()[0], reply.Key}
}

func (in signedIn) on(r *http.Request) *http.Request {
	r.AddCookie(in.cookie)
	r.Header.Set(keyHeader, in.key)
	return r
}
