package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestTalkCommands(t *testing.T) {
	one := api.ActionReply{Instances: []app.Status{{ID: 0, Name: "api", State: app.Online}}}
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpSignal: give(one), api.OpSend: give(one), api.OpReopen: give(api.ReopenReply{Files: 2}),
		api.OpTrigger: give(api.TriggerReply{Replies: []api.ActionReturn{
			{ID: 0, Name: "api", Return: json.RawMessage(`{"hi": "a\u001b[31m"}`)}, {ID: 1, Name: "api", Namespace: "web", Return: json.RawMessage("null")},
		}}),
	})
	for _, c := range []struct{ args, request, stdout string }{
		{"sendSignal usr2 api", `signal {"targets":["api"],"signal":"usr2"}`, "sent SIGUSR2 to api (0)\n"},
		{"send 0 two words", `send {"targets":["0"],"data":"dHdvIHdvcmRzCg=="}`, "sent a line to api (0)\n"},
		{"trigger api greet", `trigger {"targets":["api"],"action":"greet","timeout_ms":10000}`, "[api:0:default]={\"hi\":\"a\\u001b[31m\"}\n[api:1:web]=null\n"},
		{"trigger api greet a b --timeout 2s", `trigger {"targets":["api"],"action":"greet","params":"a b","timeout_ms":2000}`, "2 processes have received command greet\n"},
		{"reloadLogs", "reopen {}", "reopened 2 log files\n"},
	} {
		f.run(strings.Fields(c.args)...).want(t, 0, c.stdout, "")
		if seen := f.requests(); !strings.HasSuffix(seen, c.request) {
			t.Errorf("%s: asked %s, want %s", c.args, seen, c.request)
		}
	}
	before := f.requests()
	for args, says := range map[string]string{
		"sendSignal usr2":               "name a signal and a target",
		"sendSignal SIGNOPE api":        "SIGNOPE",
		"send 0":                        "name a target and a line",
		"attach":                        "name one instance",
		"trigger api":                   "name a target and an action",
		"trigger api greet --timeout 0": "--timeout",
		"reloadLogs api":                "takes no arguments",
	} {
		f.run(strings.Fields(args)...).want(t, 1, "", says)
	}
	if f.requests() != before {
		t.Errorf("a wrong command was sent: %s", f.requests())
	}
}

func TestTriggerFailsIfOneDoesNotReply(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpTrigger: give(api.TriggerReply{Replies: []api.ActionReturn{
			{ID: 0, Name: "api", Return: json.RawMessage(`1`)}, {ID: 1, Name: "api", Error: "no reply within 10s"},
		}}),
	})
	f.run("trigger", "api", "x").want(t, 1, "[api:0:default]=1\n", "pace: trigger x: api (1): no reply within 10s\n")
}

// What is typed goes to the app, line by line, and its answers come back.
func TestAttach(t *testing.T) {
	list := []app.Status{{ID: 3, Name: "shell", Mode: app.Fork, State: app.Online, PID: 9}}
	sent := make(chan string, 4)
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: func(*http.Request) any { return list },
		api.OpLogs: func(r *http.Request) any {
			return func(w http.ResponseWriter) {
				e, err := api.NewEventWriter(w)
				if err == nil {
					err = e.Flush()
				}
				for err == nil {
					select {
					case text := <-sent:
						if err = e.Send(api.LogLine{ID: 3, Name: "shell", Stream: api.Out, Line: "got " + text}); err == nil {
							err = e.Flush()
						}
					case <-r.Context().Done():
						return
					}
				}
			}
		},
		api.OpSend: func(r *http.Request) any {
			q, err := api.DecodeSend(r.Body)
			if err != nil {
				t.Error(err)
			}
			reply := api.ActionReply{Instances: slices.Clone(list)} // before the last line lets the test go on
			sent <- fmt.Sprintf("%q", q.Data)
			return reply
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := &watched{}
	out.hit = func() {
		if bytes.Count(out.buf.Bytes(), []byte("\n")) >= 2 {
			cancel()
		}
	}
	r := f.with(ctx, Options{Stdout: out, Stdin: strings.NewReader("one\ntwo")}, "attach", "3", "#")
	if got := out.buf.String(); r.exit != 0 || got != "got \"one#\"\ngot \"two#\"\n" {
		t.Errorf("exit %d, stdout %q, stderr %q", r.exit, got, r.stderr)
	}
	for says, l := range map[string][]app.Status{
		"cluster mode": {{ID: 3, Name: "shell", Mode: app.Cluster, PID: 9}},
		"is stopped":   {{ID: 3, Name: "shell", Mode: app.Fork, State: app.Stopped}},
		"name one of":  {{ID: 3, Name: "shell"}, {ID: 4, Name: "shell"}},
	} {
		list = l
		f.with(t.Context(), Options{Stdin: io.LimitReader(nil, 0)}, "attach", "shell").want(t, 1, "", says)
	}
}

func TestLogsFormsOfPM2(t *testing.T) {
	at := time.Date(2026, 11, 26, 21, 17, 30, 0, time.UTC)
	inner := `{"message":"a\n","timestamp":"2026-11-26T21:17:30.000Z","type":"out","process_id":0,"app_name":"api"}`
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: give(logList()),
		api.OpLogs: func(r *http.Request) any {
			return stream(r, []api.LogLine{
				{ID: 0, Name: "api", Stream: api.Out, Line: "old"},
				{ID: 0, Name: "api", Stream: api.Err, Line: "new line", At: at},
				{ID: 0, Name: "api", Stream: api.Out, Line: inner, At: at},
			}, "")
		},
	})
	for args, want := range map[string]string{
		"--format":                "app=api id=0 type=out message=old\ntimestamp=2026-11-26-21:17:30+0000 app=api id=0 type=error message=new line\n",
		"--timestamp":             "0|api     | old\n2026-11-26-21:17:30 0|api     | new line\n",
		"--timestamp HH:mm":       "\n21:17 0|api     | new line\n",
		"--timestamp=HH:mm":       "\n21:17 0|api     | new line\n",
		"--highlight line":        "0|api     | new line\n",
		"--json":                  "\n" + inner + "\n",
		"--highlight --timestamp": "2026-11-26-21:17:30 0|api     | new line\n",
	} {
		f.run(append([]string{"logs", "api", "--nostream"}, strings.Fields(args)...)...).want(t, 0, want, "")
	}
	r := f.with(t.Context(), Options{Terminal: terminal(80)}, "logs", "--nostream", "--highlight", "line")
	if want := "new \x1b[100mline\x1b[0m"; !strings.Contains(r.stdout, want) {
		t.Errorf("got %q, want %q in it", r.stdout, want)
	}
	f.run("logs", "--json", "--format").want(t, 1, "", "json")
}

func TestShowTellsMetricsAndActions(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpApps: give([]api.AppInfo{{
			Spec: app.Spec{Name: "api", LogJSON: true},
			Instances: []app.Status{{
				ID: 0, Name: "api", State: app.Online, PID: 1, Actions: []string{"hello", "km:heapdump"},
				Metrics: []app.Metric{{Name: "Heap Size", Value: "9.23", Unit: "MiB"}, {Name: "Users", Value: "3"}},
			}},
		}}),
	})
	r := f.run("show", "api")
	for _, want := range []string{"Heap Size: 9.23 MiB\n", "Users: 3\n", "hello, km:heapdump\n", "JSON\n"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("got %q, want %q in it", r.stdout, want)
		}
	}
}
