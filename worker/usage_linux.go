package worker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// thread is the thread of a worker. It is used with the worker's lock, so that
// the thread cannot end, and its number be another's, while it is asked for.
type thread struct {
	id    int // 0 if it has none of its own
	final *Usage
	err   error // of the last reading
}

// begin is called on the thread.
func (t *thread) begin(locked bool) {
	if locked {
		t.id = unix.Gettid()
	}
}

// finish is called on the thread, when it is about to end.
func (t *thread) finish() {
	if t.id == 0 {
		return
	}
	var used unix.Rusage
	if t.err = unix.Getrusage(unix.RUSAGE_THREAD, &used); t.err != nil {
		t.err = fmt.Errorf("read the usage of thread %d: %w", t.id, t.err)
	}
	user, system := time.Duration(used.Utime.Nano()), time.Duration(used.Stime.Nano())
	t.final = &Usage{
		CPU: user + system, User: user, System: system,
		Voluntary: int64(used.Nvcsw), Involuntary: int64(used.Nivcsw),
	}
}

func (t *thread) usage() (Usage, error) {
	switch {
	case t.id == 0:
		return Usage{}, ErrNotLocked
	case t.final != nil:
		return *t.final, t.err
	}
	// The clock of another thread of the process: its number and which clock it is
	// are one number (the kernel's include/linux/posix-timers_types.h; all versions).
	const schedulerClock, perThread = 2, 4
	clock := int32(^t.id)<<3 | schedulerClock | perThread
	var used unix.Timespec
	if err := unix.ClockGettime(clock, &used); err != nil {
		return Usage{}, fmt.Errorf("read the clock of thread %d: %w", t.id, err)
	}
	return Usage{CPU: time.Duration(used.Nano())}, nil
}
