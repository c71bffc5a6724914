package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// stream answers with log lines, and then waits for the client to leave, or
// ends.
func stream(r *http.Request, lines []api.LogLine, end string) any {
	return func(w http.ResponseWriter) {
		e, err := api.NewEventWriter(w)
		for _, l := range lines {
			if err == nil {
				err = e.Send(l)
			}
		}
		if err == nil {
			err = e.Flush()
		}
		switch {
		case err != nil:
		case end == "wait":
			<-r.Context().Done()
		case end == "cut":
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				conn.Close()
			}
		}
	}
}

func sampleLines() []api.LogLine {
	return []api.LogLine{
		{ID: 0, Name: "api", Stream: api.Out, Line: "hello <world>"},
		{ID: 0, Name: "api", Stream: api.Err, Line: "oh no", At: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)},
		{ID: 12, Name: "worker", Stream: api.Out, Raw: []byte("\xff!")},
		{ID: 12, Name: "worker", Stream: api.Out, Line: "half", More: true},
		{ID: 12, Name: "worker", Stream: api.Out, Line: "whole"},
	}
}

func logList() []app.Status {
	return []app.Status{{ID: 0, Name: "api"}, {ID: 12, Name: "worker"}}
}

func TestLogsForms(t *testing.T) {
	var query string
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: give(logList()),
		api.OpLogs: func(r *http.Request) any {
			query = r.URL.RawQuery
			return stream(r, sampleLines(), "")
		},
	})
	for _, c := range []struct{ args, query, stdout, stderr string }{
		{"", "lines=15", "0|api     | hello <world>\n0|api     | oh no\n12|worker | \xff!\n12|worker | half\n12|worker | whole\n", ""},
		{"api --lines 3 --err", "lines=3&stream=err&target=api", "0|api     | hello", ""},
		{"--out --lines=0", "lines=0&stream=out", "0|api     | hello", ""},
		{"--grep a.c --ignore-case --level warn", "grep=a.c&ignore_case=1&level=warn", "0|api     | hello", ""},
		{"api --app web --grep a -n 3", "grep=a&lines=3&target=api&target=web", "0|api     | hello", ""},
		{"--raw", "lines=15", "hello <world>\n\xff!\nhalfwhole\n", "oh no\n"},
		{"--json", "lines=15", `{"message":"oh no","timestamp":"2026-11-23T11:00:00Z","type":"err","process_id":0,"app_name":"api"}`, ""},
	} {
		f.run(append([]string{"log", "--nostream"}, strings.Fields(c.args)...)...).want(t, 0, c.stdout, c.stderr)
		if query != c.query {
			t.Errorf("%s: got query %s, want %s", c.args, query, c.query)
		}
	}
	for line := range strings.Lines(f.run("logs", "--json", "--nostream").stdout) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	r := f.with(t.Context(), Options{Terminal: terminal(80)}, "logs", "--nostream")
	golden(t, "logs_terminal.txt", r.stdout)
	for args, says := range map[string]string{
		"--grep (":               "no regular expression",
		"--since 1m --until 10m": "is after until",
		"--since soon":           "--since \"soon\" is no time",
		"--level loud":           "none of trace, debug",
		"--invert":               "name its expression",
	} {
		if r := f.run(append([]string{"logs"}, strings.Fields(args)...)...); r.exit == 0 || !strings.Contains(r.stderr, says) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", args, r.exit, r.stderr)
		}
	}
	f.set(api.OpInstances, unknown)
	f.run("logs", "x").want(t, 1, "", "pace: logs: x: not found")
}

func TestLogsGoOnAfterTheDaemonDied(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var queries []string
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: give(logList())})
	f.set(api.OpLogs, func(r *http.Request) any {
		queries = append(queries, r.URL.Query().Get("lines"))
		switch len(queries) {
		case 1:
			return stream(r, sampleLines()[:1], "cut")
		case 2: // a daemon that ended the stream properly
			return stream(r, nil, "")
		}
		defer time.AfterFunc(20*time.Millisecond, cancel)
		return stream(r, []api.LogLine{{ID: 0, Name: "api", Stream: api.Out, Line: "still here"}}, "wait")
	})
	f.with(ctx, Options{}, "logs").want(t, 0, "0|api     | hello <world>\n0|api     | still here\n", "the daemon was replaced")
	if got := strings.Join(queries, " "); got != "15 0 0" {
		t.Errorf("lines asked for: %s, want the old ones once", got)
	}
}

func TestLogsEndWhenTheDaemonIsStopped(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpInstances: give(logList())})
	f.set(api.OpLogs, func(r *http.Request) any {
		go f.server.Close()
		return stream(r, sampleLines()[:1], "")
	})
	f.run("logs").want(t, 0, "hello", "the daemon has ended")
}

// watched is an output that tells when something has been written.
type watched struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
	hit func()
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.hit()
	return w.buf.Write(b)
}

func TestLogsShowEachLineAtOnceAndEndWithCtrlC(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: give(logList()),
		api.OpLogs:      func(r *http.Request) any { return stream(r, sampleLines()[:1], "wait") },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := f.with(ctx, Options{Stdout: &watched{hit: cancel}}, "logs")
	if r.exit != 0 || r.stderr != "" || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("got %+v, %v", r, ctx.Err())
	}
}

func TestLogsEndWhenNobodyReads(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: give(logList()),
		api.OpLogs:      func(r *http.Request) any { return stream(r, sampleLines(), "wait") },
	})
	f.with(t.Context(), Options{Stdout: brokenPipe{syscall.EPIPE}}, "logs").want(t, 0, "", "")
	f.with(t.Context(), Options{Stdout: brokenPipe{io.ErrShortWrite}}, "logs").want(t, 1, "", "pace: logs: write the output: short write")
}

func TestNoticesGoToStderr(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpInstances: give(logList()),
		api.OpLogs: func(r *http.Request) any {
			return stream(r, []api.LogLine{{Stream: api.Notice, Line: "120 lines were left out"}}, "")
		},
	})
	f.run("logs", "--nostream").want(t, 0, "", "pace: 120 lines were left out\n")
}

// TestHarmless: what a terminal gets can change nothing but colours.
func TestHarmless(t *testing.T) {
	for text, want := range map[string]string{
		"plain, \ttab, é, 世界 👩‍🚀":            "plain, \ttab, é, 世界 👩‍🚀",
		"crlf\r":                             "crlf",
		"\x1b[1;31mred\x1b[0m":               "\x1b[1;31mred\x1b[0m\x1b[0m",
		"\x1b]0;title\a":                     `\x1b]0;title\x07`,
		"a\x1b[2Jb\x1b[6n":                   `a\x1b[2Jb\x1b[6n`,
		"\x1b[31":                            `\x1b[31`,
		"back\b\b\rover":                     `back\x08\x08\x0dover`,
		"\x9b31m \xff \u009b \u202edrow\x7f": `\x9b31m \xff \u009b \u202edrow\x7f`,
		"\ufffd":                             "\ufffd",
	} {
		if got := harmless(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzHarmless: no control character passes but a tab, and an escape only with a
// colour.
func FuzzHarmless(f *testing.F) {
	f.Add("\x1b[31mred\x1b]0;x\a\x9b")
	f.Fuzz(func(t *testing.T, text string) {
		got := harmless(text)
		for i, r := range got {
			if r == '\x1b' && colourLength(got[i:]) > 0 || r == '\t' {
				continue
			}
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Errorf("%q: %q passes", text, r)
			}
		}
	})
}
