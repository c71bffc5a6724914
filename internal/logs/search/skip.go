package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	probeBytes = 16 << 10 // what is looked at to find a line with a time
	probes     = 32       // places of a file whose times must be in order for halving
	window     = 4 << 20  // what is counted at a time, from the end
)

func unixNano(ns int64) time.Time { return time.Unix(0, ns) }

// overlaps reports whether a file may hold wanted lines, and if its lines have times
// in order sets where those begin and end.
func (s *source) overlaps(p *part) bool {
	q := s.query
	if q.Since.IsZero() && q.Until.IsZero() {
		return true
	}
	if !q.Since.IsZero() && p.changed < q.Since.UnixNano()-disorder {
		return false
	}
	if p.Gzip {
		return q.Until.IsZero() || p.after == unknown || p.after <= q.Until.UnixNano()+disorder
	}
	s.clock.near = p.Info.ModTime()
	at, times, ordered := s.sample(p)
	if len(times) == 0 {
		if since := q.Since.UnixNano(); !q.Since.IsZero() && (p.after == unknown || p.after < since) && len(s.notices) == 0 {
			s.notices = append(s.notices, fmt.Sprintf("the lines of %s do not tell their time; all that may be of the time are shown", s.Name))
		}
		return q.Until.IsZero() || p.after == unknown || p.after <= q.Until.UnixNano()+disorder
	}
	if !ordered {
		return true
	}
	if !q.Since.IsZero() {
		bound := q.Since.UnixNano() - disorder
		p.from, _ = s.bisect(p, at, times, bound)
	}
	if !q.Until.IsZero() {
		bound := q.Until.UnixNano() + disorder
		if _, to := s.bisect(p, at, times, bound); to < p.to {
			p.to = to
		}
	}
	return true
}

// sample reads times all over a file: where the lines are, and whether their times are
// in order.
func (s *source) sample(p *part) (at, times []int64, ordered bool) {
	size := p.to
	step := max(size/probes, probeBytes)
	for from := int64(0); from < size; from += step {
		line, ns, ok := s.timeAt(p, from)
		if !ok {
			continue
		}
		if n := len(times); n > 0 && (line <= at[n-1] || ns < times[n-1]-disorder) {
			if line <= at[n-1] {
				continue
			}
			return at, times, false
		}
		at, times = append(at, line), append(times, ns)
	}
	return at, times, true
}

// timeAt returns the first line with a time that begins at or after from, within
// probeBytes.
func (s *source) timeAt(p *part, from int64) (line, ns int64, ok bool) {
	var chunk [probeBytes]byte
	n, err := p.File.ReadAt(chunk[:min(probeBytes, p.to-from)], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, false
	}
	b, at := chunk[:n], 0
	if from > 0 {
		if at = bytes.IndexByte(b, '\n') + 1; at == 0 {
			return 0, 0, false
		}
	}
	for at < len(b) {
		end := indexFrom(b, '\n', at)
		if ns, ok := s.clock.read(b[at:end]); ok {
			return from + int64(at), ns, true
		}
		at = end + 1
	}
	return 0, 0, false
}

// bisect returns two beginnings of lines: all lines before the first are older than
// bound, all from the second on are newer.
func (s *source) bisect(p *part, at, times []int64, bound int64) (from, to int64) {
	to = p.to
	for i, t := range times {
		if t >= bound {
			if t > bound {
				to = at[i]
				break
			}
			continue
		}
		from = at[i]
	}
	for to-from > 2*probeBytes {
		middle := from + (to-from)/2
		line, ns, ok := s.timeAt(p, middle)
		switch {
		case !ok || line >= to:
			return from, to
		case ns < bound:
			from = line
		default:
			to = line
		}
	}
	return from, to
}

// limit passes over all but the last lines that are wanted.
func (s *source) limit(ctx context.Context) error {
	left := s.query.Lines
	if left <= 0 {
		return nil
	}
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := &s.parts[i]
		first, sound := p.to, true // where the first piece with a wanted line begins; nothing was wrong
		for to := p.to; to > p.from; {
			from := p.from
			if !p.Gzip && to-p.from > window {
				from = s.lineStart(p, to-window)
			}
			n, whole, err := s.count(ctx, p, from, to)
			if err != nil {
				return err
			}
			if n >= left {
				for _, old := range s.parts[:i] {
					_ = old.File.Close() // opened for reading
				}
				p.from, p.skip = from, n-left
				s.parts = s.parts[i:]
				return nil
			}
			if sound = sound && whole; n > 0 {
				first = from
			}
			left -= n
			to = from
		}
		switch {
		case !sound: // it is told when the lines are read
		case first == p.to:
			_ = p.File.Close() // opened for reading
			s.parts = slices.Delete(s.parts, i, i+1)
		case first > p.from:
			// What a line belongs to may be some lines before it.
			p.from = s.lineStart(p, max(first-lookBack, p.from))
		}
	}
	return nil
}

// lineStart returns where the line begins that holds the byte before at; the beginning
// of the part if it is not near.
func (s *source) lineStart(p *part, at int64) int64 {
	var chunk [64 << 10]byte
	for end := at; end > p.from; {
		from := max(end-int64(len(chunk)), p.from)
		n, err := p.File.ReadAt(chunk[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			break
		}
		if i := bytes.LastIndexByte(chunk[:n], '\n'); i >= 0 {
			return from + int64(i) + 1
		}
		end = from
	}
	return p.from
}

// count returns how many lines of a piece of a part are wanted, and whether all of it
// could be read.
func (s *source) count(ctx context.Context, p *part, from, to int64) (n int, whole bool, err error) {
	piece := *p
	piece.from, piece.to = from, to
	piece.lent = true
	counter := &source{
		Source: s.Source, query: s.query, find: newFinder(s.query.Pattern, s.find.dfa), clock: s.clock, block: s.block,
		seen: verdict{at: unknown}, parts: []part{piece},
	}
	defer func() { _ = counter.close() }() // opened for reading
	for {
		ok, err := counter.next(ctx)
		if err != nil || !ok {
			return n, len(counter.notices) == 0, err
		}
		n++
	}
}
