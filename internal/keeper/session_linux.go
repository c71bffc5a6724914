package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// session is the connection with one daemon: a goroutine that reads requests, and
// one that writes, so that a daemon that is slow or stopped never holds up the
// keeper.
type session struct {
	link     *link
	requests chan request  // closed when nothing more comes
	started  chan struct{} // closed when the inventory is written, or cannot be
	readErr  error         // why requests was closed, if not by the daemon's end
	lived    time.Duration // how long its daemon has lived, once that has ended
	out      outbox
	wg       sync.WaitGroup
}

// request is what a daemon asks for. What is set depends on the kind.
type request struct {
	kind  kind
	id    uint32
	fds   []int // what is not taken is closed after the request
	err   error // it could not be read
	spawn spawnRequest
	keep  []keepItem
	key   string // forget; the path for replace; the name for trap
	sig   syscall.Signal
	scope Scope
	names []string

	filter []byte // trap
}

func newSession(l *link) *session {
	s := &session{
		link: l, requests: make(chan request, 64), started: make(chan struct{}),
		out: outbox{wake: make(chan struct{}, 1)},
	}
	s.wg.Go(s.read)
	s.wg.Go(s.write)
	return s
}

func (s *session) read() {
	defer close(s.requests)
	for {
		f, err := s.link.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.readErr = err
			}
			return
		}
		s.requests <- readRequest(f)
	}
}

// readRequest never fails: what it cannot read becomes a request to be refused.
func readRequest(f frame) request {
	r := request{kind: f.kind, id: f.id, fds: f.fds}
	if f.short {
		r.err = fmt.Errorf("receive descriptors: %w", unix.EMFILE)
		return r
	}
	p := payload{b: f.payload}
	switch f.kind {
	case kindSpawn:
		r.spawn, r.err = p.spawn(len(f.fds))
	case kindKeep:
		r.keep, r.err = p.keep(len(f.fds))
	case kindSignal:
		r.key, r.sig, r.scope, r.err = p.signal()
	case kindDrop:
		r.names = p.strings()
		r.err = p.done()
	case kindTrap:
		r.key, r.filter = p.string(), bytes.Clone(p.bytes())
		r.err = p.done()
	case kindForget, kindReplace:
		r.key = p.string()
		r.err = p.done()
	case kindShutdown:
		r.err = p.done()
	default:
		r.err = ErrUnknownRequest
	}
	return r
}

func (s *session) write() {
	started := sync.OnceFunc(func() { close(s.started) })
	defer started()
	for {
		letters, ok := s.out.take()
		if !ok {
			return
		}
		for i, m := range letters {
			if m.last {
				started()
				continue
			}
			var fds []int
			if m.fd != none {
				fds = []int{m.fd}
			}
			if err := s.link.send(m.bytes, fds); err != nil {
				discard(letters[i:])
				return // the daemon has died or will be killed; its exit is what counts
			}
			discard(letters[i : i+1])
		}
	}
}

// end waits for the goroutines. The link must have been finished.
func (s *session) end() error {
	s.out.close()
	for r := range s.requests { // if the reader waits to hand one over
		closeFDs(r.fds)
	}
	s.wg.Wait()
	discard(s.out.letters) // there is nobody any more to put or take some
	return s.link.close()
}

// outbox holds what is to be written. It does not grow without bound: its content
// are answers to requests, of which none is taken while the inventory is not
// written, and two events per process.
type outbox struct {
	mu      sync.Mutex // guards letters and closed
	letters []letter
	closed  bool
	wake    chan struct{}
}

// letter is one write: bytes and a descriptor or none. The last one of an
// inventory has no bytes.
type letter struct {
	bytes []byte
	fd    int
	owned bool // the descriptor is closed when the letter is sent or lost
	last  bool
}

func discard(letters []letter) {
	for _, l := range letters {
		if l.owned {
			closeFD(l.fd)
		}
	}
}

func (o *outbox) put(l letter) {
	o.mu.Lock()
	if n := len(o.letters) - 1; n >= 0 && l.fd == none && !l.last && !o.letters[n].last {
		o.letters[n].bytes = append(o.letters[n].bytes, l.bytes...)
	} else {
		o.letters = append(o.letters, l)
	}
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take waits for letters; false means that there will be none.
func (o *outbox) take() ([]letter, bool) {
	for range o.wake {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return nil, false
		}
		letters := o.letters
		o.letters = nil
		o.mu.Unlock()
		if len(letters) > 0 {
			return letters, true
		}
	}
	return nil, false
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
