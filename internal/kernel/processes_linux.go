package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// processChecks are about starting, signalling and watching processes.
var processChecks = []check{
	{"pidfd_send_signal", "5.1", "signals never hit a recycled pid", func() (string, error) {
		return "", withSelf(func(fd int) error { return unix.PidfdSendSignal(fd, 0, nil, 0) })
	}},
	{"pidfd_open", "5.3", "the keeper watches processes that it has not started", func() (string, error) {
		return "", withSelf(func(int) error { return nil })
	}},
	{"waitid on a pidfd", "5.4", "exits are collected by pidfd", func() (string, error) {
		return "", withSelf(func(fd int) error {
			err := unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil)
			if errors.Is(err, unix.ECHILD) { // right: nobody is their own child
				return nil
			}
			return err
		})
	}},
	{"pidfd_getfd", "5.6", "the listening socket of an unmodified program can be shared", func() (string, error) {
		return "", withSelf(func(fd int) error {
			dup, err := unix.PidfdGetfd(fd, fd, 0)
			if err == nil {
				unix.Close(dup) //nolint:errcheck // a duplicate
			}
			return err
		})
	}},
	{"process_vm_readv", "3.2", "addresses that an unmodified program binds can be read", func() (string, error) {
		from, to := []byte("pace"), make([]byte, 4)
		local := []unix.Iovec{{Base: &to[0]}}
		local[0].SetLen(len(to))
		remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&from[0])), Len: len(from)}}
		n, err := unix.ProcessVMReadv(os.Getpid(), local, remote, 0)
		runtime.KeepAlive(from)
		if err == nil && (n != len(to) || string(to) != "pace") {
			err = errMissing
		}
		return "", err
	}},
	{"child subreaper", "3.4", "daemonised processes of an app stay known", func() (string, error) {
		var on int32
		return "", unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&on)), 0, 0, 0)
	}},
	{"close_range", "5.9", "children inherit no descriptor by accident", func() (string, error) {
		return "", unix.CloseRange(1<<31, 1<<32-1, 0) // no descriptor has such a number
	}},
	{"memfd_create", "3.17", "state is handed to the next daemon in memory", func() (string, error) {
		fd, err := unix.MemfdCreate("pace-probe", unix.MFD_CLOEXEC)
		if err == nil {
			unix.Close(fd) //nolint:errcheck // empty
		}
		return "", err
	}},
	{"splice", "2.6.17", "the balancer moves bytes inside the kernel", trySplice},
	{"user namespaces", "3.8", "apps can be confined without root", tryUserNamespace},
	{"seccomp user notification", "5.0", "unmodified programs share a port: their listen calls are answered", func() (string, error) {
		action := uint32(unix.SECCOMP_RET_USER_NOTIF)
		return "", seccomp(unix.SECCOMP_GET_ACTION_AVAIL, 0, unsafe.Pointer(&action))
	}},
	{"seccomp notification: ADDFD", "5.9", "a stopped call is answered, and its program given the shared socket", tryNotification},
	{"seccomp notification: WAIT_KILLABLE_RECV", "5.19", "signals do not interrupt a listen call that is being answered", func() (string, error) {
		return "", seccompFlags(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | seccompWaitKillable)
	}},
}

// withSelf calls f with a pidfd of this process (pidfd_open: 5.3).
func withSelf(f func(fd int) error) error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // a pidfd
	return f(fd)
}

// seccompWaitKillable is SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
const seccompWaitKillable = 1 << 5

func seccomp(operation, flags uintptr, args unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, operation, flags, uintptr(args)); errno != 0 {
		return errno
	}
	return nil
}

// seccompFlags tries flags with a filter at address 0: the kernel looks at the
// flags first, so that EFAULT means that it knows them. Nothing is installed.
func seccompFlags(flags uintptr) error {
	err := seccomp(unix.SECCOMP_SET_MODE_FILTER, flags, nil)
	if errors.Is(err, unix.EFAULT) {
		return nil
	}
	return err
}

