// Package cgroup makes control groups (version 2) below the one we are in.
package cgroup

import "os"

// Group is a cgroup that we have made.
type Group struct {
	// Path is its folder.
	Path string
	// Dir is the folder, open, for keeper.Spawn.CgroupFD. The caller closes it.
	Dir *os.File
}
