package port

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Watch notices listening sockets whose queue is not empty, for all sets of a
// process, and has the sets look at them every 12.5 ms as long as there are any.
//
// It sleeps in epoll_wait while all queues are empty: no timer runs then, and an
// idle machine costs nothing. While it is awake it does not wait in epoll_wait, so
// that connections cannot wake it; one call finds all sockets that are not empty.
// When connections come often it stays awake on purpose, since 80 looks a second
// cost less than to be woken by each connection. That is the most it ever costs.
type Watch struct {
	epoll int
	wake  int // an eventfd: Close writes to it
	done  chan struct{}
	quit  chan struct{}
	once  sync.Once

	mu    sync.Mutex // guards signs
	signs map[int32]*sign
}

// sign stands for one socket: when the watch last found it not empty.
type sign struct {
	to   *watcher
	seen atomic.Uint64 // the look that found it
}

// found reports whether the last look found the queue not empty.
func (s *sign) found() bool { return s.seen.Load() == s.to.look.Load() }

// watcher is one set, as the watch sees it.
type watcher struct {
	ticks chan struct{}
	look  atomic.Uint64 // the number of the last look that concerned the set
	slow  atomic.Bool   // set by the set: to look often is of no use at present
}

func newWatcher() *watcher { return &watcher{ticks: make(chan struct{}, 1)} }

// NewWatch starts a watch: one goroutine, which holds a thread while it sleeps.
// Close ends it, after the sets that use it.
func NewWatch() (_ *Watch, err error) {
	w := &Watch{epoll: -1, wake: -1, done: make(chan struct{}), quit: make(chan struct{}), signs: map[int32]*sign{}}
	defer func() {
		if err != nil {
			_ = w.closeFiles() // the first error says more
		}
	}()
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := w.control(unix.EPOLL_CTL_ADD, w.wake); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// Close ends the watch.
func (w *Watch) Close() (err error) {
	w.once.Do(func() {
		close(w.quit)
		one := binary.NativeEndian.AppendUint64(nil, 1)
		if _, err = unix.Write(w.wake, one); err != nil {
			err = os.NewSyscallError("write", err)
			return
		}
		<-w.done
		err = w.closeFiles()
	})
	return err
}

func (w *Watch) closeFiles() error {
	var errs []error
	for _, fd := range []int{w.wake, w.epoll} {
		if fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(fd)))
		}
	}
	return errors.Join(errs...)
}

func (w *Watch) control(op, fd int) error {
	err := unix.EpollCtl(w.epoll, op, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// add begins to watch a socket. remove must come before the socket is closed: it
// lives on in its processes, and epoll would go on reporting it.
func (w *Watch) add(fd int, to *watcher) (*sign, error) {
	s := &sign{to: to}
	s.seen.Store(^uint64(0))
	w.mu.Lock()
	w.signs[int32(fd)] = s
	w.mu.Unlock()
	if err := w.control(unix.EPOLL_CTL_ADD, fd); err != nil {
		w.forget(fd)
		return nil, err
	}
	return s, nil
}

func (w *Watch) remove(fd int) error {
	w.forget(fd)
	return w.control(unix.EPOLL_CTL_DEL, fd)
}

func (w *Watch) forget(fd int) {
	w.mu.Lock()
	delete(w.signs, int32(fd))
	w.mu.Unlock()
}

func (w *Watch) run() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 256)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var concerned []*watcher // by the last look
	var asleep time.Duration // for how long at a stretch
	linger := 0              // looks to go although the last found nothing
	for look := uint64(1); ; look++ {
		wait := 0
		if sleep := len(concerned) == 0 && linger == 0; sleep {
			wait = -1
		}
		before := time.Now()
		n, err := unix.EpollWait(w.epoll, events, wait)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return // only a bug closes the epoll descriptor before Close
		}
		if n == len(events) { // those left out would seem to be empty
			events = make([]unix.EpollEvent, 2*n)
			continue
		}
		concerned = w.tell(events[:max(n, 0)], look, concerned)
		if wait < 0 {
			asleep = time.Since(before)
		}
		switch {
		case len(concerned) == 0:
			linger = max(linger-1, 0)
		case asleep < shortSleep:
			linger = longLinger
		default:
			linger = 0
		}
		timer.Reset(interval(concerned))
		select {
		case <-w.quit:
			return
		case <-timer.C:
		}
	}
}

// To be woken soon after falling asleep means that connections come often.
const (
	shortSleep = 2 * tick
	longLinger = 16
)

// tell has the sets look at the sockets that were found, and those that were
// concerned the last time see that theirs are empty now. It returns the sets with
// sockets that were found.
func (w *Watch) tell(events []unix.EpollEvent, look uint64, before []*watcher) (now []*watcher) {
	w.mu.Lock()
	for _, e := range events {
		if s := w.signs[e.Fd]; s != nil { // nil: just removed, or our eventfd
			s.seen.Store(look)
		}
	}
	for _, e := range events { // only now: a set may look at any moment
		if s := w.signs[e.Fd]; s != nil && s.to.look.Swap(look) != look {
			now = append(now, s.to)
		}
	}
	w.mu.Unlock()
	for _, to := range before {
		if to.look.Swap(look) != look {
			to.tick()
		}
	}
	for _, to := range now {
		to.tick()
	}
	return now
}

// tick never waits: a set that is busy sees the newest look when it comes to it.
func (to *watcher) tick() {
	select {
	case to.ticks <- struct{}{}:
	default:
	}
}

func interval(concerned []*watcher) time.Duration {
	for _, to := range concerned {
		if !to.slow.Load() {
			return tick
		}
	}
	if len(concerned) == 0 {
		return tick
	}
	return slowTick
}

// watchGroup has the lanes of a kernel group watched while there are several.
func (s *Set) watchGroup(g *Group) {
	if g.dispatch == nil {
		return
	}
	for _, l := range g.lanes {
		if len(g.lanes) < 2 {
			s.unwatch(l)
		} else if l.sign == nil {
			s.watch(l)
		}
	}
}

func (s *Set) watch(l *lane) {
	w := s.o.Watch
	if w == nil {
		w = s.own
	}
	var err error
	if w == nil {
		if w, err = NewWatch(); err == nil {
			s.own = w
		}
	}
	if err == nil {
		l.sign, err = w.add(l.fd, s.watcher)
	}
	if err != nil {
		s.o.Log("watch the queue of slot %d: %v", l.slot(), err)
	}
}

func (s *Set) unwatch(l *lane) {
	if l.sign == nil {
		return
	}
	l.sign = nil
	w := s.o.Watch
	if w == nil {
		w = s.own
	}
	if err := w.remove(l.fd); err != nil {
		s.o.Log("end the watch of slot %d: %v", l.slot(), err)
	}
}
