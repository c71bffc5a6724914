package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fail begins to drop what goes to a file that cannot be written.
func (l *loop) fail(f *file, err error) {
	if f.faults.err != nil {
		return
	}
	l.pump.log("write log %s: %v; output is dropped until it can be written again", f.path, err)
	f.faults.err, f.faults.retry = err, l.now.Add(l.timing.retry)
	l.faulty = append(l.faulty, f)
	f.line = lineUnknown
	open := f.lineOpen()
	for _, s := range f.users {
		for i := range s.targets {
			if t := &s.targets[i]; t.file == f {
				t.skip = open && f.owner == s
			}
		}
	}
}

// retry writes how much was dropped to a file that could not be written. If that
// works, the file is in use again.
func (l *loop) retry(f *file) {
	f.faults.retry = l.now.Add(l.timing.retry)
	if f.fd >= 0 {
		if err := f.inspect(l.now); err != nil {
			return
		}
		if !f.moments.moved.IsZero() {
			// Whoever removed it to make room gets that only when we let go.
			l.journal.forget(f.node)
			f.close()
		}
	}
	if f.fd < 0 {
		if err := f.open(); err != nil {
			return
		}
		f.owner, f.pipe, f.moments.moved = nil, 0, time.Time{}
	}
	if err := l.writeNotice(f); err != nil {
		return // reported already
	}
	f.faults.err = nil
	for i, g := range l.faulty {
		if g == f {
			l.faulty = append(l.faulty[:i], l.faulty[i+1:]...)
			break
		}
	}
	l.pump.log("log %s is written again", f.path)
}

// notice writes into a file how much of the output it has missed.
func (l *loop) notice(f *file) {
	if err := l.writeNotice(f); err != nil {
		l.fail(f, err)
	}
}

// writeNotice appends a line that says what was dropped, and a newline before it
// if the file ends within a line. It writes all of it or nothing.
func (l *loop) writeNotice(f *file) error {
	var text []byte
	if f.lineOpen() {
		text = append(text, '\n')
	}
	if f.faults.dropped > 0 {
		notice := fmt.Appendf(nil, "pace: %d bytes of output could not be written here and were dropped\n", f.faults.dropped)
		text = f.form.append(text, notice, l.now, false)
	}
	before := f.size
	if n, err := f.write(text); err != nil {
		if f.regular && n > 0 && unix.Ftruncate(f.fd, before) == nil {
			f.size = before
		}
		return err
	}
	f.faults.dropped = 0
	f.owner, f.line = nil, lineEnded
	l.touch(f)
	return nil
}

// flush empties one log.
func (l *loop) flush(path string) error {
	path, err := realPath(path)
	if err != nil || isDevice(path) {
		return err
	}
	if f := l.files[path]; f != nil && f.fd >= 0 {
		if !f.regular {
			return nil
		}
		if err := unix.Ftruncate(f.fd, 0); err != nil {
			return fmt.Errorf("truncate %s: %w", path, err)
		}
		f.size, f.line, f.owner, f.pipe = 0, lineEnded, nil, 0
		l.touch(f)
		if f.max == 0 {
			return nil // what looks like an old file of ours is somebody else's
		}
		return removeRotated(path)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return errors.Join(os.Truncate(path, 0), removeRotated(path))
}
