package kernel

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Listener is where the calls are told that a filter stops.
type Listener struct {
	// FD is the descriptor, with the close-on-exec flag.
	FD int
	// NoNewPrivs says that the thread had to give up gaining rights by exec.
	NoNewPrivs bool
	// WaitKillable says that signals do not interrupt a call that was received.
	WaitKillable bool
}

// FilterSize is the size of struct sock_filter.
const FilterSize = int(unsafe.Sizeof(unix.SockFilter{}))

// InstallFilter puts a seccomp filter, an array of struct sock_filter that stops some
// calls, on the calling thread for ever. Without CAP_SYS_ADMIN it sets no_new_privs on
// the thread. See [OnOwnThread]. Errors: an errno with words.
func InstallFilter(filter []byte) (l Listener, err error) {
	if n := len(filter) / FilterSize; len(filter)%FilterSize != 0 || n == 0 || n > unix.BPF_MAXINSNS {
		return l, fmt.Errorf("install filter of %d bytes: %w", len(filter), unix.EINVAL)
	}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	l.WaitKillable = true
	l.FD, err = installFilter(filter, flags|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errors.Is(err, unix.EINVAL) { // before 5.19
		l.WaitKillable = false
		l.FD, err = installFilter(filter, flags)
	}
	if on, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); errors.Is(err, unix.EACCES) && on == 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return l, fmt.Errorf("set no_new_privs: %w", err)
		}
		l, err = InstallFilter(filter)
		l.NoNewPrivs = true
		return l, err
	}
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, unix.EBUSY):
		return l, fmt.Errorf("the calls of this process are answered by a supervisor already, such as another Paceline that runs this one: %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
		return l, fmt.Errorf("seccomp is denied here, as by a container's profile, or missing: %w", err)
	}
	return l, fmt.Errorf("install filter: %w", err)
}

func installFilter(filter []byte, flags uintptr) (int, error) {
	program := make([]unix.SockFilter, len(filter)/FilterSize) // aligned
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(filter)), filter)
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// OnOwnThread starts f in a goroutine with a thread that nobody else has had or will
// have: it ends with f. It is never the process's main thread, which Go cannot end.
func OnOwnThread(f func()) {
	release := make(chan struct{})
	defer close(release)
	for {
		main := make(chan bool)
		go func() {
			runtime.LockOSThread() // and never unlocked: so the thread ends
			if unix.Gettid() != unix.Getpid() {
				main <- false
				f()
				return
			}
			defer runtime.UnlockOSThread()
			main <- true
			<-release // so that the next one gets another
		}()
		if !<-main {
			return
		}
	}
}

// Notification is struct seccomp_notif: a call that was stopped.
type Notification struct {
	ID         uint64
	PID, Flags uint32 // of the thread
	NR         int32
	Arch       uint32
	IP         uint64
	Args       [6]uint64
}

// Answer is struct seccomp_notif_resp. An error is negative.
type Answer struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// addFD is struct seccomp_notif_addfd.
type addFD struct {
	id                               uint64
	flags, source, target, fileFlags uint32
}

// Of linux/seccomp.h; x/sys lacks them.
const (
	notifIDValid = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID as it is since 5.8
	notifAddFD   = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD
	notifFlags   = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, since 6.6
	notifSync    = 1          // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
)

// WakeSync has who waits for stopped calls woken on the CPU of the caller, which
// waits from then on: nothing is gained by another one, which may have to wake up
// itself. Errors: EINVAL before Linux 6.6.
func WakeSync(listener int) error {
	// Unlike the other calls it takes the value, not where it is.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), notifFlags, notifSync)
	if errno != 0 {
		return errno
	}
	return nil
}

// Receive takes the next stopped call; it waits if there is none. Errors: ENOENT if
// its caller has just ended.
func Receive(listener int) (n Notification, err error) {
	err = notifIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
	return n, err
}

// Send answers a call. Errors: ENOENT if nobody waits for the answer any more.
func Send(listener int, a Answer) error {
	return notifIoctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
}

// Waits reports whether a call that was received waits for its answer.
func Waits(listener int, id uint64) bool {
	return notifIoctl(listener, notifIDValid, unsafe.Pointer(&id)) == nil
}

// SetFD puts a duplicate of fd in the place of the caller's descriptor, or, if that is
// -1, gives it a new one.
func SetFD(listener int, id uint64, fd, its int, closeOnExec bool) error {
	a := addFD{id: id, source: uint32(fd)}
	if its >= 0 {
		a.flags, a.target = unix.SECCOMP_ADDFD_FLAG_SETFD, uint32(its)
	}
	if closeOnExec {
		a.fileFlags = unix.O_CLOEXEC
	}
	return notifIoctl(listener, notifAddFD, unsafe.Pointer(&a))
}

func notifIoctl(listener int, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), request, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}
