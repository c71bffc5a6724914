package logs

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// recover brings the files of an intent to what has left the pipe: nothing is in
// them that will be read from the pipe again.
func (in intent) recover(j *journal, log func(string, ...any)) {
	left, err := in.consumed(j)
	var gone []byte
	if err == nil {
		gone, err = in.gone(j, left)
	}
	if err == nil {
		for i, s := range in.steps {
			if i != in.commit {
				err = errors.Join(err, s.cut(left, gone))
			}
		}
	}
	if err != nil {
		log("recover logs: %v; the last block may be there twice", err)
	}
}

// consumed returns how many raw bytes have left the pipe.
func (in intent) consumed(j *journal) (int, error) {
	size, before := int64(0), in.sink
	if in.commit < 0 {
		var st unix.Stat_t
		if err := unix.Fstat(j.fd, &st); err != nil {
			return 0, fmt.Errorf("read size of the journal: %w", err)
		}
		size = st.Size
	} else {
		s := in.steps[in.commit]
		f, err := s.open(os.O_RDONLY)
		if err != nil {
			return 0, err
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		size, before = info.Size(), s.size
	}
	if size < before || size > before+int64(in.raw) {
		return 0, fmt.Errorf("size is %d, not within %d bytes of %d: somebody else has written", size, in.raw, before)
	}
	return int(size - before), nil
}

// gone returns the raw bytes that have left the pipe, if a file needs to know them.
func (in intent) gone(j *journal, left int) ([]byte, error) {
	if left == 0 || !slices.ContainsFunc(in.steps, func(s step) bool { return s.json }) {
		return nil, nil
	}
	b := make([]byte, left)
	if in.commit < 0 {
		n, err := unix.Pread(j.fd, b, in.sink)
		return b[:max(n, 0)], err
	}
	s := in.steps[in.commit]
	f, err := s.open(os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	n, err := f.ReadAt(b, s.size)
	return b[:n], err
}

// open opens the file, if it still is the one of the intent.
func (s step) open(flag int) (*os.File, error) {
	f, err := os.OpenFile(s.path, flag|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	conn, err := f.SyscallConn()
	if err == nil {
		var serr error
		err = conn.Control(func(fd uintptr) { serr = unix.Fstat(int(fd), &st) })
		if err == nil {
			err = serr
		}
	}
	if err == nil && (node{st.Dev, st.Ino}) != s.node {
		err = fmt.Errorf("%s is another file now", s.path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// cut takes back what was written of the raw bytes beyond the first left ones, which
// are gone from the pipe.
func (s step) cut(left int, gone []byte) error {
	f, err := s.open(os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() < s.size {
		return err
	}
	keep := int64(left)
	if s.width > 0 || s.json {
		// A burst and what was added to it.
		text := make([]byte, min(info.Size()-s.size, 2*maxStamped))
		if _, err := f.ReadAt(text, s.size); err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		if s.json {
			end, last := shortened(text, gone)
			if keep = int64(end); len(last) > 0 {
				// Over the whole object, and cut after it: this may be repeated.
				if _, err := f.WriteAt(last, s.size+keep); err != nil {
					return fmt.Errorf("write %s: %w", s.path, err)
				}
				keep += int64(len(last))
			}
		} else {
			keep = int64(stampedEnd(text, left, s.width, s.mid))
		}
	}
	if s.size+keep >= info.Size() {
		return nil
	}
	return f.Truncate(s.size + keep)
}
