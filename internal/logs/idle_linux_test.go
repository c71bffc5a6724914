package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A thousand idle streams must cost next to nothing: no goroutine, no buffer and
// no wake-up for each.
func TestThousandIdleStreams(t *testing.T) {
	const streams = 1000
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	dir := t.TempDir()
	goroutines := runtime.NumGoroutine()
	before := heap()
	var sources []*source
	for i := range streams {
		s := add(t, p, fmt.Sprint(i), FileSpec{Path: filepath.Join(dir, fmt.Sprint(i))})
		s.print(t, "hello\n")
		sources = append(sources, s)
	}
	last := sources[streams-1].path
	waitFor(t, "the last line", func() bool { b, _ := os.ReadFile(last); return len(b) > 0 })
	if n := runtime.NumGoroutine() - goroutines; n > 1 {
		t.Errorf("%d goroutines more", n)
	}
	each := int64(heap()-before) / streams
	t.Logf("%d bytes of heap for each stream, the test's own included", each)
	if each > 3000 {
		t.Errorf("%d bytes of heap for each stream", each)
	}
	for attempt := 1; ; attempt++ { // Go's own work may have to be finished
		var a, b syscall.Rusage
		must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &a))
		time.Sleep(300 * time.Millisecond) // that nothing happens takes time to see
		must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &b))
		used := time.Duration(b.Utime.Nano() + b.Stime.Nano() - a.Utime.Nano() - a.Stime.Nano())
		if used <= 20*time.Millisecond {
			break
		}
		if attempt == 20 {
			t.Errorf("%v of CPU while idle", used)
			break
		}
	}
	for _, s := range sources {
		s.end(t)
	}
	for _, s := range sources {
		if got := content(t, s.path); got != "hello\n" {
			t.Errorf("%s holds %q", s.path, got)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A line must be in its file soon, and a program that prints line by line must not
// wake us for each.
func TestChattyProgram(t *testing.T) {
	p := testPump(t, Options{})
	s := add(t, p, "a", FileSpec{Path: filepath.Join(t.TempDir(), "out.log")})
	quickest := time.Hour // the others tell what else the machine does
	for i := range 20 {
		start := time.Now()
		line := fmt.Sprintf("line %d\n", i)
		s.print(t, line)
		for {
			if b, _ := os.ReadFile(s.path); strings.HasSuffix(string(b), line) {
				break
			}
			runtime.Gosched()
		}
		quickest = min(quickest, time.Since(start))
	}
	t.Logf("quickest line after %v", quickest)
	if quickest > 200*time.Millisecond { // 2 ms are usual
		t.Errorf("each line took %v or more", quickest)
	}
	var a, b syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &a))
	start := time.Now()
	n := 0
	for ; time.Since(start) < 300*time.Millisecond; n++ {
		s.print(t, "one of very many lines\n")
	}
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &b))
	t.Logf("%d lines, %d voluntary context switches", n, b.Nvcsw-a.Nvcsw)
	s.end(t)
}
