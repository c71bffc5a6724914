// Package events keeps what has happened: a bounded history of app.Event in files
// of JSON lines, which survives the daemon, and the numbers that order it.
//
// The history is a folder of segments of SegmentBytes each; with more than Segments of
// them the oldest goes. Events are written soon after they happened, by a goroutine
// of its own: who adds one never waits for the disk. A daemon that is killed loses what
// it had not written yet, some milliseconds at most; a line that it wrote half of is
// cut off by the next one. Events are in the order of their numbers, whatever the
// clock did meanwhile.
package events

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"paceline/internal/app"
)

// The bounds of the history, by default: 16 MB on the disk at most.
const (
	SegmentBytes = 1 << 20
	Segments     = 16
)

const (
	maxPending = 4096 // events that wait for the disk; a start of the largest app fits
	keepRecent = 256  // of those that are written, also in memory
	retryEvery = time.Second
)

// What of one event is kept at most, in bytes.
const (
	maxDetail = 2048
	maxStderr = 1024 // a line of it
)

// suffix ends the names of segments; before it is the number of the first event.
const suffix = ".jsonl"

// Options says where the history is.
type Options struct {
	Dir          string // absolute; made if it is not there. "": in memory alone
	SegmentBytes int64  // size at which a segment is full; 0 means SegmentBytes
	Segments     int    // how many there may be; 0 means Segments
	// Warn is told once that the history cannot be written, and once that it can
	// again, and how many events are missing, also where the disk was too slow. It is called by the log's own goroutine. Nil: nobody is told.
	Warn func(text string)
}

// Log is the history. Its methods may be called concurrently, before Close.
type Log struct {
	options Options
	wake    chan struct{} // there is something to write; has room for one
	done    chan struct{} // closed by Close
	writer  sync.WaitGroup

	mu      sync.Mutex  // guards what follows
	next    uint64      // number of the next event
	recent  []app.Event // the last ones that are kept, ascending by number
	pending int         // how many at the end of recent are not written yet
	lost    int         // how many could not be written since it was told
	closed  bool

	// Owned by the writer's goroutine.
	file   *os.File // the segment that is written to; nil: none yet
	size   int64    // of it
	torn   bool     // its last line has no end
	silent bool     // it is known that it cannot be written
}

// Open takes up the history in a folder. What cannot be read of it is left out.
// Errors: the folder cannot be made or read.
func Open(o Options) (*Log, error) {
	o.SegmentBytes, o.Segments = cmp.Or(o.SegmentBytes, SegmentBytes), cmp.Or(o.Segments, Segments)
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	l := &Log{options: o, wake: make(chan struct{}, 1), done: make(chan struct{}), next: 1}
	if o.Dir == "" {
		return l, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for events: %w", err)
	}
	last, err := l.recover()
	if err != nil {
		return nil, err
	}
	if last > 0 {
		// An earlier daemon may have told of some that it had not written.
		l.next = last + maxPending + 1
	}
	l.writer.Go(l.write)
	return l, nil
}

// Add gives an event its number and keeps it, unless it is an app's own message: those
// may be secret, and many. It returns the event as others are to be told of it.
// It does not wait for the disk.
func (l *Log) Add(e app.Event) app.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Seq = l.next
	l.next++
	if e.Type == app.EventMessage || l.closed {
		return e
	}
	l.recent = append(l.recent, bounded(e))
	if l.options.Dir == "" {
		l.trim(keepRecent)
		return e
	}
	if l.pending++; l.pending > maxPending {
		l.pending--
		l.lost++
	}
	l.trim(max(keepRecent, l.pending))
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return e
}

// trim leaves the last n in memory.
func (l *Log) trim(n int) {
	if extra := len(l.recent) - n; extra > n/2 { // seldom, as it copies
		l.recent = slices.Clone(l.recent[extra:])
	}
}

// bounded is an event without what would make it long.
func bounded(e app.Event) app.Event {
	e.Data = nil
	e.Detail = clip(e.Detail, maxDetail)
	if e.Exit != nil {
		exit := *e.Exit
		exit.Stderr = slices.Clone(exit.Stderr)
		for i, line := range exit.Stderr {
			exit.Stderr[i] = clip(line, maxStderr)
		}
		exit.Error = clip(exit.Error, maxDetail)
		e.Exit = &exit
	}
	return e
}

func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// Close writes what is left and ends the log's goroutine.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	l.writer.Wait()
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// write is the goroutine that writes.
func (l *Log) write() {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-l.wake:
			if l.silent {
				continue // until it is tried again
			}
		case <-retry.C:
		case <-l.done:
			l.flush()
			return
		}
		if !l.flush() {
			retry.Reset(retryEvery)
		}
	}
}

