package logsearch

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/logs"
	"paceline/internal/logs/search"
)

// TestMain plays the part of the process as well.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Role {
		if err := Main(context.Background(), os.Stdin, os.Stdout, os.NewFile(3, "searched")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, ctx context.Context, q api.LogsQuery, paths ...string) *Process { //nolint:revive // t comes first in tests
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Query: q}
	for i, path := range paths {
		r.Sources = append(r.Sources, source(path, i))
	}
	p, err := Start(ctx, exe, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func source(path string, id int) Source {
	return Source{Source: search.Source{Source: logs.Source{Path: path, ID: id, Name: "api", Stream: "out"}}}
}

// next returns the next event.
func next(t *testing.T, from *bufio.Scanner) (line api.LogLine) {
	t.Helper()
	for from.Scan() {
		if text, ok := strings.CutPrefix(from.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			return line
		}
	}
	t.Fatalf("the events end: %v", from.Err())
	return line
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestASearchThatFollows finds what is there, says where it was, goes on in logs that it
// knew and that come, and ends with its client.
func TestASearchThatFollows(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	write(t, a, "one ERROR\none\nhalf of an")
	write(t, b, "from before ERROR\n")
	ctx, cancel := context.WithCancel(t.Context())
	p := start(t, ctx, api.LogsQuery{Grep: "ERROR", Lines: api.AllLines, Follow: true, Places: true}, a)
	events := bufio.NewScanner(p.Events())
	if line := next(t, events); line.Line != "one ERROR" || line.Level != "error" {
		t.Errorf("found %+v", line)
	}
	if line := next(t, events); line.Stream != api.Place || line.Line != "out" || !strings.HasSuffix(line.Pos, "-e") {
		t.Errorf("the place is %+v", line)
	}
	<-p.Found()
	write(t, a, " ERROR\nnothing\n")
	line := next(t, events)
	if line.Line != "half of an ERROR" || line.Pos == "" {
		t.Errorf("followed %+v", line)
	}
	if err := p.Add(source(b, 1)); err != nil {
		t.Fatal(err)
	}
	// When the log has been taken up nobody tells, so lines are written until one comes.
	stop := make(chan struct{})
	written := make(chan struct{})
	go func() {
		defer close(written)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				f, err := os.OpenFile(b, os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					return
				}
				_, _ = fmt.Fprintf(f, "new ERROR %d\n", n)
				_ = f.Close()
			}
		}
	}()
	if line := next(t, events); line.ID != 1 || !strings.HasPrefix(line.Line, "new ERROR ") {
		t.Errorf("of a log that came: %+v", line)
	}
	close(stop)
	<-written
	cancel()
	for events.Scan() { // to the end
	}
	if err := p.Wait(); err == nil {
		t.Error("a search whose client left ended by itself")
	}
	// From that place another search goes on.
	p2 := Request{Query: api.LogsQuery{Grep: "ERROR", Follow: true}, Sources: []Source{source(a, 0)}}
	p2.Sources[0].Pos = line.Pos
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	q, err := Start(t.Context(), exe, p2)
	if err != nil {
		t.Fatal(err)
	}
	write(t, a, "last ERROR\n")
	events = bufio.NewScanner(q.Events())
	if line := next(t, events); line.Line != "last ERROR" {
		t.Errorf("the next one goes on with %+v", line)
	}
	q.end()
	for events.Scan() {
	}
	if err := q.Wait(); err != nil {
		t.Errorf("a search whose input ended: %v", err)
	}
}

// TestALongLineAndGarbage: neither breaks the stream of events.
func TestALongLineAndGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "\x00\xff\r data: \x1b[2J\n"+strings.Repeat("y", 3*logs.MaxLineBytes)+"\nlast\n")
	p := start(t, t.Context(), api.LogsQuery{Level: "trace", Lines: api.AllLines}, path)
	events := bufio.NewScanner(p.Events())
	events.Buffer(nil, 16<<20)
	if line := next(t, events); line.Text() != "\x00\xff\r data: \x1b[2J" {
		t.Errorf("garbage is %q", line.Text())
	}
	length := 0
	for {
		line := next(t, events)
		if line.Line == "last" {
			break
		}
		if len(line.Line) > api.MaxLogLine {
			t.Errorf("a line of %d bytes", len(line.Line))
		}
		length += len(line.Line)
	}
	if length != 3*logs.MaxLineBytes {
		t.Errorf("the long line has %d bytes", length)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
