package supervisor

import (
	"fmt"
	"time"

	"paceline/internal/app"
)

// ending says how a process ended, and how soon.
func ending(e *app.Exit) string {
	if e == nil {
		return "ended unseen"
	}
	if e.Error != "" {
		return e.Error
	}
	return e.String() + " after " + brief(time.Duration(e.Uptime))
}

// brief is a duration with no more digits than people read.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// count is "1 thing" or "2 things".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
