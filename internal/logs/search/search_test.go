package search

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
	"paceline/internal/logs"
)

// day is when the lines of the tests begin.
var day = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return day.Add(time.Duration(seconds) * time.Second) }

// write makes a file that was changed last at a time.
func write(t *testing.T, path, text string, changed time.Time) {
	t.Helper()
	b := []byte(text)
	if strings.HasSuffix(path, ".gz") {
		var zipped bytes.Buffer
		zip := gzip.NewWriter(&zipped)
		if _, err := zip.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := zip.Close(); err != nil {
			t.Fatal(err)
		}
		b = zipped.Bytes()
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}

func compile(t *testing.T, expr string) *Pattern {
	t.Helper()
	p, err := Compile(expr, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run searches logs, whose names are their streams, and returns what is found: a
// notice begins with "!".
func run(t *testing.T, q Query, paths ...string) (list []string) {
	t.Helper()
	s := New(q)
	s.zone = time.UTC
	for i, path := range paths {
		from := Source{Source: logs.Source{Path: path, ID: i, Name: filepath.Base(path)}, Err: strings.Contains(path, "error")}
		if err := s.Add(from); err != nil {
			t.Fatal(err)
		}
	}
	for {
		line, err := s.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if line.Notice != "" {
			list = append(list, "!"+line.Notice)
			continue
		}
		list = append(list, string(line.Text))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return list
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func stamp(seconds int) string { return at(seconds).Format("2006-01-02T15:04:05.000Z") }

func TestLogsAreMergedByTime(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")
	write(t, a+".2.gz", stamp(0)+" a0\n"+stamp(1)+" a1\n", at(1))
	write(t, a+".1", stamp(4)+" a4\n  more of a4\n", at(4))
	write(t, a, stamp(8)+" a8\nnothing\n"+stamp(7)+" a7, late\n", at(8))
	write(t, b, stamp(1)+" b1\n"+stamp(5)+" b5\n"+stamp(9)+" b9 without an end", at(9))
	wantLines(t, run(t, Query{Lines: -1}, a, b),
		stamp(0)+" a0", stamp(1)+" a1", stamp(1)+" b1", stamp(4)+" a4", "  more of a4", stamp(5)+" b5",
		stamp(8)+" a8", "nothing", stamp(7)+" a7, late", stamp(9)+" b9 without an end")
	wantLines(t, run(t, Query{Lines: 2}, a, b), stamp(5)+" b5", "nothing", stamp(7)+" a7, late", stamp(9)+" b9 without an end")
	wantLines(t, run(t, Query{Lines: 5, Pattern: compile(t, "a[0-9]")}, a),
		stamp(1)+" a1", stamp(4)+" a4", "  more of a4", stamp(8)+" a8", stamp(7)+" a7, late")
	wantLines(t, run(t, Query{Lines: -1, Whole: true, Since: at(5)}, a, b), stamp(5)+" b5", stamp(8)+" a8", "nothing", stamp(7)+" a7, late")
	wantLines(t, run(t, Query{Lines: -1, Until: at(1)}, a, b), stamp(0)+" a0", stamp(1)+" a1", stamp(1)+" b1")
	wantLines(t, run(t, Query{Lines: -1, Since: at(100)}, a, b))
	wantLines(t, run(t, Query{}, a, b))
}

func TestATimeIsFoundInALargeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	var text strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&text, "%s line %d of many, which say nothing but make the file long\n", stamp(i), i)
	}
	write(t, path, text.String(), at(60_000))
	got := run(t, Query{Lines: -1, Since: at(41_234), Until: at(41_236)}, path)
	if len(got) != 3 || !strings.Contains(got[0], "line 41234 ") || !strings.Contains(got[2], "line 41236 ") {
		t.Errorf("got %q", got)
	}
	if got := run(t, Query{Lines: 3, Since: at(41_234)}, path); len(got) != 3 || !strings.Contains(got[0], "line 59997 ") {
		t.Errorf("the last 3: %q", got)
	}
	if got := run(t, Query{Lines: 59_990}, path); len(got) != 59_990 || !strings.Contains(got[0], "line 10 ") {
		t.Errorf("the last 59990: %d from %q", len(got), got[:1])
	}
	if got := run(t, Query{Lines: -1, Pattern: compile(t, "line [0-9]*77 ")}, path); len(got) != 600 {
		t.Errorf("a pattern finds %d", len(got))
	}
}

// TestFewerLinesThanAreWanted: what has none is read once, and nothing is lost with it.
func TestFewerLinesThanAreWanted(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a.log"), filepath.Join(t.TempDir(), "b.log")
	hay := func(from, to int) string {
		var text strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&text, "%s hay %d of much, which says nothing but makes the file so long that it has pieces\n", stamp(i), i)
		}
		return text.String()
	}
	write(t, a+".4.gz", hay(0, 10), at(10))
	write(t, a+".3.gz", hay(10, 20)+stamp(20)+" needle one\n", at(20))
	write(t, a+".2", hay(20, 100), at(100))
	write(t, a+".1", hay(100, 100_000)+"  needle two, of the line before\n"+hay(100_000, 200_000), at(200_000))
	write(t, a, hay(200_000, 200_010), at(200_010))
	write(t, b, stamp(50)+" needle of b\n"+stamp(99_998)+" needle before two\n"+stamp(100_000)+" needle after two\n", at(100_000))
	for _, lines := range []int{-1, 3, 1000} {
		wantLines(t, run(t, Query{Lines: lines, Pattern: compile(t, "needle")}, a, b),
			stamp(20)+" needle one", stamp(50)+" needle of b", stamp(99_998)+" needle before two", "  needle two, of the line before", stamp(100_000)+" needle after two")
	}
	wantLines(t, run(t, Query{Lines: 7, Pattern: compile(t, "pin")}, a, b))
}

