package cli

import (
	"context"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestPing(t *testing.T) {
	newFake(t, nil).run("ping").want(t, 0, "pong\n", "")
}

func TestKill(t *testing.T) {
	f := newFake(t, nil)
	f.set(api.OpKill, func(*http.Request) any {
		go f.server.Close() // after the answer, as the daemon does
		return api.KillReply{Stopped: 3, PID: 10, KeeperPID: 11}
	})
	f.run("kill").want(t, 0, "stopped 3 instances; daemon 10 and keeper 11 have ended\n", "")
	f.run("kill").want(t, 0, "no daemon runs\n", "")
}

func TestUpdate(t *testing.T) {
	var updated atomic.Bool
	version := "1.1.0"
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpVersion: func(*http.Request) any {
			if updated.Load() {
				return api.Version{Version: version, PID: 8}
			}
			return api.Version{Version: "1.0.0", PID: 7}
		},
		api.OpUpdate: func(*http.Request) any {
			time.AfterFunc(20*time.Millisecond, func() { updated.Store(true) })
			return api.UpdateReply{PID: 7}
		},
	})
	f.version = "1.1.0"
	o := Options{Version: "1.1.0", Exe: "/opt/pace"}
	f.with(t.Context(), o, "update").want(t, 0, "updated from 1.0.0 to 1.1.0; daemon 8 took over from 7\n", "")
	if got := f.requests(); got != `update {"binary":"/opt/pace"}` {
		t.Errorf("requests: %s", got)
	}
	updated.Store(false)
	version = "1.0.0"
	f.with(t.Context(), o, "update").want(t, 1, "", "the daemon still is 1.0.0, not 1.1.0; look at pace.log")
	execute(t.Context(), Options{Home: shortDir(t), Version: "1"}, "update").want(t, 0, "no daemon runs", "")
}

func TestDoctor(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpVersion: give(api.Version{
		Version: "1.0.0", PID: 7, KeeperPID: 6, StartedAt: now().Add(-time.Hour),
	})})
	o := Options{Exe: "/usr/bin/pace", CPUs: func() int { return 4 }, Doctor: func() []api.Check {
		return []api.Check{
			{Name: "pidfd", OK: true, Needs: "Linux 5.3"},
			{Name: "eBPF", Detail: "operation not permitted\nreally", Needs: "Linux 5.14, CAP_BPF"},
		}
	}}
	r := f.with(t.Context(), o, "doctor")
	golden(t, "doctor.txt", strings.ReplaceAll(r.stdout, f.home, "/home/u/.paceline"))
	home := shortDir(t)
	o.Home, o.Version = home, "1"
	execute(t.Context(), o, "doctor").want(t, 0, "none runs", "")
}

func TestWait(t *testing.T) {
	list := func(states ...app.State) []app.Status {
		var out []app.Status
		for i, s := range states {
			out = append(out, app.Status{ID: i, Name: "api", State: s, Ready: s == app.Online})
		}
		return out
	}
	f := newFake(t, nil)
	for _, c := range []struct {
		args   string
		states []app.State
		exit   int
		stderr string
	}{
		{"api online", []app.State{app.Online, app.Online}, 0, ""},
		{"api ready", []app.State{app.Online}, 0, ""},
		{"api stopped", []app.State{app.Stopped}, 0, ""},
		{"api errored", []app.State{app.Errored}, 0, ""},
		{"api ready", []app.State{app.Online, app.Errored}, 1, "pace: wait: api (1) is errored; `pace show 1` tells more"},
		{"api online", []app.State{app.Stopped}, 1, "api (0) is stopped"},
		{"api online --timeout 30", []app.State{app.Online, app.Launching}, 1, "api is online, launching, not online, after 30ms; `pace show api` tells more"},
	} {
		f.set(api.OpInstances, give(list(c.states...)))
		f.run(append([]string{"wait"}, strings.Fields(c.args)...)...).want(t, c.exit, "", c.stderr)
	}
	f.set(api.OpInstances, unknown)
	f.run("wait", "x", "ready").want(t, 1, "", "pace: wait: x: not found")
}

func TestWaitLooksAgainAtAnEvent(t *testing.T) {
	var online atomic.Bool
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: func(*http.Request) any {
			if online.Load() {
				return []app.Status{{Name: "api", State: app.Online}}
			}
			return []app.Status{{Name: "api", State: app.Launching}}
		},
		api.OpEvents: func(r *http.Request) any {
			return func(w http.ResponseWriter) {
				e, err := api.NewEventWriter(w)
				if err == nil {
					online.Store(true)
					err = e.Send(app.Event{Type: app.EventOnline, Name: "api"})
				}
				if err == nil {
					err = e.Flush()
				}
				if err == nil {
					<-r.Context().Done()
				}
			}
		},
	})
	f.run("wait", "api", "online").want(t, 0, "", "") // without a second look it would wait for ever
}

func TestCompletion(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: give(sample()[:3])})
	for args, want := range map[string]string{
		"__complete stop ":          "api\nworker\n0\tapi, online\n1\tapi, online\n2\tworker, errored\nall\tevery app\n:4\n",
		"__complete scale ":         "api\nworker\n:4\n",
		"__complete completion b":   "bash\nzsh\nfish\n:4\n",
		"__complete wait api r":     "online\nready\nstopped\nerrored\n:4\n",
		"__complete start --wait-r": "--wait-ready\tNode: ready only at process.send('ready')\n:4\n",
		"__complete rel":            "reload\tReplace instances without a failed request\nreloadLogs\tMake log files anew that were moved away\n:4\n",
	} {
		words := strings.Split(args, " ")
		r := f.run(words...)
		if r.exit != 0 || !strings.HasPrefix(r.stdout, want) {
			t.Errorf("%q: got %q, want %q", args, r.stdout, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := f.run("completion", shell)
		if r.exit != 0 || !strings.Contains(r.stdout, "__complete") {
			t.Errorf("%s: got exit %d, %d bytes", shell, r.exit, len(r.stdout))
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		check := exec.CommandContext(t.Context(), path, "-n")
		check.Stdin = strings.NewReader(r.stdout)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not understand its script: %v\n%s", shell, err, out)
		}
	}
}

func TestCompletionDoesNotHangOnABusyDaemon(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: func(r *http.Request) any {
		<-r.Context().Done()
		return nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r := f.with(ctx, Options{}, "__complete", "stop", ""); r.exit != 0 || ctx.Err() != nil {
		t.Errorf("got %+v", r)
	}
}
