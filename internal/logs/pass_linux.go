package logs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// pipeBuf is PIPE_BUF of <limits.h>.
const pipeBuf = 4096

// pass writes b, the first bytes in the stream's pipe, to its files and takes
// them out of the pipe.
func (l *loop) pass(s *stream, b []byte) (int, outcome) {
	if t := &s.targets[0]; len(s.targets) == 1 && !t.regular && t.faults.err == nil {
		return l.passSpecial(s, t, b)
	}
	in := intent{raw: len(b), commit: -1}
	var commit *target
	steps := 0
	for i := range s.targets {
		t := &s.targets[i]
		if t.faults.err != nil {
			continue
		}
		mid := t.lineOpen()
		l.own(t.file, s)
		if t.regular {
			if commit == nil && t.form == nil && !t.skip && t.splice {
				commit, in.commit = t, len(in.steps)
			}
			in.steps = append(in.steps, step{t.path, t.node, t.size, t.form.width(l.now), t.form.isJSON(), mid})
		}
		steps++
	}
	noted := steps > 1 || commit == nil
	if noted {
		l.journal.begin(&in)
	}
	for i := range s.targets {
		if t := &s.targets[i]; t != commit {
			l.write(t, b)
		}
	}
	if commit != nil {
		l.commit(s, commit, len(b), b)
	} else {
		l.consume(s, len(b))
	}
	if noted {
		l.journal.end()
	}
	l.passed(s, b[len(b)-1] != '\n')
	return len(b), more
}

// passed notes what a burst has left in the files; open says that it ended within
// a line.
func (l *loop) passed(s *stream, open bool) {
	for i := range s.targets {
		t := &s.targets[i]
		if t.faults.err != nil {
			t.skip = open
			continue
		}
		if !t.skip {
			t.line = stateOf(!open || t.form.isJSON())
		}
		t.moments.progress = l.now
		l.touch(t.file)
	}
}

// write writes the block to a file that does not take it from the pipe. What it
// does not take is counted.
func (l *loop) write(t *target, b []byte) {
	if t.faults.err != nil {
		t.drop(len(b), b)
		return
	}
	if t.skip {
		head := bytes.IndexByte(b, '\n') + 1
		if head == 0 {
			head = len(b)
		}
		t.drop(head, b[:head])
		t.skip = b[head-1] != '\n'
		if b = b[head:]; len(b) == 0 {
			return
		}
		l.notice(t.file)
		if t.faults.err != nil {
			t.drop(len(b), b)
			return
		}
	}
	text, mid := b, t.lineOpen()
	if t.form != nil {
		l.stamped = t.form.append(l.stamped[:0], b, l.now, mid)
		text = l.stamped
	}
	before := t.size
	n, err := t.write(text)
	if err == nil {
		return
	}
	t.line = lineUnknown
	if t.form != nil {
		whole := t.form.unbroken(text[:n])
		if whole < n && t.regular && unix.Ftruncate(t.fd, before+int64(whole)) == nil {
			t.size = before + int64(whole)
		}
		n = t.form.raw(text[:n], b, l.now, mid)
	}
	t.drop(len(b)-n, b[n:])
	if errors.Is(err, unix.EAGAIN) {
		err = errSlow
	}
	l.fail(t.file, err)
}

// commit moves exactly n bytes from the pipe to the file. If they have been read,
// b has them; if not, and the file system does not take splice, nothing is done.
func (l *loop) commit(s *stream, t *target, n int, b []byte) (done bool) {
	for left := n; left > 0; {
		at := t.size
		m, err := unix.Splice(s.fd, nil, t.fd, &at, left, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		switch {
		case m > 0:
			t.grow(m)
			left -= int(m)
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EINVAL) && left == n:
			// The file system does not take splice, and never did.
			t.splice = false
			if b == nil {
				return false
			}
			l.write(t, b)
			l.consume(s, left)
			return true
		default:
			if err == nil {
				err = unix.EIO
			}
			t.line = lineUnknown
			t.drop(left, b[max(len(b)-left, 0):])
			l.fail(t.file, err)
			l.consume(s, left)
			return true
		}
	}
	return true
}

// consume takes n bytes out of the pipe. They go to the journal's sink, whose
// size then tells the next pump that they have left.
func (l *loop) consume(s *stream, n int) {
	if j := l.journal; j != nil && j.dirty {
		for n > 0 {
			at := j.sink
			m, err := unix.Splice(s.fd, nil, j.fd, &at, n, unix.SPLICE_F_NONBLOCK)
			if m > 0 {
				j.sink += m
				n -= int(m)
			} else if !errors.Is(err, unix.EINTR) {
				break // a full disk
			}
		}
	}
	for n > 0 {
		m, err := unix.Splice(s.fd, nil, l.null, nil, n, unix.SPLICE_F_NONBLOCK)
		if m > 0 {
			n -= int(m)
		} else if !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("logs: %d bytes have vanished from the pipe of %s: %v", n, s.name, err))
		}
	}
}

// passSpecial writes to a FIFO, a terminal or another device, which may be slow.
// It is given a second to take anything before what is meant for it is dropped.
func (l *loop) passSpecial(s *stream, t *target, b []byte) (int, outcome) {
	mid := t.lineOpen()
	text := b
	// A FIFO takes a write of up to PIPE_BUF bytes whole or not at all.
	if t.form != nil {
		n := t.form.lines(b, pipeBuf, l.now, mid)
		if n == 0 {
			n = min(len(b), t.form.piece(pipeBuf, l.now))
		}
		b = b[:n]
		l.stamped = t.form.append(l.stamped[:0], b, l.now, mid)
		text = l.stamped
	} else if len(b) > pipeBuf {
		n := bytes.LastIndexByte(b[:pipeBuf], '\n') + 1
		if n == 0 {
			n = pipeBuf
		}
		b, text = b[:n], b[:n]
	}
	l.own(t.file, s)
	n, err := t.write(text)
	if t.form != nil {
		n = t.form.raw(text[:n], b, l.now, mid)
	}
	if n > 0 {
		l.consume(s, n)
		t.moments.progress, t.moments.stalled = l.now, time.Time{}
		t.line = stateOf(b[n-1] == '\n' || t.form.isJSON())
		l.touch(t.file)
		return n, more
	}
	if errors.Is(err, unix.EAGAIN) {
		if t.moments.stalled.IsZero() {
			t.moments.stalled = l.now
		}
		if l.now.Sub(t.moments.stalled) < heldFor {
			return 0, blocked
		}
		err = errSlow
	}
	l.fail(t.file, err)
	return 0, more
}

// discard reads what no file takes.
func (l *loop) discard(s *stream) (int, outcome) {
	if len(s.targets) == 0 {
		n, err := unix.Splice(s.fd, nil, l.null, nil, spliceBytes, unix.SPLICE_F_NONBLOCK)
		return max(int(n), 0), readOutcome(int(n), err)
	}
	if l.block == nil {
		if err := l.openScratch(); err != nil {
			return 0, empty
		}
	}
	n, err := unix.Read(s.fd, l.block)
	if n > 0 {
		for i := range s.targets {
			s.targets[i].drop(n, l.block[:n])
			s.targets[i].skip = l.block[n-1] != '\n'
		}
	}
	return max(n, 0), readOutcome(n, err)
}

func readOutcome(n int, err error) outcome {
	switch {
	case n > 0, errors.Is(err, unix.EINTR):
		return more
	case err == nil:
		return ended
	}
	return empty
}
