package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/supervisor"
)

func TestFilesOf(t *testing.T) {
	for _, c := range []struct {
		name string
		spec app.Spec
		want files
	}{
		{
			"one fork instance",
			app.Spec{Name: "my app", Mode: app.Fork, Instances: 1},
			files{out: "/h/logs/my-app-out.log", err: "/h/logs/my-app-error.log", pid: "/h/pids/my-app-3.pid"},
		},
		{
			"cluster",
			app.Spec{Name: "api", Mode: app.Cluster, Instances: 1},
			files{out: "/h/logs/api-out-3.log", err: "/h/logs/api-error-3.log", pid: "/h/pids/api-3.pid"},
		},
		{
			"merged, combined and none",
			app.Spec{Name: "api", Mode: app.Fork, Instances: 4, MergeLogs: true, ErrFile: os.DevNull, LogFile: "/var/all.log"},
			files{out: "/h/logs/api-out.log", both: "/var/all.log", pid: "/h/pids/api-3.pid"},
		},
		{
			"own paths, several",
			app.Spec{Name: "api", Mode: app.Fork, Instances: 2, OutFile: "/v/o.txt", ErrFile: "/v/e"},
			files{out: "/v/o-3.txt", err: "/v/e-3", pid: "/h/pids/api-3.pid"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := filesOf("/h", &c.spec, 3)
			if got != c.want {
				t.Errorf("filesOf = %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestKeyRoundTrip(t *testing.T) {
	want := supervisor.Ref{ID: 12, Gen: 345}
	if got, err := refOf(keyOf(want)); err != nil || got != want {
		t.Errorf("refOf(keyOf(%v)) = %v, %v", want, got, err)
	}
	for _, bad := range []string{"", "1", "x.1", "1.x", "1.-2"} {
		if _, err := refOf(bad); err == nil {
			t.Errorf("refOf(%q) is no error", bad)
		}
	}
}

func TestEnviron(t *testing.T) {
	node := app.Spec{Name: "api", Mode: app.Cluster, Runtime: app.RuntimeNode, Env: map[string]string{"A": "1", "pm_id": "forged"}}
	own := app.Spec{Name: "api", Mode: app.Fork, Env: map[string]string{"name": "mine", "pm_id": "5"}, EnvOwn: []string{"pm_id"}}
	sdk := app.Spec{Name: "api", Mode: app.Cluster, Runtime: app.RuntimeSDK}
	alone := app.Spec{Name: "api", Mode: app.Fork, Runtime: app.RuntimeSDK}
	npm := app.Spec{Name: "api", Mode: app.Fork, Wrapper: "npm"}
	for _, c := range []struct {
		spec app.Spec
		want []string
	}{
		{node, []string{
			"A=1", "NODE_APP_INSTANCE=1", "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json",
			"NODE_UNIQUE_ID=9", "PACELINE_APP=api", "name=api", "pm_id=7",
		}},
		{sdk, []string{
			"NODE_APP_INSTANCE=1", "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json",
			"NODE_UNIQUE_ID=9", "PACELINE_APP=api", "PACELINE_LISTEN=own", "name=api", "pm_id=7",
		}},
		{alone, []string{
			"NODE_APP_INSTANCE=1", "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json",
			"PACELINE_APP=api", "name=api", "pm_id=7",
		}},
		{npm, []string{"NODE_APP_INSTANCE=1", "PACELINE_APP=api", "name=api", "pm_id=7"}},
		{own, []string{"NODE_APP_INSTANCE=1", "PACELINE_APP=api", "name=mine", "pm_id=5"}},
	} {
		l := supervisor.Launch{Ref: supervisor.Ref{ID: 7, Gen: 2}, Spec: &c.spec, Index: 1}
		got, err := environ(l, given{channel: 3, worker: 9})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("environ(%+v): -want +got\n%s", c.spec, diff)
		}
	}
	asking, err := environ(supervisor.Launch{Spec: &sdk}, given{channel: 3, worker: 9, asks: true})
	if err != nil || slices.Contains(asking, "PACELINE_LISTEN=own") || !slices.Contains(asking, "NODE_UNIQUE_ID=9") {
		t.Errorf("environ of a program that asks for all: %q, %v", asking, err)
	}
	if node.Env["pm_id"] != "forged" {
		t.Error("environ changed the spec's own environment")
	}
}

func TestCommandLoadsThePreloadIntoNodeAlone(t *testing.T) {
	node := app.Spec{Exec: "/a.js", Interpreter: "/node", InterpreterArgs: []string{"--harmony"}, Runtime: app.RuntimeNode}
	if _, argv := command(&node, "/p.cjs"); !slices.Equal(argv, []string{"/node", "--require", "/p.cjs", "--harmony", "/a.js"}) {
		t.Errorf("node: argv = %q", argv)
	}
	node.InterpreterArgs = []string{"--permission"}
	if _, argv := command(&node, "/p.cjs"); !slices.Equal(argv, []string{"/node", "--permission", "/a.js"}) {
		t.Errorf("node with permissions: argv = %q", argv)
	}
	other := app.Spec{Exec: "/a.py", Interpreter: "/python3"}
	if _, argv := command(&other, "/p.cjs"); !slices.Equal(argv, []string{"/python3", "/a.py"}) {
		t.Errorf("python: argv = %q", argv)
	}
}

func TestAddrText(t *testing.T) {
	for want, a := range map[string]net.Addr{
		"*:80":         &net.TCPAddr{IP: net.IPv6unspecified, Port: 80},
		"127.0.0.1:80": &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80},
		"[::1]:53":     &net.UDPAddr{IP: net.IPv6loopback, Port: 53},
		"/run/x.sock":  &net.UnixAddr{Net: "unix", Name: "/run/x.sock"},
		"":             nil,
	} {
		if got := addrText(a); got != want {
			t.Errorf("addrText(%v) = %q, want %q", a, got, want)
		}
	}
}

func TestLastLinesSayWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	earlier := "of an earlier life\n"
	text := "/app.js:1\nthrow new Error('no treasure')\n^\n\nError: no treasure\n    at Object.<anonymous> (/app.js:1:7)\n" +
		"    at Module._compile (node:internal/modules/cjs/loader:1521:14)\n\nNode.js v20.20.2\n"
	if err := os.WriteFile(path, []byte(earlier+text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{log: slog.New(slog.DiscardHandler)}
	spec := app.Defaults()
	p := &process{Launch: supervisor.Launch{Spec: &spec}, files: files{err: path}, stderrFrom: int64(len(earlier))}
	want := []string{"/app.js:1", "throw new Error('no treasure')", "Error: no treasure"}
	if diff := cmp.Diff(want, h.lastLines(p)); diff != "" {
		t.Errorf("lastLines: -want +got\n%s", diff)
	}
	p.stderrFrom = int64(len(earlier + text))
	if got := h.lastLines(p); len(got) != 0 {
		t.Errorf("a process that wrote nothing has the last lines %q", got)
	}
}

func TestHubDropsWhoIsTooSlow(t *testing.T) {
	h := newHub(func(e app.Event) app.Event { return e })
	slow, stopSlow := h.follow()
	defer stopSlow()
	for i := range followerBuffer {
		h.publish(app.Event{ID: i})
	}
	quick, stopQuick := h.follow()
	h.publish(app.Event{ID: -1})
	if e := <-quick; e.ID != -1 {
		t.Errorf("the quick follower got event %d", e.ID)
	}
	for range followerBuffer {
		<-slow
	}
	if _, ok := <-slow; ok {
		t.Error("the slow follower's channel is still open")
	}
	stopQuick()
	if _, ok := <-quick; ok {
		t.Error("a follower that has stopped still gets events")
	}
}

func TestErrorsHaveCodes(t *testing.T) {
	for err, want := range map[error]api.Code{
		fmt.Errorf("app x: %w", supervisor.ErrNotFound): api.CodeNotFound,
		supervisor.ErrExists:                            api.CodeExists,
		supervisor.ErrReloading:                         api.CodeReloading,
		supervisor.ErrReloadFailed:                      api.CodeReloadFailed,
		supervisor.ErrTarget:                            api.CodeInvalid,
		supervisor.ErrUnchanged:                         api.CodeInvalid,
		app.ErrInvalid:                                  api.CodeInvalid,
		errors.New("disk on fire"):                      api.CodeInternal,
	} {
		if got := apiError(err); got.Code != want || got.Message != err.Error() {
			t.Errorf("apiError(%v) = %+v, want code %s", err, got, want)
		}
	}
}

// newDaemon is one without a keeper: enough for what needs no process.
func newDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{
		Options: Options{Home: t.TempDir(), Version: "1.2.3"},
		log:     slog.New(slog.DiscardHandler), hub: newHub(func(e app.Event) app.Event { return e }), ending: context.Background(), counts: newCounts(),
		supervisor: supervisor.New(supervisor.Options{}),
	}
	t.Cleanup(d.supervisor.Close)
	return d
}

func TestAPIServesItsOwnUserAlone(t *testing.T) {
	d := newDaemon(t)
	handler := d.ownUser(d.routes()) // routes panics if an operation has no handler
	for _, c := range []struct {
		uid  int
		code int
	}{{os.Geteuid(), http.StatusOK}, {os.Geteuid() + 1, http.StatusBadRequest}, {-1, http.StatusBadRequest}} {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), peerKey{}, peer{uid: c.uid}), http.MethodGet, "/v1/version", nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.code {
			t.Errorf("user %d: status %d, want %d: %s", c.uid, w.Code, c.code, w.Body)
		}
	}
}

func TestUnknownOperationNamesTheRemedy(t *testing.T) {
	w := httptest.NewRecorder()
	newDaemon(t).routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/tomorrow", nil))
	if w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "pace update") {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if got := w.Header().Get(api.VersionHeader); got != "1.2.3" {
		t.Errorf("version header %q", got)
	}
}
