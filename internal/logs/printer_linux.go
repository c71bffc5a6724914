package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Printer writes the output of processes to its own standard output and error, line
// by line. Nothing is lost: bytes leave their pipe when they have been written, so
// the next printer prints what a dead one has not, and maybe a line twice. Who does
// not read holds the processes up, once their pipes are full.
type Printer struct {
	out, err *output
	log      func(format string, a ...any)
	stop     chan struct{} // closed by Close

	streams sync.WaitGroup // each until the end of its pipe, or of the printer
	writers sync.WaitGroup
	mu      sync.Mutex // guards what follows
	last    bool       // no stream is added any more
	closed  bool
}

// output is one of the two, and the only one that writes to it.
type output struct {
	fd    int
	jobs  chan *job
	width int  // of the widest prefix so far
	gone  bool // its reader is
	text  []byte
}

// job is a burst of one stream that is to be printed.
type job struct {
	*printed
	lines []byte // whole lines, or any bytes
	done  chan bool
}

// printed is a stream that is printed. Its goroutine owns it.
type printed struct {
	PrintSpec
	fd       int // of Pipe
	conn     syscall.RawConn
	scratch  [2]int
	capacity int
	block    []byte
	head     []byte // the beginning of a line that is too long for the pipe
	seen     int    // the beginning of a line in the pipe, looked at already
}

// NewPrinter starts a printer. It must be closed.
func NewPrinter(o PrinterOptions) *Printer {
	p := &Printer{log: o.Log, stop: make(chan struct{})}
	if p.log == nil {
		p.log = func(string, ...any) {}
	}
	p.out = &output{fd: int(o.Out.Fd()), jobs: make(chan *job)}
	p.err = &output{fd: int(o.Err.Fd()), jobs: make(chan *job)}
	for _, o := range []*output{p.out, p.err} {
		p.writers.Go(func() { p.write(o) })
	}
	return p
}

