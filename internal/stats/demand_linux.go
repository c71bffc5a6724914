package stats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// These look at a process once, for those who ask. startTicks is as in Track; an ended
// process is an error.

// errGone says that the process has ended.
var errGone = errors.New("it has ended")

// Of returns what a process uses: all of Usage but CPU.
func Of(pid int) (Usage, error) {
	line, err := os.ReadFile(statPath(pid))
	if err != nil {
		return Usage{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	r, err := parseStat(line)
	if err != nil {
		return Usage{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return Usage{MemoryBytes: r.memoryBytes, Threads: r.threads, CPUSeconds: float64(r.cpuTicks) / ticksPerSecond}, nil
}

// OpenFiles returns how many descriptors a process has. Errors: fs.ErrPermission for
// one of another user.
func OpenFiles(pid int, startTicks uint64) (int, error) {
	path := fmt.Sprintf("/proc/%d/fd", pid)
	// Since Linux 6.2 the size of the folder tells; before, it is 0.
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("count descriptors of process %d: %w", pid, err)
	}
	n := int(info.Size())
	if n == 0 {
		entries, err := os.ReadDir(path)
		if err != nil {
			return 0, fmt.Errorf("count descriptors of process %d: %w", pid, err)
		}
		n = len(entries)
	}
	return n, still(pid, startTicks)
}

// ProportionalMemory returns the proportional set size of a process in bytes, in which
// what several processes share counts in part for each. The kernel walks all its pages
// for it. Errors: fs.ErrPermission for one of another user.
func ProportionalMemory(pid int, startTicks uint64) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // Linux 4.14
	if err != nil {
		return 0, fmt.Errorf("measure memory of process %d: %w", pid, err)
	}
	n, err := parsePSS(text)
	if err != nil {
		return 0, fmt.Errorf("measure memory of process %d: %w", pid, err)
	}
	return n, still(pid, startTicks)
}

// parsePSS finds the line "Pss:   1234 kB".
func parsePSS(text []byte) (int64, error) {
	for line := range bytes.Lines(text) {
		rest, ok := strings.CutPrefix(string(line), "Pss:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 53)
		if err != nil {
			return 0, errFormat
		}
		return int64(kb) << 10, nil
	}
	return 0, errGone // it is empty then
}

// still fails if the process has ended and another one may have its number.
func still(pid int, startTicks uint64) error {
	if startTicks == 0 {
		return nil
	}
	if now, err := StartTicks(pid); err != nil || now != startTicks {
		return fmt.Errorf("look at process %d: %w", pid, errGone)
	}
	return nil
}
