package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"paceline/internal/app"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(change func(*app.HealthCheck)) *app.HealthCheck {
	c := app.HealthDefaults()
	change(&c)
	return &c
}

func TestAsk(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		drop := time.NewTicker(5 * time.Millisecond)
		defer drop.Stop()
		for r.Context().Err() == nil {
			fmt.Fprint(w, "x")
			_ = http.NewResponseController(w).Flush()
			<-drop.C
		}
	})
	stuck := make(chan struct{})
	mux.HandleFunc("/stuck", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(stuck)
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*app.HealthCheck)
		want   string // in the error; "" for none
	}{
		"http":           {func(c *app.HealthCheck) { c.HTTP = server.URL + "/ok" }, ""},
		"https":          {func(c *app.HealthCheck) { c.HTTP = secure.URL + "/ok" }, ""},
		"redirect":       {func(c *app.HealthCheck) { c.HTTP = server.URL + "/moved" }, ""},
		"status":         {func(c *app.HealthCheck) { c.HTTP = server.URL + "/bad" }, "status 503"},
		"http timeout":   {func(c *app.HealthCheck) { c.HTTP, c.Timeout = server.URL+"/stuck", app.Duration(50*time.Millisecond) }, "no answer within 50ms"},
		"redirect loop":  {func(c *app.HealthCheck) { c.HTTP = server.URL + "/loop" }, ""},
		"endless answer": {func(c *app.HealthCheck) { c.HTTP, c.Timeout = server.URL+"/endless", app.Duration(time.Minute) }, ""},
		"slow drip":      {func(c *app.HealthCheck) { c.HTTP, c.Timeout = server.URL+"/drip", app.Duration(100*time.Millisecond) }, "no answer within 100ms"},
		"http refused":   {func(c *app.HealthCheck) { c.HTTP = "http://" + closed }, "connection refused"},
		"tcp":            {func(c *app.HealthCheck) { c.TCP = server.Listener.Addr().String() }, ""},
		"tcp refused":    {func(c *app.HealthCheck) { c.TCP = closed }, "connection refused"},
		"exec":           {func(c *app.HealthCheck) { c.Exec = []string{"/bin/sh", "-c", `test -f here && test "$A" = 1`} }, ""},
		"exec fails":     {func(c *app.HealthCheck) { c.Exec = []string{"/bin/sh", "-c", "echo first; echo no db >&2; exit 3"} }, "exit status 3: no db"},
		"exec missing":   {func(c *app.HealthCheck) { c.Exec = []string{"/nonexistent/check"} }, "no such file"},
		"exec timeout": {func(c *app.HealthCheck) {
			c.Exec, c.Timeout = []string{"/bin/sh", "-c", "sleep 60 & sleep 60"}, app.Duration(50*time.Millisecond)
		}, "no answer within 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Ask(t.Context(), check(c.change), Process{Dir: dir, Env: []string{"A=1", "PATH=" + os.Getenv("PATH")}})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestChanges: only changes are told, and failures only after enough in a row.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runner{name: "liveness", check: check(func(c *app.HealthCheck) { c.Retries = 3 })}
		var told []string
		r.report = func(name string, failure error) {
			why := ""
			if failure != nil {
				why = failure.Error()
			}
			told = append(told, fmt.Sprint(name, " ", failure == nil, " ", why))
		}
		bad := fmt.Errorf("down")
		for _, err := range []error{nil, nil, bad, bad, nil, bad, bad, bad, bad, nil} {
			r.hear(err)
		}
		want := []string{"liveness true ", "liveness false down", "liveness true "}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// TestGrace: what has not passed yet does not fail before its time is over; what has
// passed does.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := fmt.Errorf("down")
		fails := func(passes bool) time.Duration {
			r := runner{name: "liveness", check: check(func(c *app.HealthCheck) { c.Retries, c.Interval = 2, app.Duration(time.Second) })}
			began := time.Now()
			r.patient = began.Add(time.Minute)
			var after time.Duration
			r.report = func(_ string, failure error) {
				if failure != nil {
					after = time.Since(began)
				}
			}
			if passes {
				r.hear(nil)
			}
			for after == 0 {
				time.Sleep(r.pause())
				r.hear(bad)
			}
			return after
		}
		if got := fails(false); got != time.Minute {
			t.Errorf("before it has passed it fails after %v", got)
		}
		if got := fails(true); got != 2*time.Second {
			t.Errorf("after it has passed it fails after %v", got)
		}
	})
}

// TestOrder: readiness and liveness are asked once startup has passed, and an answer
// that comes soon is not waited for until the next turn.
func TestOrder(t *testing.T) {
	var up atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/startup" && !up.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan string, 10)
	done := make(chan struct{})
	long := func(path string) *app.HealthCheck {
		return check(func(c *app.HealthCheck) { c.HTTP, c.Interval = server.URL+path, app.Duration(time.Hour) })
	}
	go func() {
		defer close(done)
		Run(ctx, &app.Health{Startup: long("/startup"), Readiness: long("/"), Liveness: long("/")}, Process{},
			func(name string, failure error) { told <- fmt.Sprint(name, " ", failure == nil) })
	}()
	up.Store(true)
	if got := <-told; got != "startup true" {
		t.Errorf("first told %q", got)
	}
	rest := map[string]bool{<-told: true, <-told: true}
	if !rest["readiness true"] || !rest["liveness true"] {
		t.Errorf("then told %v", rest)
	}
	cancel()
	<-done
}
