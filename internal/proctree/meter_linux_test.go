package proctree

import (
	"testing"
	"time"
)

// A process that computes is starved if it has had less than it should; one that sleeps
// never is.
func TestStarved(t *testing.T) {
	busy, _ := start(t, "echo 1; while :; do :; done")
	idle, said := start(t, "sleep 1000 & echo $!; wait")
	if _, ok := ran(busy); !ok {
		t.Skip("needs a kernel with /proc/PID/schedstat (CONFIG_SCHED_INFO)")
	}
	m := Measure(busy)
	if !m.Starved(time.Hour) {
		t.Error("less than an hour: not starved")
	}
	for deadline := time.Now().Add(time.Minute); m.Starved(10 * time.Millisecond); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("has no 10 ms after a minute")
		}
	}
	for _, pid := range []int{idle, said[0]} {
		m := Measure(pid)
		for deadline := time.Now().Add(time.Minute); m.Starved(time.Hour); time.Sleep(time.Millisecond) { // until it sleeps
			if time.Now().After(deadline) {
				t.Fatalf("process %d wants to run", pid)
			}
		}
	}
	if Measure(1 << 30).Starved(time.Hour) {
		t.Error("no process: starved")
	}
}

func FuzzParseSchedstat(f *testing.F) {
	f.Add([]byte("31566 14426 792\n"))
	f.Add([]byte("-1 0 0\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, ok := parseSchedstat(text); ok && d < 0 {
			t.Errorf("%q: %v", text, d)
		}
	})
}
