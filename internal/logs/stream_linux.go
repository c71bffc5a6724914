package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// stream is one pipe and where its bytes go. The loop owns it.
type stream struct {
	name     string
	fd       int    // -1 once it has ended
	inode    uint64 // of the pipe: the same in the next daemon
	capacity int
	done     func()
	targets  []target

	queued  bool      // in loop.ready
	waiting bool      // in loop.waiting
	partial bool      // in loop.partial: the pipe holds the beginning of a line
	since   time.Time // when that was last looked at closely
	stuck   bool      // its writer waits for room
	hup     bool      // all writers have closed it
	large   bool      // its last burst was
	busy    time.Time // when its writer last filled it
	refused bool      // the kernel does not enlarge it
}

// target is one file of a stream.
type target struct {
	*file
	form *form // nil: lines are written as they come
	// skip: the file has missed the beginning of the line, so it does not get the rest.
	skip bool
}

// outcome says what the pipe of a stream is like after a burst.
type outcome byte

const (
	empty    outcome = iota
	more             // it may hold more
	partial          // it holds the beginning of a line
	blocked          // a file is taken by another stream's long line
	ended            // all writers are gone and all is read
	deferred         // it is moved together with others
)

// newStream takes the read end over.
func newStream(spec StreamSpec) (*stream, error) {
	s := &stream{name: spec.Name, fd: -1, done: spec.Done}
	defer func() { _ = spec.Pipe.Close() }() // the duplicate is what counts
	conn, err := spec.Pipe.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", spec.Name, err)
	}
	var dup error
	err = conn.Control(func(fd uintptr) { s.fd, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup); err != nil {
		return nil, fmt.Errorf("read %s: %w", spec.Name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(s.fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = errors.New("not a pipe")
	}
	if err == nil {
		s.inode = st.Ino
		err = unix.SetNonblock(s.fd, true)
	}
	if err == nil {
		s.capacity, err = unix.FcntlInt(uintptr(s.fd), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("read %s: %w", spec.Name, err)
	}
	return s, nil
}

func (s *stream) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd) // a read end loses nothing
		s.fd = -1
	}
}

// full says whether the pipe takes no more, however little it holds: a page of it
// may have been filled with a single byte. It tries with a write end of its own.
func (s *stream) full() bool {
	w, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", s.fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(w), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, 0)
	_ = unix.Close(w) // nothing was written
	return err == nil && n == 0
}

// attach starts to read a stream that is watched and whose files have been opened.
func (l *loop) attach(s *stream, files []*file) {
	l.streams[s.fd] = s
	for _, opened := range files {
		f := l.share(opened)
		if slices.ContainsFunc(s.targets, func(t target) bool { return t.file == f }) {
			continue
		}
		// The limits of the latest hold; openFile has put them into what it opened.
		f.max, f.keep, f.form = opened.max, opened.keep, opened.form
		f.users = append(f.users, s)
		switch {
		case f.owner != nil:
		case f.pipe == s.inode, l.journal == nil && len(f.users) == 1:
			f.owner, f.pipe = s, 0
		}
		s.targets = append(s.targets, target{file: f, form: opened.form})
	}
	l.enqueue(s)
}

// share returns the loop's file for one that was just opened: the one that is in
// use under the same name or, with hard links, under another one.
func (l *loop) share(opened *file) *file {
	f := l.files[opened.path]
	for _, other := range l.files {
		if f != nil {
			break
		}
		if opened.regular && other.node == opened.node {
			f = other
		}
	}
	if f != nil {
		opened.close()
		return f
	}
	l.files[opened.path] = opened
	opened.written = l.writtenTo(opened.path)
	opened.moments.opened, opened.moments.checked = l.now, l.now
	opened.pipe = l.journal.ownerOf(opened.node)
	if opened.max > 0 {
		if _, err := os.Lstat(numbered(opened.path, 1)); err == nil {
			l.compress.add(opened.path, l.now) // left over
		}
	}
	return opened
}

// detach ends a stream: all is written or given up.
func (l *loop) detach(s *stream) {
	if s.fd < 0 {
		return
	}
	delete(l.streams, s.fd)
	// The keeper's duplicate keeps the pipe in the epoll set beyond close.
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
	s.close()
	for _, t := range s.targets {
		f := t.file
		f.users = slices.DeleteFunc(f.users, func(u *stream) bool { return u == s })
		if f.owner == s {
			f.owner = nil
		}
		if len(f.users) == 0 {
			l.release(f)
		}
	}
}

// release lets go of a file that no stream writes to.
func (l *loop) release(f *file) {
	if f.faults.err == nil && f.faults.dropped > 0 {
		l.notice(f)
	}
	l.journal.forget(f.node)
	f.close()
	delete(l.files, f.path)
	l.faulty = slices.DeleteFunc(l.faulty, func(g *file) bool { return g == f })
}

