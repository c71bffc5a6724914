package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// ensureTimeout bounds Ensure if its context does not.
	ensureTimeout = 15 * time.Second
	// ensureTick is how often it looks again. A keeper is up within some 10 ms.
	ensureTick = time.Millisecond
)

func ensure(ctx context.Context, dir, exe string) (err error) {
	dir, err = prepareHome(dir)
	if err != nil {
		return err
	}
	if answers(dir) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ensureTimeout)
	defer cancel()
	tick := time.NewTicker(ensureTick)
	defer tick.Stop()

	s := starter{dir: dir, exe: exe}
	defer func() { err = errors.Join(err, s.close()) }()
	for {
		if done, err := s.step(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("start keeper of %s: it does not answer: %w%s", dir, ctx.Err(), s.lastWords())
		}
	}
}

func ended(ctx context.Context, dir string) error {
	tick := time.NewTicker(ensureTick)
	defer tick.Stop()
	for isLocked(filepath.Join(dir, lockFile)) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the keeper of %s to end: %w", dir, ctx.Err())
		}
	}
	return nil
}

// starter is one caller's way to a keeper. Of several callers, the one that gets
// the lock starts it; the lock is given up when that one answers.
type starter struct {
	dir, exe string
	lock     *os.File
	pid      int   // of the keeper that we started; 0 while there is none
	started  bool  // there was one
	logged   int64 // how long the log was then
}

// step looks how things stand and does what is next. True: a keeper answers.
func (s *starter) step() (done bool, err error) {
	if answers(s.dir) {
		return true, nil
	}
	if s.lock == nil {
		s.lock, err = lockPath(filepath.Join(s.dir, startLockFile))
		if errors.Is(err, errLocked) {
			return false, nil // another caller is at it
		}
		if err != nil {
			return false, fmt.Errorf("start keeper: %w", err)
		}
		return answers(s.dir), nil // it may have been at it until now
	}
	locked := isLocked(filepath.Join(s.dir, lockFile))
	if s.pid == 0 {
		if locked { // by one that ends, or starts without us
			return false, nil
		}
		return false, s.start()
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(s.pid, &status, unix.WNOHANG, nil); err != nil || pid == 0 {
		return false, nil //nolint:nilerr // an error means that somebody else has waited for it
	}
	s.pid = 0
	if locked { // ours found another one
		return false, nil
	}
	return false, fmt.Errorf("start keeper of %s: it ended: %s%s", s.dir, describe(syscall.WaitStatus(status)), s.lastWords())
}

// start runs the keeper, detached from the caller's session.
func (s *starter) start() (err error) {
	path := filepath.Join(s.dir, logFile)
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if info, err := log.Stat(); err == nil {
		s.logged = info.Size()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer func() { err = errors.Join(err, null.Close()) }()

	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		// Where pace itself runs under a keeper, the new one is not to be part of
		// that one's tree.
		return strings.HasPrefix(v, markerName) || strings.HasPrefix(v, homeVariable)
	})
	err = withFDs([]*os.File{null, log}, func(fds []int) (err error) {
		s.pid, err = syscall.ForkExec(s.exe, []string{s.exe, "__keeper"}, &syscall.ProcAttr{
			Dir:   "/",
			Env:   append(env, homeVariable+s.dir),
			Files: []uintptr{uintptr(fds[0]), uintptr(fds[1]), uintptr(fds[1])},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
		return err
	})
	s.started = err == nil
	if err != nil {
		s.pid = 0
		return fmt.Errorf("start keeper: run %s: %w", s.exe, err)
	}
	return nil
}

// lastWords is what the keeper that we started wrote last.
func (s *starter) lastWords() string {
	if !s.started {
		return ""
	}
	f, err := os.Open(filepath.Join(s.dir, logFile))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	const longest = 4 << 10
	text := make([]byte, longest)
	n, _ := f.ReadAt(text, s.logged) // what there is will do
	line := text[:n]
	for l := range bytes.Lines(text[:n]) {
		if l = bytes.TrimSpace(l); len(l) > 0 {
			line = l
		}
	}
	if len(line) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s: %s)", logFile, line)
}

func (s *starter) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// answers tells whether a keeper is there and its API socket takes connections. A
// daemon that outlived its keeper may hold the socket a moment longer.
func answers(dir string) bool {
	if !isLocked(filepath.Join(dir, lockFile)) {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer closeFD(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, socketFile)})
	return err == nil || errors.Is(err, unix.EAGAIN) // its queue is full
}
