package drain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// sockets adds the inodes of the sockets that a process has open. A process that has
// ended has none. Errors: kernel.ErrUnsupported if we may not look.
func sockets(pid int, into map[uint32]bool) error {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return unreadable(pid, err)
	}
	defer dir.Close() //nolint:errcheck // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return unreadable(pid, err)
	}
	fd := int(dir.Fd())
	var buffer [64]byte // longer ones are files
	for _, name := range names {
		n, err := unix.Readlinkat(fd, name, buffer[:])
		if err != nil {
			continue // closed
		}
		if inode, ok := socketInode(buffer[:n]); ok {
			into[inode] = true
		}
	}
	return nil
}

// socketInode reads "socket:[123]".
func socketInode(link []byte) (uint32, bool) {
	link, ok := bytes.CutPrefix(link, []byte("socket:["))
	if !ok || len(link) < 2 || link[len(link)-1] != ']' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(link[:len(link)-1]), 10, 32)
	return uint32(n), err == nil
}

// unreadable says why the descriptors of a process cannot be read: nil if it has ended.
func unreadable(pid int, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return fmt.Errorf("read descriptors of process %d: %w: %w", pid, kernel.ErrUnsupported, err)
	}
	return fmt.Errorf("read descriptors of process %d: %w", pid, err)
}

// sameNetwork makes sure that a process is in our network namespace: sock_diag shows
// the sockets of no other. Errors: kernel.ErrUnsupported.
func sameNetwork(pid int) error {
	const own = "/proc/self/ns/net"
	name := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	var ours, theirs unix.Stat_t
	if err := unix.Stat(own, &ours); err != nil {
		return fmt.Errorf("look at %s: %w", own, err)
	}
	if err := unix.Stat(name, &theirs); err != nil {
		return unreadable(pid, err)
	}
	if ours.Dev != theirs.Dev || ours.Ino != theirs.Ino {
		return fmt.Errorf("look at connections of process %d: %w: it is in another network namespace", pid, kernel.ErrUnsupported)
	}
	return nil
}
