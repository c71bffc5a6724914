// Package proctree finds the processes that belong to a process.
package proctree

// Process is a member of a tree.
type Process struct {
	PID int
	// StartTicks tells it from a later process with its number: field 22 of
	// /proc/PID/stat.
	StartTicks uint64
	// State is that of its first thread, a letter as in proc(5).
	State byte
}
