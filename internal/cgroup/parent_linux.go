package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// Parent is the cgroup that we are in, where groups can be made. Its methods may be
// called concurrently.
type Parent struct{ dir string }

// Open finds the cgroup that we are in and makes sure that groups can be made in it,
// and processes started in them. That is so for root, and for a user where systemd
// has been told to delegate the group (Delegate=yes). Errors: kernel.ErrUnsupported.
func Open() (*Parent, error) {
	dir, err := kernel.OwnCgroup()
	if err != nil {
		return nil, err
	}
	if err := usable(dir); err != nil {
		return nil, fmt.Errorf("make cgroups in %s: %w: %w", dir, kernel.ErrUnsupported, err)
	}
	return &Parent{dir: dir}, nil
}

// usable tries what each spawn into a group needs. To move a process the kernel also
// wants write access to the processes of the common ancestor, which is dir.
func usable(dir string) error {
	if err := unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK); err != nil {
		return err
	}
	probe, err := os.MkdirTemp(dir, "pace-probe-")
	if err != nil {
		return err
	}
	return errors.Join(unix.Access(filepath.Join(probe, "cgroup.procs"), unix.W_OK), unix.Rmdir(probe))
}

// Make makes a group, or takes the one of that name that is there already. The name
// is a single file name without a dot, for the kernel's own files have one.
func (p *Parent) Make(name string) (Group, error) {
	path, err := p.path(name)
	if err != nil {
		return Group{}, err
	}
	if err := unix.Mkdir(path, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return Group{}, fmt.Errorf("make cgroup %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Group{}, errors.Join(fmt.Errorf("open cgroup %s: %w", path, err), unix.Rmdir(path))
	}
	// Not os.OpenFile: its poller would look at each.
	return Group{Path: path, Dir: os.NewFile(uintptr(fd), path)}, nil
}

func (p *Parent) path(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "/.\x00\n") {
		return "", fmt.Errorf("make cgroup: %q is no name for one", name)
	}
	return filepath.Join(p.dir, name), nil
}

// Remove removes a group and those that were made below it. One that is not there is
// no error. Errors: ErrBusy if there are processes in it.
func (p *Parent) Remove(name string) error {
	path, err := p.path(name)
	if err != nil {
		return err
	}
	return remove(path)
}

// remove tries the group itself first: as a rule nobody has made groups below it.
func remove(path string) error {
	err := unix.Rmdir(path)
	if errors.Is(err, unix.EBUSY) {
		if below, _ := folders(path); len(below) > 0 {
			for _, name := range below {
				if err := remove(filepath.Join(path, name)); err != nil {
					return err
				}
			}
			err = unix.Rmdir(path)
		}
	}
	switch {
	case err == nil || errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("remove cgroup %s: %w", path, ErrBusy)
	}
	return fmt.Errorf("remove cgroup %s: %w", path, err)
}

// Sweep removes the groups that an earlier daemon has left: those whose name begins
// with prefix, but for those that keep wants, which may be nil, and those with
// processes in them.
func (p *Parent) Sweep(prefix string, keep func(name string) bool) error {
	names, err := folders(p.dir)
	if err != nil {
		return fmt.Errorf("look for cgroups: %w", err)
	}
	var all error
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) || keep != nil && keep(name) {
			continue
		}
		if err := remove(filepath.Join(p.dir, name)); err != nil && !errors.Is(err, ErrBusy) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// folders returns the names of the groups below one.
func folders(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
