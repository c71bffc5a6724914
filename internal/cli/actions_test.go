package cli

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"paceline/internal/api"
	"paceline/internal/app"
)

func reply(list ...app.Status) func(*http.Request) any {
	return give(api.ActionReply{Instances: list})
}

func TestActions(t *testing.T) {
	one := app.Status{ID: 0, Name: "api", State: app.Stopped}
	two := app.Status{ID: 1, Name: "api", State: app.Stopped}
	f := newFake(t, map[string]func(*http.Request) any{})
	for _, op := range []string{api.OpStop, api.OpRestart, api.OpReload, api.OpDelete, api.OpReset, api.OpFlush, api.OpScale} {
		f.set(op, reply(one, two))
	}
	for _, c := range []struct{ args, request, stdout string }{
		{"stop api", `stop {"targets":["api"]}`, "stopped"},
		{"stop 0 1 api", `stop {"targets":["0","1","api"]}`, "stopped"},
		{"restart all", `restart {"targets":["all"]}`, "api"},
		{"reload api --parallel 4", `reload {"targets":["api"],"parallel":4}`, "api"},
		{"reload api --verify", `reload {"targets":["api"],"verify":true}`, "api"},
		{"delete all", `delete {"targets":["all"]}`, "deleted api (0, 1)\n"},
		{"del /x/", `delete {"targets":["/x/"]}`, "deleted api (0, 1)\n"},
		{"reset 0", `reset {"targets":["0"]}`, "api"},
		{"flush", `flush {"targets":["all"]}`, "emptied the logs of api (0, 1)\n"},
		{"flush api", `flush {"targets":["api"]}`, "emptied the logs of api (0, 1)\n"},
		{"scale api -1", `scale {"app":"api","instances":"-1"}`, "api"},
		{"scale api max", `scale {"app":"api","instances":"max"}`, "api"},
		{"-s stop api", `stop {"targets":["api"]}`, ""},
		{"-s delete api", `delete {"targets":["api"]}`, ""},
	} {
		f.mu.Lock()
		f.seen = nil
		f.mu.Unlock()
		warning := ""
		if strings.Contains(c.args, "--verify") {
			warning = "counted no connections"
		}
		f.run(strings.Fields(c.args)...).want(t, 0, c.stdout, warning)
		if got := f.requests(); got != c.request {
			t.Errorf("%s: got %s, want %s", c.args, got, c.request)
		}
	}
}

func TestErrorsAreOneLineThatSaysWhatToDo(t *testing.T) {
	for code, want := range map[api.Code]string{
		api.CodeNotFound:     "pace: reload: a b; `pace list` shows what there is\n",
		api.CodeReloading:    "pace: reload: a b; try again when that has ended\n",
		api.CodeReloadFailed: "pace: reload: a b; `pace show` and `pace logs` tell more\n",
		api.CodeUnsupported:  "pace: reload: a b; `pace update` makes the daemon this version\n",
		"teapot":             "pace: reload: a b\n",
	} {
		f := newFake(t, map[string]func(*http.Request) any{api.OpReload: give(&api.Error{Code: code, Message: "a\tb"})})
		r := f.run("reload", "api")
		if r.exit != 1 || r.stderr != want || r.stdout != "" {
			t.Errorf("%s: got %+v, want %q", code, r, want)
		}
	}
	f := newFake(t, map[string]func(*http.Request) any{api.OpStop: give(&api.Error{Code: api.CodeInvalid, Message: "bad; do this"})})
	f.run("stop", "x").want(t, 1, "", "pace: stop: bad; do this\n")
}

func TestDaemonThatDies(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpStop: give(func(w http.ResponseWriter) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	})})
	f.run("stop", "api").want(t, 1, "", "see what has been done with `pace list`")
}

func TestOtherVersionWarns(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpStop: reply(app.Status{Name: "api"})})
	want := "pace: daemon runs 1.0.0, this is 2.0.0: run \"pace update\"\n"
	for _, args := range []string{"list", "stop api", "kill"} {
		if args == "kill" {
			f.set(api.OpKill, func(*http.Request) any { go f.server.Close(); return api.KillReply{} })
		}
		r := f.with(t.Context(), Options{Version: "2.0.0"}, strings.Fields(args)...)
		if r.exit != 0 || r.stderr != want {
			t.Errorf("%s: got %+v, want a warning and success", args, r)
		}
	}
}

func TestInterrupt(t *testing.T) {
	f := newFake(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	f.set(api.OpRestart, func(r *http.Request) any {
		cancel()
		<-r.Context().Done()
		return nil
	})
	if r := f.with(ctx, Options{}, "restart", "all"); r.exit != exitInterrupted || r.stderr != "" {
		t.Errorf("got %+v, want exit %d and no word", r, exitInterrupted)
	}
}

type brokenPipe struct{ err error }

func (b brokenPipe) Write([]byte) (int, error) { return 0, b.err }

func TestOutputThatCannotBeWritten(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: give(sample())})
	f.with(t.Context(), Options{Stdout: brokenPipe{syscall.EPIPE}}, "list").want(t, 0, "", "")
	f.with(t.Context(), Options{Stdout: brokenPipe{syscall.ENOSPC}}, "list").want(t, 1, "", "no space left")
}

func TestEnsure(t *testing.T) {
	home := shortDir(t)
	calls := 0
	o := Options{Version: "1.0.0", Home: home, Exe: "/usr/bin/pace", Ensure: func(_ context.Context, h, exe string) error {
		calls++
		if h != home || exe != "/usr/bin/pace" {
			t.Errorf("Ensure(%q, %q)", h, exe)
		}
		return errors.New("home " + h + " belongs to somebody else")
	}}
	for _, args := range []string{"list", "ping", "jlist", "show api", "stop api", "logs", "wait api ready"} {
		calls = 0
		r := execute(t.Context(), o, strings.Fields(args)...)
		r.want(t, 1, "", "start the daemon: home "+home+" belongs to somebody else")
		if calls == 0 {
			t.Errorf("%s starts no daemon", args)
		}
	}
	calls = 0
	for _, args := range []string{"kill", "version", "help", "list --help", "completion bash", "doctor", "update", "__complete stop a", "frob", "stop"} {
		execute(t.Context(), o, strings.Fields(args)...)
		if calls != 0 {
			t.Fatalf("%s starts a daemon", args)
		}
	}
}
