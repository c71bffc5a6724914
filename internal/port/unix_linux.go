package port

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnixPath is the longest path that fits a socket address, with its NUL.
const maxUnixPath = 107

// identity tells a file from another one at the same path.
type identity struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

func identify(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return identity{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return identity{Dev: st.Dev, Ino: st.Ino}, nil
}

// bindUnix returns a bound socket and, unless its name is abstract, what file it
// made. A socket file that a dead process left is replaced: nobody answers there,
// and it belongs to our user.
func bindUnix(a Address) (_ int, _ *identity, err error) {
	name := abstract(a.Path)
	if name == "" || strings.HasPrefix(name, "@") && len(name) == 1 {
		return -1, nil, syscall.EINVAL
	}
	fd, err := newSocket(unix.AF_UNIX, unix.SOCK_STREAM)
	if err != nil {
		return -1, nil, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // nothing was written to it
		}
	}()
	if name[0] == '@' {
		return fd, nil, os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
	}

	err = bindPath(fd, name)
	if errors.Is(err, syscall.EADDRINUSE) && stale(name) {
		if err := os.Remove(name); err != nil {
			return -1, nil, err
		}
		err = bindPath(fd, name)
	}
	if err != nil {
		return -1, nil, err
	}
	file, err := identify(name)
	if err != nil {
		return -1, nil, err
	}
	if err := open(name, a.Readable, a.Writable); err != nil {
		return -1, nil, errors.Join(err, os.Remove(name))
	}
	return fd, &file, nil
}

// bindPath binds to a path of any length: what does not fit the address is reached
// through its folder's descriptor.
func bindPath(fd int, path string) error {
	return shortened(path, func(short string) error {
		return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: short}))
	})
}

func shortened(path string, f func(short string) error) error {
	if len(path) <= maxUnixPath {
		return f(path)
	}
	folder, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", folder, filepath.Base(path))
	if len(short) > maxUnixPath {
		return errors.Join(syscall.ENAMETOOLONG, unix.Close(folder))
	}
	return errors.Join(f(short), unix.Close(folder))
}

// stale reports whether the path is a socket file of ours that nobody serves.
func stale(path string) bool {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return false
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Uid != uint32(os.Geteuid()) {
		return false
	}
	fd, err := newSocket(unix.AF_UNIX, unix.SOCK_STREAM)
	if err != nil {
		return false
	}
	err = shortened(path, func(short string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: short})
	})
	_ = unix.Close(fd) // nothing was written to it
	// A full queue would be EAGAIN, a datagram socket EPROTOTYPE: both are alive.
	return errors.Is(err, syscall.ECONNREFUSED)
}

// open gives everybody the right to connect: writing is what Linux asks for.
func open(path string, readable, writable bool) error {
	if !readable && !writable {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if readable {
		mode |= 0o444
	}
	if writable {
		mode |= 0o222
	}
	return os.Chmod(path, mode)
}

// unlink removes the socket file unless somebody has put another one there.
func unlink(path string, file identity) error {
	found, err := identify(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && found != file {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}

func unixAddr(a Address) net.Addr { return &net.UnixAddr{Net: "unix", Name: abstract(a.Path)} }
