package logsearch

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness is how far a search gives way: it gets a third of what others get. Not less:
// somebody waits for it.
const niceness = 5

// yieldToOthers makes this process give way. Each thread has a niceness of its own,
// which those that it starts take over. If it fails, the search is as fast as all.
func yieldToOthers() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, niceness)
		}
	}
}
