package kernel

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// CPUs returns how many CPUs this process may use now: those of its affinity
// mask, and no more than its cgroups' quota, rounded up. It is at least 1.
func CPUs() int {
	cpus := runtime.NumCPU() // the mask at start
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err == nil && set.Count() > 0 {
		cpus = set.Count()
	}
	return limit(cpus, quota(os.DirFS("/")))
}
