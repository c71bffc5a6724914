package logs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Pump moves what processes print into their log files. One goroutine does that
// for all streams; a second one runs while old files are compressed.
type Pump struct {
	log   func(format string, a ...any)
	wake  *os.File // eventfd that interrupts the loop
	epoll int      // the loop's, open until closed is set
	work  sync.WaitGroup
	stop  chan struct{} // closed first: the compressor gives up

	mu     sync.Mutex // guards calls, closed
	calls  []func(*loop)
	closed bool
}

// Stream is one output stream that a Pump reads.
type Stream struct {
	pump   *Pump
	stream *stream
}

// New starts a pump.
func New(o Options) (*Pump, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		if o.Stage != nil {
			err = errors.Join(err, o.Stage.Close())
		}
		return nil, fmt.Errorf("start log pump: make eventfd: %w", err)
	}
	p := &Pump{log: o.Log, stop: make(chan struct{})}
	var j *journal
	if o.Journal != "" {
		if j, err = openJournal(o.Journal, o.Log); err != nil {
			o.Log("logs go on without a journal: %v", err)
		}
	}
	if o.Stage != nil {
		o.Stage.recover(j, o.Log)
	}
	l, err := newLoop(p, fd, j, o.Stage, o.timing)
	if err != nil {
		return nil, fmt.Errorf("start log pump: %w", errors.Join(err, unix.Close(fd)))
	}
	p.wake, p.epoll = os.NewFile(uintptr(fd), "eventfd"), l.epoll
	p.work.Go(l.run)
	return p, nil
}

// Add starts to read a stream. Its files are opened before anything is read: an
// error names the one that cannot be. The pipe is closed then. Add does not wait
// for the loop, as the start of a process waits for Add.
// Errors: ErrClosed, *fs.PathError and errno values of the file system.
func (p *Pump) Add(spec StreamSpec) (*Stream, error) {
	s, err := newStream(spec)
	if err != nil {
		return nil, err
	}
	var files []*file
	for _, f := range spec.Files {
		if f.Path == os.DevNull {
			continue
		}
		var opened *file
		if opened, err = openFile(f); err != nil {
			break
		}
		files = append(files, opened)
	}
	if err == nil {
		err = p.attach(s, files)
	}
	if err != nil {
		s.close()
		for _, f := range files {
			f.close()
		}
		return nil, err
	}
	return &Stream{pump: p, stream: s}, nil
}

// attach has the loop read a stream. What the kernel says of the pipe before the
// loop knows it is not lost: its first look needs no event.
func (p *Pump) attach(s *stream, files []*file) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(s.fd)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, s.fd, &ev); err != nil {
		return fmt.Errorf("read %s: watch pipe: %w", s.name, err)
	}
	p.calls = append(p.calls, func(l *loop) { l.attach(s, files) })
	p.interrupt()
	return nil
}

// Close stops reading the stream and closes our end of its pipe. What is still in
// the pipe is not read. It does nothing once the stream has ended.
func (s *Stream) Close() error {
	err := s.pump.do(func(l *loop) { l.detach(s.stream) })
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// Flush empties logs: the files are truncated and their rotated files removed.
// Paths that no stream writes to are treated alike; missing ones are no error.
func (p *Pump) Flush(paths ...string) error {
	var failed error
	err := p.do(func(l *loop) {
		for _, path := range paths {
			failed = errors.Join(failed, l.flush(path))
		}
	})
	return errors.Join(err, failed)
}

// Reopen looks at once for what others have done to the files, which the pump would
// find out with the next output: in place of one that was moved away or removed a new
// one is made. What was in a pipe by then may go to either; no line is torn. It
// returns how many files there are.
func (p *Pump) Reopen() (files int, err error) {
	err = p.do(func(l *loop) { files = l.reopen() })
	return files, err
}

// Written returns what was done to each of some log files since the pump began.
func (p *Pump) Written(paths []string) []Written {
	list := make([]Written, len(paths))
	reals := make([]string, len(paths))
	for i, path := range paths {
		if real, err := realPath(path); err == nil { // else it is of no use to us either
			reals[i] = real
		}
	}
	_ = p.do(func(l *loop) { // nothing is after Close
		for i, path := range reals {
			if w := l.written[path]; w != nil {
				list[i] = *w
			}
		}
	})
	return list
}

// Close stops the pump and waits until it has. What is in the pipes stays there
// for the next one, if somebody holds them.
func (p *Pump) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	if !closed {
		close(p.stop)
		p.calls = append(p.calls, (*loop).end)
	}
	p.mu.Unlock()
	if closed {
		p.work.Wait()
		return nil
	}
	p.interrupt()
	p.work.Wait()
	return p.wake.Close()
}

// do runs f in the loop and waits for it.
func (p *Pump) do(f func(*loop)) error {
	done := make(chan struct{})
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	p.calls = append(p.calls, func(l *loop) { f(l); close(done) })
	p.mu.Unlock()
	p.interrupt()
	<-done
	return nil
}

// interrupt makes the loop look at its calls.
func (p *Pump) interrupt() {
	// It fails when the counter is full, and then the loop has been told already,
	// or when the pump has been closed in between, after this call was run.
	_, _ = p.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// take returns the calls that wait.
func (p *Pump) take() []func(*loop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// watcher is a function that is told when a log has changed.
type watcher struct{ ring func() }

// watch has ring called in the loop whenever a log has grown or changed, until the
// returned function is called.
func (p *Pump) watch(path string, ring func()) (stop func(), err error) {
	path, err = realPath(path)
	if err != nil {
		return nil, err
	}
	w := &watcher{ring}
	if err := p.do(func(l *loop) { l.watchers[path] = append(l.watchers[path], w) }); err != nil {
		return nil, err
	}
	return func() {
		_ = p.do(func(l *loop) { // after Close there is nothing to stop
			left := slices.DeleteFunc(l.watchers[path], func(other *watcher) bool { return other == w })
			if l.watchers[path] = left; len(left) == 0 {
				delete(l.watchers, path)
			}
		})
	}, nil
}
