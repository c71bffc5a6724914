package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// rootName is the group that root makes for groups with limits where its own can
// have none, at the top of the hierarchy.
const rootName = "paceline"

// OpenLimited finds a cgroup in which groups can have limits of all kinds in l. A
// group with processes in it, such as the one we are in, cannot give its children
// limits; so it is that one if its controllers are on already, else the one above it,
// which systemd leaves to us with DelegateSubgroup=, else for root a group of our own
// at the top. Errors: kernel.ErrUnsupported, which says why for each.
func OpenLimited(l Limits) (*Parent, error) {
	own, err := kernel.OwnCgroup()
	if err != nil {
		return nil, err
	}
	top, err := topOf(own)
	if err != nil {
		return nil, err
	}
	places := []string{own}
	if own != top {
		places = append(places, filepath.Dir(own))
	}
	if os.Geteuid() == 0 {
		places = append(places, filepath.Join(top, rootName))
	}
	return openLimited(places, l)
}

// topOf returns the folder in which the hierarchy of a group is mounted, or what is
// the top of it to us: the last that has the files of a group.
func topOf(dir string) (string, error) {
	for {
		up := filepath.Dir(dir)
		_, err := os.Stat(filepath.Join(up, "cgroup.controllers"))
		if errors.Is(err, fs.ErrNotExist) {
			return dir, nil
		}
		if err != nil {
			return "", fmt.Errorf("find the top of the cgroups: %w", err)
		}
		dir = up
	}
}

func openLimited(places []string, l Limits) (*Parent, error) {
	var reasons []string
	for _, dir := range places {
		err := enable(dir, l)
		if err == nil {
			return &Parent{dir: dir}, nil
		}
		reasons = append(reasons, err.Error())
	}
	return nil, fmt.Errorf("limits: %w here: %s", kernel.ErrUnsupported, strings.Join(reasons, "; "))
}

// enable switches the controllers of limits on for the groups in dir. If that is not
// there it is made, once the group above can give it some.
func enable(dir string, l Limits) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := enable(filepath.Dir(dir), l); err != nil { // it would have none
			return err
		}
		if err := unix.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("make cgroup %s: %w", dir, err)
		}
	}
	there, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	on, err := words(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, s := range l.settings() {
		switch {
		case slices.Contains(on, s.controller):
		case !slices.Contains(there, s.controller):
			return fmt.Errorf("cgroup %s has no %s controller", dir, s.controller)
		default:
			if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+s.controller); err != nil {
				return err
			}
			on = append(on, s.controller)
		}
	}
	return unix.Access(dir, unix.W_OK)
}

// Limit gives a group limits, in place of those that it had.
func (p *Parent) Limit(name string, l Limits) error {
	path, err := p.path(name)
	if err != nil {
		return err
	}
	for _, s := range l.settings() {
		if err := write(filepath.Join(path, s.file), s.value); err != nil {
			return err
		}
	}
	return nil
}

func words(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text)), nil
}

// write writes to a file of the kernel's, which has to be there.
func write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
