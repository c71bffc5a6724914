package keeper

import (
	"encoding/json"
	"fmt"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// trap is a thread with a seccomp filter, from which processes are forked: a filter
// is a thread's, and what it forks inherits it. The thread lives as long as the
// keeper, because the children of a thread that ends become the main thread's,
// which the orphanage could not tell from orphans. It does nothing but fork, so
// none of its own calls is ever stopped.
type trap struct {
	trapNote
	notify int // the listener; the shelf has a duplicate of it
	work   chan func()
	ended  chan struct{}
}

// trapNote is what the shelf says about a trap.
type trapNote struct {
	NoNewPrivs   bool `json:"no_new_privs"`
	WaitKillable bool `json:"wait_killable"`
}

// newTrap starts the thread. The filter is installed when newTrap returns.
func newTrap(filter []byte) (*trap, error) {
	t := &trap{notify: none, work: make(chan func()), ended: make(chan struct{})}
	installed := make(chan error)
	// Never the main thread: that is the orphanage's, and Go can never end it.
	kernel.OnOwnThread(func() {
		defer close(t.ended)
		l, err := kernel.InstallFilter(filter)
		t.notify, t.NoNewPrivs, t.WaitKillable = l.FD, l.NoNewPrivs, l.WaitKillable
		installed <- err
		if err != nil {
			return
		}
		for do := range t.work {
			do()
		}
	})
	return t, <-installed
}

// do has the thread do something and returns when it has.
func (t *trap) do(f func()) {
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// close ends the thread. Its children become the main thread's.
func (t *trap) close() {
	close(t.work)
	<-t.ended
	closeFD(t.notify)
}

// trap returns the trap of that name, which is made if there is none, with a
// duplicate of its listener.
func (k *keeper) trap(name string, filter []byte) (t *trap, fd int, err error) {
	if name == "" {
		return nil, none, errNoName
	}
	t = k.traps[name]
	if t == nil {
		if t, err = newTrap(filter); err != nil {
			return nil, none, err
		}
		kept, err := unix.FcntlInt(uintptr(t.notify), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.close()
			return nil, none, fmt.Errorf("keep listener of the filter: %w", err)
		}
		note, _ := json.Marshal(t.trapNote) // two booleans
		fds := []int{kept}
		k.shelf.keep([]keepItem{{name: name, note: note, file: 0}}, fds)
		k.traps[name] = t
		k.note("trap %s: no_new_privs %t, wait_killable %t", name, t.NoNewPrivs, t.WaitKillable)
	}
	fd, err = unix.FcntlInt(uintptr(t.notify), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, none, fmt.Errorf("duplicate listener of the filter: %w", err)
	}
	return t, fd, nil
}
