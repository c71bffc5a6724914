package search

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"paceline/internal/logs"
)

const (
	allBlocks = 32 << 20  // the blocks of all logs together
	maxBlock  = 256 << 10 // of one log
	minBlock  = 16 << 10
	// lookBack is how far before a line its time and level are looked for.
	lookBack      = 16 << 10
	lookBackLines = 64
	// disorder is by how much lines of several writers may be out of order.
	disorder = int64(5e9)
)

// source is one log that is being searched.
type source struct {
	Source
	query *Query
	find  *finder
	clock clock
	order int
	block int // the size of buf, as long as lines are shorter

	parts []part // still to be read, oldest first; the first one is open if buf is not nil
	zip   *gzip.Reader
	buf   []byte // what has been read of the part
	base  int64  // where buf begins in it
	pos   int    // how much of buf has been searched
	whole int    // buf[:whole] are whole lines
	eof   bool

	line    Line
	key     int64   // its time for merging: never less than that of the line before
	seen    verdict // of the line that ends at seenAt in the part
	seenAt  int64
	notices []string
	end     logs.Position
}

// part is one file of a log.
type part struct {
	logs.Part
	from, to       int64 // what of it is read; to is math.MaxInt64 for a compressed one
	after, changed int64 // it was written after the one and until the other; after may be unknown
	skip           int   // lines to leave out that are wanted otherwise
	lent           bool  // whoever lent the file closes it
}

// plan chooses the files that may hold wanted lines, and lets go of the others.
func (s *source) plan(files []logs.Part) {
	after := unknown
	for i, f := range files {
		p := part{Part: f, to: f.Info.Size(), after: after, changed: f.Info.ModTime().UnixNano()}
		after = p.changed
		if f.Gzip {
			p.to = math.MaxInt64
			s.end = f.Start
			s.end.Offset = p.to
		} else if i == len(files)-1 {
			p.to = s.wholeEnd(f)
			s.end = f.Start
			s.end.Offset = p.to
		}
		if s.query.Lines == 0 || !s.overlaps(&p) || !f.Gzip && p.from >= p.to {
			_ = f.File.Close() // opened for reading
			continue
		}
		s.parts = append(s.parts, p)
	}
}

// wholeEnd returns where the last line of the present file ends.
func (s *source) wholeEnd(f logs.Part) int64 {
	size := f.Info.Size()
	if !s.query.Whole {
		return size
	}
	var chunk [4 << 10]byte
	for end := size; end > 0; {
		from := max(end-int64(len(chunk)), 0)
		n, err := f.File.ReadAt(chunk[:end-from], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return size
		}
		if i := bytes.LastIndexByte(chunk[:n], '\n'); i >= 0 {
			return from + int64(i) + 1
		}
		if size-from > logs.MaxLineBytes {
			return size
		}
		end = from
	}
	return 0
}

// next finds the next line that is wanted.
func (s *source) next(ctx context.Context) (bool, error) {
	for len(s.parts) > 0 {
		p := &s.parts[0]
		if s.buf == nil {
			s.open(p)
		}
		from, to := s.find.line(s.buf[:s.whole], s.pos)
		if from < 0 {
			s.pos = s.whole
			if err := ctx.Err(); err != nil {
				return false, err
			}
			more, err := s.fill(p)
			if err != nil {
				s.notices = append(s.notices, fmt.Sprintf("%s of %s cannot be read after %d bytes: %v; the rest of the log goes on",
					filepath.Base(p.Name), s.Name, s.base+int64(len(s.buf)), reasonOf(err)))
			}
			if !more {
				s.leave()
			}
			continue
		}
		s.pos = min(to+1, s.whole)
		text := s.buf[from:to]
		v := s.judge(bytes.TrimSuffix(text, []byte{'\r'}), from)
		s.seen, s.seenAt = v, s.base+int64(s.pos)
		if v.at != unknown && !s.query.within(v.at) {
			continue
		}
		if v.level < s.query.Level {
			continue
		}
		if p.skip > 0 {
			p.skip--
			continue
		}
		s.line = Line{Source: s.Source.Source, Text: text, Level: v.level, End: p.Start}
		s.line.End.Offset = s.seenAt
		if v.at != unknown {
			s.line.At = unixNano(v.at)
		}
		s.key = max(s.key, s.estimate(p, v.at, from))
		return true, nil
	}
	return false, nil
}

// reasonOf is what an error says, without the name of the file.
func reasonOf(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return err.Error()
}

