package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// A program may ask epoll to watch its socket before it lets it listen; Netty's
// native transport does. With the socket its place is taken away when another is put
// there, and the program would never hear of a connection. So the new socket is
// watched as the old one was.

// watched is how an epoll of a program watches one of its descriptors.
type watched struct {
	epoll  int // its number in the program
	events uint32
	data   uint64
}

// epollWatches finds how a process watches its descriptor fd, which is the socket with
// an inode.
func epollWatches(pid, fd int, inode uint64) (list []watched) {
	for _, epoll := range epollsOf(pid) {
		info, err := readFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, epoll))
		if err != nil {
			continue
		}
		if events, data, ok := parseWatch(info, fd, inode); ok {
			list = append(list, watched{epoll, events, data})
		}
	}
	return list
}

// unwatched reports that no epoll of a process watches its descriptor fd, of which
// socket is our duplicate. It says so for nearly all programs, in a tenth of the time that
// epollWatches needs; false is that it cannot tell: before Linux 6.2, without kcmp(2),
// for a program with many descriptors, and where one is watched.
func unwatched(pid, fd, socket int) bool {
	const kcmpEpollTarget, most = 7, 256 // KCMP_EPOLL_TFD
	var folder unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/fd", pid), &folder); err != nil || folder.Size == 0 {
		return false // its size is the number of descriptors, since Linux 6.2
	}
	open := int64(0)
	for n := uint32(0); open < folder.Size; n++ {
		if n == most {
			return false
		}
		slot := struct{ epoll, fd, skip uint32 }{epoll: n, fd: uint32(fd)} // struct kcmp_epoll_slot
		_, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(pid), kcmpEpollTarget,
			uintptr(socket), uintptr(unsafe.Pointer(&slot)), 0)
		switch errno {
		case unix.EBADF: // not open
		case unix.EINVAL, unix.ENOENT: // no epoll, or one that does not know fd
			open++
		default:
			return false
		}
	}
	return true
}

// epollsOf returns a process's descriptors that are epolls. A program waits for it as
// it starts, so it does not take the time of os.ReadDir.
func epollsOf(pid int) (list []int) {
	folder, err := unix.Open(fmt.Sprintf("/proc/%d/fd", pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // it is gone
	}
	defer unix.Close(folder) //nolint:errcheck // only read
	entries, target := make([]byte, 8192), make([]byte, 64)
	var names []string
	for {
		n, err := unix.Getdents(folder, entries)
		if n <= 0 || err != nil {
			return list
		}
		_, _, names = unix.ParseDirent(entries[:n], -1, names[:0])
		for _, name := range names {
			n, err := unix.Readlinkat(folder, name, target)
			if err != nil || string(target[:n]) != "anon_inode:[eventpoll]" {
				continue
			}
			if fd, err := strconv.Atoi(name); err == nil {
				list = append(list, fd)
			}
		}
	}
}

// parseWatch finds the line of a descriptor in an epoll's fdinfo, proc(5):
//
//	tfd:        5 events: 80000019 data:        50000004d  pos:0 ino:14583a sdev:9
func parseWatch(info []byte, fd int, inode uint64) (events uint32, data uint64, ok bool) {
	for line := range bytes.Lines(info) {
		fields := strings.Fields(string(line))
		value := func(name string) (text string) {
			for i, f := range fields {
				if rest, found := strings.CutPrefix(f, name+":"); found && rest != "" {
					return rest
				} else if found && i+1 < len(fields) {
					return fields[i+1]
				}
			}
			return ""
		}
		tfd, err := strconv.Atoi(value("tfd"))
		if err != nil || tfd != fd {
			continue
		}
		ino, err := strconv.ParseUint(value("ino"), 16, 64)
		if err != nil || ino != inode {
			continue
		}
		e, eventsErr := strconv.ParseUint(value("events"), 16, 32)
		d, dataErr := strconv.ParseUint(value("data"), 16, 64)
		if eventsErr == nil && dataErr == nil {
			return uint32(e), d, true
		}
	}
	return 0, 0, false
}

// watchAgain has the epolls of a thread's process watch a new socket under the number
// that it has there, and no more the old one, of which they could still tell: a
// socket that does not listen counts as hung up.
//
// The kernel knows what is watched by socket and number, and takes the number from
// whoever calls. So we need it as well: in a thread with a table of descriptors of its
// own, where it stands in nobody's way.
func watchAgain(tid, fd, old, socket int, list []watched) error {
	if len(list) == 0 {
		return nil
	}
	var all error
	done := make(chan struct{})
	kernel.OnOwnThread(func() {
		defer close(done)
		if all = unix.Unshare(unix.CLONE_FILES); all != nil {
			return
		}
		// Out of the way of the number, too. They close with the thread.
		var sockets [2]int
		for i, s := range []int{old, socket} {
			sockets[i], all = unix.FcntlInt(uintptr(s), unix.F_DUPFD_CLOEXEC, fd+1)
			if all != nil {
				return
			}
		}
		for _, w := range list {
			all = errors.Join(all, watchAt(tid, fd, sockets[0], sockets[1], w))
		}
	})
	<-done
	return all
}

// watchAt is watchAgain for one epoll, in that thread.
func watchAt(tid, fd, old, socket int, w watched) error {
	epoll, err := takeFD(tid, w.epoll)
	if err == nil && epoll == fd {
		epoll, err = unix.FcntlInt(uintptr(epoll), unix.F_DUPFD_CLOEXEC, fd+1)
	}
	if err == nil {
		err = unix.Dup3(old, fd, unix.O_CLOEXEC)
	}
	if err != nil {
		return err
	}
	err = unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, fd, nil)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return os.NewSyscallError("epoll_ctl", err)
	}
	if err := unix.Dup3(socket, fd, unix.O_CLOEXEC); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: w.events}
	// Data is a union that package unix shows as a descriptor and a rest.
	*(*[8]byte)(unsafe.Pointer(&event.Fd)) = *(*[8]byte)(unsafe.Pointer(&w.data))
	err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &event)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}
