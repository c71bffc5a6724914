//go:build !linux

package history

import "time"

// systemClock counts from its call: how long no daemon ran is told by the wall clock.
func systemClock() func() Instant {
	begun := time.Now()
	return func() Instant { return Instant{Wall: time.Now().Round(0), Up: time.Since(begun)} }
}
