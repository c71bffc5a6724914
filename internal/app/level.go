package app

import (
	"fmt"
	"strings"
)

// Level is how serious a log line is. The zero value is that of a line which does not
// say.
type Level int8

// The levels, from the least serious on.
const (
	LevelNone Level = iota
	LevelTrace
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
	LevelFatal
)

var levelNames = [...]string{"", "trace", "debug", "info", "warn", "error", "fatal"}

// String returns the level's name, "" for LevelNone.
func (l Level) String() string {
	if l < 0 || int(l) >= len(levelNames) {
		return fmt.Sprintf("level %d", int(l))
	}
	return levelNames[l]
}

// ParseLevel reads a level's name, in any case; "" is LevelNone, and warning and
// critical are taken for warn and fatal.
func ParseLevel(text string) (Level, error) {
	name := strings.ToLower(text)
	switch name {
	case "warning":
		name = "warn"
	case "critical":
		name = "fatal"
	}
	for i, known := range levelNames {
		if name == known {
			return Level(i), nil
		}
	}
	return LevelNone, fmt.Errorf("level %q is none of %s", text, strings.Join(levelNames[1:], ", "))
}
