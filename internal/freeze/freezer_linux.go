package freeze

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Freezer makes trees stand still. Its file says at any time what stands still because
// of it: kept beyond the daemon's death, it has the next one let go on what this one
// has left. Its methods may be called concurrently.
type Freezer struct {
	file *os.File

	mu        sync.Mutex // guards what follows and the file, a write to memory
	held      map[int]*hold
	processes map[int]uint64 // stopped by us: pid to start time
	cgroups   map[string]bool
	length    int // of the note in the file
}

// hold is a tree that stands still, or is about to.
type hold struct {
	users int
	done  chan struct{} // closed when it does, or cannot
	err   error         // valid when done
	thaw  func()        // valid when done
}

// New returns a Freezer. f is the File of an earlier one: what that has left standing
// still goes on at once. New takes f, also when it returns an error. Nil makes a new
// file, in memory.
func New(f *os.File) (*Freezer, error) {
	if f == nil {
		fd, err := unix.MemfdCreate("frozen", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("make a file in memory: %w", err)
		}
		f = os.NewFile(uintptr(fd), "frozen")
	}
	z := &Freezer{file: f, held: map[int]*hold{}, processes: map[int]uint64{}, cgroups: map[string]bool{}}
	if err := z.recover(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return z, nil
}

// recover has go on what an earlier daemon has left standing still.
func (z *Freezer) recover() error {
	text, err := io.ReadAll(io.NewSectionReader(z.file, 0, 1<<20))
	if err != nil {
		return fmt.Errorf("read note of stopped processes: %w", err)
	}
	n, err := decodeNote(text)
	if err != nil {
		return err
	}
	z.length = len(text)
	for _, p := range n.Processes {
		err = errors.Join(err, resume(p))
	}
	for _, dir := range n.Cgroups {
		err = errors.Join(err, thawCgroup(dir))
	}
	return errors.Join(err, z.write())
}

// File is where the Freezer writes what it is about to stop. It stays the Freezer's.
func (z *Freezer) File() *os.File { return z.file }

// Freeze returns when every thread of the tree stands still, with a function that has
// it go on; only the first call of that does something. If a thread does not stand
// still in time, all go on and Freeze returns an error. What somebody else has stopped
// is left alone, now and at the end. A tree of which nothing is alive is no error.
//
// If the first root is frozen already, the tree goes on after the last thaw.
func (z *Freezer) Freeze(t Target) (thaw func(), err error) {
	if len(t.Roots) == 0 {
		return func() {}, nil
	}
	if t.Limit == 0 {
		t.Limit = defaultLimit
	}
	key := t.Roots[0].PID
	z.mu.Lock()
	h := z.held[key]
	first := h == nil
	if first {
		h = &hold{done: make(chan struct{})}
		z.held[key] = h
	}
	h.users++
	z.mu.Unlock()
	if first {
		h.thaw, h.err = z.stop(t)
		close(h.done)
	}
	<-h.done
	release := sync.OnceFunc(func() { z.release(key, h) })
	if h.err != nil {
		release()
		return nil, h.err
	}
	return release, nil
}

// release has the tree go on after its last user. It does so under the lock, which
// costs some microseconds: who freezes the tree next must not find it half stopped.
func (z *Freezer) release(key int, h *hold) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	if h.thaw != nil {
		h.thaw()
	}
	if z.held[key] == h {
		delete(z.held, key)
	}
}

// stop makes the tree stand still. The thaw that it returns is to be called under mu.
func (z *Freezer) stop(t Target) (thaw func(), err error) {
	deadline := time.Now().Add(t.Limit)
	if t.Cgroup != "" {
		thaw, err = z.stopCgroup(t, deadline)
		if !errors.Is(err, errOtherGroup) {
			return thaw, err
		}
	}
	return z.stopProcesses(t, deadline)
}

// enter writes down what is about to be stopped.
func (z *Freezer) enter(p Process, cgroup string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if cgroup != "" {
		z.cgroups[cgroup] = true
	} else {
		z.processes[p.PID] = p.StartTicks
	}
	return z.write()
}

// write puts the note into the file. It is called under mu.
func (z *Freezer) write() error {
	var n note
	for _, pid := range slices.Sorted(maps.Keys(z.processes)) {
		n.Processes = append(n.Processes, Process{PID: pid, StartTicks: z.processes[pid]})
	}
	n.Cgroups = slices.Sorted(maps.Keys(z.cgroups))
	text := n.encode(z.length)
	if _, err := z.file.WriteAt(text, 0); err != nil {
		return fmt.Errorf("note stopped processes: %w", err)
	}
	z.length = len(text)
	return nil
}

// Close has everything go on and closes the file.
func (z *Freezer) Close() error {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, h := range z.held {
		select {
		case <-h.done:
			if h.thaw != nil {
				h.thaw()
				h.thaw = nil
			}
		default: // its caller thaws it
		}
	}
	return z.file.Close()
}

// pauser waits for what the kernel does not report: shortly at first.
type pauser struct {
	deadline time.Time
	next     time.Duration
}

// Threads stop within some microseconds if they wait or run in user mode; reading
// their state costs about as much.
const (
	firstPause = 20 * time.Microsecond
	longPause  = time.Millisecond
)

// pause returns false when the deadline has passed.
func (p *pauser) pause() bool {
	if !time.Now().Before(p.deadline) {
		return false
	}
	p.next = min(max(firstPause, 2*p.next), longPause)
	timer := time.NewTimer(p.next)
	<-timer.C
	return true
}
