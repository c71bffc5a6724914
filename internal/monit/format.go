package monit

import (
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
)

// span writes a length of time in one unit, as `pace list` does.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	for _, u := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "Y"}, {30 * day, "M"}, {day, "D"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= 2*u.length {
			return strconv.FormatInt(int64(d/u.length), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// size writes a number of bytes: "52.4mb".
func size(bytes float64) string {
	for _, unit := range []string{"b", "kb", "mb"} {
		if bytes < 1024 {
			return short(bytes) + unit
		}
		bytes /= 1024
	}
	return short(bytes) + "gb"
}

func percent(p float64) string {
	if p >= 100 {
		return strconv.Itoa(int(p+0.5)) + "%"
	}
	return short(p) + "%"
}

func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// count writes a number and its noun: "1 app", "2 apps".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func stateStyle(s app.State) style {
	switch s {
	case app.Online:
		return green
	case app.Errored:
		return red
	case app.Stopped:
		return dim
	}
	return yellow
}

// worse orders states by how much they want to be looked at.
func worse(s app.State) int {
	switch s {
	case app.Errored:
		return 5
	case app.Waiting:
		return 4
	case app.Launching:
		return 3
	case app.Stopping:
		return 2
	case app.Stopped:
		return 1
	}
	return 0
}
