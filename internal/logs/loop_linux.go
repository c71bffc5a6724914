package logs

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	blockBytes   = 256 << 10 // what is looked at in one go
	spliceBytes  = 1 << 20   // what one splice moves at most
	pipeBytes    = 64 << 10  // a pipe as the kernel makes it
	largeBytes   = 64 << 10  // a burst that is worth a second processor
	hotPipeBytes = 1 << 20   // a busy one; /proc/sys/fs/pipe-max-size allows it by default

	maxRest     = 2 * time.Millisecond // how long output may wait while more of it comes
	minRest     = 50 * time.Microsecond
	fullEnough  = 0.8                   // of a pipe, after which a flood's next rest is shorter
	tooEmpty    = 0.5                   // and longer
	waitTick    = 50 * time.Millisecond // while streams wait for each other
	slowTick    = time.Second
	coolAfter   = 10 * time.Second // a pipe that was not busy for so long shrinks again
	settleAfter = 5 * time.Second  // an old file is compressed if no other followed it
	adoptWithin = time.Minute      // streams of a former pump have been added by then
)

// loop is the goroutine that reads all streams. Nothing else touches its fields.
type loop struct {
	descriptors
	queues
	pump     *Pump
	timing   timing
	journal  *journal
	stage    *Stage // empty between bursts; nil: there is none
	block    []byte // what is peeked
	stamped  []byte
	now      time.Time
	started  time.Time       // zero once the journal has been cleaned
	streams  map[int]*stream // by descriptor
	files    map[string]*file
	watchers map[string][]*watcher
	written  map[string]*Written // by path, also of files that are closed
	hot      hotPipes
	bulk     bulk
	compress compressor
	flood    flood
	ended    bool
}

// descriptors are those that the loop needs for itself.
type descriptors struct {
	wake    int // the pump's
	epoll   int
	null    int
	scratch [2]int // a pipe for peeking; always empty between bursts
}

// queues are lists of what is to be looked at.
type queues struct {
	ready   []*stream // may have something to read
	spare   []*stream // memory for the next round's ready
	partial []*stream // hold the beginning of a line
	waiting []*stream // wait for the end of another one's line
	touched []*file   // since the last notification
	faulty  []*file   // cannot be written
}

// flood is what the loop knows of large bursts.
type flood struct {
	bursts int           // that the last round had
	rest   time.Duration // after such a round
}

// hotPipes are the pipes that were enlarged.
type hotPipes struct {
	streams []*stream
	most    int // how many there may be
}

func newLoop(p *Pump, wake int, j *journal, stage *Stage, t timing) (*loop, error) {
	if t.settle == 0 {
		t.settle = settleAfter
	}
	if t.retry == 0 {
		t.retry = retryEvery
	}
	l := &loop{
		descriptors: descriptors{wake: wake, epoll: -1, null: -1, scratch: [2]int{-1, -1}},
		pump:        p,
		timing:      t,
		journal:     j,
		stage:       stage,
		started:     time.Now(),
		streams:     map[int]*stream{},
		files:       map[string]*file{},
		watchers:    map[string][]*watcher{},
		written:     map[string]*Written{},
		compress:    compressor{due: map[string]time.Time{}, settle: t.settle},
	}
	l.hot.most = mostHotPipes()
	err := l.openDescriptors()
	if err != nil {
		l.closeDescriptors()
		return nil, err
	}
	return l, nil
}

func (l *loop) openDescriptors() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make epoll: %w", err)
	}
	if l.null, err = unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(l.wake)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.wake, &ev); err != nil {
		return fmt.Errorf("watch eventfd: %w", err)
	}
	return nil
}

func (l *loop) closeDescriptors() {
	fds := []int{l.epoll, l.null, l.scratch[0], l.scratch[1]}
	if l.journal != nil {
		fds = append(fds, l.journal.fd)
	}
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing is buffered in them
		}
	}
	if l.stage != nil {
		_ = l.stage.Close() // it is empty
	}
}

// mostHotPipes returns how many pipes may be enlarged: a quarter of what an
// unprivileged user may have in pipes, for beyond that limit every new pipe of
// the user would be of one page.
func mostHotPipes() int {
	pages := 16384 // Linux's default
	if text, err := os.ReadFile("/proc/sys/fs/pipe-user-pages-soft"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 {
			pages = n
		}
	}
	return min(pages*os.Getpagesize()/4/hotPipeBytes, 64)
}

