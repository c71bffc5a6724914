package events

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"paceline/internal/app"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("EVENTS_TEST_FULL_DISK"); dir != "" {
		fullDisk(dir)
	}
	if dir := os.Getenv("EVENTS_TEST_KILLED"); dir != "" {
		untilKilled(dir)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func read(t *testing.T, l *Log, q Query) []app.Event {
	t.Helper()
	list, err := l.Read(q)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(list); i++ {
		if list[i].Seq <= list[i-1].Seq {
			t.Fatalf("event %d has number %d after %d", i, list[i].Seq, list[i-1].Seq)
		}
	}
	return list
}

func closed(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func numbered(n int) app.Event {
	return app.Event{At: time.Unix(int64(n), 0), Type: app.EventExit, ID: n % 3, Name: "api", Detail: fmt.Sprint(n)}
}

func TestHistorySurvivesAndIsBounded(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, SegmentBytes: 4096, Segments: 3}
	const each = 400
	var last uint64
	for round := range 3 {
		l := open(t, o)
		for n := range each {
			e := l.Add(numbered(round*each + n))
			if e.Seq <= last {
				t.Fatalf("number %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
		list := read(t, l, Query{Last: 50})
		if len(list) != 50 || list[49].Seq != last || list[0].Detail != fmt.Sprint(round*each+each-50) {
			t.Fatalf("round %d: got %d events, %v", round, len(list), list)
		}
		closed(t, l)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(names) != 3 {
		t.Fatalf("%d segments, %v; want 3", len(names), err)
	}
	total := int64(0)
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if total += info.Size(); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if total > 3*(4096+512) {
		t.Errorf("the segments have %d bytes together", total)
	}
	l := open(t, o)
	defer closed(t, l)
	all := read(t, l, Query{})
	for i, e := range all {
		if want := fmt.Sprint(3*each - len(all) + i); e.Detail != want {
			t.Fatalf("event %d is %s, want %s: some are missing", i, e.Detail, want)
		}
	}
	if len(all) < 30 || len(all) >= 3*each {
		t.Errorf("%d events are left", len(all))
	}
}

func TestQueries(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), SegmentBytes: 2048, Segments: 1000})
	defer closed(t, l)
	for n := range 1000 {
		l.Add(numbered(n))
	}
	all := read(t, l, Query{})
	if len(all) != 1000 {
		t.Fatalf("got %d events", len(all))
	}
	if got := read(t, l, Query{After: all[899].Seq}); len(got) != 100 || got[0].Detail != "900" {
		t.Errorf("after: got %d", len(got))
	}
	if got := read(t, l, Query{Since: time.Unix(10, 0), Until: time.Unix(19, 0)}); len(got) != 10 || got[0].Detail != "10" {
		t.Errorf("between: got %d", len(got))
	}
	if got := read(t, l, Query{Last: 7, Match: func(e *app.Event) bool { return e.ID == 1 }}); len(got) != 7 || got[6].Detail != "997" {
		t.Errorf("matched: got %v", got)
	}
}

// The clock is set back by an hour: the order stays.
func TestOrderOverAClockJump(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	now := time.Now()
	l.Add(app.Event{At: now, Type: app.EventStart, Name: "first"})
	l.Add(app.Event{At: now.Add(-time.Hour), Type: app.EventExit, Name: "second"})
	closed(t, l)
	l = open(t, Options{Dir: dir})
	defer closed(t, l)
	l.Add(app.Event{At: now.Add(-2 * time.Hour), Type: app.EventExit, Name: "third"})
	var names []string
	for _, e := range read(t, l, Query{}) {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "first second third" {
		t.Errorf("got %s", got)
	}
}

func TestMessagesAndLongTextsAreNotKept(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir()})
	defer closed(t, l)
	if e := l.Add(app.Event{Type: app.EventMessage, Data: []byte(`"secret"`)}); e.Seq == 0 || e.Data == nil {
		t.Errorf("a message is passed on as %+v", e)
	}
	long := strings.Repeat("ä", 100_000)
	l.Add(app.Event{Type: app.EventExit, Detail: long, Exit: &app.Exit{Stderr: []string{long, "short"}, Error: long}})
	list := read(t, l, Query{})
	if len(list) != 1 || list[0].Type != app.EventExit {
		t.Fatalf("got %v", list)
	}
	if n := len(list[0].Detail) + len(list[0].Exit.Error) + len(list[0].Exit.Stderr[0]); n > 3*(maxDetail+8) {
		t.Errorf("%d bytes are kept", n)
	}
}

// A daemon that was killed has left half a line, and somebody else garbage.
func TestTornLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir})
	l.Add(numbered(1))
	closed(t, l)
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.OpenFile(names[0], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\x00\xffgarbage\n[]\n{\"seq\":\"x\"}\n{\"seq\":99999,\"at\":\"2026-01-"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, Options{Dir: dir})
	l.Add(numbered(2))
	closed(t, l)
	l = open(t, Options{Dir: dir})
	defer closed(t, l)
	list := read(t, l, Query{})
	if len(list) != 2 || list[0].Detail != "1" || list[1].Detail != "2" {
		t.Fatalf("got %v", list)
	}
	text, err := os.ReadFile(names[0])
	if err != nil || strings.Contains(string(text), "99999") {
		t.Errorf("the torn line is still there: %q, %v", text, err)
	}
}

