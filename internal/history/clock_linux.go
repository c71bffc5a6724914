package history

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// systemClock reads the time since boot, which goes on in a suspended machine, and
// which boot that was.
func systemClock() func() Instant {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		id = nil // then only the wall clock tells how long no daemon ran
	}
	boot := strings.TrimSpace(string(id))
	return func() Instant {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil { // never fails since 2.6.39
			return Instant{Wall: time.Now().Round(0)}
		}
		return Instant{Wall: time.Now().Round(0), Up: time.Duration(ts.Nano()), Boot: boot}
	}
}
