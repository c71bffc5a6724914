package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
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

// filterSize is that of struct sock_filter.
const filterSize = int(unsafe.Sizeof(unix.SockFilter{}))

// newTrap starts the thread. It has returned from installing the filter when newTrap
// returns.
func newTrap(filter []byte) (*trap, error) {
	if n := len(filter) / filterSize; len(filter)%filterSize != 0 || n == 0 || n > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("install filter of %d bytes: %w", len(filter), unix.EINVAL)
	}
	t := &trap{notify: none, work: make(chan func()), ended: make(chan struct{})}
	release := make(chan struct{})
	defer close(release)
	for {
		installed, elsewhere := make(chan error), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			if onMainThread() { // It is the orphanage's, and Go can never end it.
				defer runtime.UnlockOSThread()
				close(elsewhere)
				<-release // so that the next one gets another
				return
			}
			t.serve(filter, installed)
		}()
		select {
		case <-elsewhere:
		case err := <-installed:
			return t, err
		}
	}
}

// serve ends its thread when it ends, being locked to it: no other goroutine may get
// that one.
func (t *trap) serve(filter []byte, installed chan<- error) {
	defer close(t.ended)
	err := t.install(filter)
	installed <- err
	if err != nil {
		return
	}
	for do := range t.work {
		do()
	}
}

// install puts the filter on the calling thread.
func (t *trap) install(filter []byte) (err error) {
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	t.WaitKillable = true
	t.notify, err = installFilter(filter, flags|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errors.Is(err, unix.EINVAL) { // before 5.19
		t.WaitKillable = false
		t.notify, err = installFilter(filter, flags)
	}
	if errors.Is(err, unix.EACCES) { // without CAP_SYS_ADMIN
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		t.NoNewPrivs = true
		return t.install(filter)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("the calls of this process are answered by a supervisor already, such as another Paceline that runs this one: %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("seccomp is denied here, as by a container's profile, or missing: %w", err)
	}
	return fmt.Errorf("install filter: %w", err)
}

// installFilter returns the listener, which has the close-on-exec flag.
func installFilter(filter []byte, flags uintptr) (int, error) {
	program := make([]unix.SockFilter, len(filter)/filterSize) // aligned
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(filter)), filter)
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return none, errno
	}
	return int(fd), nil
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
		k.log.Printf("trap %s: no_new_privs %t, wait_killable %t", name, t.NoNewPrivs, t.WaitKillable)
	}
	fd, err = unix.FcntlInt(uintptr(t.notify), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, none, fmt.Errorf("duplicate listener of the filter: %w", err)
	}
	return t, fd, nil
}
