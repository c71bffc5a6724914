package worker

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// PoolPolicy says what becomes of a task that finds the pool full.
type PoolPolicy int

// The policies. A pool is full when as many tasks run as it may have workers, and
// as many wait as [PoolQueue] allows.
const (
	// PoolBlock makes Submit and Run wait until there is room, or their context ends.
	PoolBlock PoolPolicy = iota
	// PoolFail refuses the new task with ErrPoolFull.
	PoolFail
	// PoolDropOldest gives up the task that has waited longest, of the lowest priority
	// there is; PoolDropNewest the one that came last. Its Run returns ErrPoolDropped.
	// Where all that wait are of a higher priority than the new task, or none may
	// wait, it is the new one that is given up, with the same error.
	PoolDropOldest
	PoolDropNewest
)

const (
	// poolQueue bounds memory, at about 100 bytes a task, and lets producers run ahead
	// of the workers rather than stop and go with each task.
	poolQueue = 1024
	poolIdle  = 10 * time.Second
	// poolNice leaves a background worker a tenth of a processor that others want. At
	// 19, or as SCHED_IDLE, it is a hundredth or less: a thread that is not let run for
	// so long holds up the garbage collector, and with it all others.
	poolNice = 10
)

// PoolOption is a setting of [NewPool].
type PoolOption func(*poolConfig)

type poolConfig struct {
	min, max     int
	queue        int
	policy       PoolPolicy
	idle         time.Duration
	timeout      time.Duration
	lockThread   bool
	background   bool
	nice         int
	maxPanics    int
	panicWindow  time.Duration
	panicPause   time.Duration
	cancelOnGive bool
	onError      func(error)
}

// PoolWorkers sets how many workers there are at least, from the first moment on,
// and at most. The default is 0 and runtime.GOMAXPROCS(0), the usable processors.
// A most of 0 means that default.
func PoolWorkers(least, most int) PoolOption {
	return func(c *poolConfig) { c.min, c.max = least, most }
}

// PoolQueue sets how many tasks may wait while all workers are busy: 1,024 by
// default. With 0 a task is taken only if a worker is free for it.
func PoolQueue(tasks int) PoolOption { return func(c *poolConfig) { c.queue = tasks } }

// PoolWhenFull sets what becomes of a task that finds the pool full: [PoolBlock] by
// default.
func PoolWhenFull(policy PoolPolicy) PoolOption { return func(c *poolConfig) { c.policy = policy } }

// PoolIdleTimeout sets how long a worker beyond the least number stays without work:
// 10 s by default; 0 or less means for ever.
func PoolIdleTimeout(d time.Duration) PoolOption { return func(c *poolConfig) { c.idle = d } }

// PoolTimeout sets how long a task may run, for those that have no [TaskTimeout]. 0,
// the default, means any time.
func PoolTimeout(d time.Duration) PoolOption { return func(c *poolConfig) { c.timeout = d } }

// PoolLockThread gives each worker an operating system thread of its own, as
// runtime.LockOSThread does, which ends with the worker: for code that keeps state in
// its thread. Handing a task to such a worker costs some microseconds more.
func PoolLockThread() PoolOption { return func(c *poolConfig) { c.lockThread = true } }

// PoolBackground makes the pool give way to the rest of the program: for work that
// takes all processors while requests are to be answered beside it. Each worker has
// a thread of its own, as with [PoolLockThread], whose nice value is 10 higher than
// the program's; and until the pool is closed, GOMAXPROCS is higher by its number of
// workers, as a busy worker holds a place of Go's scheduler even while the kernel
// prefers another thread. With PoolWorkers left out the pool still uses all
// processors when nobody else wants them.
//
// Setting GOMAXPROCS, here as by hand, ends Go's own adjustment of it to a changed CPU
// limit. A process that a task starts inherits the nice value. Outside Linux a thread
// has none; only GOMAXPROCS is raised.
func PoolBackground() PoolOption {
	return func(c *poolConfig) {
		c.background, c.lockThread = true, true
		if c.nice == 0 {
			c.nice = poolNice
		}
	}
}

// PoolNice is [PoolBackground] with another nice value, of 1 to 19: by how much it is
// higher than the program's. The higher, the less other threads notice, and the longer
// the garbage collector may have to wait for a worker on a machine whose processors
// other programs take.
func PoolNice(nice int) PoolOption {
	return func(c *poolConfig) {
		PoolBackground()(c)
		c.nice = nice
		if nice == 0 {
			c.nice = -1 // told apart from the one that is left out, and refused
		}
	}
}

