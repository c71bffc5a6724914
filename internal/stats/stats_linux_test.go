package stats

import (
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// process starts a real process that ends with the test.
func process(t testing.TB, argv ...string) (pid int, startTicks uint64, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(end)
	startTicks, err := StartTicks(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for read(t, cmd.Process.Pid).memoryBytes == 0 { // just after exec nothing may have been touched yet
		select {
		case <-t.Context().Done():
			t.Fatal("never has memory")
		case <-time.After(time.Millisecond):
		}
	}
	return cmd.Process.Pid, startTicks, end
}

// clock is a time that moves when told to.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{at: time.Unix(1e9, 0)} }

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func cpuTicks(t testing.TB, pid int) uint64 { return read(t, pid).cpuTicks }

func read(t testing.TB, pid int) reading {
	t.Helper()
	line, err := os.ReadFile(statPath(pid))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBusyProcess(t *testing.T) {
	pid, ticks, end := process(t, "sh", "-c", "while :; do :; done")
	c := newClock()
	s := New(Options{now: c.now})
	defer s.Close()
	s.Track(7, pid, ticks)
	if cpu, mem := s.Get(7); cpu != 0 || mem != 0 {
		t.Errorf("before any sample: %v %%, %d bytes", cpu, mem)
	}
	s.Sample()
	cpu, mem := s.Get(7)
	if cpu != 0 || mem < 100_000 || mem > 50_000_000 {
		t.Errorf("after one sample: %v %%, %d bytes", cpu, mem)
	}
	before := cpuTicks(t, pid)
	deadline := time.After(time.Minute)
	for cpuTicks(t, pid) < before+20 {
		select {
		case <-deadline:
			t.Fatal("the busy process does not get on")
		case <-time.After(10 * time.Millisecond):
		}
	}
	end() // no more ticks: a zombie would keep its sum, but it has been waited for
	c.at = c.at.Add(time.Second)
	s.Sample()
	if cpu, mem := s.Get(7); cpu != 0 || mem != 0 {
		t.Errorf("after its end: %v %%, %d bytes", cpu, mem)
	}
}

// TestCPUIsTimeRunOverTime stops the process, so that its time stands still and
// the figure can be computed.
func TestCPUIsTimeRunOverTime(t *testing.T) {
	pid, ticks, _ := process(t, "sh", "-c", `i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; kill -STOP $$; sleep 1000`)
	c := newClock()
	s := New(Options{now: c.now})
	defer s.Close()
	s.Track(1, pid, ticks)
	s.Sample()
	first := s.byID[1].last
	for !strings.Contains(status(t, pid), "(stopped)") {
		select {
		case <-t.Context().Done():
			t.Fatal("never stopped")
		case <-time.After(5 * time.Millisecond):
		}
	}
	c.at = c.at.Add(100 * time.Millisecond)
	s.Sample()
	if cpu, _ := s.Get(1); cpu != 0 {
		t.Errorf("computed %v %% over 100 ms", cpu)
	}
	c.at = c.at.Add(1900 * time.Millisecond)
	s.Sample()
	if u, ok := s.Look(1); !ok || !u.CPUKnown || u.Threads != 1 || math.Abs(u.CPUSeconds-float64(cpuTicks(t, pid))/100) > 0.03 {
		t.Errorf("got %+v, %v after %d ticks", u, ok, cpuTicks(t, pid))
	}
	ran, ok := cpuClock(pid)
	if ticks := time.Duration(cpuTicks(t, pid)) * 10 * time.Millisecond; !ok || ran < ticks-30*time.Millisecond || ran > ticks+30*time.Millisecond {
		t.Errorf("the process's clock says %v, %v, its stat line %v", ran, ok, ticks)
	}
	want := 100 * float64(ran-first) / float64(2*time.Second)
	if cpu, _ := s.Get(1); math.Abs(cpu-want) > 1e-9 || want == 0 {
		t.Errorf("got %v %%, want %v", cpu, want)
	}
	c.at = c.at.Add(2 * time.Second)
	s.Sample()
	if cpu, mem := s.Get(1); cpu != 0 || mem == 0 {
		t.Errorf("at rest: %v %%, %d bytes", cpu, mem)
	}
}

func status(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnotherProcessOfThatNumberDoesNotCount(t *testing.T) {
	pid, ticks, _ := process(t, "sleep", "1000")
	s := New(Options{})
	defer s.Close()
	s.Track(1, pid, ticks+1)
	s.Track(2, pid, 0)
	s.Track(3, 1<<22+1, 1)
	before := openFiles(t)
	s.Sample()
	if _, mem := s.Get(1); mem != 0 {
		t.Errorf("another start time: %d bytes", mem)
	}
	if _, mem := s.Get(2); mem == 0 {
		t.Error("no start time given: nothing was read")
	}
	if _, ok := s.Look(3); ok {
		t.Error("what there is not has been looked at")
	}
	if _, mem := s.Get(3); mem != 0 {
		t.Errorf("no such process: %d bytes", mem)
	}
	if n := openFiles(t) - before; n != 1 {
		t.Errorf("%d descriptors are open, want 1", n)
	}
}

func TestDescriptors(t *testing.T) {
	for _, c := range []struct{ max, want int }{{0, 5}, {2, 2}, {-1, 0}} {
		s := New(Options{MaxOpen: c.max})
		for id := range 5 {
			pid, ticks, _ := process(t, "sleep", "1000")
			s.Track(id, pid, ticks)
		}
		procs := openFiles(t) // os/exec keeps a pidfd for each
		for range 3 {
			s.Sample()
			if got := openFiles(t) - procs; got != c.want {
				t.Errorf("MaxOpen %d: %d descriptors, want %d", c.max, got, c.want)
			}
		}
		for id := range 5 {
			if _, mem := s.Get(id); mem == 0 {
				t.Errorf("MaxOpen %d: process %d was not read", c.max, id)
			}
		}
		s.Untrack(0)
		s.Untrack(99)
		s.Track(1, os.Getpid(), 0) // in place of another
		s.Sample()
		if got := openFiles(t) - procs; got > c.want {
			t.Errorf("MaxOpen %d: %d descriptors after Untrack", c.max, got)
		}
		if _, mem := s.Get(0); mem != 0 {
			t.Error("an untracked process has memory")
		}
		s.Close()
		if got := openFiles(t) - procs; got != 0 {
			t.Errorf("MaxOpen %d: %d descriptors leak", c.max, got)
		}
	}
}

func TestSampleAllocatesNothing(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for id := range 10 {
		s.Track(id, os.Getpid(), 0)
	}
	s.Sample()
	if n := testing.AllocsPerRun(100, s.Sample); n != 0 {
		t.Errorf("%v allocations per sample", n)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := New(Options{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 500 {
			s.Track(i%7, os.Getpid(), 0)
			s.Get(i % 7)
			s.Untrack((i + 3) % 7)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			s.Sample()
		}
	}
	s.Close()
	if s.open != 0 {
		t.Errorf("%d descriptors are still counted as open", s.open)
	}
}

func TestParseStat(t *testing.T) {
	const tail = " S 1 2 3 4 -1 6 7 8 9 10 110 220 13 14 20 0 1 0 4711 19 300 18446744073709551615 1 1\n"
	for _, name := range []string{"sh", "", "a b", ") S 1 (", "x)\n("} {
		r, err := parseStat([]byte("17 (" + name + ")" + tail))
		want := reading{cpuTicks: 330, startTicks: 4711, memoryBytes: 300 * uint64(os.Getpagesize()), threads: 1}
		if err != nil || r != want {
			t.Errorf("name %q: %+v, %v; want %+v", name, r, err, want)
		}
	}
	for _, line := range []string{"", "17 (sh", "17 (sh) S 1 2 3\n"} {
		if _, err := parseStat([]byte(line)); err == nil {
			t.Errorf("parseStat(%q): no error", line)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		_, _ = parseStat(rapid.SliceOf(rapid.Byte()).Draw(t, "line"))
	})
}

// A process that has not run is not read again before rereadAfter.
func TestIdleProcessIsReadSeldom(t *testing.T) {
	pid, ticks, _ := process(t, "sleep", "1000")
	c := newClock()
	s := New(Options{now: c.now})
	defer s.Close()
	s.Track(1, pid, ticks)
	s.Sample()
	in := s.byID[1]
	for ran, _ := cpuClock(pid); ran != in.last; ran, _ = cpuClock(pid) { // it has come to rest
		c.at = c.at.Add(time.Second)
		s.Sample()
	}
	read := in.readAt
	for c.at.Sub(read) < rereadAfter-time.Second {
		c.at = c.at.Add(time.Second)
		s.Sample()
		if u, ok := s.Look(1); !ok || !u.CPUKnown || u.CPU != 0 || u.MemoryBytes == 0 || !in.readAt.Equal(read) {
			t.Fatalf("got %+v, %v, read at %v", u, ok, in.readAt)
		}
	}
	c.at = c.at.Add(2 * time.Second)
	s.Sample()
	if !in.readAt.Equal(c.at) {
		t.Errorf("read at %v, not again at %v", in.readAt, c.at)
	}
}

func BenchmarkSample500(b *testing.B) {
	for _, c := range []struct {
		name string
		max  int
	}{{"kept", 0}, {"opened", -1}} {
		b.Run(c.name, func(b *testing.B) {
			s := New(Options{MaxOpen: c.max})
			for id := range 500 {
				pid, ticks, _ := process(b, "sleep", "1000")
				s.Track(id, pid, ticks)
			}
			s.Sample()
			b.ReportAllocs()
			for b.Loop() {
				s.Sample()
			}
			b.StopTimer()
			s.Close()
		})
	}
}
