package cli

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"paceline/internal/api"
	"paceline/internal/app"
)

// reloading answers with steps, where they are wanted, and an outcome.
func reloading(t *testing.T, out api.ActionReply, failed *api.Error, steps ...string) func(*http.Request) any {
	return func(r *http.Request) any {
		return func(w http.ResponseWriter) {
			a := api.NewActionWriter(w, r)
			for _, s := range steps {
				a.Step(s)
			}
			if err := a.End(out, failed); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestReloadTellsItsSteps(t *testing.T) {
	list := api.ActionReply{Instances: []app.Status{{Name: "api", State: app.Online}}}
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpReload: reloading(t, list, nil, "api (0): the successor listens\n", "api (0): \x1b[31mdrained"),
	})
	steps := "api (0): the successor listens\napi (0): drained\n"
	looking := Options{Terminal: terminal(80)}
	for _, c := range []struct {
		o    Options
		args string
		want string
	}{
		{Options{}, "reload api", ""},
		{Options{}, "reload api --verbose", steps},
		{looking, "reload api", steps},
		{looking, "reload api --silent", ""},
	} {
		r := f.with(t.Context(), c.o, strings.Fields(c.args)...)
		if r.exit != 0 || r.stderr != c.want {
			t.Errorf("%s: got %+v, want %q", c.args, r, c.want)
		}
		if !strings.Contains(c.args, "silent") && !strings.Contains(r.stdout, "api") {
			t.Errorf("%s: the list is missing: %q", c.args, r.stdout)
		}
	}

	f.set(api.OpReload, reloading(t, api.ActionReply{}, &api.Error{Code: api.CodeReloadFailed, Message: "it crashed", Reply: &list}, "one"))
	r := f.run("reload", "api", "--verbose")
	if want := "one\npace: reload: it crashed; `pace show` and `pace logs` tell more\n"; r.exit != 1 || r.stderr != want || !strings.Contains(r.stdout, "api") {
		t.Errorf("got %+v, want %q and the list", r, want)
	}

	f.set(api.OpReload, func(*http.Request) any {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"step\":\"one\"}\n\n")
		}
	})
	r = f.run("reload", "api", "--verbose")
	if r.exit != 1 || !strings.HasPrefix(r.stderr, "one\npace: reload: the daemon ended before it answered") {
		t.Errorf("a stream without an end: got %+v", r)
	}
}

func TestReloadVerify(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpReload: give(api.ActionReply{
		Instances: []app.Status{{Name: "api", State: app.Online}},
		Verified: []api.Verification{
			{App: "api", Address: "*:3000", Served: 1200, Moved: 3, DurationMS: 2150},
			{App: "api", Address: "/run/x.sock", Served: api.Unknown, Refused: 1, Reset: 2, Moved: api.Unknown, DurationMS: 900, Notes: []string{"a unix\nsocket"}},
		},
	})})
	for name, o := range map[string]Options{"plain": {}, "terminal": {Terminal: terminal(80)}} {
		r := f.with(t.Context(), o, "reload", "api", "--verify")
		if want := "pace: warning: api on /run/x.sock lost 3 connections in the reload: 1 refused, 2 reset; `pace check api` may tell why\n"; r.exit != 0 || r.stderr != want {
			t.Errorf("%s: got %+v, want %q", name, r, want)
		}
		golden(t, "verify_"+name+".txt", r.stdout)
	}
	r := f.run("reload", "api", "--verify", "--silent")
	if r.stdout != "" || !strings.Contains(r.stderr, "lost 3") {
		t.Errorf("--silent: got %+v", r)
	}
}
