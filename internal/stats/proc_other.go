//go:build !linux

package stats

import (
	"errors"
	"fmt"
	"time"
)

// errScarce says that there was no descriptor or memory to look with.
var errScarce = errors.New("no descriptor free")

// read knows nothing here: every process uses zero.
func (s *Sampler) read(t *tracked) (reading, error) { return reading{startTicks: t.startTicks}, nil }

func cpuClock(int) (time.Duration, bool) { return 0, false }

func (s *Sampler) close(*tracked) {}

// StartTicks is known on Linux only. Errors: errors.ErrUnsupported.
func StartTicks(pid int) (uint64, error) {
	return 0, fmt.Errorf("read start time of process %d: %w on this system", pid, errors.ErrUnsupported)
}

func openLimit() int { return 0 }

// TreeMemory is known on Linux only. Errors: errors.ErrUnsupported.
func TreeMemory(pid int, _ uint64) (int64, error) {
	return 0, fmt.Errorf("read memory of process %d: %w on this system", pid, errors.ErrUnsupported)
}

// Of is known on Linux only. Errors: errors.ErrUnsupported.
func Of(pid int) (Usage, error) {
	return Usage{}, fmt.Errorf("look at process %d: %w on this system", pid, errors.ErrUnsupported)
}

// OpenFiles is known on Linux only. Errors: errors.ErrUnsupported.
func OpenFiles(pid int, _ uint64) (int, error) {
	return 0, fmt.Errorf("count descriptors of process %d: %w on this system", pid, errors.ErrUnsupported)
}

// ProportionalMemory is known on Linux only. Errors: errors.ErrUnsupported.
func ProportionalMemory(pid int, _ uint64) (int64, error) {
	return 0, fmt.Errorf("measure memory of process %d: %w on this system", pid, errors.ErrUnsupported)
}