// run reads until the pump is closed. Output that comes line by line is not moved
// line by line: after a round without large bursts the loop rests, as long as it
// takes the fastest writer to fill a part of its pipe, and at most for maxRest.
func (l *loop) run() {
	events := make([]unix.EpollEvent, 128)
	for !l.ended {
		timeout := 0
		if len(l.ready) == 0 {
			timeout = l.timeout()
		}
		n, err := unix.EpollWait(l.epoll, events, timeout)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic("logs: epoll_wait: " + err.Error()) // only our own mistakes lead here
		}
		before := l.now
		l.now = time.Now()
		for _, ev := range events[:max(n, 0)] {
			if int(ev.Fd) == l.wake {
				l.runCalls()
			} else if s := l.streams[int(ev.Fd)]; s != nil {
				s.hup = s.hup || ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
				l.enqueue(s)
			}
		}
		l.tick()
		fill, pause := l.round()
		l.notify()
		l.rest(fill, pause, l.now.Sub(before))
	}
	l.closeAll()
}

// enqueue marks a stream as one that may have something to read.
func (l *loop) enqueue(s *stream) {
	if !s.queued {
		s.queued = true
		l.ready = append(l.ready, s)
	}
}

// round takes what is ready and returns by how much the fullest pipe was filled,
// and whether a line was looked at that is not complete: one that is written
// character by character is not worth a look at each.
func (l *loop) round() (fill float64, pause bool) {
	list := l.ready
	l.ready, l.flood.bursts = l.spare[:0], 0
	settle := func(s *stream, n int, what outcome) {
		if n >= largeBytes {
			l.flood.bursts++
		}
		fill = max(fill, float64(n)/float64(s.capacity))
		pause = pause || what == partial
		l.settle(s, n, what)
	}
	for _, s := range list {
		s.queued = false
		if s.fd < 0 {
			continue
		}
		if n, what := l.move(s); what != deferred {
			settle(s, n, what)
		}
	}
	finish := l.staged
	if len(l.bulk.bursts) != 1 || !l.stage.takes(l.journal, l.bulk.bursts[0].file) {
		l.bulk.run(l.pump)
		finish = l.spliced
	}
	for i := range l.bulk.bursts {
		b := &l.bulk.bursts[i]
		n, what := finish(b)
		settle(b.stream, n, what)
	}
	clear(l.bulk.bursts)
	l.bulk.bursts = l.bulk.bursts[:0]
	clear(list)
	l.spare = list[:0]
	return fill, pause
}

// settle notes what a burst of a stream has come to.
func (l *loop) settle(s *stream, n int, what outcome) {
	l.heat(s, n)
	s.large = n >= largeBytes
	switch what {
	case more:
		l.enqueue(s)
	case partial:
		if !s.partial {
			s.partial = true
			s.since = l.now
			l.partial = append(l.partial, s)
		}
	case blocked:
		if !s.waiting {
			s.waiting = true
			l.waiting = append(l.waiting, s)
		}
	case ended:
		l.detach(s)
		if s.done != nil {
			l.pump.work.Go(s.done)
		}
	case empty, deferred:
	}
}

