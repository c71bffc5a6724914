package nodeipc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// source is a descriptor in a loop. Events are edge-triggered: ready has to go on until the
// kernel has no more, or remember that it has not.
type source interface{ ready(events uint32) }

// loop is an epoll set and the goroutine that owns everything it serves. Accepting a connection
// and passing it on thus takes no lock and no other goroutine. The set's own descriptor is waited
// for by Go's poller, so that an idle loop costs no thread.
type loop struct {
	epoll   *os.File
	wait    syscall.RawConn
	fd      int
	bell    int // eventfd: something is in the inbox
	sources map[int32]source
	nextID  int32
	events  [64]unix.EpollEvent
	now     time.Time // of this turn
	again   []source  // have more to do than was fair in this turn
	alarm   time.Time // zero: not set
	onAlarm func()
	onStop  func()
	done    chan struct{}

	mu     sync.Mutex // guards inbox, closed
	inbox  []func()
	closed bool
}

// bellID is the event data of the eventfd; sources count from 1.
const bellID = 0

func newLoop() (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create eventfd: %w", err), unix.Close(ep))
	}
	l := &loop{fd: ep, bell: bell, sources: map[int32]source{}, done: make(chan struct{}), now: time.Now()}
	err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: bellID})
	if err == nil {
		err = unix.SetNonblock(ep, true) // only then Go's poller takes it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up epoll: %w", err), unix.Close(bell), unix.Close(ep))
	}
	l.epoll = os.NewFile(uintptr(ep), "epoll")
	l.wait, err = l.epoll.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("poll epoll: %w", err), unix.Close(bell), l.epoll.Close())
	}
	return l, nil
}

// run serves until stop is called. It owns all that is reached from sources and inbox.
func (l *loop) run() {
	defer close(l.done)
	for !l.stopped() {
		err := l.wait.Read(func(uintptr) bool {
			for l.turn() {
			}
			return l.stopped() || l.due()
		})
		l.now = time.Now()
		if l.due() {
			l.alarm = time.Time{}
			err = l.epoll.SetReadDeadline(l.alarm)
			l.onAlarm()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			panic("nodeipc: wait for events: " + err.Error()) // our own descriptor, closed only below
		}
	}
	l.onStop()
	_ = unix.Close(l.bell)
	_ = l.epoll.Close()
}

// turn handles what is ready now; false if nothing was.
func (l *loop) turn() bool {
	again := l.again
	l.again = nil
	n, err := unix.EpollWait(l.fd, l.events[:], 0)
	if err != nil { // EINTR
		n = 0
	}
	if n == 0 && len(again) == 0 {
		return err != nil
	}
	l.now = time.Now()
	for _, s := range again {
		s.ready(0)
	}
	for _, e := range l.events[:n] {
		if e.Fd == bellID {
			l.runInbox()
		} else if s := l.sources[e.Fd]; s != nil { // nil: removed earlier in this turn
			s.ready(e.Events)
		}
	}
	return true
}

func (l *loop) runInbox() {
	var buf [8]byte
	_, _ = unix.Read(l.bell, buf[:]) // resets it; EAGAIN means that it was
	l.mu.Lock()
	todo := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// do runs f on the loop's goroutine, soon; false if the loop has been stopped. It never blocks.
func (l *loop) do(f func()) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.inbox = append(l.inbox, f)
	ring := len(l.inbox) == 1
	l.mu.Unlock()
	if ring {
		l.ring()
	}
	return true
}

func (l *loop) ring() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(l.bell, one) // EAGAIN: it rings already
}

// stop ends the loop after what is in its inbox. It does not wait; done is closed at the end.
func (l *loop) stop() {
	l.do(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed = true
	})
}

func (l *loop) stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// add starts to watch fd; the source is told at once if it is ready already.
func (l *loop) add(fd int, s source) (int32, error) {
	l.nextID++
	id := l.nextID
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET)
	if err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: id}); err != nil {
		return 0, fmt.Errorf("watch descriptor: %w", err)
	}
	l.sources[id] = s
	return id, nil
}

// watchWrite adds or takes away the interest in fd becoming writable. It is not left on: the
// peer's every read would then wake the loop.
func (l *loop) watchWrite(fd int, id int32, on bool) {
	events := uint32(unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET)
	if on {
		events |= unix.EPOLLOUT
	}
	_ = unix.EpollCtl(l.fd, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: id})
}

// remove has to come before fd is closed: a duplicate held elsewhere would keep it in the set.
func (l *loop) remove(fd int, id int32) {
	delete(l.sources, id)
	_ = unix.EpollCtl(l.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// alarmAt has onAlarm called at t, or earlier if an earlier time is set already.
func (l *loop) alarmAt(t time.Time) {
	if !l.alarm.IsZero() && !t.Before(l.alarm) {
		return
	}
	l.alarm = t
	if err := l.epoll.SetReadDeadline(t); err != nil {
		panic("nodeipc: set deadline: " + err.Error())
	}
}

func (l *loop) due() bool { return !l.alarm.IsZero() && !time.Now().Before(l.alarm) }
