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

// openOrphanage tries to get hold of the main thread. It returns nil if another
// goroutine is wired to it; then the process table has to be read instead.
func openOrphanage() *orphanage {
	o := &orphanage{ask: make(chan struct{}), told: make(chan swept)}
	release := make(chan struct{})
	defer close(release)
	// Each try that lands on another thread occupies it, so the next one gets a
	// different one: the main thread's turn comes before a new one is made.
	const tries = 16
	for range tries {
		main := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() != unix.Getpid() {
				main <- false
				<-release
				return
			}
			main <- true
			for range o.ask {
				o.told <- sweep()
			}
			close(o.told)
		}()
		if <-main {
			return o
		}
	}
	return nil
}

// sweep reaps the dead orphans.
func (o *orphanage) sweep() (dead []int, living bool) {
	o.ask <- struct{}{}
	s := <-o.told
	return s.dead, s.living
}

func (o *orphanage) close() {
	if o != nil {
		close(o.ask)
		<-o.told
	}
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
