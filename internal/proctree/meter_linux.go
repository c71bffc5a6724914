package proctree

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Meter follows what processor time a process gets. Its zero value follows none.
type Meter struct {
	pid          int
	first, whole time.Duration // what its first thread and all threads had got
}

// Measure begins to follow a process. It takes some microseconds.
func Measure(pid int) Meter {
	first, ok := ran(pid)
	whole, known := processorTime(pid)
	if !ok || !known {
		return Meter{}
	}
	return Meter{pid: pid, first: first, whole: whole}
}

// Starved reports whether the process wants to run and has had less than so much
// processor time since Measure. If it is its first thread that wants to, that thread is
// meant, which is the event loop of those who have one; else all together. It is false if
// the process has ended, and where that is not to be found out.
//
// It looks at the threads only if the process has had little time.
func (m Meter) Starved(less time.Duration) bool {
	if m.pid == 0 {
		return false
	}
	if first, ok := ran(m.pid); ok && first-m.first < less && wantsToRun(m.pid, m.pid) {
		return true
	}
	if whole, ok := processorTime(m.pid); !ok || whole-m.whole >= less {
		return false
	}
	wants := false
	_ = EachThread(m.pid, func(tid int) error { // what cannot be read does not want to
		wants = wants || wantsToRun(m.pid, tid)
		return nil
	})
	return wants
}

// wantsToRun reports whether a thread runs or waits for a processor.
func wantsToRun(pid, tid int) bool {
	state, err := ThreadState(pid, tid)
	return err == nil && state == 'R'
}

// ran returns for how long the process's first thread has run.
func ran(pid int) (time.Duration, bool) {
	var buffer [128]byte
	n, err := readFile(procPath(pid, "schedstat"), buffer[:]) // CONFIG_SCHED_INFO
	if err != nil {
		return 0, false
	}
	return parseSchedstat(buffer[:n])
}

// parseSchedstat reads how long a thread has run, the first of three numbers.
func parseSchedstat(text []byte) (time.Duration, bool) {
	number, _, ok := bytes.Cut(text, []byte{' '})
	if !ok {
		return 0, false
	}
	ns, err := strconv.ParseInt(string(number), 10, 64)
	return time.Duration(ns), err == nil && ns >= 0
}

// processorTime reads the clock of all threads of a process, those that have ended too.
func processorTime(pid int) (time.Duration, bool) {
	const scheduler = 2 // CPUCLOCK_SCHED: clock_getcpuclockid(3) makes the same number
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
