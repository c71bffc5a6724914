package events

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

// sample are events with all that one may have.
func sample() []app.Event {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	return []app.Event{
		{Seq: 3, At: at, Type: app.EventStart, ID: 4, Name: "api", Gen: 5, PID: 4711, Version: "v1.2.3-4-gabcdef0"},
		{Seq: 4, At: at.In(time.FixedZone("", 3600)), Type: app.EventCommand, ID: -1, Name: "shöp", By: "root (pace, pid 4711)", Detail: "restart <shop> & \"all\"\n"},
		{Seq: 5, At: at, Type: app.EventExit, Name: "api", Gen: 5, PID: 4711, Exit: &app.Exit{Code: 1, At: at, Uptime: app.Duration(1600 * time.Millisecond), PID: 4711, Started: at, Stderr: []string{"Error: no", "    at <anonymous>:1:2", "\x1b[31mred\x00"}}, Detail: "exit code 1"},
		{Seq: 6, At: at, Type: app.EventExit, Name: "api", Exit: &app.Exit{Code: -1, Signal: "SIGKILL", OOM: true, Wanted: true}, Detail: "killed by SIGKILL (out of memory)"},
		{Seq: 7, At: at, Type: app.EventExit, Name: "api", Exit: &app.Exit{Error: "no such file: \u2028"}},
		{Seq: 8, At: at, Type: app.EventWarning, ID: -1, Detail: "the disk is slow"},
	}
}

// line is an event as the log writes it.
func line(t testing.TB, e app.Event) []byte {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// What is written is read without encoding/json, whatever is in it.
func TestDecoderKnowsWhatIsWritten(t *testing.T) {
	var d decoder
	for _, want := range sample() {
		var got app.Event
		text := line(t, want)
		if !d.head(text, &got) || got.Seq != want.Seq || !got.At.Equal(want.At) || got.Type != want.Type || got.ID != want.ID || got.Name != want.Name {
			t.Errorf("head of %s is %+v", text, got)
		}
		if got.Detail != "" || got.Exit != nil || d.at < 0 {
			t.Errorf("of %s more than the head was read: %+v", text, got)
		}
		if !d.others(&got) || string(line(t, got)) != string(text) {
			t.Errorf("%s is read as %s", text, line(t, got))
		}
	}
}

func TestReadStopsAndSkips(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentBytes: 4096})
	for n := range 2000 {
		l.Add(numbered(n))
	}
	closed(t, l)
	l = open(t, Options{Dir: dir, SegmentBytes: 4096})
	defer closed(t, l)
	looked := 0
	got := read(t, l, Query{Last: 5, Match: func(e *app.Event) bool {
		if looked++; e.Detail != "" || e.Exit != nil {
			t.Errorf("event %d is read whole before it is selected", e.Seq)
		}
		return true
	}})
	if len(got) != 5 || got[4].Detail != "1999" || looked != 5 {
		t.Errorf("got %v; looked at %d events", got, looked)
	}
	looked = 0
	if got := read(t, l, Query{After: got[0].Seq, Match: func(*app.Event) bool { looked++; return true }}); len(got) != 4 || looked != 4 {
		t.Errorf("got %v; looked at %d events", got, looked)
	}
}

// FuzzDecode: whatever is in a file, numbers ascend.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"at\":\"2026-01-01T00:00:00Z\",\"type\":\"exit\",\"id\":0,\"name\":\"a\"}\n{\"seq\":"))
	f.Add([]byte("\n\x00\n[]\nnull\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d decoder
		list := d.decode(nil, text, 0, 1000, &Query{})
		last := uint64(0)
		for _, e := range slices.Backward(list) {
			if e.Seq <= last || e.Seq >= 1000 {
				t.Fatalf("number %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
	})
}

// FuzzLine: what the decoder reads is what encoding/json reads.
func FuzzLine(f *testing.F) {
	for _, e := range sample() {
		f.Add(line(f, e))
	}
	f.Add([]byte(`{"seq":01,"at":"2026-01-01T00:00:00Z","type":"a","id":-0,"name":"\u00e4\ud800"}` + "\n"))
	f.Add([]byte(`{"seq":1,"at":"2026-01-01T00:00:00Z","type":"a","id":1,"name":"b","SEQ":2,"exit":null}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var d decoder
		var got, want app.Event
		ok := d.head(text, &got) && d.rest(&got)
		err := json.Unmarshal(text, &want)
		if ok != (err == nil) || ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, %v; want %+v, %v", text, got, ok, want, err)
		}
	})
}

// BenchmarkRead reads a full history: 16 MB of many apps.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	// The writer's goroutine is not needed: it is the files that are read.
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	at := time.Now()
	for n := 0; ; {
		var batch []app.Event
		for range 1000 {
			n++
			e := app.Event{Seq: uint64(n), At: at.Add(time.Duration(n) * time.Second), Type: app.EventStart, ID: n % 64, Name: fmt.Sprintf("app-%d", n%64), Gen: uint64(n), PID: n, Version: "v1.2.3"}
			if n%2 == 0 {
				e.Type, e.Version, e.Detail = app.EventExit, "", "exit code 1"
				e.Exit = &app.Exit{Code: 1, At: e.At, Uptime: app.Duration(time.Second), PID: n, Started: at, Stderr: []string{"Error: connect ECONNREFUSED", "    at <anonymous>:1:2"}}
			}
			if n%5000 == 0 {
				e.Name = "rare"
			}
			batch = append(batch, e)
		}
		if _, err := l.store(batch); err != nil {
			b.Fatal(err)
		}
		names, err := l.segments()
		if err != nil {
			b.Fatal(err)
		}
		if len(names) == Segments && l.size > SegmentBytes*9/10 {
			break
		}
	}
	if err := l.file.Close(); err != nil {
		b.Fatal(err)
	}
	rare := func(e *app.Event) bool { return strings.HasPrefix(e.Name, "rare") }
	for _, one := range []struct {
		name string
		q    Query
	}{
		{"last", Query{Last: 50}},
		{"rare", Query{Last: 5000, Match: rare}},
		{"since", Query{Since: at.Add(1e6 * time.Hour)}},
		{"whole", Query{}},
	} {
		b.Run(one.name, func(b *testing.B) {
			l, err := Open(Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			found := 0
			for b.Loop() {
				list, err := l.Read(one.q)
				if err != nil {
					b.Fatal(err)
				}
				found = len(list)
			}
			b.ReportMetric(float64(found), "events")
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
