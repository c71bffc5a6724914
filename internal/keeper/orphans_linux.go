package keeper

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// An orphanage answers two questions about the orphans handed to us, at the cost
// of a thread switch and without looking at the rest of the process table: which
// have died, and whether any is alive.
//
// It makes use of where Linux keeps children: at the thread that forked them, and
// orphans at the subreaper's main thread. A wait with __WNOTHREAD sees those of the
// calling thread only. So one goroutine occupies the main thread; then all forks
// happen on others, and what the main thread can wait for are the orphans.
// ECHILD there says in one call that a dead leader has left nothing behind.
type orphanage struct {
	ask  chan struct{}
	told chan swept
}

type swept struct {
	dead   []int
	living bool
}

// withOrphanage calls do with an orphanage, or with nil if the main thread is not to
// be had; then the process table has to be read instead.
func withOrphanage(do func(*orphanage) error) error {
	o := &orphanage{ask: make(chan struct{}), told: make(chan swept)}
	// The goroutine of main begins there. If that is our caller and it has not moved,
	// it stays, and do gets another.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if onMainThread() {
		result := make(chan error, 1)
		go func() {
			defer close(o.ask)
			result <- do(o)
		}()
		o.serve()
		return <-result
	}
	if !o.findMainThread() {
		return do(nil)
	}
	defer func() {
		close(o.ask)
		<-o.told
	}()
	return do(o)
}

func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// findMainThread starts goroutines until one lands on the main thread. Each that
// lands elsewhere occupies that thread, so the next one gets a different one; idle
// threads are taken before new ones are made.
func (o *orphanage) findMainThread() bool {
	release := make(chan struct{})
	defer close(release)
	const tries = 16
	for range tries {
		found := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if !onMainThread() {
				found <- false
				<-release
				return
			}
			found <- true
			o.serve()
		}()
		if <-found {
			return true
		}
	}
	return false
}

// serve answers on the main thread.
func (o *orphanage) serve() {
	defer close(o.told)
	for range o.ask {
		o.told <- sweep()
	}
}

// sweep reaps the dead orphans.
func (o *orphanage) sweep() (dead []int, living bool) {
	o.ask <- struct{}{}
	s := <-o.told
	return s.dead, s.living
}

func sweep() (s swept) {
	for {
		info, err := waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOTHREAD)
		switch {
		case err != nil: // ECHILD
			return s
		case info.pid == 0:
			s.living = true
			return s
		}
		s.dead = append(s.dead, int(info.pid))
	}
}