// Add prints a stream until its end. Errors: ErrClosed.
func (p *Printer) Add(spec PrintSpec) (err error) {
	s := &printed{PrintSpec: spec, scratch: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("print %s of %s: %w", spec.Stream, spec.Name, err)
			s.close()
		}
	}()
	fd := int(spec.Pipe.Fd())
	if s.capacity, err = unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0); err != nil {
		return err
	}
	// Only our end: the process's has a mode of its own.
	if err = unix.SetNonblock(fd, true); err != nil {
		return err
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.fd, s.Pipe = dup, os.NewFile(uintptr(dup), spec.Pipe.Name())
	if err = errors.Join(spec.Pipe.Close(), unix.Pipe2(s.scratch[:], unix.O_CLOEXEC|unix.O_NONBLOCK)); err != nil {
		return err
	}
	if s.conn, err = s.Pipe.SyscallConn(); err != nil {
		return err
	}
	s.block = make([]byte, blockBytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last {
		return ErrClosed
	}
	p.streams.Go(func() { p.follow(s) })
	return nil
}

// Wait returns when all streams have come to their end, or ctx has. None can be added
// after it.
func (p *Printer) Wait(ctx context.Context) {
	p.mu.Lock()
	p.last = true
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() { // ends with the streams: at the latest by Close
		p.streams.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// Close stops printing; what is in the pipes stays there.
func (p *Printer) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed, p.last = true, true
	close(p.stop)
	p.mu.Unlock()
	p.streams.Wait()
	close(p.out.jobs)
	close(p.err.jobs)
	p.writers.Wait()
}

func (s *printed) close() {
	_ = s.Pipe.Close() // a read end loses nothing
	if s.Copy != nil {
		_ = s.Copy.Close() // nothing is buffered by us
	}
	for _, fd := range s.scratch {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// follow prints one stream.
func (p *Printer) follow(s *printed) {
	defer s.close()
	left := make(chan struct{})
	defer close(left)
	go func() { // wakes it when the printer is closed
		select {
		case <-p.stop:
			_ = s.Pipe.SetReadDeadline(time.Unix(1, 0)) // it is a pipe, which has deadlines
		case <-left:
		}
	}()
	for {
		b, state, ok := p.peek(s)
		if !ok {
			return
		}
		ready := b
		if !s.whole() && state != atEnd {
			ready = b[:bytes.LastIndexByte(b, '\n')+1]
		}
		keep := len(b) - len(ready)
		// Half of the capacity: the pages of a pipe need not be full.
		if keep > 0 && (state == waited || keep >= s.capacity/2-os.Getpagesize()) && len(ready) == 0 {
			s.head, keep = append(s.head, b...), 0 // a long line goes on
			if len(s.head) >= MaxLineBytes {
				ready = []byte{'\n'}
			}
		}
		if len(ready) > 0 || state == atEnd && len(s.head) > 0 {
			if !p.print(s, ready) {
				return
			}
			s.head = s.head[:0]
		}
		if !p.consume(s, len(b)-keep) {
			return
		}
		if s.seen = keep; state == atEnd && len(b) == 0 {
			if s.Done != nil {
				go s.Done()
			}
			return
		}
	}
}

func (p *Printer) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// print has lines written. False: the printer was closed before that.
func (p *Printer) print(s *printed, lines []byte) bool {
	o := p.out
	if s.toErr() {
		o = p.err
	}
	j := &job{printed: s, lines: lines, done: make(chan bool, 1)}
	select {
	case o.jobs <- j:
		return <-j.done
	case <-p.stop:
		return false
	}
}

// sight says how the bytes in a pipe came to be seen.
type sight byte

const (
	grown  sight = iota // there are more than before
	waited              // no end of the line has come for a while
	atEnd               // all writers are gone
)

// peek waits for bytes that were not seen yet and returns all there are, without
// taking them out of the pipe. They are valid until the next call. Not ok: the
// printer is closed.
func (p *Printer) peek(s *printed) (b []byte, state sight, ok bool) {
	var deadline time.Time
	if s.seen > 0 {
		deadline = time.Now().Add(unendedFor)
	}
	_ = s.Pipe.SetReadDeadline(deadline) // it is a pipe, which has deadlines
	if p.stopped() {                     // whose deadline ours may have replaced
		return nil, grown, false
	}
	n := 0
	err := s.conn.Read(func(fd uintptr) bool {
		var ended bool
		n, ended = s.copyAhead(int(fd))
		if n == 0 && ended || n > 0 && ended && n == s.seen {
			state = atEnd
			return true
		}
		return n > s.seen
	})
	if err != nil { // the deadline, or the printer is closed
		state = waited
		n, _ = s.copyAhead(s.fd)
	}
	return s.block[:n], state, !p.stopped()
}

// copyAhead reads what is in the pipe and leaves it there. Ended: nobody can write
// to it any more.
func (s *printed) copyAhead(fd int) (n int, ended bool) {
	for {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, 0); err == nil {
			ended = poll[0].Revents&unix.POLLHUP != 0 // asked before, so that nothing comes after
		}
		m, err := unix.Tee(fd, s.scratch[1], len(s.block), unix.SPLICE_F_NONBLOCK)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		for n < int(m) {
			k, err := unix.Read(s.scratch[0], s.block[n:m])
			if k <= 0 && !errors.Is(err, unix.EINTR) {
				panic(fmt.Sprintf("logs: scratch pipe lacks %d bytes: %v", int(m)-n, err))
			}
			n += max(k, 0)
		}
		return n, ended
	}
}

// consume takes n bytes out of the pipe, to the copy if there is one. False: the
// printer was closed, and whoever reads the copy did not take them.
func (p *Printer) consume(s *printed, n int) bool {
	for n > 0 {
		if s.Copy == nil {
			m, err := unix.Read(s.fd, s.block[:min(n, len(s.block))])
			if m <= 0 && !errors.Is(err, unix.EINTR) {
				panic(fmt.Sprintf("logs: %d bytes have vanished from the pipe of %s: %v", n, s.Name, err))
			}
			n -= max(m, 0)
			continue
		}
		m, err := unix.Splice(s.fd, nil, int(s.Copy.Fd()), nil, n, unix.SPLICE_F_NONBLOCK)
		switch {
		case m > 0:
			n -= int(m)
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if p.stopped() {
				return false
			}
			poll := []unix.PollFd{{Fd: int32(s.Copy.Fd()), Events: unix.POLLOUT}}
			_, _ = unix.Poll(poll, int(writePatience.Milliseconds())) // looked at anew in any case
		default:
			_ = s.Copy.Close() // who reads it is gone
			s.Copy = nil
		}
	}
	return true
}

// write does the jobs of one output.
func (p *Printer) write(o *output) {
	for j := range o.jobs {
		text := j.lines
		if !j.whole() {
			o.width = max(o.width, len(j.prefix()))
			text = o.render(j, time.Now())
		}
		j.done <- p.put(o, text)
	}
}

// render puts the lines of a job in their form; the last one may lack its newline.
func (o *output) render(j *job, at time.Time) []byte {
	o.text = o.text[:0]
	first := true
	for line := range bytes.Lines(append(j.head, j.lines...)) {
		o.text = j.appendLine(o.text, bytes.TrimSuffix(line, []byte{'\n'}), at, o.width)
		first = false
	}
	if first { // not even a newline: there is nothing
		return nil
	}
	return o.text
}

// put writes text. False: the printer was closed, and the reader did not take it
// all at once. Text for a reader that is gone is thrown away, as the processes'
// own pipes would be broken.
func (p *Printer) put(o *output, text []byte) bool {
	for len(text) > 0 && !o.gone {
		poll := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, int(writePatience.Milliseconds()))
		if n == 0 && err == nil && p.stopped() {
			return false
		}
		if n <= 0 {
			continue // nobody reads; or a signal
		}
		// A pipe that can be written takes so much without making us wait.
		n, err = unix.Write(o.fd, text[:min(len(text), pipeBuf)])
		switch {
		case n > 0:
			text = text[n:]
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // another process has made it nonblocking
		default:
			o.gone = true
			p.log("print output: %v; it is thrown away from now on", err)
		}
	}
	return true
}

// writePatience is how often a printer that waits for its reader looks whether it
// was closed, and how long a reader may take then.
const writePatience = 100 * time.Millisecond
