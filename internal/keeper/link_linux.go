package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// link is one end of the wire. One goroutine may receive while another sends.
type link struct {
	file  *os.File
	conn  syscall.RawConn
	in    splitter
	oob   []byte
	ended error // what receive answers once the stream has ended
}

// newLink takes over a connected stream socket.
func newLink(fd int) (*link, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("set wire nonblocking: %w", err), unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "keeper wire")
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open wire: %w", err), file.Close())
	}
	return &link{file: file, conn: conn, oob: make([]byte, unix.CmsgSpace(4*maxFiles))}, nil
}

// newWire makes the two ends of a wire.
func newWire() (ours *link, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, none, fmt.Errorf("make wire: %w", err)
	}
	ours, err = newLink(fds[0])
	if err != nil {
		return nil, none, errors.Join(err, unix.Close(fds[1]))
	}
	return ours, fds[1], nil
}

// receive returns the next frame. Its payload is valid until the next call, its
// descriptors are the caller's. io.EOF means that the peer has hung up; what it had
// sent of an unfinished frame is dropped, as if never sent.
func (l *link) receive() (frame, error) {
	for {
		if l.ended != nil {
			return frame{}, l.ended
		}
		f, ok, err := l.in.next()
		if ok {
			return f, nil
		}
		if err == nil {
			err = l.read()
		}
		if err != nil {
			l.ended = err
			for _, b := range l.in.batches {
				closeFDs(b.fds)
			}
			l.in = splitter{}
		}
	}
}

func (l *link) read() error {
	space := l.in.space()
	var n, oobn, flags int
	var recvErr error
	err := l.conn.Read(func(fd uintptr) bool {
		for {
			n, oobn, flags, _, recvErr = unix.Recvmsg(int(fd), space, l.oob, unix.MSG_CMSG_CLOEXEC)
			if !errors.Is(recvErr, unix.EINTR) {
				return !errors.Is(recvErr, unix.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return fmt.Errorf("read wire: %w", err)
	case errors.Is(recvErr, unix.ECONNRESET): // the peer died with unread frames
		return io.EOF
	case recvErr != nil:
		return fmt.Errorf("read wire: %w", recvErr)
	}
	if oobn > 0 || flags&unix.MSG_CTRUNC != 0 {
		fds, err := rights(l.oob[:oobn])
		l.in.batches = append(l.in.batches, batch{fds: fds, short: flags&unix.MSG_CTRUNC != 0})
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return io.EOF
	}
	l.in.added(n)
	return nil
}

// rights takes the descriptors out of control messages.
func rights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read descriptors: %w", err)
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return all, fmt.Errorf("read descriptors: %w", err)
		}
		all = append(all, fds...)
	}
	return all, nil
}

// send writes frames, with descriptors that belong to the first of them. It blocks
// while the peer does not read.
func (l *link) send(b []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var sendErr error
	err := l.conn.Write(func(fd uintptr) bool {
		for len(b) > 0 {
			var n int
			n, sendErr = unix.SendmsgN(int(fd), b, oob, nil, unix.MSG_NOSIGNAL)
			switch {
			case errors.Is(sendErr, unix.EINTR):
				continue
			case errors.Is(sendErr, unix.EAGAIN):
				return false
			case sendErr != nil:
				return true
			}
			b, oob = b[n:], nil // descriptors go with the first byte
		}
		return true
	})
	if err == nil {
		err = sendErr
	}
	if err != nil {
		return fmt.Errorf("write wire: %w", err)
	}
	return nil
}

// finish makes receive end after what has arrived, and send fail.
func (l *link) finish() error {
	var shutErr error
	err := l.conn.Control(func(fd uintptr) { shutErr = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	if err = errors.Join(err, shutErr); err != nil {
		return fmt.Errorf("shut wire: %w", err)
	}
	return nil
}

// interrupt makes receive and send in progress fail.
func (l *link) interrupt() error { return l.file.SetDeadline(time.Unix(1, 0)) }

func (l *link) close() error { return l.file.Close() }

// withFDs calls do with the descriptors of files, which it leaves in the mode that
// they are in.
func withFDs(files []*os.File, do func(fds []int) error) error {
	fds := make([]int, len(files))
	for i, f := range files {
		conn, err := f.SyscallConn()
		if err != nil {
			return fmt.Errorf("pass descriptor %s: %w", f.Name(), err)
		}
		if err := conn.Control(func(fd uintptr) { fds[i] = int(fd) }); err != nil {
			return fmt.Errorf("pass descriptor %s: %w", f.Name(), err)
		}
	}
	err := do(fds)
	runtime.KeepAlive(files)
	return err
}

// closeFDs closes what is still ours of a frame's descriptors.
func closeFDs(fds []int) {
	for i, fd := range fds {
		if fd >= 0 {
			closeFD(fd)
			fds[i] = none
		}
	}
}

// closeFD closes a descriptor. Linux frees it whatever close returns, so there is
// nothing to do about an error.
func closeFD(fd int) { _ = unix.Close(fd) }
