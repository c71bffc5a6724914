package logs

import (
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// burst moves bytes from a stream's pipe to its only file in one system call:
// they leave the one as they appear in the other, so that no kill can come in
// between.
type burst struct {
	*stream
	file  *file
	limit int
	n     int64
	err   error
}

// splice touches nothing but the burst itself: the loop's helper may call it.
func (b *burst) splice() {
	at := b.file.size
	b.n, b.err = unix.Splice(b.fd, nil, b.file.fd, &at, b.limit, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
}

// spliced takes note of what a burst has done.
func (l *loop) spliced(b *burst) (int, outcome) {
	f := b.file
	switch {
	case b.n > 0:
		l.took(f, b.n)
		return int(b.n), more
	case b.err == nil:
		return 0, ended
	case errors.Is(b.err, unix.EAGAIN):
		return 0, empty
	case errors.Is(b.err, unix.EINTR):
	case errors.Is(b.err, unix.EINVAL):
		f.splice = false
	default:
		l.fail(f, b.err)
	}
	return 0, more
}

// took notes that a file has taken n bytes that nobody has looked at.
func (l *loop) took(f *file, n int64) {
	f.grow(n)
	f.line = lineUnknown
	f.moments.progress = l.now
	l.touch(f)
}

// bulk is the large bursts of one round. They go to different files, so the
// loop and one helper share them; a single processor could not keep up with
// several busy programs.
type bulk struct {
	bursts []burst
	next   atomic.Int32
	work   chan struct{} // nil until there is a helper
	done   chan struct{}
}

// run makes all bursts.
func (b *bulk) run(p *Pump) {
	if len(b.bursts) == 0 {
		return
	}
	b.next.Store(0)
	if len(b.bursts) == 1 || runtime.GOMAXPROCS(0) == 1 {
		b.share()
		return
	}
	if b.work == nil {
		b.work, b.done = make(chan struct{}), make(chan struct{})
		p.work.Go(func() {
			for range b.work {
				b.share()
				b.done <- struct{}{}
			}
		})
	}
	b.work <- struct{}{}
	b.share()
	<-b.done
}

// share makes bursts until none is left.
func (b *bulk) share() {
	for {
		i := int(b.next.Add(1)) - 1
		if i >= len(b.bursts) {
			return
		}
		b.bursts[i].splice()
	}
}

func (b *bulk) end() {
	if b.work != nil {
		close(b.work)
	}
}