// estimate returns the time that a line is merged by: its own, or one between the first
// and the last change of its file, by its place there.
func (s *source) estimate(p *part, at int64, from int) int64 {
	switch {
	case at != unknown:
		return at
	case p.after == unknown || p.after >= p.changed:
		return p.changed
	}
	size := float64(p.to)
	if p.Gzip {
		size = float64(p.Info.Size()) * 10
	}
	share := min(float64(s.base+int64(from))/max(size, 1), 1)
	return p.after + int64(share*float64(p.changed-p.after))
}

// judge reads the time and the level of the line at from. What the line does not say is
// looked for in the lines before it.
func (s *source) judge(line []byte, from int) verdict {
	at := s.base + int64(from)
	if s.seenAt == at {
		return s.clock.judge(line, s.seen, s.Err)
	}
	v := s.clock.judge(line, verdict{at: unknown}, s.Err)
	part := continues(line)
	if v.at != unknown && !part {
		return v
	}
	end := from
	for range lookBackLines {
		if end == 0 || from-end > lookBack {
			break
		}
		start := bytes.LastIndexByte(s.buf[max(0, end-1-lookBack):end-1], '\n') + 1 + max(0, end-1-lookBack)
		earlier := s.buf[start : end-1]
		end = start
		if continues(earlier) {
			continue
		}
		w := s.clock.judge(earlier, verdict{at: unknown}, s.Err)
		if part {
			v.level, part = w.level, false
		}
		if v.at = w.at; v.at != unknown {
			return v
		}
	}
	if v.at == unknown && (s.query.Pattern == nil || s.seenAt > at-lookBack) {
		v.at = s.seen.at
	}
	return v
}

// open begins with a part.
func (s *source) open(p *part) {
	s.buf, s.base, s.pos, s.whole, s.eof = make([]byte, 0, s.block), p.from, 0, 0, false
	s.clock.near = p.Info.ModTime()
	s.seen = verdict{at: s.seen.at} // the first lines may belong to the last one of the file before
	s.seenAt = p.from
	if p.from > 0 {
		s.seen.at = unknown
	}
	s.find.reset()
}

// leave goes on with the next part.
func (s *source) leave() {
	if !s.parts[0].lent {
		_ = s.parts[0].File.Close() // opened for reading
	}
	s.parts, s.buf, s.zip = s.parts[1:], nil, nil
	s.pos, s.whole = 0, 0
}

// fill reads more of a part, after what buf holds of a line that is not whole. False:
// there is no more. An error tells why the part ends here.
func (s *source) fill(p *part) (bool, error) {
	if s.eof {
		return false, nil
	}
	// Some of what has been searched stays, for the time and level of what comes.
	keep := 0
	if s.whole > 0 && s.query.Pattern != nil {
		keep = bytes.LastIndexByte(s.buf[:max(0, s.whole-lookBack/4)], '\n') + 1
		if s.whole-keep > lookBack {
			keep = s.whole
		}
	} else {
		keep = s.whole
	}
	s.base += int64(keep)
	s.buf = append(s.buf[:0], s.buf[keep:]...)
	s.pos, s.whole = s.whole-keep, s.whole-keep
	s.find.reset()
	for {
		have, most := len(s.buf), s.pos+logs.MaxLineBytes+1
		if have >= most {
			s.whole = s.pos + logs.MaxLineBytes
			return true, nil
		}
		if have == cap(s.buf) {
			s.buf = append(make([]byte, 0, 2*have), s.buf...)
		}
		n, err := s.read(p, s.buf[have:min(cap(s.buf), most)])
		s.buf = s.buf[:have+n]
		if i := bytes.LastIndexByte(s.buf[have:], '\n'); i >= 0 {
			s.whole = have + i + 1
		}
		if err != nil || n == 0 {
			s.eof = true
			s.whole = len(s.buf)
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return s.whole > s.pos, err
		}
		if s.whole > s.pos {
			return true, nil
		}
	}
}

// read reads from where buf ends. Errors: io.EOF, and those of the file.
func (s *source) read(p *part, room []byte) (int, error) {
	if !p.Gzip {
		at := s.base + int64(len(s.buf))
		left := p.to - at
		if left <= 0 {
			return 0, io.EOF
		}
		return p.File.ReadAt(room[:min(int64(len(room)), left)], at)
	}
	if s.zip == nil {
		zip, err := gzip.NewReader(io.NewSectionReader(p.File, 0, p.Info.Size()))
		if err != nil {
			return 0, err
		}
		s.zip = zip
	}
	n := 0
	for n < len(room) { // it gives little at a time
		m, err := s.zip.Read(room[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *source) close() error {
	var err error
	for _, p := range s.parts {
		if !p.lent {
			err = errors.Join(err, p.File.Close())
		}
	}
	s.parts, s.buf, s.zip = nil, nil, nil
	return err
}
