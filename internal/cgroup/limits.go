package cgroup

import (
	"fmt"
	"math"
)

// Limits are what all processes of a group together may have at most. Zero is no
// limit.
type Limits struct {
	MemoryBytes int64
	CPU         float64 // in cores
	Pids        int     // processes and threads
}

// setting is one file of a group.
type setting struct{ controller, file, value string }

// cpuPeriod is over what the kernel counts CPU time, in microseconds: its own default.
const cpuPeriod = 100_000

// settings are the files that make a group have the limits; see cgroup-v2.rst.
func (l Limits) settings() (list []setting) {
	if l.MemoryBytes > 0 {
		// The group is one thing to who configured it: half of it killed helps nobody.
		list = append(list,
			setting{"memory", "memory.max", fmt.Sprint(l.MemoryBytes)}, setting{"memory", "memory.oom.group", "1"})
	}
	if l.CPU > 0 {
		quota := max(1000, int64(math.Round(l.CPU*cpuPeriod))) // the kernel takes no less
		list = append(list, setting{"cpu", "cpu.max", fmt.Sprintf("%d %d", quota, cpuPeriod)})
	}
	if l.Pids > 0 {
		list = append(list, setting{"pids", "pids.max", fmt.Sprint(l.Pids)})
	}
	return list
}
