package keeper

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// diagnose finds out which step of a start failed. The fork gives no more than an
// errno, so what could have been the cause is tried again here.
func diagnose(err error, l launch) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	e := &SpawnError{Step: StepExec, Path: l.path, Errno: errno}
	program := l.path
	if !filepath.IsAbs(program) {
		program = filepath.Join(l.dir, program)
	}
	switch {
	case errno == unix.EAGAIN || errno == unix.ENOMEM:
		e.Step = StepFork
	case l.cgroup != none && (errno == unix.EBUSY || errno == unix.EOPNOTSUPP || errno == unix.EBADF || errno == unix.ENODEV):
		e.Step = StepFork
	case l.credential != nil && errno == unix.EPERM && os.Geteuid() != 0:
		e.Step = StepUser
	case l.dir != "" && errors.Is(enter(l.dir, l.credential), errno):
		e.Step, e.Path = StepDir, l.dir
	case errno == unix.ENOENT && isFile(program):
		e.Step = StepInterpreter
	}
	return e
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// enter tells whether a user could make dir its working directory. For another user
// it goes by the mode bits alone.
func enter(dir string, user *Credential) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return unix.ENOTDIR
	case user == nil:
		return unix.Faccessat(unix.AT_FDCWD, dir, unix.X_OK, unix.AT_EACCESS)
	case user.UID == 0:
		return nil
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for i := range dir {
		if dir[i] != '/' {
			continue
		}
		if err := mayPass(dir[:i+1], user); err != nil {
			return err
		}
	}
	return mayPass(strings.TrimSuffix(dir, "/")+"/", user)
}

// mayPass checks one directory's search bit.
func mayPass(dir string, user *Credential) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	bit := uint32(unix.S_IXOTH)
	switch {
	case st.Uid == user.UID:
		bit = unix.S_IXUSR
	case st.Gid == user.GID || slices.Contains(user.Groups, st.Gid):
		bit = unix.S_IXGRP
	}
	if st.Mode&bit == 0 {
		return unix.EACCES
	}
	return nil
}