// flush writes what waits. It reports whether all of it is written.
func (l *Log) flush() bool {
	for {
		l.mu.Lock()
		batch := slices.Clone(l.recent[len(l.recent)-l.pending:])
		l.mu.Unlock()
		if len(batch) == 0 {
			return true
		}
		n, err := l.store(batch)
		l.mu.Lock()
		// Meanwhile the first ones may have been dropped for newer ones.
		for _, e := range batch[:n] {
			if l.pending > 0 && l.recent[len(l.recent)-l.pending].Seq <= e.Seq {
				l.pending--
			}
		}
		lost := l.lost
		if err == nil {
			l.lost = 0
		}
		l.trim(max(keepRecent, l.pending))
		l.mu.Unlock()
		switch {
		case err != nil && !l.silent:
			l.silent = true
			l.options.Warn(fmt.Sprintf("the history of events cannot be written: %v; events are told, but not kept", err))
			return false
		case err != nil:
			return false
		case !l.silent && lost > 0:
			l.options.Warn(fmt.Sprintf("the disk was too slow for the history of events: %d events are missing in it", lost))
		case l.silent:
			l.silent = false
			l.options.Warn(fmt.Sprintf("the history of events is written again; %d events are missing in it", lost))
		}
	}
}

// store writes events to the segment, and begins a new one when it is full. It returns
// how many are written.
func (l *Log) store(batch []app.Event) (n int, err error) {
	if l.file != nil {
		if _, err := os.Lstat(l.file.Name()); errors.Is(err, fs.ErrNotExist) { // somebody has removed it
			if err := l.file.Close(); err != nil {
				return 0, err
			}
			l.file = nil
		}
	}
	var lines []byte
	for n < len(batch) {
		if l.file == nil || l.size >= l.options.SegmentBytes {
			if err := l.begin(batch[n].Seq); err != nil {
				return n, err
			}
		}
		lines = lines[:0]
		if l.torn {
			lines = append(lines, '\n')
		}
		count := 0
		for count < len(batch)-n && l.size+int64(len(lines)) < l.options.SegmentBytes {
			text, err := json.Marshal(batch[n+count])
			if err != nil {
				panic(fmt.Sprintf("events: encode: %v", err)) // it holds only plain values
			}
			lines = append(append(lines, text...), '\n')
			count++
		}
		if err := l.put(lines); err != nil {
			return n, err
		}
		n += count
	}
	return n, nil
}

// put appends whole lines to the segment, or nothing of them.
func (l *Log) put(lines []byte) error {
	written, err := l.file.Write(lines)
	if err == nil {
		l.size += int64(written)
		l.torn = false
		return nil
	}
	if written > 0 && l.file.Truncate(l.size) != nil {
		l.size += int64(written)
		l.torn = true
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err // the name of a segment is nobody's concern
	}
	return err
}

// begin starts a segment, and removes the oldest.
func (l *Log) begin(first uint64) error {
	if err := os.MkdirAll(l.options.Dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(l.options.Dir, fmt.Sprintf("%020d", first)+suffix)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if l.file != nil {
		err = l.file.Close()
	}
	l.file, l.size, l.torn = f, info.Size(), false
	if err != nil {
		return err
	}
	names, err := l.segments()
	if err != nil {
		return err
	}
	for len(names) > l.options.Segments {
		if err := os.Remove(names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		names = names[1:]
	}
	return nil
}

// segments lists the files by the number of their first event.
func (l *Log) segments() ([]string, error) {
	entries, err := os.ReadDir(l.options.Dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), suffix)
		if _, err := strconv.ParseUint(number, 10, 64); ok && err == nil && len(number) == 20 && e.Type().IsRegular() {
			names = append(names, filepath.Join(l.options.Dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// first is the number in a segment's name.
func first(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// recover goes on with the last segment: it cuts off a line without an end and
// returns the number of the last event, 0 if there is none.
func (l *Log) recover() (last uint64, err error) {
	names, err := l.segments()
	if err != nil {
		return 0, fmt.Errorf("read events: %w", err)
	}
	if len(names) == 0 {
		return 0, nil
	}
	name := names[len(names)-1]
	last = first(name)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read events: %w", err)
	}
	whole := int64(bytes.LastIndexByte(text, '\n') + 1)
	var d decoder
	var e app.Event
	for line := range bytes.Lines(text[:whole]) {
		if d.head(line, &e) {
			last = max(last, e.Seq)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil && whole < int64(len(text)) {
		if err = f.Truncate(whole); err != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		return 0, fmt.Errorf("mend the last events: %w", err)
	}
	l.file, l.size = f, whole
	return last, nil
}
