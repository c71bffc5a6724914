package stats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errScarce says that there was no descriptor or memory to look with.
var errScarce = errors.New("no descriptor free")

// errFormat says that a stat line is not what proc(5) describes.
var errFormat = errors.New("unexpected format of /proc/PID/stat")

// read reads t's stat line, by the descriptor kept for it if there is one. A
// kept descriptor stays with its process: after that has ended reads fail with
// ESRCH, also when the number is in use again.
func (s *Sampler) read(t *tracked) (reading, error) {
	fd := t.fd
	if fd < 0 {
		var err error
		if fd, err = openStat(t.pid); err != nil {
			return reading{}, err
		}
		if s.open < s.maxOpen {
			t.fd = fd
			s.open++
		} else {
			defer unix.Close(fd) //nolint:errcheck // only read
		}
	}
	for {
		n, err := unix.Pread(fd, s.buffer[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return reading{}, err
		}
		return parseStat(s.buffer[:n])
	}
}

// close closes the descriptor kept for t.
func (s *Sampler) close(t *tracked) {
	if t.fd >= 0 {
		unix.Close(t.fd) //nolint:errcheck // only read
		t.fd = -1
		s.open--
	}
}

// openStat opens /proc/PID/stat. Errors: errScarce, or an errno.
func openStat(pid int) (int, error) {
	for {
		fd, err := unix.Open(statPath(pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case unix.EINTR:
			continue
		case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
			return -1, errScarce
		}
		return fd, err
	}
}

// cpuClock returns how long all threads of a process have run, to the nanosecond; not
// ok: there is no such process, or the kernel does not tell. It needs no right.
func cpuClock(pid int) (ran time.Duration, ok bool) {
	const sched = 2 // CPUCLOCK_SCHED of include/linux/posix-timers_types.h: what runs, not ticks
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}

func statPath(pid int) string { return fmt.Sprintf("/proc/%d/stat", pid) }

// StartTicks returns when the process pid started, in clock ticks since boot:
// together with the pid it names a process for good.
func StartTicks(pid int) (uint64, error) {
	line, err := os.ReadFile(statPath(pid))
	if err != nil {
		return 0, fmt.Errorf("read start time of process %d: %w", pid, err)
	}
	r, err := parseStat(line)
	if err != nil {
		return 0, fmt.Errorf("read start time of process %d: %w", pid, err)
	}
	return r.startTicks, nil
}

// The fields of /proc/PID/stat that are used, counted as in proc(5).
const (
	fieldState      = 3 // the first one after the name
	fieldUserTime   = 14
	fieldSystemTime = 15
	fieldThreads    = 20
	fieldStartTime  = 22
	fieldRSS        = 24 // in pages
)

// parseStat reads a line of /proc/PID/stat. The process's name stands in
// parentheses and may hold anything, blanks and parentheses too: what counts is
// after the last one.
func parseStat(line []byte) (r reading, err error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return r, errFormat
	}
	field, in := fieldState-1, false
	var value uint64
	for _, c := range line[end+1:] {
		if c == ' ' || c == '\n' {
			if in {
				in = false
				switch field {
				case fieldUserTime, fieldSystemTime:
					r.cpuTicks += value
				case fieldThreads:
					r.threads = int(value)
				case fieldStartTime:
					r.startTicks = value
				case fieldRSS:
					r.memoryBytes = value * uint64(os.Getpagesize())
					return r, nil
				}
			}
			continue
		}
		if !in {
			in, value = true, 0
			field++
		}
		if c >= '0' && c <= '9' { // a minus sign stands only before fields not used
			value = value*10 + uint64(c-'0')
		}
	}
	return reading{}, errFormat
}

// openLimit is how many descriptors this process may have.
func openLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return int(l.Cur)
}
