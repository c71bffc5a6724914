package health

import (
	"os"

	"golang.org/x/sys/unix"
)

// bindAny binds a socket to a port of the kernel's choice, and returns that.
func bindAny(fd uintptr, network string) (port uint16, err error) {
	var to unix.Sockaddr = &unix.SockaddrInet4{}
	if network == "tcp6" {
		to = &unix.SockaddrInet6{}
	}
	if err := unix.Bind(int(fd), to); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	at, err := unix.Getsockname(int(fd))
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return uint16(at.Port), nil
	case *unix.SockaddrInet6:
		return uint16(at.Port), nil
	}
	return 0, unix.EAFNOSUPPORT
}
