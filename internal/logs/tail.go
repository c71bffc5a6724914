package logs

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// tail reads one log of a Follower.
type tail struct {
	source  Source
	path    string
	changed time.Time
	stop    func() // ends the pump's notices; nil if there are none
	fresh   bool   // it may have something to read
	maxLag  int64

	rest []segment // still to be read, oldest first; the last one is the present file
	open segment   // being read; file is nil if there is none yet
	zip  *gzip.Reader
	at   int64 // offset in open
	node node  // of open, before it was compressed
	done int64 // how many bytes before the end of buf open has, uncompressed
	pass int64 // how many bytes of a compressed file are to be left out
	// live is where skipping is allowed: nothing before was written after Add.
	live int64

	buf     []byte // read and not yet delivered
	from    int    // of buf
	mid     bool   // the beginning of the line was delivered
	grown   time.Time
	skip    int   // lines to leave out
	seek    bool  // leave out the rest of a line
	skipped int64 // bytes left out that have not been told
}

func openTail(s Source, lines int, maxLag int64) (*tail, error) {
	path, err := realPath(s.Path)
	if err != nil {
		return nil, fmt.Errorf("follow log: %w", err)
	}
	list, err := history(path, lines)
	if err != nil && !errors.Is(err, errNotRegular) {
		return nil, fmt.Errorf("follow log: %w", err)
	}
	t := &tail{source: s, path: path, rest: list, maxLag: maxLag}
	if len(list) > 0 {
		t.changed = list[len(list)-1].info.ModTime()
	}
	return t, nil
}

// next returns the next line, if there is one.
func (t *tail) next(now time.Time, f *Follower) (Line, bool) {
	for {
		if line, ok := t.buffered(); ok {
			return line, true
		}
		if t.buf == nil {
			t.buf, f.spare = f.spare, nil
		}
		n, err := t.read()
		if n > 0 {
			t.grown = now
			continue
		}
		if t.advance(err, f.options.Follow) {
			continue
		}
		line, ok := t.unended(now, f.options.Follow)
		if len(t.buf) == t.from {
			f.spare, t.buf, t.from = t.buf[:0], nil, 0
		}
		return line, ok
	}
}

// buffered returns a line that has been read completely, or a piece of a long one.
func (t *tail) buffered() (Line, bool) {
	for {
		text := t.buf[t.from:]
		n := bytes.IndexByte(text, '\n')
		if n < 0 && len(text) < MaxLineBytes {
			return Line{}, false
		}
		if t.leaveOut(text, n) {
			continue
		}
		if t.skipped != 0 {
			line := Line{Source: t.source, Skipped: t.skipped}
			t.skipped = 0
			return line, true
		}
		if n < 0 || n > MaxLineBytes {
			return t.line(text[:MaxLineBytes], true), true
		}
		line := t.line(text[:n], false)
		t.from++ // the newline
		return line, true
	}
}

// leaveOut passes over what is not wanted: lines before the first one that was
// asked for, and the rest of a line whose beginning was skipped.
func (t *tail) leaveOut(text []byte, n int) bool {
	if !t.seek && t.skip == 0 {
		return false
	}
	if n < 0 {
		n = len(text)
	} else {
		n++
		if !t.seek {
			t.skip--
		}
	}
	if t.seek {
		t.skipped += int64(n)
		t.seek = text[n-1] != '\n'
	}
	t.from += n
	return true
}

// line takes text out of the buffer.
func (t *tail) line(text []byte, more bool) Line {
	live := t.zip == nil && len(t.rest) == 0 && t.at-int64(len(t.buf)-t.from) >= t.live
	t.from += len(text)
	line := Line{Source: t.source, More: more, Rest: t.mid, End: t.position(more)}
	if live {
		line.At = t.grown
	}
	t.mid = more
	line.Text = string(text)
	return line
}

// position returns the place after a line that has just been taken out of the buffer.
func (t *tail) position(more bool) Position {
	p := Position{Dev: t.node.dev, Ino: t.node.ino, Offset: t.done - int64(len(t.buf)-t.from)}
	if !more && t.from < len(t.buf) {
		p.Offset++ // the newline
	}
	return p
}

// unended returns the last line of a log that will not be followed, or one whose
// end does not come.
func (t *tail) unended(now time.Time, follow bool) (Line, bool) {
	text := t.buf[t.from:]
	if len(text) == 0 || t.seek || t.skip > 0 || follow && now.Sub(t.grown) < unendedFor {
		return Line{}, false
	}
	return t.line(text, follow), true
}

// read adds to the buffer.
func (t *tail) read() (int, error) {
	if t.open.file == nil {
		return 0, nil
	}
	if t.zip == nil && t.at >= t.live {
		t.catchUp()
	}
	t.buf = append(t.buf[:0], t.buf[t.from:]...)
	t.from = 0
	have := len(t.buf)
	if cap(t.buf)-have < chunkBytes {
		t.buf = append(make([]byte, 0, 2*have+chunkBytes), t.buf...)
	}
	room := t.buf[have : have+chunkBytes]
	var n int
	var err error
	if t.zip != nil {
		n, err = t.zip.Read(room)
		t.done += int64(n)
		left := int(min(t.pass, int64(n)))
		t.pass -= int64(left)
		copy(room, room[left:n])
		if n -= left; n == 0 && left > 0 && err == nil {
			t.buf = t.buf[:have]
			return t.read()
		}
	} else {
		n, err = t.open.file.ReadAt(room, t.at)
		t.at += int64(n)
		t.done = t.at
	}
	t.buf = t.buf[:have+n]
	return n, err
}

