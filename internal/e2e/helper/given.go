package helper

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// firstGiven is the first descriptor of those that are handed over, see sd_listen_fds(3).
const firstGiven = 3

// given serves on the sockets it is handed, as sd_listen_fds(3) describes it, and
// answers "process PID socket NAME".
func given(c Call) int {
	names, err := handed()
	if err != nil {
		c.complain("given: %v", err)
		return 1
	}
	c.printf("given %q\n", names)
	failed := make(chan error, len(names))
	for i, name := range names {
		f := os.NewFile(uintptr(firstGiven+i), name)
		l, err := net.FileListener(f)
		if err != nil {
			c.complain("given: descriptor %d: %v", firstGiven+i, err)
			return 1
		}
		text := fmt.Sprintf("process %d socket %s\n", os.Getpid(), name)
		s := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, text) //nolint:errcheck // the client may have left
		})}
		go func() { failed <- s.Serve(l) }()
	}
	c.complain("given: %v", <-failed)
	return 1
}

// handed returns the names of the sockets, if they are for this process.
func handed() ([]string, error) {
	if pid := os.Getenv("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("LISTEN_PID is %q, and this is process %d", pid, os.Getpid())
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 1 {
		return nil, fmt.Errorf("LISTEN_FDS is %q", os.Getenv("LISTEN_FDS"))
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	if len(names) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %q for %d sockets", names, n)
	}
	return names, nil
}

// denied runs a program for which, as in some containers, a call of the kernel is
// not permitted: denied seccomp|pidfd_getfd PROGRAM ARGS.
func denied(c Call) int {
	if len(c.Args) < 2 {
		c.complain("denied CALL PROGRAM ARGS")
		return 2
	}
	numbers := map[string]uint32{"seccomp": unix.SYS_SECCOMP, "pidfd_getfd": unix.SYS_PIDFD_GETFD, "bpf": unix.SYS_BPF}
	number, ok := numbers[c.Args[0]]
	if !ok {
		c.complain("denied: unknown call %s", c.Args[0])
		return 2
	}
	path, err := exec.LookPath(c.Args[1])
	if err == nil {
		err = deny(number)
	}
	if err == nil {
		err = syscall.Exec(path, c.Args[1:], os.Environ())
	}
	c.complain("denied: %v", err)
	return 1
}

// deny has a call fail with EPERM in this thread, which stays the goroutine's, and in
// the program that it becomes.
func deny(number uint32) error {
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	install := func() error {
		return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	err := install()
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil { // without the right to it
		return err
	}
	return install()
}
