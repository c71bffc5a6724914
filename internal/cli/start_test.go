package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/api"
	"paceline/internal/app"
)

// script makes a file that can be started.
func script(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexec sleep 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// started answers a start as the daemon would.
func started(r *http.Request) any {
	q, err := api.DecodeStart(r.Body)
	if err != nil {
		return api.AsError(err)
	}
	var reply api.ActionReply
	for i := range q.Specs {
		reply.Instances = append(reply.Instances, app.Status{ID: i, Name: q.Specs[i].Name, Mode: q.Specs[i].Mode, State: app.Online, PID: 100})
	}
	return reply
}

func unknown(*http.Request) any {
	return &api.Error{Code: api.CodeNotFound, Message: "x: not found"}
}

func (f *fake) inDir(dir string, args ...string) result {
	f.t.Helper()
	return f.with(f.t.Context(), Options{Dir: dir, Environ: []string{"PATH=/usr/bin:/bin", "HOME=/", "SECRET=1"}, CPUs: func() int { return 8 }}, args...)
}

func TestStartSendsTheSpec(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "run.sh")
	for _, c := range []struct {
		args string
		want func(s *app.Spec)
	}{
		{"start run.sh", func(*app.Spec) {}},
		{"start run.sh --name api -- --name x -i 2", func(s *app.Spec) { s.Name, s.Args = "api", []string{"--name", "x", "-i", "2"} }},
		{"start run.sh -i 3", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 3 }},
		{"start run.sh -imax", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 8 }},
		{"start run.sh -i 0", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 8 }},
		{"start -i -1 run.sh", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 7 }},
		{"--instances=2 start run.sh", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 2 }},
		{"start run.sh -i 2 --balance none", func(s *app.Spec) { s.Instances, s.Balance = 2, app.None }},
		{"start run.sh -i 2 -x", func(s *app.Spec) { s.Instances, s.Balance = 2, app.None }},
		{"start run.sh -i 2 --balance ip-hash", func(s *app.Spec) { s.Mode, s.Instances, s.Balance = app.Cluster, 2, app.IPHash }},
		{
			"start run.sh --socket web=:8080 --socket ./x.sock",
			func(s *app.Spec) { s.Sockets = []string{"web=*:8080", filepath.Join(dir, "x.sock")} },
		},
		{
			"start run.sh --no-autorestart --max-restarts 3 --min-uptime 500 --restart-delay 2s --exp-backoff-restart-delay 100 --stop-exit-codes 0,130",
			func(s *app.Spec) {
				s.NoAutorestart, s.MaxRestarts, s.StopExitCodes = true, 3, []int{0, 130}
				s.MinUptime, s.RestartDelay, s.ExpBackoff = 500e6, 2e9, 100e6
			},
		},
		{
			"start run.sh --kill-timeout 5000 --kill-signal term --listen-timeout 1m --no-treekill --namespace web --balance shared",
			func(s *app.Spec) {
				s.KillTimeout, s.KillSignal, s.ListenTimeout, s.NoTreekill = 5e9, "SIGTERM", 60e9, true
				s.Namespace, s.Balance = "web", app.Shared
			},
		},
		{
			"start run.sh -o out.log -e NULL --log /tmp/all.log --merge-logs --time --log-max-size off --log-keep 3",
			func(s *app.Spec) {
				s.OutFile, s.ErrFile, s.LogFile = filepath.Join(dir, "out.log"), os.DevNull, "/tmp/all.log"
				s.MergeLogs, s.LogTime, s.LogMaxBytes, s.LogKeep = true, true, -1, 3
			},
		},
		{"start run.sh --cwd /tmp --instance-var N", func(s *app.Spec) { s.Cwd, s.InstanceVar = "/tmp", "N" }},
		{"start run.sh --wait-ready --shutdown-with-message", func(s *app.Spec) { s.WaitReady, s.ShutdownWithMessage = true, true }},
	} {
		t.Run(c.args, func(t *testing.T) {
			f := newFake(t, map[string]func(*http.Request) any{api.OpStart: started, api.OpInstances: unknown})
			args := c.args
			if strings.Contains(args, "--cwd") {
				args = strings.Replace(args, "run.sh", filepath.Join(dir, "run.sh"), 1)
			}
			r := f.inDir(dir, strings.Fields(args)...)
			if r.exit != 0 {
				t.Fatalf("got %+v", r)
			}
			var got api.StartRequest
			if err := json.Unmarshal([]byte(strings.TrimPrefix(f.requests(), "start ")), &got); err != nil || len(got.Specs) != 1 {
				t.Fatalf("requests %s: %v", f.requests(), err)
			}
			want := app.Defaults()
			want.Name, want.Exec, want.Cwd = "run", filepath.Join(dir, "run.sh"), dir
			c.want(&want)
			spec := got.Specs[0]
			if spec.Env["SECRET"] != "1" {
				t.Error("the environment is not the caller's")
			}
			spec.Env, spec.Interpreter = nil, ""
			if d := cmp.Diff(want, spec); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestStartOfWhatExists(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "worker")
	script(t, dir, "api.js")
	exists := func(r *http.Request) any {
		switch target := r.URL.Query().Get("target"); target {
		case "worker", "all", "3", "/^w/", "api.v2":
			return []app.Status{{ID: 3, Name: "worker", State: app.Stopped}}
		}
		return unknown(r)
	}
	worker := app.Defaults()
	worker.Name, worker.Exec, worker.Cwd = "worker", "/srv/worker", "/srv"
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: exists, api.OpStart: started,
		api.OpApps:    give([]api.AppInfo{{Spec: worker}}),
		api.OpApply:   give(api.ActionReply{Changes: []app.Change{{App: "worker", Field: "instances", Old: "1", New: "2", Kind: app.Changed}}}),
		api.OpRestart: give(api.ActionReply{Instances: []app.Status{{ID: 3, Name: "worker", State: app.Online}}}),
	})
	for _, c := range []struct{ args, request, mention string }{
		{"worker", `restart {"targets":["worker"]}`, ""},
		{"3", `restart {"targets":["3"]}`, ""},
		{"all", `restart {"targets":["all"]}`, ""},
		{"/^w/", `restart {"targets":["/^w/"]}`, ""},
		{"api.v2", `restart {"targets":["api.v2"]}`, ""},
		{"./worker", `start {"specs"`, ""},
		{"worker --force", `start {"specs"`, ""},
		{"worker -i 2", `apply {"specs":[{"name":"worker","exec":"/srv/worker","cwd":"/srv","mode":"fork","instances":2,`, ""},
		{"worker -- -x", `apply {"specs":[{"name":"worker","exec":"/srv/worker","args":["-x"],`, ""},
		{"worker --kill-timeout soon", "", "--kill-timeout"},
		{"7", "", "not found"},
		{"/^x/", "", "not found"},
		{"nothing", "", "nothing"},
	} {
		f.mu.Lock()
		f.seen = nil
		f.mu.Unlock()
		r := f.inDir(dir, append([]string{"start"}, strings.Fields(c.args)...)...)
		if got := f.requests(); !strings.HasPrefix(got, c.request) || c.request == "" && got != "" {
			t.Errorf("%s: requests %q, want %q; %+v", c.args, got, c.request, r)
		}
		if c.mention != "" {
			r.want(t, 1, "", c.mention)
		} else if r.exit != 0 {
			t.Errorf("%s: got %+v", c.args, r)
		}
	}
}