// catchUp leaves out what the caller has been too slow for.
func (t *tail) catchUp() {
	info, err := t.open.file.Stat()
	if err != nil || info.Size()-t.at <= t.maxLag {
		return
	}
	at := info.Size() - min(resumeBytes, t.maxLag)
	t.skipped += at - t.at + int64(len(t.buf)-t.from)
	t.buf, t.from, t.at = t.buf[:0], 0, at
	t.mid, t.seek = false, true
}

// historic says that what comes next was there when the log was added.
func (t *tail) historic() bool {
	return len(t.rest) > 0 && t.rest[len(t.rest)-1].live > 0 || t.at < t.live
}

// advance goes on to the next file, or to where the present one has been changed
// to. False: there is nothing more to read now.
func (t *tail) advance(err error, follow bool) bool {
	if len(t.rest) > 0 {
		t.begin(t.rest[0])
		t.rest = t.rest[1:]
		return true
	}
	if !follow || err != nil && !errors.Is(err, io.EOF) && t.open.file != nil && t.zip == nil {
		return false
	}
	if t.open.file == nil {
		s, err := openSegment(rotated{name: t.path})
		if err != nil {
			return false // it does not exist yet
		}
		t.begin(s)
		return true
	}
	if info, err := t.open.file.Stat(); err == nil && t.zip == nil {
		if info.Size() < t.at { // truncated
			t.at, t.live = 0, 0
			t.buf, t.from, t.mid, t.seek = t.buf[:0], 0, false, false
			return info.Size() > 0
		}
		if info.Size() > t.at { // grown just now
			return true
		}
		t.open.info = info
	}
	info, err := os.Stat(t.path)
	if err != nil || os.SameFile(info, t.open.info) {
		return false
	}
	// It may have grown between the last look and its renaming.
	if info, err := t.open.file.Stat(); err == nil && t.zip == nil && info.Size() > t.at {
		return true
	}
	t.rest = t.successors()
	return len(t.rest) > 0
}

// begin reads from another file.
func (t *tail) begin(s segment) {
	if t.open.file != nil {
		_ = t.open.file.Close() // opened for reading
	}
	t.open, t.zip, t.at, t.live, t.skip = s, nil, s.at, s.live, s.skip
	t.node, t.done, t.pass = s.node(), s.at, 0
	if !s.gzip {
		return
	}
	zip, err := gzip.NewReader(s.file)
	if err != nil {
		t.at = s.info.Size() // a damaged file is passed over
		return
	}
	t.zip, t.pass, t.done, t.at = zip, s.at, 0, 0
}

// successors opens the files that came after the one that has been read, oldest
// first.
func (t *tail) successors() []segment {
	list, skipped, err := t.since()
	if err != nil {
		closeSegments(list)
		return nil // the next look comes soon
	}
	if skipped < 0 {
		t.skipped = skipped
	} else if t.skipped >= 0 {
		t.skipped += skipped
	}
	slices.Reverse(list)
	return list
}

// since opens the files that came after the one that has been read, newest first,
// as far as they are within maxLag. It returns how many bytes the others have, -1
// if there may be more that have been removed. Errors: errShifted.
func (t *tail) since() (list []segment, skipped int64, err error) {
	old, err := listRotated(t.path)
	if err != nil {
		return nil, 0, err
	}
	current, err := openSegment(rotated{name: t.path})
	if err != nil {
		return nil, 0, err
	}
	list = append(list, current)
	found, mine := false, t.open.info.ModTime()
	for _, r := range old {
		s, err := openSegment(r)
		if err != nil {
			return list, 0, err
		}
		if found = t.isOpen(s); found || s.info.ModTime().Before(mine) {
			_ = s.file.Close() // opened for reading
			break
		}
		list = append(list, s)
	}
	complete := len(list) <= len(old) // an older one was seen: nothing is missing
	if !found {
		// It has been removed. What has its time may be older, too.
		for len(list) > 1 && !list[len(list)-1].info.ModTime().After(mine) {
			closeSegments(list[len(list)-1:])
			list, complete = list[:len(list)-1], true
		}
	}
	if err := unshifted(t.path, current, old); err != nil {
		return list, 0, err
	}
	behind, keep := current.length(), 1
	for keep < len(list) && behind+list[keep].length() <= t.maxLag {
		behind += list[keep].length()
		keep++
	}
	for _, s := range list[keep:] {
		skipped += s.length()
	}
	closeSegments(list[keep:])
	if !complete && len(old) > 0 {
		skipped = -1
	}
	return list[:keep], skipped, nil
}

// isOpen says whether s is the file that is open, perhaps compressed since: then
// it says which node it was, and has the time of its last change.
func (t *tail) isOpen(s segment) bool {
	if !s.gzip || t.open.gzip {
		return os.SameFile(s.info, t.open.info)
	}
	if !s.info.ModTime().Equal(t.open.info.ModTime()) {
		return false
	}
	mine, known := nodeOf(t.open.info)
	was, told := s.original()
	if known && told {
		return mine == was
	}
	return s.length() == t.open.info.Size()%(1<<32)
}

func (t *tail) close() error {
	if t.stop != nil {
		t.stop()
	}
	closeSegments(t.rest)
	t.rest = nil
	if t.open.file == nil {
		return nil
	}
	err := t.open.file.Close()
	t.open.file = nil
	return err
}
