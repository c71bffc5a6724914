package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// status is what /proc/TID/status says of a thread.
type status struct {
	pid  int    // of its process; 0 if it is gone or not to be seen
	caps uint64 // effective capabilities
}

// readFile reads a file of /proc that is one record, of which the kernel gives less than
// is asked for at its end only. A program waits for it as it starts, and package os
// would have its poller look at each.
func readFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	buffer := make([]byte, 4096)
	n := 0
	for {
		if n == len(buffer) {
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		m, err := unix.Read(fd, buffer[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n += m; n < len(buffer) {
			return buffer[:n], nil
		}
	}
}

func readStatus(tid int) (st status) {
	text, err := readFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return status{}
	}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":\t")
		switch name {
		case "Tgid":
			st.pid, _ = strconv.Atoi(value) // 0 if it is none
		case "CapEff":
			st.caps, _ = strconv.ParseUint(value, 16, 64) // none, if it is no number
			return st
		}
	}
	return st
}

// mayBindLow reports whether a thread may itself bind a low port. What it may in a
// user namespace of its own counts for nothing outside.
func mayBindLow(tid int) bool {
	if readStatus(tid).caps&(1<<unix.CAP_NET_BIND_SERVICE) == 0 {
		return false
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", tid))
	ours, ourErr := os.Readlink("/proc/self/ns/user")
	return errors.Is(err, os.ErrNotExist) && errors.Is(ourErr, os.ErrNotExist) || // a kernel without them
		err == nil && ourErr == nil && theirs == ours
}

// freePorts stays open: each bind looks at it, and to open it takes most of the time.
var freePorts = sync.OnceValue(func() int {
	fd, err := unix.Open("/proc/sys/net/ipv4/ip_unprivileged_port_start", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

// firstFreePort is the lowest port that everybody may bind.
func firstFreePort() int {
	const before411 = 1024
	text := make([]byte, 16)
	n, err := unix.Pread(freePorts(), text, 0)
	if err != nil {
		return before411
	}
	port, err := strconv.Atoi(string(bytes.TrimSpace(text[:n])))
	if err != nil {
		return before411
	}
	return port
}

// closesOnExec reports whether a descriptor of a thread has the close-on-exec flag.
func closesOnExec(tid, fd int) bool {
	text, err := readFile(fmt.Sprintf("/proc/%d/fdinfo/%d", tid, fd))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			flags, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 8, 64)
			return err == nil && flags&unix.O_CLOEXEC != 0
		}
	}
	return false
}

// takeFD returns a duplicate of a descriptor of a thread, by its tid, or where the
// kernel cannot do that (before 6.9) of its process, whose descriptors are as good as
// always the same. Errors: EBADF, EPERM, ESRCH.
func takeFD(tid, fd int) (int, error) {
	pidfd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD)
	if errors.Is(err, unix.EINVAL) {
		pidfd, err = unix.PidfdOpen(readStatus(tid).pid, 0)
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd) //nolint:errcheck // a pidfd
	return unix.PidfdGetfd(pidfd, fd, 0)
}

// blocking is a descriptor that no runtime polls. It stays open.
var blocking = sync.OnceValue(func() int {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1
	}
	return fd
})

// unpolled returns a duplicate of a descriptor as a file that the runtime does not
// poll. os.NewFile registers whatever is non-blocking with the poller, which would
// then wake this process at each connection; it looks only once, so it gets to see
// another descriptor first.
func unpolled(fd int) (f *os.File, number int, err error) {
	placeholder, err := unix.FcntlInt(uintptr(blocking()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, -1, err
	}
	f = os.NewFile(uintptr(placeholder), "socket")
	if err := unix.Dup3(fd, placeholder, unix.O_CLOEXEC); err != nil {
		return nil, -1, errors.Join(err, f.Close())
	}
	return f, placeholder, nil
}

// readMemory fills b from a thread's memory. Errors: EFAULT, EPERM.
func readMemory(tid int, from uint64, b []byte) error {
	local := []unix.Iovec{{Base: unsafe.SliceData(b)}}
	local[0].SetLen(len(b))
	n, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: uintptr(from), Len: len(b)}}, 0)
	switch {
	case err == nil && n == len(b):
		return nil
	case err == nil, errors.Is(err, unix.EFAULT):
		return unix.EFAULT
	}
	// The kernel may lack the call, or a sandbox deny it.
	mem, openErr := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if openErr != nil {
		return err
	}
	defer func() { _ = mem.Close() }() // only read
	if _, err := mem.ReadAt(b, int64(from)); err != nil {
		return unix.EFAULT
	}
	return nil
}
