package nodeipc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pair makes a channel. The child's end is passed to the process as a descriptor, whose number
// goes into NODE_CHANNEL_FD, with NODE_CHANNEL_SERIALIZATION_MODE=json.
func Pair() (parent, child *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make channel: %w", err)
	}
	for _, fd := range fds {
		// Both ends, since the peer's buffer is what bounds a line that stays in the socket.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBufferBytes) // what net.core.wmem_max allows
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make channel: %w", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel (child)"), nil
}

const (
	// sendBufferBytes is asked for; with Linux's default limit we get 416 KiB.
	sendBufferBytes = 512 << 10
	// atomicLineBytes is what unix_stream_sendmsg puts into one buffer, so wholly or not at all
	// (net/unix/af_unix.c: 16 KiB linear and 32 KiB of pages).
	atomicLineBytes = 32 << 10
	// maxQueuedBytes bounds what waits for a worker that does not read.
	maxQueuedBytes = 4 << 20
)

// line is something to write. It is written as a whole or stays queued: the next daemon would
// start in the middle of a torn one, and the worker dies of that.
type line struct {
	data  []byte
	fd    int  // goes with it, or -1; the owner keeps it open until the handle is acknowledged
	reply bool // answers something: that stays in the socket until this is written
}

// channel is our end of a worker's socketpair.
type channel struct {
	fd      int
	in      assembler
	queue   []line
	replies int          // in queue
	queued  atomic.Int64 // bytes in queue and on their way to it
	outMax  int          // longest line that surely fits
	inMax   int          // longest start of a line that may stay in the socket for ever
	broken  bool         // writing is over
	oob     [24]byte     // a control message with one descriptor
}

var errNoRoom = errors.New("no room in the channel")

// takeFD returns the descriptor of f as a bare number and closes f, which Go's poller may watch:
// each event would then wake two pollers.
func takeFD(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("take over descriptor: %w", err)
	}
	dupErr := raw.Control(func(p uintptr) {
		fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(dupErr, err); err != nil {
		return -1, fmt.Errorf("take over descriptor: %w", err)
	}
	return fd, f.Close()
}

// newChannel takes f over unless it fails.
func newChannel(f *os.File) (*channel, error) {
	fd, err := takeFD(f)
	if err != nil {
		return nil, err
	}
	c := &channel{fd: fd}
	size, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("inspect channel: %w", err), unix.Close(fd))
	}
	// Half: the kernel counts its own overhead, and a small message in front must not matter.
	c.outMax = size / 2
	// A writer that found the buffer full goes on when no more than a quarter is left unread
	// (unix_writable). So a start of less than an eighth always gets its end; a longer one does
	// unless it has stopped growing.
	c.inMax = size / 8
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.oob[0]))
	h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
	h.SetLen(unix.CmsgLen(4))
	return c, nil
}

// How much is peeked at once. In fork mode each worker has a buffer of its own.
const scratchBytes, forkScratchBytes = 64 << 10, 16 << 10

// peek copies what can be read without taking it. cut: descriptors came with the last bytes, and
// more may follow them. The descriptors themselves are not received: nothing here uses them, and
// the kernel drops them when the bytes are consumed. Errors: unix.EAGAIN; no bytes means EOF.
func (c *channel) peek(buf []byte) (n int, cut bool, err error) {
	for {
		n, _, flags, _, err := unix.Recvmsg(c.fd, buf, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return max(n, 0), flags&unix.MSG_CTRUNC != 0, err
	}
}

// consume takes exactly n bytes, all of which have been peeked.
func (c *channel) consume(scratch []byte, n int) error {
	for n > 0 {
		got, _, _, _, err := unix.Recvmsg(c.fd, scratch[:min(n, len(scratch))], nil, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("consume from channel: %w", err)
		case got == 0:
			return fmt.Errorf("consume from channel: %w", unix.ENODATA)
		}
		n -= got
	}
	return nil
}

// write sends l, or queues it when there is no room. It reports whether it is queued.
func (c *channel) write(l line) (queued bool, err error) {
	if len(c.queue) == 0 {
		err := c.try(l.data, l.fd)
		if !errors.Is(err, errNoRoom) {
			return false, err
		}
	}
	c.queue = append(c.queue, l)
	c.queued.Add(int64(len(l.data)))
	if l.reply {
		c.replies++
	}
	return true, nil
}

// flush writes what is queued as far as there is room. Errors: errNoRoom, or the channel is broken.
func (c *channel) flush() error {
	for len(c.queue) > 0 {
		l := &c.queue[0]
		if err := c.try(l.data, l.fd); err != nil {
			return err
		}
		c.queued.Add(-int64(len(l.data)))
		if l.reply {
			c.replies--
		}
		c.queue[0] = line{}
		c.queue = c.queue[1:]
	}
	c.queue = nil
	return nil
}

// try sends data, with fd if it is not negative, as one line or not at all. It does not allocate.
// Errors: errNoRoom, or an errno if the peer is gone.
func (c *channel) try(data []byte, fd int) error {
	if c.broken {
		return unix.EPIPE
	}
	if len(data) > atomicLineBytes && c.unread()+len(data)*5/4 > c.outMax*2 {
		return errNoRoom // in part it might fit
	}
	var oob []byte
	if fd >= 0 {
		binary.NativeEndian.PutUint32(c.oob[unix.CmsgLen(0):], uint32(fd))
		oob = c.oob[:]
	}
	for {
		n, err := unix.SendmsgN(c.fd, data, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == nil && n < len(data):
			// Not seen: single-buffer lines are atomic and longer ones had room. The rest has to
			// follow at once, or the worker is lost.
			return c.finish(data[n:])
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM),
			errors.Is(err, unix.ETOOMANYREFS): // too many descriptors on their way for our rlimit
			return errNoRoom
		default:
			c.broken = true
			return fmt.Errorf("write to channel: %w", err)
		}
	}
}

// finish puts the rest of a line before everything else that waits.
func (c *channel) finish(rest []byte) error {
	c.queue = append([]line{{data: bytes.Clone(rest), fd: -1}}, c.queue...)
	c.queued.Add(int64(len(rest)))
	return nil
}

// unread is how much of the send buffer is in use.
func (c *channel) unread() int {
	n, err := unix.IoctlGetInt(c.fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// hangUp ends our direction: the worker sees the end of the channel, whoever else holds it.
func (c *channel) hangUp() { _ = unix.Shutdown(c.fd, unix.SHUT_WR) }
