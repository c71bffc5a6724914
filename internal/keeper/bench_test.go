//go:build linux

package keeper

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startB is start for a benchmark.
func startB(b *testing.B) (*world, *Client) {
	b.Helper()
	dir, err := os.MkdirTemp("", "keeper") //nolint:usetesting // TempDir can be too long for a socket
	if err != nil {
		b.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	if err := Ensure(b.Context(), dir, exe); err != nil {
		b.Fatal(err)
	}
	w := &world{home: dir}
	c, _, err := w.tryDial()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		keeper := w.pid(keeperPIDFile)
		_ = unix.Kill(keeper, unix.SIGTERM)
		for st, ok := readStat(keeper); ok && !st.dead; st, ok = readStat(keeper) {
			time.Sleep(time.Millisecond)
		}
		_ = c.Close()
		_ = os.RemoveAll(dir)
	})
	return w, c
}

func sleeper(key string) Spawn {
	return Spawn{Key: key, Path: "/bin/sleep", Argv: []string{"sleep", "1000"}}
}

// wait reads events until n processes are gone.
func wait(c *Client, n int) {
	for n > 0 {
		if e := <-c.Events(); e.Gone != "" {
			n--
		}
	}
}

// BenchmarkFleet starts, stops and forgets 500 processes, one call at a time.
func BenchmarkFleet(b *testing.B) {
	const fleet = 500
	w, c := startB(b)
	var spawning, stopping time.Duration
	round := 0
	for b.Loop() {
		round++
		key := func(i int) string { return fmt.Sprintf("%d.%d", round, i) }
		begin := time.Now()
		for i := range fleet {
			if _, err := c.Spawn(b.Context(), sleeper(key(i))); err != nil {
				b.Fatal(err)
			}
		}
		spawning += time.Since(begin)
		begin = time.Now()
		for i := range fleet {
			if err := c.Signal(key(i), unix.SIGTERM, Tree); err != nil {
				b.Fatal(err)
			}
		}
		wait(c, fleet)
		for i := range fleet {
			if err := c.Forget(key(i)); err != nil {
				b.Fatal(err)
			}
		}
		stopping += time.Since(begin)
	}
	b.ReportMetric(float64(spawning.Milliseconds())/float64(round), "ms/spawn500")
	b.ReportMetric(float64(stopping.Milliseconds())/float64(round), "ms/stop500")
	status, err := os.ReadFile(procPath(w.pid(keeperPIDFile), "status"))
	if err != nil {
		b.Fatal(err)
	}
	_, memory, _ := strings.Cut(string(status), "VmRSS:")
	var kB int
	if _, err := fmt.Sscan(memory, &kB); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(kB), "kB-RSS")
}

// BenchmarkCrash measures from a kill to the delivery of the exit, beside 500 other
// processes.
func BenchmarkCrash(b *testing.B) {
	_, c := startB(b)
	for i := range 500 {
		if _, err := c.Spawn(b.Context(), sleeper(fmt.Sprint("beside ", i))); err != nil {
			b.Fatal(err)
		}
	}
	var delivery time.Duration
	n := 0
	for b.Loop() {
		n++
		key := fmt.Sprint("crash ", n)
		p, err := c.Spawn(b.Context(), sleeper(key))
		if err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		_ = unix.Kill(p.PID, unix.SIGTERM)
		if e := <-c.Events(); e.Exited == nil {
			b.Fatalf("got %+v", e)
		}
		delivery += time.Since(begin)
		<-c.Events()
		if err := c.Forget(key); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(delivery.Microseconds())/float64(n), "µs/exit")
}

// BenchmarkKeep measures a request that does nothing much.
func BenchmarkKeep(b *testing.B) {
	_, c := startB(b)
	note := make([]byte, 300)
	for b.Loop() {
		if err := c.Keep(Named{Name: "record/1", Note: note}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSpawnTrapped starts processes in a trap, beside BenchmarkSpawn.
func BenchmarkSpawnTrapped(b *testing.B) { benchmarkSpawn(b, "trap/test") }

// BenchmarkSpawn starts processes one by one.
func BenchmarkSpawn(b *testing.B) { benchmarkSpawn(b, "") }

func benchmarkSpawn(b *testing.B, trap string) {
	_, c := startB(b)
	t, err := c.Trap("trap/test", testFilter())
	if err != nil {
		b.Skipf("seccomp user notification (Linux 5.0): %v", err)
	}
	defer t.Notify.Close()
	n := 0
	for b.Loop() {
		n++
		key := fmt.Sprint("p", n)
		if _, err := c.Spawn(b.Context(), Spawn{Key: key, Path: "/bin/true", Argv: []string{"true"}, Trap: trap}); err != nil {
			b.Fatal(err)
		}
		wait(c, 1)
		if err := c.Forget(key); err != nil {
			b.Fatal(err)
		}
	}
}
