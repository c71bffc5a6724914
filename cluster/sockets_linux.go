package cluster

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return n, os.NewSyscallError("fcntl", err)
}

func closeFD(fd int) { _ = unix.Close(fd) } // nothing was written to it

// reuseAddr lets several sockets be bound to an address.
func reuseAddr(_, _ string, c syscall.RawConn) (err error) {
	ctlErr := c.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}
