package kernel

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroupChecks are about groups of our own making: one per instance.
var cgroupChecks = []check{
	{"cgroup v2", "4.5", "a stop finds every process of an app; limits", func() (string, error) {
		g, err := groupV2(os.DirFS("/"))
		if errors.Is(err, errNotMounted) {
			return "", errors.New("cgroup v2 is not mounted")
		}
		return "/" + g.dir, err
	}},
	{"cgroup v2: a group of our own", "4.5", "each instance has its group", func() (string, error) {
		return "", inNewGroup(func(string) error { return nil })
	}},
	{"cgroup.kill", "5.14", "a whole tree is killed at once", func() (string, error) {
		return "", inNewGroup(has("cgroup.kill"))
	}},
	{"cgroup.freeze", "5.2", "a whole tree is stopped at once", func() (string, error) {
		return "", inNewGroup(has("cgroup.freeze"))
	}},
	{"clone3 into a cgroup", "5.7", "an app is in its group from its first instruction", func() (string, error) {
		// Number 2^31-2 is no descriptor: a kernel that knows the flag says so.
		err := forkInto(&syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: 1<<31 - 2})
		switch {
		case errors.Is(err, unix.EBADF):
			return "", nil
		case err == nil: // forked in spite of it: the flag means nothing there
			return "", errMissing
		}
		return "", err
	}},
	{"memory controller", "4.5", "memory limits, out-of-memory kills seen per app", func() (string, error) { return controller("memory") }},
	{"cpu controller", "4.15", "CPU limits and shares", func() (string, error) { return controller("cpu") }},
}

// OwnCgroup returns the folder of the cgroup v2 that this process is in, as far up as
// can be seen from here. Errors: ErrUnsupported if that is not mounted.
func OwnCgroup() (string, error) {
	g, err := groupV2(os.DirFS("/"))
	if errors.Is(err, errNotMounted) {
		return "", fmt.Errorf("cgroup v2: %w: it is not mounted", ErrUnsupported)
	}
	if err != nil {
		return "", fmt.Errorf("cgroup v2: %w", err)
	}
	return "/" + g.dir, nil
}

// inNewGroup calls f with a group made below our own, which it then removes.
func inNewGroup(f func(dir string) error) error {
	g, err := groupV2(os.DirFS("/"))
	if errors.Is(err, errNotMounted) {
		return errors.New("cgroup v2 is not mounted")
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/"+g.dir, "pace-probe-")
	if err != nil {
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM) {
			return fmt.Errorf("no right to make a cgroup in /%s: run under systemd with Delegate=yes, or as root", g.dir)
		}
		return fmt.Errorf("make a cgroup: %w", err)
	}
	return errors.Join(f(dir), unix.Rmdir(dir))
}

// has reports by its result whether a group has a file of that name.
func has(name string) func(dir string) error {
	return func(dir string) error {
		if _, err := os.Stat(path.Join(dir, name)); err != nil {
			return errMissing
		}
		return nil
	}
}

// controller reports whether groups below ours can have it: whether it is
// handed down to our group.
func controller(name string) (string, error) {
	root := os.DirFS("/")
	g, err := groupV2(root)
	if errors.Is(err, errNotMounted) {
		return "", errors.New("cgroup v2 is not mounted")
	}
	if err != nil {
		return "", err
	}
	if slices.Contains(strings.Fields(content(root, path.Join(g.dir, "cgroup.controllers"))), name) {
		if slices.Contains(strings.Fields(content(root, path.Join(g.dir, "cgroup.subtree_control"))), name) {
			return "on for groups below ours", nil
		}
		return "can be switched on for groups below ours", nil
	}
	if _, err := groupV1(root, name); err == nil {
		return "", fmt.Errorf("the %s controller is mounted as cgroup v1, so that v2 cannot have it", name)
	}
	return "", fmt.Errorf("the %s controller is not handed down to /%s", name, g.dir)
}
