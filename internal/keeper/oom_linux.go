package keeper

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// An oomWatch tells whether the kernel's OOM killer was at work when a process
// died of a SIGKILL that we had not sent. The kernel counts its victims, by cgroup
// and for the machine, but does not say who they were.
type oomWatch struct {
	vmstat int    // the kernel's figures of the machine; none if they are not to be had
	buf    []byte // takes all of them
	count  uint64 // of the machine
	read   time.Time
}

// oomRefresh bounds how often starting a process reads the machine's counter.
const oomRefresh = time.Second

// vmstatBytes is more than /proc/vmstat has. The kernel makes its figures up for each
// read, so there are to be few, of a file that stays open: a restart waits for them.
const vmstatBytes = 16 << 10

func newOOMWatch() oomWatch {
	w := oomWatch{vmstat: none, buf: make([]byte, vmstatBytes), read: time.Now()}
	if fd, err := unix.Open("/proc/vmstat", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		w.vmstat = fd // as long as the keeper lives
	}
	w.count, _ = w.machine()
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
	count, ok := w.machine()
	if !ok {
		return false
	}
	more := count > w.count
	w.count, w.read = count, time.Now()
	return more
}

// machine reads the counter of the whole machine (4.13). The kernel gives a page of
// whole lines for each read.
func (w *oomWatch) machine() (count uint64, ok bool) {
	if w.vmstat == none {
		return 0, false
	}
	for n := 0; n < len(w.buf); {
		m, err := unix.Pread(w.vmstat, w.buf[n:], int64(n))
		if m <= 0 && !errors.Is(err, unix.EINTR) {
			break
		}
		n += max(m, 0)
		if count, ok = field(w.buf[:n], "oom_kill"); ok {
			return count, true
		}
	}
	return 0, false
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
		value, found := bytes.CutPrefix(line, []byte(name))
		if !found || len(value) == 0 || value[0] != ' ' {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
		return n, err == nil
	}
	return 0, false
}
