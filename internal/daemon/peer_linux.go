package daemon

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUID asks the kernel who is at the other end. Near: it sees the processes that
// we see.
func peerUID(c *net.UnixConn) (uid int, near bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, false, err
	}
	if credErr != nil {
		return -1, false, credErr
	}
	return int(cred.Uid), cred.Pid != 0, nil
}
