package adopt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// maxCallsEach is how many of the calls in hand may be of one process; what it does
// beyond passes, so that no process can fill the hand by itself.
const maxCallsEach = 64

// Server answers the calls that a filter stops.
type Server struct {
	o       Options
	file    *os.File // the listener, polled by the runtime
	conn    syscall.RawConn
	fd      int // of file
	network uint64
	ctx     context.Context // the server's life, which Close ends
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	room    chan struct{} // holds one for each call in hand
	takeover
	saved uint64 // the highest id in the last note; it belongs to the goroutine that receives

	mu     sync.Mutex // guards what follows
	last   uint64     // the highest id received
	inHand map[uint64]*call
	queues map[int][]*call // by process, as long as a goroutine works for it
	late   map[int]answer  // by thread
	recent int             // the process whose call was the last
}

// answer is one that came too late: before Linux 5.19 a signal takes a call away that
// is being handled, and the thread does it again. It gets this answer then, or with
// signals that come faster than a handler decides it would never have one.
type answer struct {
	to *call
	at time.Time
	verdict
}

// lateFor is how long an answer is good for. A thread does its call again at once.
const lateFor = time.Second

// New starts a server. Close ends it. Errors are those of the descriptor.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	fd := -1
	conn, err := o.Notify.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("open listener: %w", err)
	}
	if ctl := conn.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 3) }); ctl != nil || err != nil {
		return nil, fmt.Errorf("duplicate listener: %w", errors.Join(ctl, err))
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime does not poll it
		return nil, errors.Join(fmt.Errorf("open listener: %w", err), unix.Close(fd))
	}
	s := &Server{
		o: o, fd: fd, file: os.NewFile(uintptr(fd), "seccomp listener"), network: networkOf(-1),
		room: make(chan struct{}, maxCalls), inHand: map[uint64]*call{}, queues: map[int][]*call{},
		late: map[int]answer{},
	}
	if err := s.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("poll listener: %w", err), s.file.Close())
	}
	if s.conn, err = s.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("poll listener: %w", err), s.file.Close())
	}
	_ = kernel.WakeSync(fd) // a matter of speed; older kernels lack it
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.takeOver()
	s.wg.Go(s.receive)
	return s, nil
}

// Close waits until what is being handled has ended. Calls that are not answered are
// left to the next server.
func (s *Server) Close() error {
	s.cancel()
	_ = s.file.SetReadDeadline(time.Unix(1, 0)) // New has seen that it takes one
	s.wg.Wait()
	return s.file.Close()
}

// receive takes calls one by one: what a server that dies has received but neither
// answered nor saved is one at most.
func (s *Server) receive() {
	for {
		if s.orphan != 0 && !s.ready() {
			s.findOrphan()
		}
		if !s.takeNext(true) {
			return
		}
	}
}

// takeNext takes a call, for which it waits if it has to and should. False means that
// there will be none.
func (s *Server) takeNext(wait bool) bool {
	select {
	case s.room <- struct{}{}:
	case <-s.ctx.Done():
		return false
	}
	n, err := s.next(wait)
	if err != nil {
		<-s.room
		if errors.Is(err, errNone) {
			return true
		}
		if s.ctx.Err() == nil {
			s.o.Log("answer calls of programs: %v; those stopped from now on wait", err)
		}
		return false
	}
	s.foundFirst(n.ID)
	c := &call{request: request{ID: n.ID, TID: int(n.PID), NR: int(n.NR), Args: n.Args}}
	if s.seen != nil {
		s.seen[c.TID] = struct{}{}
	}
	if n.ID-s.saved < window/2 && (c.NR == unix.SYS_SHUTDOWN && !listening(c) || c.NR == unix.SYS_BIND && !named(c)) {
		s.finish(c, verdict{pass: true})
		return true
	}
	s.take(c)
	return true
}

// ready reports whether receiving would not have to wait.
func (s *Server) ready() bool {
	poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(poll, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && poll[0].Revents&unix.POLLIN != 0
		}
	}
}

var (
	// errNoUsers says that no thread has the filter any more.
	errNoUsers = errors.New("nobody is left whose calls are stopped")
	// errNone says that one would have to wait.
	errNone = errors.New("no call is stopped")
)

// next receives a call. Errors: errNoUsers, errNone unless it should wait.
func (s *Server) next(wait bool) (n kernel.Notification, err error) {
	read := s.conn.Read(func(uintptr) bool {
		for {
			poll := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
			if _, err = unix.Poll(poll, 0); errors.Is(err, unix.EINTR) {
				continue
			}
			switch {
			case err != nil:
				return true
			case poll[0].Revents&unix.POLLIN == 0 && poll[0].Revents&unix.POLLHUP != 0:
				err = errNoUsers
				return true
			case poll[0].Revents&unix.POLLIN == 0 && !wait:
				err = errNone
				return true
			case poll[0].Revents&unix.POLLIN == 0: // the poller tells of the next
				return false
			}
			if n, err = kernel.Receive(s.fd); !errors.Is(err, unix.ENOENT) { // else its caller has ended
				return true
			}
		}
	})
	return n, errors.Join(read, err)
}

