package kernel

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleaseCode gives back the pages of this program's code and constants, most of
// which only its start needed. What is used again comes back from the page
// cache, at a fraction of a microsecond each. A process that waits most of its
// life is some megabytes smaller by it.
func ReleaseCode() error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("release code: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for lines := bufio.NewScanner(f); lines.Scan(); {
		from, to, ok := codeMapping(lines.Text(), exe)
		if !ok {
			continue
		}
		// Not written to, so that nothing is lost: MADV_DONTNEED drops changes.
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("release code: %w", errno)
		}
	}
	return nil
}

// codeMapping reads a line of /proc/PID/maps: "55d0-55e0 r-xp 00000000 08:01 99
// /usr/bin/pace". It is one of ours if it is of the file and was never writable.
func codeMapping(line, exe string) (from, to uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || strings.Join(fields[5:], " ") != exe || strings.Contains(fields[1], "w") {
		return 0, 0, false
	}
	low, high, found := strings.Cut(fields[0], "-")
	a, errLow := strconv.ParseUint(low, 16, 64)
	b, errHigh := strconv.ParseUint(high, 16, 64)
	if !found || errLow != nil || errHigh != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b), true
}
