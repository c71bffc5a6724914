package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Position is a place in a log that stays the same when its files are rotated and
// compressed. The zero value is the beginning of all there is.
type Position struct {
	Dev, Ino uint64 // of the file, as it was before it was compressed
	Offset   int64  // in it
}

// String writes a position for ParsePosition.
func (p Position) String() string {
	return fmt.Sprintf("%x-%x-%x", p.Dev, p.Ino, p.Offset)
}

// ParsePosition reads what String writes.
func ParsePosition(text string) (Position, error) {
	parts := strings.Split(text, "-")
	if len(parts) == 3 {
		dev, err := strconv.ParseUint(parts[0], 16, 64)
		ino, err2 := strconv.ParseUint(parts[1], 16, 64)
		offset, err3 := strconv.ParseInt(parts[2], 16, 64)
		if errors.Join(err, err2, err3) == nil && offset >= 0 {
			return Position{Dev: dev, Ino: ino, Offset: offset}, nil
		}
	}
	return Position{}, fmt.Errorf("%q is no position in a log", text)
}

// Part is one file of a log, opened for reading. Whoever has it closes it.
type Part struct {
	File *os.File
	Name string // when it was opened
	Info os.FileInfo
	Gzip bool
	// Start is the beginning of the file, for Follower.AddAt; zero if that is not known.
	Start Position
}

// OpenParts opens all files of a log as they are at one moment, oldest first. There are
// none if the log does not exist, or is a FIFO or a device.
func OpenParts(path string) ([]Part, error) {
	path, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	list, err := history(path, -1)
	if err != nil && !errors.Is(err, errNotRegular) {
		closeSegments(list)
		return nil, fmt.Errorf("read log: %w", err)
	}
	parts := make([]Part, len(list))
	for i, s := range list {
		n := s.node()
		parts[i] = Part{File: s.file, Name: s.name, Info: s.info, Gzip: s.gzip, Start: Position{Dev: n.dev, Ino: n.ino}}
	}
	return parts, nil
}

// node returns which file a segment is, or was before it was compressed; zero if that
// is not known.
func (s segment) node() node {
	if s.gzip {
		n, _ := s.original()
		return n
	}
	n, _ := nodeOf(s.info)
	return n
}

// seekTo leaves out what comes before a position.
func (t *tail) seekTo(p Position) {
	for i := range t.rest {
		s := &t.rest[i]
		if s.node() != (node{p.Dev, p.Ino}) {
			continue
		}
		closeSegments(t.rest[:i])
		t.rest = t.rest[i:]
		if s.gzip || p.Offset <= s.info.Size() { // else it was truncated
			t.rest[0].at = p.Offset
		}
		return
	}
	if len(t.rest) > 0 {
		t.skipped = -1 // nobody knows how much
	}
}

// End returns the present end of a log; zero if it has no file.
func End(path string) (Position, error) {
	path, err := realPath(path)
	if err != nil {
		return Position{}, fmt.Errorf("read log: %w", err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, fmt.Errorf("read log: %w", err)
	}
	n, _ := nodeOf(info)
	return Position{Dev: n.dev, Ino: n.ino, Offset: info.Size()}, nil
}
