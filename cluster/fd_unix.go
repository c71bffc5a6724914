//go:build unix

package cluster

import (
	"errors"
	"os"
	"syscall"
)

// closeOnExec keeps a descriptor from the program's own children.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }

// backlog is what the kernel cuts to its limit, which is what net.Listen takes.
const backlog = 65535

// listenOn has a bound socket listen; what listens already is left as it is.
func listenOn(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		if on, e := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); e == nil && on != 0 {
			return
		}
		err = os.NewSyscallError("listen", syscall.Listen(int(fd), backlog))
	})
	return errors.Join(ctlErr, err)
}
