package events

import (
	"bytes"
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
	After        uint64    // only later numbers
	Since, Until time.Time // only those between; zero: no bound
	Last         int       // only so many, the last ones; 0: no bound
	// Match selects those for which it is true; nil: all. It is given an event's Seq, At,
	// Type, ID and Name, and must not look at the rest, which is read only if it is wanted.
	Match func(*app.Event) bool
}

func (q *Query) wants(e *app.Event) bool {
	return e.Seq > q.After &&
		(q.Since.IsZero() || !e.At.Before(q.Since)) && (q.Until.IsZero() || !e.At.After(q.Until)) &&
		(q.Match == nil || q.Match(e))
}

// enough reports whether there are as many as are asked for.
func (q *Query) enough(n int) bool { return q.Last > 0 && n >= q.Last }

// Read returns what has been added and is selected by q, in order. What is not an event
// in the files is left out. Errors: a segment cannot be read.
//
// It reads from the newest back, and no further than q.Last and q.After ask for.
func (l *Log) Read(q Query) ([]app.Event, error) {
	l.mu.Lock()
	recent := slices.Clone(l.recent)
	border := l.next
	l.mu.Unlock()
	if len(recent) > 0 {
		border = recent[0].Seq
	}
	var list []app.Event // the newest first
	for i := range slices.Backward(recent) {
		if q.enough(len(list)) {
			break
		}
		if q.wants(&recent[i]) {
			list = append(list, recent[i])
		}
	}
	if l.options.Dir != "" {
		var err error
		if list, err = l.readSegments(list, border, &q); err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
	}
	slices.Reverse(list)
	return list, nil
}

// readSegments appends what q selects in the files, below the number border.
func (l *Log) readSegments(list []app.Event, border uint64, q *Query) ([]app.Event, error) {
	names, err := l.segments()
	if err != nil {
		return nil, err
	}
	var d decoder
	var text bytes.Buffer
	for i, name := range slices.Backward(names) {
		from := first(name)
		if from >= border {
			continue
		}
		if q.enough(len(list)) || i+1 < len(names) && first(names[i+1]) <= q.After+1 {
			break
		}
		err := readFile(name, &text)
		if errors.Is(err, fs.ErrNotExist) {
			break // the oldest has just been removed
		}
		if err != nil {
			return nil, err
		}
		list = d.decode(list, text.Bytes(), from, border, q)
		border = from
	}
	return list, nil
}

// readFile makes text what is in a file.
func readFile(name string, text *bytes.Buffer) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text.Reset()
	_, err = text.ReadFrom(f)
	return err
}

// decode appends what q selects of lines, with numbers from from to below border, the
// last first. What is no event, or comes out of order, is left out.
func (d *decoder) decode(list []app.Event, text []byte, from, border uint64, q *Query) []app.Event {
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var e app.Event
	for len(text) > 0 && !q.enough(len(list)) {
		start := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		line := text[start:]
		text = text[:start]
		if !d.head(line, &e) || e.Seq < from || e.Seq >= border {
			continue
		}
		if e.Seq <= q.After {
			break
		}
		seq := e.Seq
		if q.wants(&e) {
			if !d.rest(&e) || e.Seq != seq {
				continue
			}
			list = append(list, e)
		}
		border = seq
	}
	return list
}
