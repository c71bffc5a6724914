package daemon

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openPipe makes a pipe whose ends are blocking, as a program expects of its
// output: os.Pipe's are not.
func openPipe() (read, write *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "log"), os.NewFile(uintptr(fds[1]), "log"), nil
}

// duplicate returns a descriptor of its own for the same file.
func duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	}); err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	if dupErr != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", dupErr)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
