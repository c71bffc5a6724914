package daemon

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"paceline/internal/keeper"
	"paceline/internal/proctree"
)

// maxAncestors bounds the way up from a process: longer ones are circles, made by
// numbers that were used again while we looked.
const maxAncestors = 64

// ancestorOf finds the process of ours from which one of the system descends; nil
// if it is none of ours. Each of ours leads a session, so that one call tells as a
// rule; what has left its session is found by its parents, or by what it carries
// in its environment.
func (h *host) ancestorOf(pid int) *process {
	if sid, err := unix.Getsid(pid); err == nil {
		if p := h.leader(sid); p != nil {
			return p
		}
	}
	for at, n := pid, 0; at > 1 && n < maxAncestors; n++ {
		if p := h.leader(at); p != nil {
			return p
		}
		at = proctree.Parent(at)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil
	}
	if key, ok := keeper.KeyIn(environ, h.home); ok {
		return h.find(key)
	}
	return nil
}

// holdsSocket reports whether a process, or one that descends from it, has the
// socket with an inode open. In doubt it has.
func holdsSocket(pid int, inode uint64) bool {
	members, err := proctree.New(proctree.Process{PID: pid}).Members()
	if err != nil {
		return true
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for _, m := range members {
		folder := fmt.Sprintf("/proc/%d/fd", m.PID)
		names, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return true
		}
		for _, name := range names {
			if target, err := os.Readlink(folder + "/" + name.Name()); err == nil && target == want {
				return true
			}
		}
	}
	return false
}