// untilKilled adds events and says which ones, until it is killed.
func untilKilled(dir string) {
	l, err := Open(Options{Dir: dir, SegmentBytes: 1 << 14})
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	for n := 0; ; n++ {
		l.Add(numbered(n))
		if n%100 == 0 {
			fmt.Println(n)
			time.Sleep(time.Millisecond)
		}
	}
}

func TestHistorySurvivesKill(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "EVENTS_TEST_KILLED="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 1000; {
			if _, err := fmt.Fscan(out, &n); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("it ended by itself")
		}
		l := open(t, Options{Dir: dir, SegmentBytes: 1 << 14})
		list := read(t, l, Query{After: last})
		if len(list) == 0 || list[0].Detail != "0" && last > 0 && len(list) < 100 {
			t.Fatalf("%d events are left of that life", len(list))
		}
		last = l.Add(app.Event{Type: app.EventWarning, Name: "next life"}).Seq
		closed(t, l)
	}
}

// fullDisk is a process that may write only small files: to it the disk looks full,
// until there is room again.
func fullDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: old.Max}); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	told := make(chan string, 10)
	l, err := Open(Options{Dir: dir, Warn: func(text string) { told <- text }})
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	until := func(words string) { // a slow disk may be told of as well
		for {
			text := <-told
			fmt.Println(text)
			if strings.Contains(text, words) {
				return
			}
		}
	}
	for n := range 10_000 {
		l.Add(numbered(n))
	}
	until("cannot be written")
	for n := range 10_000 {
		l.Add(numbered(n))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	until("is written again") // after the next attempt
	l.Add(numbered(77_777))
	if err := l.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println("told again:", len(told))
	os.Exit(0)
}

func TestFullDiskIsToldOnceAndStallsNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "EVENTS_TEST_FULL_DISK="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, words := range []string{"cannot be written: file too large", "is written again", "told again: 0"} {
		if strings.Count(string(out), words) != 1 {
			t.Fatalf("%q is not told once:\n%s", words, out)
		}
	}
	l := open(t, Options{Dir: dir})
	defer closed(t, l)
	list := read(t, l, Query{})
	if len(list) < maxPending || list[len(list)-1].Detail != "77777" {
		t.Errorf("%d events are kept", len(list))
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s holds %q", name, line)
			}
		}
	}
}

func TestManyAddAndRead(t *testing.T) {
	l := open(t, Options{Dir: t.TempDir(), SegmentBytes: 8192, Segments: 100})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 500 {
				l.Add(numbered(n))
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if _, err := l.Read(Query{Last: 100}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if got := len(read(t, l, Query{})); got != 2000 {
		t.Errorf("got %d events", got)
	}
	closed(t, l)
}

func TestFolderThatIsRemovedComesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "events")
	l := open(t, Options{Dir: dir})
	l.Add(numbered(1))
	waitFor(t, func() bool { return len(readDir(dir)) == 1 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Add(numbered(2))
	closed(t, l)
	l = open(t, Options{Dir: dir})
	defer closed(t, l)
	if list := read(t, l, Query{}); len(list) != 1 || list[0].Detail != "2" {
		t.Errorf("got %v", list)
	}
}

func readDir(dir string) []os.DirEntry {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	return entries
}

// waitFor waits until something holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to hold within 30 s")
		}
	}
}

func TestWithoutAFolder(t *testing.T) {
	l := open(t, Options{})
	for n := range 2000 {
		l.Add(numbered(n))
	}
	list := read(t, l, Query{})
	if len(list) < keepRecent || len(list) > 2*keepRecent || list[len(list)-1].Detail != "1999" {
		t.Errorf("%d events are kept", len(list))
	}
	closed(t, l)
}
