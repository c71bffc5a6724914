package keeper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The files of a home that are ours.
const (
	socketFile    = "pace.sock"
	lockFile      = "keeper.lock"
	startLockFile = "start.lock"
	keeperPIDFile = "keeper.pid"
	daemonPIDFile = "daemon.pid"
	logFile       = "pace.log"
)

const homeVariable = "PACELINE_HOME="

// maxSocketPath is what fits into sockaddr_un with its final zero.
const maxSocketPath = 107

// apiBacklog is how many connections wait for a daemon that is being replaced.
const apiBacklog = 1024

// home is the directory that one keeper serves.
type home struct {
	dir      string   // or a name, see nameless
	lock     *os.File // nil without files
	listener int      // of the API
}

// nameless tells a home without files: its API socket, "@name/pace.sock", is in the
// abstract namespace of unix sockets, and being bound is its lock.
func nameless(dir string) bool { return strings.HasPrefix(dir, "@") }

// prepareHome makes the directory if there is none, and closes it to others.
func prepareHome(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("use home: %w", err)
	}
	if n := len(filepath.Join(dir, socketFile)); n > maxSocketPath {
		return "", fmt.Errorf("use home %s: path is %d bytes too long for a unix socket; set PACELINE_HOME to a shorter one",
			dir, n-maxSocketPath)
	}
	const private = 0o700
	if err := os.MkdirAll(dir, private); err != nil {
		return "", fmt.Errorf("make home: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("use home: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("use home %s: it belongs to uid %d, not to uid %d; set PACELINE_HOME to a directory of your own",
			dir, st.Uid, os.Geteuid())
	}
	if info.Mode().Perm() != private {
		if err := os.Chmod(dir, private); err != nil {
			return "", fmt.Errorf("close home to others: %w", err)
		}
	}
	return dir, nil
}

// openHome takes possession of a home. Errors: ErrRunning.
func openHome(dir string) (h *home, err error) {
	if nameless(dir) {
		h = &home{dir: dir, listener: none}
		return h, h.listen()
	}
	dir, err = prepareHome(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockPath(filepath.Join(dir, lockFile))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("serve %s: %w", dir, ErrRunning)
	}
	if err != nil {
		return nil, err
	}
	h = &home{dir: dir, lock: lock, listener: none}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	// Who can connect can also read who we are.
	if err := h.write(keeperPIDFile, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return nil, err
	}
	return h, h.listen()
}

// listen makes the API socket. A socket file that is there is a dead keeper's: the
// lock is ours.
func (h *home) listen() error {
	path := h.path(socketFile)
	if err := h.remove(socketFile); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make API socket: %w", err)
	}
	h.listener = fd
	// The mask is put back at once: children get the one that we were started with.
	mask := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(mask)
	if err == nil {
		err = unix.Listen(fd, apiBacklog)
	}
	if nameless(h.dir) && errors.Is(err, unix.EADDRINUSE) {
		return errors.Join(fmt.Errorf("serve %s: %w", h.dir, ErrRunning), h.close())
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", path, err)
	}
	return nil
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// write replaces one of our files.
func (h *home) write(name, text string) error {
	if nameless(h.dir) {
		return nil
	}
	next := h.path(name + ".new")
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(next, h.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// remove removes one of our files, if it is there.
func (h *home) remove(name string) error {
	if nameless(h.dir) {
		return nil
	}
	if err := os.Remove(h.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// hide makes callers of the API look for another keeper.
func (h *home) hide() error { return h.remove(socketFile) }

// close leaves the home as it was found. The lock goes last.
func (h *home) close() error {
	if h.listener != none {
		closeFD(h.listener)
		h.listener = none
	}
	if nameless(h.dir) {
		return nil
	}
	err := errors.Join(h.remove(socketFile), h.remove(daemonPIDFile), h.remove(keeperPIDFile))
	if start, lockErr := lockPath(h.path(startLockFile)); lockErr == nil { // else somebody is starting
		err = errors.Join(err, h.remove(startLockFile), start.Close())
	}
	return errors.Join(err, h.remove(lockFile), h.lock.Close())
}

var errLocked = errors.New("locked")

// lockPath makes a file and locks it until it is closed, which the kernel does for
// a process that dies. Whoever holds the lock may remove the file. errLocked if it
// is taken. The lock belongs to the open file, not to the process (3.15).
func lockPath(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		err = setLock(f, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, errors.Join(errLocked, f.Close())
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		// What was locked may be a file that has just been removed.
		ours, err := f.Stat()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(ours, there) {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// isLocked tells whether somebody holds the lock, without touching it.
func isLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only looked at
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return setLock(f, unix.F_OFD_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}

func setLock(f *os.File, how int, lock *unix.Flock_t) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	if err := conn.Control(func(fd uintptr) { lockErr = unix.FcntlFlock(fd, how, lock) }); err != nil {
		return err
	}
	return lockErr
}
