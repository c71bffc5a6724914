package search

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"paceline/internal/app"
	"paceline/internal/dayjs"
	"paceline/internal/logs"
)

// Query says which lines are wanted. The zero value wants none; with Lines -1 all.
type Query struct {
	Since, Until time.Time // inclusive; zero is no bound
	Pattern      *Pattern  // nil: any line
	Level        app.Level // the least; LevelNone: any
	Lines        int       // the last so many of each log; -1: all
	// Whole leaves out the last line of a log while it has no end, for a follower that
	// goes on from there.
	Whole bool
}

// Source is a log to be searched. All but its path and its date format is handed through.
type Source struct {
	logs.Source
	Date string // the format of day.js in which each line begins with its time; "" if it does not
	Err  bool   // standard error
}

// Line is a line that was found, or a notice.
type Line struct {
	logs.Source
	Text  []byte        // without its newline; valid until the next call of Next
	At    time.Time     // what the line, or the last one before it with a time, says; zero if there is none
	Level app.Level     // what it says, or is taken for
	End   logs.Position // the place after it
	// Notice is what is wrong with the log, instead of a line; "" as a rule.
	Notice string
}

// Search finds the lines of logs, merged by time. One goroutine at a time may use it.
type Search struct {
	query   Query
	dfa     *dfa // of the pattern, for all sources
	zone    *time.Location
	sources []*source
	queue   queue // those whose next line is known, by its time
	begun   bool
	last    *source // whose line was handed out
	notices []Line
}

// New returns a search without sources.
func New(q Query) *Search {
	s := &Search{query: q, zone: time.Local}
	if q.Pattern != nil {
		s.dfa = newDFA(q.Pattern.auto)
	}
	return s
}

// Add adds a log, as it is now. One that does not exist has no lines. It must not be
// called after Next.
func (s *Search) Add(from Source) error {
	var format *dayjs.Format
	if from.Date != "" {
		f, err := dayjs.Parse(from.Date)
		if err != nil {
			return fmt.Errorf("search log of %s: %w", from.Name, err)
		}
		format = &f
	}
	parts, err := logs.OpenParts(from.Path)
	if err != nil {
		return fmt.Errorf("search log of %s: %w", from.Name, err)
	}
	one := &source{
		Source: from, query: &s.query, find: newFinder(s.query.Pattern, s.dfa),
		clock: clock{format: format, zone: s.zone}, seen: verdict{at: unknown},
	}
	one.plan(parts)
	s.sources = append(s.sources, one)
	return nil
}

// Next returns the next line. Errors: io.EOF after the last one, those of ctx, and of
// reading a file.
func (s *Search) Next(ctx context.Context) (Line, error) {
	if !s.begun {
		if err := s.begin(ctx); err != nil {
			return Line{}, err
		}
	}
	if s.last != nil {
		from := s.last
		s.last = nil
		switch ok, err := from.next(ctx); {
		case err != nil:
			return Line{}, err
		case ok:
			heap.Fix(&s.queue, 0)
		default:
			heap.Pop(&s.queue)
		}
		s.collect(from)
	}
	if len(s.notices) > 0 {
		n := s.notices[0]
		s.notices = s.notices[1:]
		return n, nil
	}
	if len(s.queue) == 0 {
		return Line{}, io.EOF
	}
	s.last = s.queue[0]
	return s.last.line, nil
}

// begin finds the first line of each log.
func (s *Search) begin(ctx context.Context) error {
	s.begun = true
	block := max(minBlock, min(maxBlock, allBlocks/max(len(s.sources), 1)))
	for i, from := range s.sources {
		from.order, from.block = i, block
		if err := from.limit(ctx); err != nil {
			return err
		}
		ok, err := from.next(ctx)
		if err != nil {
			return err
		}
		if ok {
			s.queue = append(s.queue, from)
		}
		s.collect(from)
	}
	heap.Init(&s.queue)
	return nil
}

// collect takes over what a source has to tell.
func (s *Search) collect(from *source) {
	for _, text := range from.notices {
		s.notices = append(s.notices, Line{Source: from.Source.Source, Notice: text})
	}
	from.notices = nil
}

// Ends returns where each log was left, in the order of Add: the place from which a
// follower goes on after io.EOF.
func (s *Search) Ends() []logs.Position {
	ends := make([]logs.Position, len(s.sources))
	for i, from := range s.sources {
		ends[i] = from.end
	}
	return ends
}

// Close closes all files.
func (s *Search) Close() error {
	var err error
	for _, from := range s.sources {
		err = errors.Join(err, from.close())
	}
	s.sources, s.queue = nil, nil
	return err
}

// queue is a heap of sources by the time of their next line.
type queue []*source

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if q[i].key != q[j].key {
		return q[i].key < q[j].key
	}
	return q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for container/heap.
func (q *queue) Push(x any) { *q = append(*q, x.(*source)) }

// Pop is for container/heap.
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// Filter holds the lines that a log gets from now on against a query, one after the
// other.
type Filter struct {
	query Query
	clock clock
	err   bool
	seen  verdict // of the line before
}

// NewFilter returns a filter for a log. Errors: those of its date format.
func NewFilter(q Query, from Source) (*Filter, error) {
	f := &Filter{query: q, clock: clock{zone: time.Local}, err: from.Err, seen: verdict{at: unknown}}
	if from.Date != "" {
		format, err := dayjs.Parse(from.Date)
		if err != nil {
			return nil, err
		}
		f.clock.format = &format
	}
	return f, nil
}

// Wants reports whether a line is wanted, and what it says. A line without a time
// passes any bound in time.
func (f *Filter) Wants(text []byte) (at time.Time, level app.Level, ok bool) {
	text = bytes.TrimSuffix(text, []byte{'\r'})
	v := f.clock.judge(text, f.seen, f.err)
	f.seen = v
	if !f.query.Pattern.Match(text) || v.level < f.query.Level || v.at != unknown && !f.query.within(v.at) {
		return at, level, false
	}
	if v.at != unknown {
		at = time.Unix(0, v.at)
	}
	return at, v.level, true
}

// unknown is the time of a line without one.
const unknown = int64(-1 << 63)

// verdict is what is known of a line.
type verdict struct {
	at    int64 // nanoseconds since 1970
	level app.Level
}

// judge reads the time and the level of a line that comes after one of which before is
// known.
func (c *clock) judge(line []byte, before verdict, stderr bool) verdict {
	v := before
	if continues(line) && before.level != app.LevelNone {
		return v
	}
	if at, ok := c.read(line); ok {
		v.at = at
	}
	if v.level = levelOf(line); v.level == app.LevelNone {
		v.level = app.LevelInfo
		if stderr {
			v.level = app.LevelError
		}
	}
	return v
}

// within reports whether a time is wanted.
func (q *Query) within(at int64) bool {
	return (q.Since.IsZero() || at >= q.Since.UnixNano()) && (q.Until.IsZero() || at <= q.Until.UnixNano())
}
