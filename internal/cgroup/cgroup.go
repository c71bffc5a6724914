// Package cgroup makes control groups (version 2) below the one we are in.
//
// No controller is switched on for them: that would forbid processes in our own group
// (the kernel's rule of no internal processes), and what we want of a group, to find,
// freeze and kill all in it, needs none.
package cgroup

import (
	"errors"
	"os"
)

// ErrBusy says that there are processes in a group.
var ErrBusy = errors.New("there are processes in it")

// Group is a cgroup of our making.
type Group struct {
	// Path is its folder.
	Path string
	// Dir is the folder, open, to start processes in it. The caller closes it.
	Dir *os.File
}
