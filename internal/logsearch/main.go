package logsearch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/logs/search"
)

// flushAfter is how long a found line waits for others.
const flushAfter = 20 * time.Millisecond

// maxRequest bounds a request: a log takes some hundred bytes.
const maxRequest = 64 << 20

// Main is the process: it reads a Request from in, writes events to out, and ends when
// all is found, or, if it follows, when in ends. It closes found when all that was
// there has been searched.
func Main(ctx context.Context, in io.Reader, out io.Writer, found io.Closer) error {
	yieldToOthers()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := bufio.NewReaderSize(in, 64<<10)
	var r Request
	if err := readLine(lines, &r); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	o := newOutput(out)
	defer o.close()
	query, err := queryOf(r.Query)
	if err != nil {
		return err
	}
	ends, err := searchAll(ctx, query, r, o)
	if err := errors.Join(err, found.Close()); err != nil {
		return err
	}
	if err := o.flush(); err != nil || !r.Query.Follow {
		return err
	}
	f := &following{
		query: query, out: o, places: r.Query.Places, filters: map[string]*filter{},
		follower: logs.NewFollower(logs.FollowOptions{Follow: true}),
	}
	for i, s := range r.Sources {
		if err := f.add(s, ends[i]); err != nil {
			return err
		}
	}
	// The end of in is the end of whoever asked.
	go func() {
		defer cancel()
		for {
			var s Source
			if err := readLine(lines, &s); err != nil {
				return
			}
			if f.addNew(s) != nil {
				return
			}
		}
	}()
	return errors.Join(f.run(ctx), f.follower.Close())
}

// readLine reads a line of JSON.
func readLine(from *bufio.Reader, into any) error {
	var text []byte
	for {
		part, err := from.ReadSlice('\n')
		text = append(text, part...)
		if err == nil {
			return json.Unmarshal(text, into)
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(text) > maxRequest {
			return err
		}
	}
}

// queryOf translates a query, which has been checked.
func queryOf(q api.LogsQuery) (search.Query, error) {
	level, err := app.ParseLevel(q.Level)
	if err != nil {
		return search.Query{}, err
	}
	query := search.Query{Since: q.Since, Until: q.Until, Level: level, Lines: q.Lines, Whole: q.Follow}
	if q.Grep != "" {
		query.Pattern, err = search.Compile(q.Grep, q.IgnoreCase, q.Invert)
	}
	return query, err
}

// searchAll writes what is found. It returns where each log was left.
func searchAll(ctx context.Context, q search.Query, r Request, o *output) (ends []logs.Position, err error) {
	ends = make([]logs.Position, len(r.Sources))
	s := search.New(q)
	defer func() { err = errors.Join(err, s.Close()) }()
	var searched []int // indexes of sources
	for i, from := range r.Sources {
		if from.Pos != "" { // a follower that goes on
			if ends[i], err = logs.ParsePosition(from.Pos); err != nil {
				return ends, err
			}
			continue
		}
		if err := s.Add(from.Source); err != nil {
			if err := o.send(api.LogLine{ID: from.ID, Name: from.Name, Stream: api.Notice, Line: err.Error()}); err != nil {
				return ends, err
			}
			continue
		}
		searched = append(searched, i)
	}
	for {
		line, err := s.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ends, err
		}
		e := api.LogLine{ID: line.ID, Name: line.Name, Stream: api.Stream(line.Stream), At: line.At, Level: line.Level.String()}
		e.SetText(line.Text)
		if line.Notice != "" {
			e = api.LogLine{ID: line.ID, Name: line.Name, Stream: api.Notice, Line: line.Notice}
		}
		if err := o.send(e); err != nil {
			return ends, err
		}
	}
	for i, end := range s.Ends() {
		ends[searched[i]] = end
	}
	return ends, nil
}

// following passes on what logs get from now on.
type following struct {
	query    search.Query
	out      *output
	places   bool
	follower *logs.Follower

	mu      sync.Mutex         // guards filters
	filters map[string]*filter // by path
}

// filter is that of one log.
type filter struct {
	*search.Filter
	passed bool // the beginning of the line that goes on
}

// add follows a log from a place on.
func (f *following) add(s Source, from logs.Position) error {
	if err := f.watch(s); err != nil {
		return err
	}
	if f.places {
		place := api.LogLine{ID: s.ID, Name: s.Name, Stream: api.Place, Line: s.Stream, Pos: from.String()}
		if err := f.out.send(place); err != nil {
			return err
		}
	}
	return f.follower.AddAt(s.Source.Source, from)
}

// addNew follows a log that has come.
func (f *following) addNew(s Source) error {
	if err := f.watch(s); err != nil {
		return err
	}
	return f.follower.Add(s.Source.Source, 0)
}

func (f *following) watch(s Source) error {
	one, err := search.NewFilter(f.query, s.Source)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filters[s.Path] = &filter{Filter: one}
	return nil
}

// run writes lines until ctx ends, which is no error.
func (f *following) run(ctx context.Context) error {
	for {
		line, err := f.follower.Next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // that is how it ends
		}
		if err != nil {
			return err
		}
		e, ok := f.wanted(line)
		if !ok {
			continue
		}
		if err := f.out.send(e); err != nil {
			return err
		}
	}
}

// wanted holds a line against the query.
func (f *following) wanted(line logs.Line) (api.LogLine, bool) {
	f.mu.Lock()
	one := f.filters[line.Path]
	f.mu.Unlock()
	e := LineOf(line)
	if f.places {
		e.Pos = line.End.String()
	}
	if line.Skipped != 0 {
		return e, true
	}
	if line.Rest && one.passed {
		one.passed = line.More
		return e, true
	}
	at, level, ok := one.Wants([]byte(line.Text))
	one.passed = ok && line.More
	if !at.IsZero() {
		e.At = at
	}
	e.Level = level.String()
	return e, ok
}

// LineOf translates a line, or the notice that some were left out.
func LineOf(l logs.Line) api.LogLine {
	line := api.LogLine{ID: l.ID, Name: l.Name, Stream: api.Stream(l.Stream), At: l.At, More: l.More}
	if l.Skipped != 0 {
		line.Stream = api.Notice
		line.Line = "lines were left out, because they came faster than they were read"
		if l.Skipped > 0 {
			line.Line = fmt.Sprintf("%d bytes were left out, because they came faster than they were read", l.Skipped)
		}
		return line
	}
	line.SetText([]byte(l.Text))
	return line
}

// output writes events, several at a time, but none late.
type output struct {
	mu     sync.Mutex // guards what follows
	events *api.EventWriter
	timer  *time.Timer
	armed  bool
	err    error
}

func newOutput(w io.Writer) *output {
	o := &output{events: api.NewEventEncoder(bufio.NewWriterSize(w, 64<<10))}
	o.timer = time.AfterFunc(time.Hour, func() { _ = o.flush() }) // its error is the next one's of send
	o.timer.Stop()
	return o
}

func (o *output) send(line api.LogLine) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = o.events.Send(line)
	}
	if !o.armed {
		o.armed = true
		o.timer.Reset(flushAfter)
	}
	return o.err
}

func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	if o.err == nil {
		o.err = o.events.Flush()
	}
	return o.err
}

func (o *output) close() {
	o.timer.Stop()
	_ = o.flush() // whoever reads has gone, then
}
