package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
)

// uptime writes a length of time as PM2 does: in one unit, and in the next one
// only from two of it on, so that 119 s are "119s" and 120 s "2m".
func uptime(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	units := []struct {
		length time.Duration
		name   string
	}{{365 * day, "Y"}, {30 * day, "M"}, {day, "D"}, {time.Hour, "h"}, {time.Minute, "m"}}
	for _, u := range units {
		if d >= 2*u.length {
			return strconv.FormatInt(int64(d/u.length), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// memory writes a size as PM2 does: "52.4mb".
func memory(bytes uint64) string {
	size := float64(bytes)
	for _, unit := range []string{"b", "kb", "mb", "gb"} {
		if size < 1024 || unit == "gb" {
			return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + unit
		}
		size /= 1024
	}
	return ""
}

func percent(p float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(p, 'f', 1, 64), ".0") + "%"
}

// clock writes a moment, with the day unless it is today.
func clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// recent bounds how long a list mentions an exit that has been repaired.
const recent = 10 * time.Minute

// why says in a few words what is or was wrong with an instance, "" if nothing.
func why(s *app.Status, now time.Time) string {
	exit := s.LastExit
	if exit != nil && exit.Wanted {
		exit = nil
	}
	ago := func(text string) string {
		if exit == nil || exit.At.IsZero() {
			return text
		}
		return fmt.Sprintf("%s, %s ago", text, uptime(now.Sub(exit.At)))
	}
	var parts []string
	switch {
	case s.Reason != "" && s.State == app.Errored:
		parts = append(parts, ago(s.Reason))
	case s.Reason != "":
		parts = append(parts, s.Reason)
	case exit == nil:
	case s.State == app.Online && now.Sub(exit.At) > recent:
	case s.State == app.Online:
		parts = append(parts, ago("restarted after "+exit.String()))
	default:
		parts = append(parts, ago(exit.String()))
	}
	if s.State == app.Waiting && !s.NextRestart.IsZero() {
		parts = append(parts, "next start in "+uptime(s.NextRestart.Sub(now)))
	}
	if s.Draining {
		parts = append(parts, "an older process still finishes its requests")
	}
	return oneLine(strings.Join(parts, "; "))
}

// dash stands for what there is not.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// count writes "1 instance", "2 instances".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
