package daemon

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Sizes of an input pipe. It is small at first, as pipes are accounted to the user
// (/proc/sys/fs/pipe-user-pages-soft) and few are ever written to.
const (
	inputSmall = 4 << 10
	inputLarge = 128 << 10 // room for one line of the largest size behind another
)

// openInputPipe makes a pipe whose write end does not block; the read end does, as a
// program expects of its input.
func openInputPipe() (read, write *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, inputSmall) // else it is larger
	// Made first: a file that is known not to block would be watched by the runtime.
	read, write = os.NewFile(uintptr(fds[0]), "input"), os.NewFile(uintptr(fds[1]), "input")
	if err := unix.SetNonblock(fds[1], true); err != nil {
		return nil, nil, errors.Join(err, read.Close(), write.Close())
	}
	return read, write, nil
}

// writeInput writes all of data or nothing. Errors: errInputFull, errInputClosed.
func writeInput(pipe *os.File, data []byte) error {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	var writeErr error
	if raw.Control(func(fd uintptr) { writeErr = writePipe(int(fd), data) }) != nil {
		return errInputClosed // our end, as the process has just ended
	}
	return writeErr
}

func writePipe(fd int, data []byte) error {
	unread, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return os.NewSyscallError("ioctl", err)
	}
	// A write of up to PIPE_BUF bytes is done whole or not at all, a larger one only
	// if there is room. Pages count, and the first of the unread ones may be begun.
	page := os.Getpagesize()
	need := roundUp(len(data), page)
	if unread > 0 {
		need += roundUp(unread, page) + page
	}
	if need > inputLarge {
		return errInputFull
	}
	size, err := unix.FcntlInt(uintptr(fd), unix.F_GETPIPE_SZ, 0)
	if err == nil && size < need {
		size, err = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, inputLarge)
	}
	if (err != nil || size < need) && len(data) > page {
		return errInputFull
	}
	for {
		n, err := unix.Write(fd, data)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return errInputFull
		case errors.Is(err, unix.EPIPE):
			return errInputClosed
		case err != nil:
			return os.NewSyscallError("write", err)
		case n < len(data):
			return errors.New("the pipe took a part of the line only")
		}
		return nil
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }
