package keeper

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// An oomWatch tells whether the kernel's OOM killer was at work when a process
// died of a SIGKILL that we had not sent. The kernel counts its victims, by cgroup
// and for the machine, but does not say who they were.
type oomWatch struct {
	count uint64 // of the machine
	read  time.Time
}

// oomRefresh bounds how often starting a process reads the machine's counter, which
// takes up to 0.1 ms.
const oomRefresh = time.Second

func newOOMWatch() oomWatch {
	w := oomWatch{read: time.Now()}
	w.count, _ = machineOOMs()
	return w
}

// before notes the counters when a process starts; cgroup is its own one or none.
// The machine's counter is only brought up to date, so that what happens from now
// on is told from what happened long ago.
func (w *oomWatch) before(cgroup int) uint64 {
	if cgroup != none {
		count, _ := cgroupOOMs(cgroup)
		return count
	}
	if time.Since(w.read) > oomRefresh {
		w.grown()
	}
	return 0
}

// killed reports whether there was a victim since.
func (w *oomWatch) killed(cgroup int, before uint64) bool {
	if cgroup == none {
		return w.grown()
	}
	count, ok := cgroupOOMs(cgroup)
	return ok && count > before
}

// grown reads the machine's counter anew.
func (w *oomWatch) grown() bool {
	count, ok := machineOOMs()
	if !ok {
		return false
	}
	more := count > w.count
	w.count, w.read = count, time.Now()
	return more
}

// machineOOMs reads the counter of the whole machine (4.13).
func machineOOMs() (count uint64, ok bool) {
	data, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, false
	}
	return field(data, "oom_kill")
}

// cgroupOOMs reads the counter of a cgroup and those below it (4.13).
func cgroupOOMs(dir int) (count uint64, ok bool) {
	fd, err := unix.Openat(dir, "memory.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer closeFD(fd)
	var buf [512]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, false
	}
	return field(buf[:n], "oom_kill")
}

// field finds a number in lines of "name number".
func field(data []byte, name string) (n uint64, ok bool) {
	for line := range bytes.Lines(data) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte{' '})
		if string(key) == name {
			n, err := strconv.ParseUint(string(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
