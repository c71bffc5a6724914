package hooks

import (
	"encoding/json"
	"fmt"
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

	"paceline/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen.
const patience = time.Minute

// told collects reports.
type told struct {
	mu    sync.Mutex // guards lines
	lines []string
	news  chan struct{}
}

func (t *told) report(owner, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, owner+": "+text)
	t.news <- struct{}{}
}

func (t *told) all() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// newRunner returns a runner with short pauses, and what it reports.
func newRunner(t *testing.T, interval time.Duration) (*Runner, *told) {
	t.Helper()
	reports := &told{news: make(chan struct{}, 1000)}
	r := New(Options{
		Home: "/h", Report: reports.report, Log: t.Logf, interval: interval, pauses: []time.Duration{time.Millisecond},
	})
	t.Cleanup(r.Close)
	return r, reports
}

func crash(n int) app.Event {
	return app.Event{
		Seq: uint64(n), Type: app.EventExit, ID: 3, Name: "api", PID: 42,
		Exit: &app.Exit{Code: 7, Stderr: []string{"boom"}},
	}
}

func webhook(url string) Bound {
	return Bound{Owner: "api", Hook: app.Hook{On: []app.HookWord{app.OnCrash}, Webhook: url}}
}

// server answers with handle; its messages come in order.
func server(t *testing.T, handle func(w http.ResponseWriter, n int)) (url string, messages chan Message) {
	t.Helper()
	messages = make(chan Message, 1000)
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		var m Message
		if err := json.NewDecoder(q.Body).Decode(&m); err != nil || q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got a %s, %v", q.Method, err)
		}
		messages <- m
		n++
		handle(w, n)
	}))
	t.Cleanup(s.Close)
	return s.URL, messages
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

func TestWebhookGetsTheEvent(t *testing.T) {
	url, messages := server(t, func(http.ResponseWriter, int) {})
	r, _ := newRunner(t, time.Hour)
	r.Hear(webhook(url), app.Event{Type: app.EventStart, Name: "api"}) // not for it
	r.Hear(webhook(url), crash(1))
	m := receive(t, messages)
	if m.On != app.OnCrash || m.Count != 1 || m.Event.Exit == nil || m.Event.Exit.Code != 7 || !strings.HasSuffix(m.Text, ": crash: exit code 7: boom") {
		t.Errorf("got %+v", m)
	}
}

// A crash loop is not told a thousand times: the first at once, the rest together.
func TestCrashLoopIsPutTogether(t *testing.T) {
	url, messages := server(t, func(http.ResponseWriter, int) {})
	r, _ := newRunner(t, 2*time.Second)
	for n := range 1000 {
		r.Hear(webhook(url), crash(n+1))
	}
	sum, acts := 0, 0
	for sum < 1000 {
		m := receive(t, messages)
		sum += m.Count
		acts++
	}
	if sum != 1000 || acts > 20 {
		t.Errorf("%d acts for %d events", acts, sum)
	}
}

func TestWebhookIsTriedAgain(t *testing.T) {
	url, messages := server(t, func(w http.ResponseWriter, n int) {
		if n < 4 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	r, reports := newRunner(t, time.Hour)
	r.Hear(webhook(url), crash(1))
	for range 4 {
		receive(t, messages)
	}
	r.Close()
	if got := reports.all(); got != "" {
		t.Errorf("reported %s", got)
	}
}

func TestRefusedWebhookIsToldOnceAndNotTriedAgain(t *testing.T) {
	status := http.StatusForbidden
	url, messages := server(t, func(w http.ResponseWriter, _ int) { w.WriteHeader(status) })
	r, reports := newRunner(t, time.Millisecond)
	hook := webhook(url + "/secret-path")
	for n := range 3 {
		r.Hear(hook, crash(n))
		receive(t, messages)
		if n == 0 {
			receive(t, reports.news)
		}
		waitFor(t, func() bool { return idle(r) })
	}
	if got := reports.all(); got != fmt.Sprintf("api: hook 1 of api (%s): status 403 Forbidden; further failures are in the daemon's log", url) {
		t.Errorf("reported %s", got)
	}
	status = http.StatusOK
	r.Hear(hook, crash(4))
	receive(t, messages)
	receive(t, reports.news)
	if got := reports.all(); !strings.HasSuffix(got, "works again") {
		t.Errorf("reported %s", got)
	}
	if len(messages) != 0 {
		t.Errorf("%d more attempts", len(messages))
	}
}

// idle reports whether no queue has anything to do.
func idle(r *Runner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queues {
		q.mu.Lock()
		busy := q.running
		q.mu.Unlock()
		if busy {
			return false
		}
	}
	return true
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to hold")
		}
	}
}

