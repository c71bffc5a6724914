package logs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Stage is a pipe between a busy program's pipe and its file. While splice(2) copies
// from a pipe to a file, the pipe is locked, and the program waits; from pipe to pipe
// it moves pages, and the program has room again before anything is copied.
//
// What is in the stage is in no other place. So it is used only by a pump that has a
// journal, and whoever holds the pipes of the streams beyond a kill has to hold
// [Stage.File], too. A pump that is given a stage first writes what is in it.
type Stage struct {
	file     *os.File // the end to read from
	fd       int      // of file
	write    int      // the other end
	capacity int
	node     node // of the file that the journal names
}

// OpenStage makes a stage, or goes on with the one whose File was kept, which it takes
// over also if it fails.
func OpenStage(kept *os.File) (*Stage, error) {
	s := &Stage{file: kept}
	var err error
	if kept == nil {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("make a stage for logs: %w", err)
		}
		s.file, s.fd, s.write = os.NewFile(uintptr(fds[0]), "stage"), fds[0], fds[1]
	} else {
		s.fd = int(kept.Fd())
		path := fmt.Sprintf("/proc/self/fd/%d", s.fd)
		if s.write, err = unix.Open(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return nil, errors.Join(fmt.Errorf("take up the stage of logs: %w", err), kept.Close())
		}
	}
	// Without it less is moved in one go.
	_, _ = unix.FcntlInt(uintptr(s.write), unix.F_SETPIPE_SZ, hotPipeBytes)
	if s.capacity, err = unix.FcntlInt(uintptr(s.write), unix.F_GETPIPE_SZ, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("make a stage for logs: %w", err), s.Close())
	}
	return s, nil
}

// File is the end to read from, which is to be held beyond a kill.
func (s *Stage) File() *os.File { return s.file }

// Close lets go of a stage that no pump has taken over.
func (s *Stage) Close() error { return errors.Join(s.file.Close(), unix.Close(s.write)) }

// recover writes what a killed pump has left in the stage to the end of the file that
// it was meant for.
func (s *Stage) recover(j *journal, log func(string, ...any)) {
	var f *os.File
	to, known := j.staged()
	err := errors.New("nothing says which file it belongs to")
	if known {
		f, err = to.open(os.O_WRONLY)
	}
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			at := info.Size()
			err = s.empty(int(f.Fd()), &at)
		}
		err = errors.Join(err, f.Close())
	}
	if left := s.left(); left > 0 {
		log("write what was staged of log %s: %v; %d bytes are lost", to.path, err, left)
		for s.left() > 0 && s.take(make([]byte, blockBytes)) > 0 {
		}
	}
}

// left returns how much is in the stage.
func (s *Stage) left() int {
	n, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
	if err != nil {
		panic("logs: size of the stage: " + err.Error()) // it is a pipe
	}
	return n
}

// take reads what is in the stage.
func (s *Stage) take(b []byte) int {
	for {
		n, err := unix.Read(s.fd, b[:min(len(b), s.left())])
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0)
		}
	}
}

// empty moves all that is in the stage to a file.
func (s *Stage) empty(fd int, at *int64) error {
	for {
		n, err := unix.Splice(s.fd, nil, fd, at, s.capacity, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case n > 0 || errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err == nil:
			return unix.EIO
		default:
			return err
		}
	}
}

// takes reports whether a burst may go through the stage. It notes which file comes
// next: the stage is empty now.
func (s *Stage) takes(j *journal, f *file) bool {
	if s == nil || j == nil || !f.regular {
		return false
	}
	if s.node != f.node && !j.stage(f) {
		return false
	}
	s.node = f.node
	return true
}

// staged makes a burst by way of the stage.
func (l *loop) staged(b *burst) (int, outcome) {
	st, f := l.stage, b.file
	if b.n, b.err = unix.Splice(b.fd, nil, st.write, nil, min(b.limit, st.capacity),
		unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE); b.n <= 0 {
		return l.spliced(b)
	}
	at := f.size
	err := st.empty(f.fd, &at)
	l.took(f, at-f.size)
	if err != nil {
		l.unstage(b.stream, err)
	}
	return int(b.n), more
}

// unstage writes to the stream's only file what it has not taken by splice, as far as it
// takes it at all.
func (l *loop) unstage(s *stream, err error) {
	t := &s.targets[0]
	if errors.Is(err, unix.EINVAL) {
		t.splice = false
	}
	for block := make([]byte, blockBytes); ; {
		n := l.stage.take(block)
		if n == 0 {
			return
		}
		l.write(t, block[:n])
		l.passed(s, block[n-1] != '\n')
	}
}
