// Package freeze makes all threads of a process tree stand still for a moment.
//
// It is done by the freezer of cgroup v2 (Linux 5.2) where the tree has a group of its
// own, which takes also what has left the tree, else by SIGSTOP and SIGCONT, each
// sent by a pidfd to a process that has been made sure of. Programs may notice either:
// some calls that wait, epoll_wait among them, end with EINTR, which is nothing
// unusual; a handler for SIGCONT is called; and who waits for stopped children, as an
// interactive shell does, sees one.
package freeze

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Target is a tree that is to stand still.
type Target struct {
	// Roots are processes of it; their descendants need not be named. One whose
	// parent has ended is nobody's descendant: name it.
	Roots []Process
	// Cgroup is the folder of the cgroup v2 that holds the tree and nothing else; ""
	// if it has none. A group that does not hold the roots any more is not used.
	Cgroup string
	// Limit is how long it may take until all stand still. Zero means 50 ms.
	Limit time.Duration
}

// defaultLimit is far above the 0.2 to 2 ms that it takes. Longer than that takes a
// thread that sleeps uninterruptibly, as on a disk or in vfork, or a machine that has
// no time for it.
const defaultLimit = 50 * time.Millisecond

// Process is a process for good, whoever gets its number next.
type Process struct {
	PID int `json:"pid"`
	// StartTicks is when it started, as in field 22 of /proc/PID/stat. Zero accepts
	// whoever has the number.
	StartTicks uint64 `json:"start"`
}

// note says what stands still because of us.
type note struct {
	Processes []Process `json:"processes,omitempty"`
	Cgroups   []string  `json:"cgroups,omitempty"`
}

// encode returns a note, with zeros up to the length of what it replaces, so that one
// write does.
func (n note) encode(length int) []byte {
	text, err := json.Marshal(n)
	if err != nil {
		panic("freeze: " + err.Error()) // numbers and strings can be encoded
	}
	return append(text, make([]byte, max(0, length-len(text)))...)
}

// decodeNote reads what encode has written. Nothing is an empty note.
func decodeNote(text []byte) (n note, err error) {
	text, _, _ = bytes.Cut(text, []byte{0})
	if len(text) == 0 {
		return note{}, nil
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return note{}, fmt.Errorf("read note of stopped processes: %w", err)
	}
	return n, nil
}