func TestStartOfSeveralStopsAtTheFirstThatFails(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "a.sh")
	script(t, dir, "c.sh")
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: unknown, api.OpStart: started})
	r := f.inDir(dir, "start", "a.sh", "missing.sh", "c.sh")
	r.want(t, 1, "online", "pace: start: missing.sh: ")
	if n := strings.Count(f.requests(), `"specs"`); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
	if r := f.inDir(dir, "start", "a.sh", "c.sh"); r.exit != 0 || strings.Count(r.stdout, "online") != 2 {
		t.Errorf("got %+v", r)
	}
}

func TestStartThatFailsTellsTheLastWords(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "a.sh")
	failed := sample()[2]
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: unknown,
		api.OpStart: give(&api.Error{
			Code: api.CodeStartFailed, Message: "worker: exit code 1, 16 times in a row",
			Reply: &api.ActionReply{Instances: []app.Status{failed}, Warnings: []string{"something\nodd"}},
		}),
	})
	r := f.inDir(dir, "start", "a.sh")
	if r.exit != 1 || !strings.Contains(r.stdout, "2|worker | Error: no database\n") || !strings.Contains(r.stdout, "errored") {
		t.Errorf("got %+v", r)
	}
	want := "pace: warning: something; odd\npace: start: worker: exit code 1, 16 times in a row; `pace show` and `pace logs` tell more\n"
	if r.stderr != want {
		t.Errorf("got %q, want %q", r.stderr, want)
	}
}

func TestStartInADeletedFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Skip("cannot delete the working directory:", err)
	}
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: unknown})
	r := f.with(t.Context(), Options{Environ: []string{"PATH=/bin"}}, "start", "server.js")
	r.want(t, 1, "", "pace: start: ")
}
