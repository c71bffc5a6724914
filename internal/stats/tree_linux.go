package stats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"paceline/internal/proctree"
)

// TreeMemory returns the resident memory, in bytes, of a process and all that
// descend from it. What they share is counted for each, as the kernel's sum for a
// process does: PSS would be exact, and cost a hundred times as much. It is 0 if the
// process has ended. startTicks is as in Track.
func TreeMemory(pid int, startTicks uint64) (int64, error) {
	members, err := proctree.New(proctree.Process{PID: pid, StartTicks: startTicks}).Descendants()
	if err != nil {
		return 0, fmt.Errorf("find the processes below %d: %w", pid, err)
	}
	var sum int64
	for _, m := range members {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", m.PID))
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return 0, fmt.Errorf("read memory of process %d: %w", m.PID, err)
		}
		fields := bytes.Fields(line) // proc(5): size, resident, ... in pages
		if len(fields) < 2 {
			return 0, fmt.Errorf("read memory of process %d: %w", m.PID, errFormat)
		}
		pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read memory of process %d: %w", m.PID, errFormat)
		}
		sum += pages * int64(os.Getpagesize())
	}
	return sum, nil
}
