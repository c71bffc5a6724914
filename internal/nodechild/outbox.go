//go:build unix

package nodechild

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// maxQueuedBytes bounds what waits for a primary that does not read.
const maxQueuedBytes = 4 << 20

// outbox writes lines to the channel, each whole and in order, and never makes its
// callers wait: what does not fit is written by a goroutine that lives as long as there
// is such.
type outbox struct {
	conn *net.UnixConn
	raw  syscall.RawConn

	mu      sync.Mutex // guards what follows; held while a line is tried, which does not wait
	queue   []byte
	writing bool // the goroutine lives
	broken  error
	hangUp  bool // end our direction when all is written
	idle    chan struct{}
}

// write sends a line, or queues it. Only the program's own messages are bounded: the
// protocol's are few and their answers must not be lost.
func (o *outbox) write(line []byte, own bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.broken != nil:
		return o.broken
	case o.hangUp:
		return ErrClosed
	case own && len(o.queue)+len(line) > maxQueuedBytes && len(o.queue) > 0:
		return ErrBusy
	}
	if len(o.queue) == 0 && !o.writing {
		n, err := o.try(line)
		if err != nil {
			o.broken = ErrClosed
			return o.broken
		}
		line = line[n:]
	}
	if len(line) == 0 {
		return nil
	}
	o.queue = append(o.queue, line...)
	if !o.writing {
		o.writing = true
		go o.drain()
	}
	return nil
}

// try writes what there is room for now.
func (o *outbox) try(line []byte) (n int, err error) {
	ctlErr := o.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), line)
		return true // never wait for room
	})
	switch {
	case ctlErr != nil:
		return 0, ctlErr
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOBUFS):
		return 0, nil
	}
	return max(n, 0), err
}

// drain writes the queue until it is empty.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		lines := o.queue
		if len(lines) == 0 || o.broken != nil {
			o.writing, o.queue = false, nil
			if o.hangUp && o.broken == nil {
				o.end()
			}
			if o.idle != nil {
				close(o.idle)
				o.idle = nil
			}
			o.mu.Unlock()
			return
		}
		o.queue = nil
		o.mu.Unlock()
		if _, err := o.conn.Write(lines); err != nil {
			o.mu.Lock()
			o.broken = ErrClosed
			o.mu.Unlock()
		}
	}
}

// close ends our direction after what is queued; the primary takes that for the end
// of the channel.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hangUp {
		return
	}
	o.hangUp = true
	if !o.writing && o.broken == nil {
		o.end()
	}
}

func (o *outbox) end() { _ = o.conn.CloseWrite() } // an error means that it is closed already

// flushed returns a channel that is closed when nothing is queued.
func (o *outbox) flushed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		if o.idle == nil {
			o.idle = make(chan struct{})
		}
		return o.idle
	}
	done := make(chan struct{})
	close(done)
	return done
}

// breakOff makes further writes fail.
func (o *outbox) breakOff() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = ErrClosed
	o.queue = nil
}