// move passes one burst on.
func (l *loop) move(s *stream) (int, outcome) {
	live, simple := 0, len(s.targets) == 1
	for i := range s.targets {
		t := &s.targets[i]
		if t.faults.err != nil {
			continue
		}
		if what := l.prepare(t, s); what != more {
			return 0, what
		}
		if t.faults.err != nil {
			continue
		}
		live++
		simple = simple && t.form == nil && !t.skip && t.splice && len(t.users) == 1
	}
	if live == 0 {
		return l.discard(s)
	}
	total := 0
	for range 4 {
		if simple {
			if limit := l.straight(s, s.targets[0].file); limit > 0 {
				n, what := l.unseen(s, limit)
				return total + n, what
			}
		}
		n, what, turned := l.look(s)
		total += n
		if what != more || n < blockBytes/4 && !turned {
			return total, what
		}
	}
	return total, more
}

// unseen passes on up to limit bytes to the stream's only file, now or together
// with the other large bursts of the round.
func (l *loop) unseen(s *stream, limit int) (int, outcome) {
	b := burst{stream: s, file: s.targets[0].file, limit: limit}
	l.own(b.file, s)
	if s.large {
		l.bulk.bursts = append(l.bulk.bursts, b)
		return 0, deferred
	}
	b.splice()
	return l.spliced(&b)
}

// prepare makes sure that s may write to the file now; anything but more is the
// reason why it does not.
func (l *loop) prepare(t *target, s *stream) outcome {
	f := t.file
	if err := f.inspect(l.now); err != nil {
		l.fail(f, err)
		return more
	}
	if f.owner != s && f.lineOpen() {
		if waiting, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ); err == nil && waiting == 0 {
			if s.hup {
				return ended
			}
			return empty // and no newline for nothing
		}
		if l.held(f) {
			return blocked
		}
		if _, err := f.write([]byte{'\n'}); err != nil {
			l.fail(f, err)
			return more
		}
		f.owner, f.line = nil, lineEnded
	}
	f.moments.waited = time.Time{}
	if f.faults.dropped > 0 && !f.lineOpen() {
		l.notice(f)
	}
	return more
}

// held says whether the stream that wrote the beginning of the file's last line
// still has time to end it.
func (l *loop) held(f *file) bool {
	if f.owner == nil {
		// Its stream may not have been added yet after a restart.
		return f.pipe != 0 && l.now.Sub(f.moments.opened) < heldFor
	}
	if f.moments.waited.IsZero() {
		f.moments.waited = l.now
	}
	since := f.moments.waited
	if l.now.Sub(since) >= heldAtMost {
		return false
	}
	if f.moments.progress.After(since) {
		since = f.moments.progress
	}
	return l.now.Sub(since) < heldFor
}

// straight returns how many bytes may go into the file unseen, 0 for none: what
// leaves enough room for the end of a line.
func (l *loop) straight(s *stream, f *file) int {
	room := f.room(l.now)
	if room > endRoom {
		return int(min(room-endRoom, spliceBytes))
	}
	waiting, err := unix.IoctlGetInt(s.fd, unix.TIOCINQ)
	if err != nil || waiting == 0 || int64(waiting) > room {
		return 0
	}
	return waiting
}

// own notes whose bytes come next in the file.
func (l *loop) own(f *file, s *stream) {
	f.owner, f.pipe = s, 0
	if f.regular {
		l.journal.own(f.node, s.inode)
	}
}

// portion returns the part of what is in the pipe that may be passed on: whole
// lines, where another stream could come in between or the lines get prefixes;
// the beginning of a line only if there is no more room for its end.
func (l *loop) portion(s *stream, b []byte) []byte {
	whole := false
	for i := range s.targets {
		t := &s.targets[i]
		if t.faults.err != nil {
			continue
		}
		whole = whole || len(t.users) > 1
		if t.form != nil {
			whole = true
			b = t.form.portion(b, l.now)
		}
	}
	if !whole {
		return b
	}
	if n := bytes.LastIndexByte(b, '\n') + 1; n > 0 {
		return b[:n]
	}
	// Half of the capacity: the pages of a pipe need not be full.
	if s.stuck || len(b) >= min(s.capacity, blockBytes)/2-os.Getpagesize() {
		return wholeRunes(b)
	}
	if s.hup {
		return b
	}
	for i := range s.targets {
		if t := &s.targets[i]; t.owner == s && t.faults.err == nil && t.lineOpen() {
			return b // its beginning is there already, and others wait for its end
		}
	}
	return nil
}

// fit returns how much of b the file takes before it has to be changed for a new
// one. If that is nothing, it is changed now.
func (l *loop) fit(t *target, b []byte) int {
	f := t.file
	for range 2 {
		mid, room := f.lineOpen(), f.room(l.now)
		if t.form.size(b, l.now, mid) <= room {
			return len(b)
		}
		if n := t.form.lines(b, room, l.now, mid); n > 0 {
			return n
		}
		moved := f.moments.moved
		turn := !mid && (f.size > 0 || !moved.IsZero()) || // at the end of a line
			!moved.IsZero() && l.now.Sub(moved) >= heldFor ||
			moved.IsZero() && f.size+int64(len(b)) > 2*f.max && f.size > 0
		if !turn {
			break
		}
		l.turn(f)
		if f.faults.err != nil {
			return len(b)
		}
	}
	// A line that does not fit anywhere is ended here.
	if n := bytes.IndexByte(b, '\n') + 1; n > 0 {
		return n
	}
	return len(b)
}