// rest waits until the fullest pipe should be filled by a third, judging by what
// came in the time since the round before.
func (l *loop) rest(fill float64, pause bool, passed time.Duration) {
	if l.ended || l.flood.bursts == 0 && !pause && (len(l.ready) == 0 || fill == 0) {
		return
	}
	rest := maxRest
	if l.flood.bursts > 0 {
		rest = l.flood.adapt(fill)
	} else if want := float64(passed) * 0.3 / fill; fill > 0 && want < float64(rest) {
		rest = time.Duration(want)
	}
	if rest < minRest {
		return
	}
	fds := []unix.PollFd{{Fd: int32(l.wake), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(rest))
	_, _ = unix.Ppoll(fds, &ts, nil) // a signal may cut it short
}

// adapt returns how long to rest after a round with large bursts, so that the next
// one finds the pipe well filled and its writer not yet waiting. Without a rest
// the loop would spin on the pipe's lock, which the writer holds while it copies,
// to get a few pages at a time. How fast the writer is cannot be told once it has
// waited for room, so the rest follows the fill by steps. A loop that several
// busy writers do not let come to an end does not rest.
func (f *flood) adapt(fill float64) time.Duration {
	switch {
	case fill > fullEnough:
		f.rest = f.rest * 3 / 4
	case fill < tooEmpty:
		f.rest = min(f.rest*5/4, maxRest)
	}
	if f.rest < minRest && (f.bursts == 1 || fill < tooEmpty) {
		f.rest = minRest
	}
	return f.rest
}

// heat enlarges the pipe of a stream whose writer fills it.
func (l *loop) heat(s *stream, moved int) {
	if moved < s.capacity/4 {
		return
	}
	s.busy = l.now
	if s.capacity >= hotPipeBytes || len(l.hot.streams) >= l.hot.most || s.refused {
		return
	}
	if n, err := unix.FcntlInt(uintptr(s.fd), unix.F_SETPIPE_SZ, hotPipeBytes); err == nil {
		s.capacity = n
		l.hot.streams = append(l.hot.streams, s)
		return
	}
	s.refused = true
}

// cool gives back the memory of pipes that are no longer busy.
func (l *loop) cool() {
	l.hot.streams = slices.DeleteFunc(l.hot.streams, func(s *stream) bool {
		if s.fd < 0 {
			return true
		}
		if l.now.Sub(s.busy) < coolAfter {
			return false
		}
		n, err := unix.FcntlInt(uintptr(s.fd), unix.F_SETPIPE_SZ, pipeBytes)
		if err == nil {
			s.capacity = n
		}
		return err == nil // it holds more just now
	})
}

// timeout returns how long the loop may sleep, in milliseconds.
func (l *loop) timeout() int {
	wait := time.Duration(math.MaxInt64)
	if len(l.waiting) > 0 {
		wait = waitTick
	}
	if len(l.partial) > 0 {
		wait = min(wait, slowTick)
	}
	if len(l.faulty) > 0 {
		wait = min(wait, l.timing.retry)
	}
	if len(l.hot.streams) > 0 {
		wait = min(wait, coolAfter)
	}
	if at := l.compress.next(); !at.IsZero() {
		wait = min(wait, max(time.Until(at), 0))
	}
	if wait == math.MaxInt64 {
		return -1
	}
	return int(wait/time.Millisecond) + 1
}

// tick does what is due.
func (l *loop) tick() {
	for _, s := range l.waiting {
		s.waiting = false
		l.enqueue(s)
	}
	l.waiting = l.waiting[:0]
	l.partial = slices.DeleteFunc(l.partial, func(s *stream) bool {
		if s.partial && s.fd >= 0 && l.now.Sub(s.since) >= slowTick {
			s.since = l.now
			s.stuck = s.full()
			l.enqueue(s)
		}
		return !s.partial || s.fd < 0
	})
	for _, f := range slices.Clone(l.faulty) {
		if !l.now.Before(f.faults.retry) {
			l.retry(f)
		}
	}
	if len(l.hot.streams) > 0 {
		l.cool()
	}
	l.compress.start(l)
	if !l.started.IsZero() && l.now.Sub(l.started) > adoptWithin {
		l.started = time.Time{}
		used := map[node]bool{}
		for _, f := range l.files {
			used[f.node] = true
		}
		l.journal.forgetGone(func(k node) bool { return used[k] })
	}
}

// touch notes that a file has changed, for those who follow it.
func (l *loop) touch(f *file) {
	if len(l.watchers) > 0 && !slices.Contains(l.touched, f) {
		l.touched = append(l.touched, f)
	}
}

func (l *loop) notify() {
	for _, f := range l.touched {
		for _, w := range l.watchers[f.path] {
			w.ring()
		}
	}
	l.touched = l.touched[:0]
}

func (l *loop) runCalls() {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	for _, call := range l.pump.take() {
		call(l)
	}
}

// end is the last call.
func (l *loop) end() { l.ended = true }

func (l *loop) closeAll() {
	l.bulk.end()
	for _, s := range l.streams {
		s.close()
	}
	for _, f := range l.files {
		f.close()
	}
	l.closeDescriptors()
}

// writtenTo returns the counts of a path.
func (l *loop) writtenTo(path string) *Written {
	w := l.written[path]
	if w == nil {
		w = new(Written)
		l.written[path] = w
	}
	return w
}