// tryNotification stops a call of a thread of its own, and does all that has to be
// done for it.
func tryNotification() (string, error) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SETPGID},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	type made struct {
		Listener
		err error
	}
	installed, result := make(chan made), make(chan unix.Errno, 1)
	OnOwnThread(func() {
		l, err := InstallFilter(unsafe.Slice((*byte)(unsafe.Pointer(&filter[0])), len(filter)*FilterSize))
		installed <- made{l, err}
		if err == nil {
			_, _, errno := unix.Syscall(unix.SYS_SETPGID, 0, uintptr(os.Getpid()), 0) // not carried out
			result <- errno
		}
	})
	m := <-installed
	if m.err != nil {
		return "", m.err
	}
	err := answerOne(m.FD)
	unix.Close(m.FD) //nolint:errcheck // nothing was written; what is not answered fails with ENOSYS now
	if errno := <-result; err == nil && errno != unix.EDQUOT {
		err = fmt.Errorf("a stopped call was answered with %w", errno)
	}
	if err == nil && m.NoNewPrivs {
		return "without CAP_SYS_ADMIN: such programs cannot use sudo or set-uid programs", nil
	}
	return "", err
}

// answerOne lets the next stopped call of this process fail with EDQUOT.
func answerOne(listener int) error {
	const patience = 2000 // ms
	poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, patience)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			err = errors.New("a stopped call is not told")
		}
		if err != nil {
			return err
		}
		break
	}
	n, err := Receive(listener)
	if err != nil {
		return err
	}
	if !Waits(listener, n.ID) {
		return errMissing
	}
	// The descriptor comes to this process, whose thread the caller is.
	spare, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(spare) //nolint:errcheck // unused
	if err := SetFD(listener, n.ID, listener, spare, true); err != nil {
		return err
	}
	return Send(listener, Answer{ID: n.ID, Error: -int32(unix.EDQUOT)})
}

func trySplice() (string, error) {
	var from, to [2]int
	for _, p := range []*[2]int{&from, &to} {
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return "", err
		}
		defer unix.Close(p[0]) //nolint:errcheck // a pipe of one byte
		defer unix.Close(p[1]) //nolint:errcheck // a pipe of one byte
	}
	if _, err := unix.Write(from[1], []byte("x")); err != nil {
		return "", err
	}
	n, err := unix.Splice(from[0], nil, to[1], nil, 1, unix.SPLICE_F_NONBLOCK)
	if err == nil && n != 1 {
		err = errMissing
	}
	return "", err
}

// tryUserNamespace forks a child into a namespace of its own. It is told to
// execute a folder, so that it ends there, and which errno comes back tells
// how far it got.
func tryUserNamespace() (string, error) {
	err := forkInto(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER})
	switch {
	case errors.Is(err, unix.ENOSPC):
		return "", fmt.Errorf("user namespaces: user.max_user_namespaces is %s", setting("user/max_user_namespaces"))
	case err != nil:
		return "", err
	case setting("kernel/apparmor_restrict_unprivileged_userns") == "1" && os.Geteuid() != 0:
		return "", errors.New("user namespaces can be made, but AppArmor takes the rights in them away (kernel.apparmor_restrict_unprivileged_userns is 1)")
	}
	return "", nil
}

// forkInto forks with attr and has the child execute a folder, which is always
// refused. It returns nil if the child came that far, else the errno of fork.
func forkInto(attr *syscall.SysProcAttr) error {
	pid, err := syscall.ForkExec("/", []string{"/"}, &syscall.ProcAttr{Env: []string{}, Sys: attr})
	if err == nil { // cannot be: but a child would have to be waited for
		_, err = syscall.Wait4(pid, nil, 0, nil)
		return err
	}
	if errors.Is(err, unix.EACCES) {
		return nil
	}
	return err
}
