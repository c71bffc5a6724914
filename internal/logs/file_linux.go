package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	checkEvery  = time.Second      // how often a file's name is compared with its inode
	retryEvery  = time.Second      // how often a file that cannot be written is tried again
	heldFor     = time.Second      // how long others wait for a long line that stands still
	heldAtMost  = 10 * time.Second // and for one that grows
	rotateAgain = time.Minute      // how long a file that cannot be rotated grows before the next try
)

// errSlow is the reason for dropping what goes to a terminal or FIFO that takes nothing.
var errSlow = errors.New("its reader does not read")

// file is one log file and what is known of its end. The loop owns it.
type file struct {
	path string // absolute, symbolic links resolved
	fd   int    // -1 after it could not be made again
	node node
	// regular files are written at their end by offset: splice refuses O_APPEND.
	regular bool
	device  bool // named in /dev or /proc: never renamed
	splice  bool // the file system takes splice

	size    int64 // as we left it
	line    lineState
	owner   *stream // whose bytes are the last; nil if that one has ended or is not known
	pipe    uint64  // inode of the owner's pipe while it has not been added
	users   []*stream
	max     int64 // 0: never rotated
	keep    int
	form    *form // of notices; nil: as they are
	faults  faults
	moments moments
	written *Written // the loop's, for all files of this name
}

// faults is what keeps a file from being written.
type faults struct {
	err     error // nil: none
	dropped int64 // bytes that the file should have and has not
	retry   time.Time
}

// moments are points in time in the life of a file; zero means it is not so.
type moments struct {
	opened   time.Time
	checked  time.Time // its name against its inode
	moved    time.Time // somebody renamed or removed it
	progress time.Time // its owner wrote
	waited   time.Time // since when others wait for the owner's line to end
	stalled  time.Time // since when a device takes nothing
	rotate   time.Time // not before
}

// lineState says whether a file ends in a newline. It is looked up only when
// somebody needs to know.
type lineState byte

const (
	lineUnknown lineState = iota
	lineEnded             // or the file is empty
	lineHalf
)

func stateOf(ended bool) lineState {
	if ended {
		return lineEnded
	}
	return lineHalf
}

// openFile opens or makes a log file. It is called outside the loop: a file
// system may take its time.
func openFile(spec FileSpec) (*file, error) {
	path, err := realPath(spec.Path)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", spec.Path, err)
	}
	f := &file{path: path, fd: -1, device: isDevice(path)}
	if f.form, err = newForm(spec.Form); err != nil {
		return nil, fmt.Errorf("open log %s: %w", spec.Path, err)
	}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", spec.Path, err)
	}
	f.limits(spec)
	return f, nil
}

func (f *file) limits(spec FileSpec) {
	f.max, f.keep = spec.maxBytes(), spec.keep()
	if !f.regular || f.device {
		f.max = 0
	}
}

// open sets what belongs to the descriptor.
func (f *file) open() error {
	// Non-blocking for FIFOs and terminals. Reading and writing: the end of the
	// file is looked at, and a FIFO without a reader can be opened.
	const flags = unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	fd, err := openRetry(f.path, flags|unix.O_RDWR)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		fd, err = openRetry(f.path, flags|unix.O_RDWR)
	}
	if errors.Is(err, unix.EACCES) {
		fd, err = openRetry(f.path, flags|unix.O_WRONLY)
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	f.fd, f.node, f.size = fd, node{st.Dev, st.Ino}, st.Size
	f.regular = st.Mode&unix.S_IFMT == unix.S_IFREG
	f.splice, f.line = f.regular, lineUnknown
	return nil
}

func openRetry(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0o644)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// lineOpen says whether the file ends within a line.
func (f *file) lineOpen() bool {
	if f.line == lineUnknown {
		f.line = lineEnded
		if f.regular && f.size > 0 {
			var last [1]byte
			if n, err := unix.Pread(f.fd, last[:], f.size-1); n == 1 && err == nil {
				f.line = stateOf(last[0] == '\n')
			}
		}
	}
	return f.line == lineHalf
}

// inspect finds out what others have done to the file.
func (f *file) inspect(now time.Time) error {
	if !f.regular {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	if st.Size != f.size {
		f.size, f.line, f.owner, f.pipe = st.Size, lineUnknown, nil, 0
	}
	if f.device {
		return nil
	}
	switch {
	case st.Nlink == 0:
		f.moments.moved = now.Add(-heldFor) // what is left of the line has no better place
	case now.Sub(f.moments.checked) < checkEvery:
		return nil
	default:
		f.moments.checked = now
		var at unix.Stat_t
		if err := unix.Stat(f.path, &at); err == nil && (node{at.Dev, at.Ino}) == f.node {
			f.moments.moved = time.Time{}
			return nil
		}
		if f.moments.moved.IsZero() {
			f.moments.moved = now
		}
	}
	return nil
}

// room returns how many bytes the file may still take.
func (f *file) room(now time.Time) int64 {
	if !f.moments.moved.IsZero() {
		return 0
	}
	if f.max == 0 || !f.regular || now.Before(f.moments.rotate) {
		return 1 << 62
	}
	return f.max - f.size
}

// write appends b. It returns how much of it the file took.
func (f *file) write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		var n int
		var err error
		if f.regular {
			n, err = unix.Pwrite(f.fd, b[done:], f.size)
		} else {
			n, err = unix.Write(f.fd, b[done:])
		}
		if n > 0 {
			done += n
			f.grow(int64(n))
			continue
		}
		if err == nil {
			err = unix.EIO
		}
		if !errors.Is(err, unix.EINTR) {
			return done, err
		}
	}
	return done, nil
}

// close gives the descriptor back.
func (f *file) close() {
	if f.fd >= 0 {
		// Nothing is buffered by us, and an error here tells no more than the writes did.
		_ = unix.Close(f.fd)
		f.fd = -1
	}
}

// grow notes that n bytes more are in the file.
func (f *file) grow(n int64) {
	f.size += n
	if f.written != nil {
		f.written.Bytes += n
	}
}

// drop counts n bytes that the file does not get; b is those, nil if nobody has read
// them.
func (f *file) drop(n int, b []byte) {
	f.faults.dropped += int64(n)
	if f.written != nil {
		f.written.DroppedBytes += int64(n)
		f.written.DroppedLines += int64(bytes.Count(b, []byte{'\n'}))
	}
}