// PoolMaxPanics stops the pool when more than n tasks panic within the window: it
// takes no further task, gives up those that wait, and both have an error that is
// [ErrPoolPanics]. By default a pool bears any number: a worker whose task
// panics is replaced, and the others go on.
func PoolMaxPanics(n int, window time.Duration) PoolOption {
	return func(c *poolConfig) { c.maxPanics, c.panicWindow = n, window }
}

// PoolPanicPause makes a pool with [PoolMaxPanics] pause for this time rather than
// stop: what waits stays, new tasks are refused with [ErrPoolPanics], and
// afterwards it goes on with an empty count.
func PoolPanicPause(d time.Duration) PoolOption { return func(c *poolConfig) { c.panicPause = d } }

// PoolCancel has [Pool.Close] end the contexts of the tasks that still run when its own
// context ends. It costs each task some allocations; without it only tasks with a
// timeout are told, and the others have the context that they were submitted with.
func PoolCancel() PoolOption { return func(c *poolConfig) { c.cancelOnGive = true } }

// PoolOnError sets what is called with the error of each task of Submit that failed,
// panicked (a [*TaskPanic]), ran into its timeout, or never ran: its context ended
// before it could, or it was dropped, or the pool stopped. It is called from many
// goroutines, and a worker waits for its return. By default such errors are counted
// in [PoolStats] and nothing more. Run returns its task's error instead.
func PoolOnError(report func(error)) PoolOption { return func(c *poolConfig) { c.onError = report } }

func newPoolConfig(opts []PoolOption) (poolConfig, error) {
	c := poolConfig{queue: poolQueue, idle: poolIdle, maxPanics: -1}
	for _, set := range opts {
		set(&c)
	}
	if c.max == 0 {
		c.max = max(runtime.GOMAXPROCS(0), c.min)
	}
	switch {
	case c.min < 0 || c.max < c.min:
		return c, fmt.Errorf("worker: pool of %d to %d workers: the most must be at least the least, and neither negative", c.min, c.max)
	case c.queue < 0:
		return c, fmt.Errorf("worker: pool queue of %d tasks: give 0 or more", c.queue)
	case c.policy < PoolBlock || c.policy > PoolDropNewest:
		return c, fmt.Errorf("worker: unknown pool policy %d", c.policy)
	case c.timeout < 0:
		return c, fmt.Errorf("worker: pool timeout of %v: give 0 or more", c.timeout)
	case c.background && (c.nice < 1 || c.nice > 19):
		return c, errors.New("worker: pool nice value: give 1 to 19")
	case c.maxPanics >= 0 && c.panicWindow <= 0:
		return c, fmt.Errorf("worker: at most %d panics within %v: give a window of more than 0", c.maxPanics, c.panicWindow)
	case c.panicPause < 0 || c.panicPause > 0 && c.maxPanics < 0:
		return c, fmt.Errorf("worker: pool pause of %v: give 0 or more, together with PoolMaxPanics", c.panicPause)
	}
	return c, nil
}

// TaskPriority is the order in which tasks that wait are taken: all of a higher one
// before any of a lower one, so that a flood of high ones leaves the others no
// worker; and in the order of their coming within one.
type TaskPriority int8

// The priorities; TaskNormal is the default.
const (
	TaskLow    TaskPriority = -1
	TaskNormal TaskPriority = 0
	TaskHigh   TaskPriority = 1
)

// TaskOption is a setting of one task. It is a plain value, so that giving one
// allocates nothing.
type TaskOption struct {
	timeout  time.Duration
	priority TaskPriority
	isTime   bool
}

// TaskTimeout sets how long a task may run from its start; 0 means any time. Then its
// context ends with [ErrTaskTimeout] as its cause, and Run returns. A function that
// does not look at its context runs on nevertheless, and keeps its worker: Go
// cannot end it. A bound on the whole, with the time in the queue, is a deadline of
// the context that the task is submitted with.
func TaskTimeout(d time.Duration) TaskOption { return TaskOption{timeout: max(d, 0), isTime: true} }

// TaskAt sets a task's priority. Values beyond TaskLow and TaskHigh mean these.
func TaskAt(p TaskPriority) TaskOption {
	return TaskOption{priority: min(max(p, TaskLow), TaskHigh)}
}