// A webhook that takes the request and never answers is late for itself alone.
func TestHangingWebhookStallsNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, reports := newRunner(t, time.Millisecond)
	bad := webhook("http://" + l.Addr().String() + "/x") // the kernel takes the connection
	bad.Timeout, bad.Retries = app.Duration(time.Minute), -1
	url, messages := server(t, func(http.ResponseWriter, int) {})
	for n := range 5 * MaxWaiting {
		r.Hear(bad, crash(n)) // must not wait
	}
	good := webhook(url)
	good.Index = 1
	r.Hear(good, crash(1))
	receive(t, messages)

	quick := webhook("http://" + l.Addr().String() + "/y")
	quick.Index, quick.Timeout, quick.Retries = 2, app.Duration(50*time.Millisecond), -1
	for n := range 3 {
		r.Hear(quick, crash(n))
	}
	receive(t, reports.news)
	r.Close() // ends what hangs
	if got := strings.Count(reports.all(), "no answer within 50ms"); got != 1 {
		t.Errorf("told %d times:\n%s", got, reports.all())
	}
}

func TestRedirectsAndStrangeCertificatesAreRefused(t *testing.T) {
	elsewhere, messages := server(t, func(http.ResponseWriter, int) {})
	from := httptest.NewServer(http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect))
	defer from.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	r, reports := newRunner(t, time.Hour)
	redirected, strange := webhook(from.URL), webhook(secure.URL)
	strange.Index, strange.Retries = 1, -1
	r.Hear(redirected, crash(1))
	r.Hear(strange, crash(1))
	receive(t, reports.news)
	receive(t, reports.news)
	got := reports.all()
	if !strings.Contains(got, "it redirects (307 Temporary Redirect), which is not followed") || !strings.Contains(got, "certificate") {
		t.Errorf("reported %s", got)
	}
	if len(messages) > 0 {
		t.Error("the redirect was followed")
	}
}

func TestCommandGetsTheEventAndNoSecrets(t *testing.T) {
	t.Setenv("API_TOKEN", "hunter2")
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	r, reports := newRunner(t, time.Hour)
	b := Bound{Owner: "api", Dir: dir, Hook: app.Hook{
		On: []app.HookWord{app.OnAll}, Exec: []string{"/bin/sh", "-c", "pwd >out.new; env >>out.new; cat >>out.new; mv out.new out"},
	}}
	r.Hear(b, crash(1))
	var text []byte
	waitFor(t, func() bool { var err error; text, err = os.ReadFile(out); return err == nil })
	for _, want := range []string{dir, "PACE_ON=crash", "PACE_EVENT=exit", "PACE_APP=api", "PACE_ID=3", "PACE_PID=42", "PACE_EXIT_CODE=7", "PACELINE_HOME=/h", `"on":"crash"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the daemon's variables are handed on:\n%s", text)
	}
	if got := reports.all(); got != "" {
		t.Errorf("reported %s", got)
	}
}

func TestCommandThatFailsOrTakesTooLong(t *testing.T) {
	r, reports := newRunner(t, time.Hour)
	sh := func(i int, script string) Bound {
		return Bound{Owner: "api", Index: i, Hook: app.Hook{
			On: []app.HookWord{app.OnCrash}, Exec: []string{"/bin/sh", "-c", script}, Timeout: app.Duration(200 * time.Millisecond),
		}}
	}
	fails := sh(0, "echo it is broken >&2; exit 3")
	fails.Timeout = 0
	r.Hear(fails, crash(1))
	r.Hear(sh(1, "sleep 600 & sleep 600"), crash(1))
	missing := sh(2, "")
	missing.Exec = []string{"/nowhere/x"}
	r.Hear(missing, crash(1))
	for range 3 {
		receive(t, reports.news)
	}
	got := reports.all()
	for _, want := range []string{"exit status 3: it is broken", "ended, as it took longer than 200ms", "no such file"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

// What waits is bounded.
func TestQueueIsBounded(t *testing.T) {
	block := make(chan struct{})
	url, messages := server(t, func(http.ResponseWriter, int) { <-block })
	defer close(block)
	r, _ := newRunner(t, time.Hour)
	for n := range 10 * MaxWaiting {
		e := crash(n)
		e.Name = fmt.Sprint("app-", n) // each of a kind of its own
		r.Hear(webhook(url), e)
	}
	receive(t, messages)
	for _, q := range r.queues {
		q.mu.Lock()
		if len(q.waiting) > MaxWaiting {
			t.Errorf("%d wait", len(q.waiting))
		}
		q.mu.Unlock()
	}
}
