package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// endBytes is how much of a pipe's content is read to find its last newline.
const endBytes = 4096

// endRoom is what is left at the end of a file to look for the last line that fits.
const endRoom = 64 << 10

// look passes on bytes that have to be looked at. They stay in the pipe until
// they are in the files. It reports whether it has turned the file, whose next
// line did not fit.
func (l *loop) look(s *stream) (n int, what outcome, turned bool) {
	if l.block == nil {
		if err := l.openScratch(); err != nil {
			l.pump.log("read %s: %v", s.name, err)
			return 0, empty, false
		}
	}
	n, what, cut, ok := l.lookAtEnd(s)
	if !ok {
		n, what, cut = l.lookAtAll(s)
	}
	if cut && len(s.targets) == 1 {
		// Not in the next round, after a rest: there is more to come than fits.
		if f := s.targets[0].file; f.faults.err == nil && f.moments.moved.IsZero() && !f.lineOpen() {
			l.turn(f)
			turned = true
		}
	}
	return n, what, turned
}

// lookAtAll passes on what has to be known byte by byte; cut says that a file has
// taken less than there was.
func (l *loop) lookAtAll(s *stream) (n int, what outcome, cut bool) {
	n, what = l.copyAhead(s, len(l.block))
	if what != more {
		return 0, what, false
	}
	b := l.block[:n]
	l.readScratch(b)
	b = l.portion(s, b)
	if len(b) == 0 {
		return 0, partial, false
	}
	for i := range s.targets {
		if t := &s.targets[i]; t.faults.err == nil {
			n := l.fit(t, b)
			cut = cut || n < len(b)
			b = b[:n]
		}
	}
	s.partial, s.stuck = false, false
	n, what = l.pass(s, b)
	return n, what, cut
}

// lookAtEnd passes on whole lines where nothing but their end has to be known; cut
// says that the file has no room for the next one. Not ok: it has done nothing,
// and the bytes have to be looked at one and all.
func (l *loop) lookAtEnd(s *stream) (n int, what outcome, cut, ok bool) {
	t := &s.targets[0]
	if len(s.targets) > 1 || t.form != nil || t.skip || !t.splice || t.faults.err != nil {
		return 0, more, false, false
	}
	most := hotPipeBytes
	if room := t.room(l.now); room < hotPipeBytes {
		if room <= 0 {
			return 0, more, false, false
		}
		most = int(room) + 1 // to see whether there is more
	}
	n, what = l.copyAhead(s, most)
	if what != more {
		return 0, what, false, true
	}
	end := l.block[:min(n, endBytes)]
	l.drainScratch(n - len(end))
	l.readScratch(end)
	if n == most && most < hotPipeBytes {
		cut, n, end = true, n-1, end[:len(end)-1]
	}
	n -= len(end) - bytes.LastIndexByte(end, '\n') - 1
	if end = end[:bytes.LastIndexByte(end, '\n')+1]; len(end) == 0 {
		return 0, more, false, false
	}
	s.partial, s.stuck = false, false
	l.own(t.file, s)
	if !l.commit(s, t, n, nil) {
		return 0, more, false, false
	}
	l.passed(s, false)
	return n, more, cut, true
}

// copyAhead copies what is in the pipe to the scratch pipe, without taking it out.
func (l *loop) copyAhead(s *stream, most int) (int, outcome) {
	n, err := unix.Tee(s.fd, l.scratch[1], most, unix.SPLICE_F_NONBLOCK)
	switch {
	case n > 0:
		return int(n), more
	case err == nil:
		return 0, ended
	case errors.Is(err, unix.EAGAIN):
		return 0, empty
	case errors.Is(err, unix.EINTR):
		return 0, more
	}
	panic("logs: tee: " + err.Error()) // two pipes: nothing of the outside can be wrong
}

// readScratch fills b from the scratch pipe.
func (l *loop) readScratch(b []byte) {
	for len(b) > 0 {
		n, err := unix.Read(l.scratch[0], b)
		if n > 0 {
			b = b[n:]
		} else if !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("logs: scratch pipe lacks %d bytes: %v", len(b), err))
		}
	}
}

// drainScratch throws n bytes of the scratch pipe away.
func (l *loop) drainScratch(n int) {
	for n > 0 {
		m, err := unix.Splice(l.scratch[0], nil, l.null, nil, n, unix.SPLICE_F_NONBLOCK)
		if m > 0 {
			n -= int(m)
		} else if !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("logs: scratch pipe lacks %d bytes: %v", n, err))
		}
	}
}

func (l *loop) openScratch() error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	l.scratch = fds
	// Without it less is looked at in one go.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, hotPipeBytes)
	l.block = make([]byte, blockBytes)
	return nil
}