// take has a call handled, for which there is room, after the calls that its process
// made before. When it returns, either the note has all calls in hand, or none is.
func (s *Server) take(c *call) {
	c.pid = s.processOf(c.TID)
	s.mu.Lock()
	s.inHand[c.ID] = c
	s.last = max(s.last, c.ID)
	s.mu.Unlock()
	// Its program waits, so it is saved while it is being handled: a successor finds
	// the one call that is in no note by its number, if a note tells where to look.
	known := s.saved != 0 && c.ID-s.saved < window/2
	if !known {
		s.save()
	}
	s.handle(c)
	if known {
		runtime.Gosched() // first who works for it
		s.save()
	}
}

// save saves the calls in hand, if there are any.
func (s *Server) save() {
	s.mu.Lock()
	n := note{Last: s.last, Calls: make([]request, 0, len(s.inHand))}
	for _, c := range s.inHand {
		n.Calls = append(n.Calls, c.request)
	}
	s.mu.Unlock()
	if len(n.Calls) == 0 {
		return
	}
	s.saved = n.Last
	if s.o.Save != nil {
		if err := s.o.Save(n.encode()); err != nil && s.ctx.Err() == nil {
			s.o.Log("save the calls in hand: %v", err)
		}
	}
}

// handle gives a call to the goroutine that works for its process.
func (s *Server) handle(c *call) {
	s.mu.Lock()
	queue, working := s.queues[c.pid]
	var gone *call // a thread does one call at a time
	if i := slices.IndexFunc(queue, func(d *call) bool { return d.TID == c.TID }); i >= 0 {
		gone, queue[i] = queue[i], c
	} else if len(queue) < maxCallsEach {
		s.queues[c.pid] = append(queue, c)
	} else {
		gone = c
	}
	s.mu.Unlock()
	switch {
	case gone != nil:
		s.finish(gone, verdict{pass: true})
	case !working:
		s.wg.Go(func() { s.work(c.pid) })
	}
}

// processOf returns the process of a thread, 0 if it is gone or not to be seen. As a
// rule it is the thread that the process began with, or one of the process that has
// just made a call: a signal that is not sent tells, sooner than /proc does.
func (s *Server) processOf(tid int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pid := range []int{tid, s.recent} {
		if pid == 0 {
			continue
		}
		if err := unix.Tgkill(pid, tid, 0); err == nil || errors.Is(err, unix.EPERM) {
			s.recent = pid
			return pid
		}
	}
	s.recent = readStatus(tid).pid
	return s.recent
}

// work handles the calls of one process until there are none.
func (s *Server) work(pid int) {
	for {
		s.mu.Lock()
		queue := s.queues[pid]
		if len(queue) == 0 || s.ctx.Err() != nil { // The others are in the note.
			delete(s.queues, pid)
			s.mu.Unlock()
			return
		}
		c := queue[0]
		s.queues[pid] = queue[1:]
		late, again := s.late[c.TID]
		delete(s.late, c.TID)
		s.mu.Unlock()
		if again && late.to.same(c) && time.Since(late.at) < lateFor {
			c.decided = true
			s.finish(c, late.verdict)
			continue
		}
		s.finish(c, s.decide(c))
	}
}

// verdict is what becomes of a call. Zero is that it has succeeded.
type verdict struct {
	errno unix.Errno
	pass  bool // the kernel carries it out
	leave bool // the next server begins it again
}

// finish answers a call.
func (s *Server) finish(c *call, v verdict) {
	if v.leave {
		return
	}
	a := kernel.Answer{ID: c.ID, Error: -int32(v.errno)}
	if v.pass {
		a.Error, a.Flags = 0, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	err := kernel.Send(s.fd, a)
	gone := errors.Is(err, unix.ENOENT) // its caller was killed, or does the call again
	if err != nil && !gone {
		s.o.Log("answer a call of process %d: %v", c.pid, err)
	}
	s.mu.Lock()
	delete(s.inHand, c.ID)
	if gone && c.decided {
		maps.DeleteFunc(s.late, func(_ int, l answer) bool { return time.Since(l.at) >= lateFor })
		s.late[c.TID] = answer{to: c, at: time.Now(), verdict: v}
	}
	s.mu.Unlock()
	<-s.room
}