// TestAClockThatWasPutBack: lines that are out of order are found all the same.
func TestAClockThatWasPutBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	var text strings.Builder
	for run := range 2 {
		for i := range 10_000 {
			fmt.Fprintf(&text, "%s run %d line %d, which says nothing but makes the file long\n", stamp(i), run, i)
		}
	}
	write(t, path, text.String(), at(10_000))
	if got := run(t, Query{Lines: -1, Since: at(5000), Until: at(5004)}, path); len(got) != 10 {
		t.Errorf("%d lines: %q", len(got), got)
	}
}

func TestLevels(t *testing.T) {
	dir := t.TempDir()
	out, stderr := filepath.Join(dir, "out.log"), filepath.Join(dir, "error.log")
	write(t, out, "plain\n[ERROR] broken\n    at frame\n{\"level\":30,\"msg\":\"fine\"}\n{\"level\":50,\"msg\":\"bad\"}\nlevel=warn x\n", at(0))
	write(t, stderr, "says nothing\nINFO all well\n", at(1))
	wantLines(t, run(t, Query{Lines: -1, Level: app.LevelError}, out, stderr),
		"[ERROR] broken", "    at frame", `{"level":50,"msg":"bad"}`, "says nothing")
	wantLines(t, run(t, Query{Lines: -1, Level: app.LevelWarn, Pattern: compile(t, "frame|warn|well")}, out, stderr),
		"    at frame", "level=warn x")
}

func TestDamagedFilesAreToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path+".2.gz", strings.Repeat("an older line\n", 5000), at(0))
	whole, err := os.ReadFile(path + ".2.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".2.gz", whole[:len(whole)-12], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".1.gz", []byte("this is not compressed"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, path, "the newest line\n", at(2))
	for _, lines := range []int{-1, 100_000} {
		got := run(t, Query{Lines: lines}, path)
		notices := 0
		for _, line := range got {
			if strings.HasPrefix(line, "!") {
				notices++
			}
		}
		if notices != 2 || got[len(got)-1] != "the newest line" {
			t.Errorf("%d notices, the last line is %q", notices, got[len(got)-1])
		}
	}
}

func TestBinaryGarbageAndLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	long := strings.Repeat("x", 5*logs.MaxLineBytes/2)
	write(t, path, "\x00\x01\xff needle \xfe\n"+long+"needle\nend needle\r\n", at(0))
	got := run(t, Query{Lines: -1, Pattern: compile(t, "needle")}, path)
	if len(got) != 3 || got[0] != "\x00\x01\xff needle \xfe" || got[2] != "end needle\r" || len(got[1]) != logs.MaxLineBytes/2+6 {
		t.Errorf("%d lines: %.40q", len(got), got)
	}
}

// TestEndsAreWhereAFollowerGoesOn: nothing is missing and nothing comes twice.
func TestEndsAreWhereAFollowerGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "one\ntwo\nthr", at(0))
	s := New(Query{Lines: -1, Whole: true})
	from := Source{Source: logs.Source{Path: path}}
	if err := s.Add(from); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		line, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line.Text))
	}
	ends := s.Ends()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("ee\nfour\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, "five\n", at(1))
	follower := logs.NewFollower(logs.FollowOptions{})
	defer follower.Close()
	if err := follower.AddAt(from.Source, ends[0]); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := follower.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, line.Text)
	}
	wantLines(t, got, "one", "two", "three", "four", "five")
}

// TestPositionsOfFoundLines: each line's end is where the next one begins.
func TestPositionsOfFoundLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	write(t, path, "one\ntwo\nthree\n", at(0))
	s := New(Query{Lines: -1, Pattern: compile(t, "two")})
	if err := s.Add(Source{Source: logs.Source{Path: path}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	line, err := s.Next(t.Context())
	if err != nil || line.End.Offset != 8 {
		t.Errorf("%+v, %v", line.End, err)
	}
}
