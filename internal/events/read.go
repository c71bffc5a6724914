package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"paceline/internal/app"
)

// Query selects events. Its zero value means all.
type Query struct {
	After        uint64                // only later numbers
	Since, Until time.Time             // only those between; zero: no bound
	Last         int                   // only so many, the last ones; 0: no bound
	Match        func(*app.Event) bool // only those for which it is true; nil: all
}

func (q *Query) wants(e *app.Event) bool {
	return e.Seq > q.After &&
		(q.Since.IsZero() || !e.At.Before(q.Since)) && (q.Until.IsZero() || !e.At.After(q.Until)) &&
		(q.Match == nil || q.Match(e))
}

// Read returns what has been added and is selected by q, in order. What is not an event
// in the files is left out. Errors: a segment cannot be read.
func (l *Log) Read(q Query) ([]app.Event, error) {
	l.mu.Lock()
	recent := slices.Clone(l.recent)
	border := l.next
	l.mu.Unlock()
	if len(recent) > 0 {
		border = recent[0].Seq
	}
	parts := [][]app.Event{filter(recent, &q)}
	n := len(parts[0])
	if l.options.Dir != "" {
		names, err := l.segments()
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		// From the newest, as the last ones are what is asked for most.
		for i, name := range slices.Backward(names) {
			if first(name) >= border {
				continue
			}
			if q.Last > 0 && n >= q.Last || i+1 < len(names) && first(names[i+1]) <= q.After+1 {
				break
			}
			part, err := readSegment(name, border, &q)
			if errors.Is(err, fs.ErrNotExist) {
				break // the oldest has just been removed
			}
			if err != nil {
				return nil, fmt.Errorf("read events: %w", err)
			}
			n += len(part)
			parts = append(parts, part)
		}
	}
	slices.Reverse(parts)
	list := slices.Concat(parts...)
	if extra := len(list) - q.Last; q.Last > 0 && extra > 0 {
		list = list[extra:]
	}
	return list, nil
}

// readSegment returns what q selects in a file, below the number border.
func readSegment(name string, border uint64, q *Query) ([]app.Event, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return filter(decode(text, border), q), nil
}

// decode reads lines. What is no event, or comes out of order, is left out.
func decode(text []byte, border uint64) (list []app.Event) {
	last := uint64(0)
	for line := range bytes.Lines(text) {
		var e app.Event
		if line[len(line)-1] != '\n' || json.Unmarshal(line, &e) != nil || e.Seq <= last || e.Seq >= border {
			continue
		}
		last = e.Seq
		list = append(list, e)
	}
	return list
}

func filter(list []app.Event, q *Query) []app.Event {
	return slices.DeleteFunc(list, func(e app.Event) bool { return !q.wants(&e) })
}
