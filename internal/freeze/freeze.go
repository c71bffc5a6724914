// Package freeze makes all threads of a process tree stand still for a moment.
package freeze

import "time"

// Target is a process whose tree is to stand still.
type Target struct {
	// PID is the leader of a session.
	PID int
	// StartTicks is its start time as in field 22 of /proc/PID/stat, which tells it
	// from a later process with its number. Zero accepts whoever has the number.
	StartTicks uint64
	// Cgroup is the folder of the cgroup v2 that holds its tree alone; "" if it has
	// none of its own.
	Cgroup string
	// Limit is how long it may take until all stand still. Zero means 50 ms.
	Limit time.Duration
}
