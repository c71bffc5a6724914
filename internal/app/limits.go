package app

import "fmt"

// Limits are what the kernel lets each instance have at most: its process and
// all that descend from it together. They need a cgroup (v2) with the controller;
// where there is none the app runs without, and `list` and `show` say so.
type Limits struct {
	MemoryBytes int64   `json:"memory,omitempty"` // the kernel ends what needs more; 0: no limit
	CPU         float64 `json:"cpu,omitempty"`    // in cores, 0.5 is half of one; 0: no limit
	Pids        int     `json:"pids,omitempty"`   // processes and threads; 0: no limit
}

func (l *Limits) validate() error {
	switch {
	case l == nil:
		return nil
	case l.MemoryBytes < 0:
		return fmt.Errorf("limits.memory %d is negative", l.MemoryBytes)
	case l.CPU < 0 || l.CPU > 0 && l.CPU < 0.01:
		return fmt.Errorf("limits.cpu %g is not at least 0.01 of a core", l.CPU)
	case l.Pids < 0:
		return fmt.Errorf("limits.pids %d is negative", l.Pids)
	}
	return nil
}

// User is whom an app runs as.
type User struct {
	Name   string   `json:"name,omitempty"` // as in the account, for people
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"` // supplementary groups, all of them
}
