package logs

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
)

// segment is one file of a log, opened, from a line on.
type segment struct {
	file *os.File
	name string // when it was opened
	info os.FileInfo
	gzip bool
	at   int64 // where to begin, if it is not compressed
	skip int   // lines to leave out, if it is
	live int64 // what is before that offset was there when a follower began
}

func openSegment(r rotated) (segment, error) {
	f, err := openRegular(r.name)
	if err != nil {
		return segment{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return segment{}, errors.Join(err, f.Close())
	}
	return segment{file: f, name: r.name, info: info, gzip: r.gzip}, nil
}

// length returns how many bytes the segment has after its beginning. That of a
// compressed file is what its end says, modulo 4 GiB.
func (s segment) length() int64 {
	if !s.gzip {
		return s.info.Size() - s.at
	}
	var size [4]byte
	if _, err := s.file.ReadAt(size[:], s.info.Size()-4); err != nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(size[:]))
}

// original returns which file a compressed one was made from.
func (s segment) original() (node, bool) {
	zip, err := gzip.NewReader(io.NewSectionReader(s.file, 0, s.info.Size()))
	if err != nil {
		return node{}, false
	}
	return nodeFromExtra(zip.Extra)
}

// history opens the files that hold the last n lines of a log, oldest first; the
// last one is the present file, if there is one. A negative n means all.
func history(path string, n int) (list []segment, err error) {
	for range 10 { // rotations between two tries are as many as bad luck allows
		if list, err = tryHistory(path, n); err == nil {
			break
		}
		closeSegments(list)
		if list = nil; !errors.Is(err, errShifted) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	slices.Reverse(list)
	for i := range list {
		list[i].live = list[i].info.Size()
	}
	return list, err
}

// tryHistory returns the files newest first. Errors: errShifted or fs.ErrNotExist
// if the log was rotated or compressed meanwhile.
func tryHistory(path string, n int) (list []segment, err error) {
	old, err := listRotated(path)
	if err != nil {
		return nil, err
	}
	current, err := openSegment(rotated{name: path})
	switch {
	case err == nil:
		n, err = current.last(n)
		if list = append(list, current); err != nil {
			return list, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, r := range old {
		if n == 0 {
			break
		}
		s, err := openSegment(r)
		if err != nil {
			return list, err
		}
		left, err := s.last(n)
		if err != nil {
			closeSegments([]segment{s})
			continue // damaged: the others can be read
		}
		n, list = left, append(list, s)
	}
	if len(list) < 2 {
		return list, nil // one file is as it was when it was opened
	}
	return list, unshifted(path, current, old)
}

func closeSegments(list []segment) {
	for _, s := range list {
		_ = s.file.Close() // opened for reading
	}
}

// last sets the beginning so that the segment has its last n lines. It returns how
// many are left to be found in older files.
func (s *segment) last(n int) (left int, err error) {
	if n < 0 {
		return n, nil
	}
	if s.gzip {
		zip, err := gzip.NewReader(io.NewSectionReader(s.file, 0, s.info.Size()))
		if err != nil {
			return n, err
		}
		total, err := countAll(zip)
		s.skip = max(total-n, 0)
		return max(n-total, 0), err
	}
	size := s.info.Size()
	if s.at = size; n == 0 || size == 0 {
		return n, nil
	}
	buf := make([]byte, min(chunkBytes, size))
	found := 0
	for end := size - 1; end > 0; { // the last byte, newline or not, ends the last line
		from := max(end-int64(len(buf)), 0)
		chunk := buf[:end-from]
		if _, err := s.file.ReadAt(chunk, from); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		for i := bytes.LastIndexByte(chunk, '\n'); i >= 0; i = bytes.LastIndexByte(chunk[:i], '\n') {
			if found++; found == n {
				s.at = from + int64(i) + 1
				return 0, nil
			}
		}
		end = from
	}
	s.at = 0
	return n - found - 1, nil
}

// countAll counts the lines of r.
func countAll(r io.Reader) (int, error) {
	buf := make([]byte, chunkBytes)
	lines, ended := 0, true
	for {
		n, err := r.Read(buf)
		if n > 0 {
			lines += bytes.Count(buf[:n], []byte{'\n'})
			ended = buf[n-1] == '\n'
		}
		if err != nil {
			if !ended {
				lines++
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return lines, err
		}
	}
}

// endOfGzip returns at most the last limit bytes of a compressed file.
func endOfGzip(f *os.File, limit int) ([]byte, error) {
	zip, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var text []byte
	buf := make([]byte, chunkBytes)
	for {
		n, err := zip.Read(buf)
		text = append(text, buf[:n]...)
		if len(text) > 2*limit+chunkBytes {
			text = append(text[:0], text[len(text)-limit:]...)
		}
		if errors.Is(err, io.EOF) {
			return text[max(0, len(text)-limit):], nil
		}
		if err != nil {
			return text[max(0, len(text)-limit):], err
		}
	}
}
