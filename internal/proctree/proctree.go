// Package proctree finds the processes that belong to a process.
package proctree

import (
	"bytes"
	"time"
)

// Process is a member of a tree.
type Process struct {
	PID int
	// StartTicks tells it from a later process with its number: field 22 of
	// /proc/PID/stat, in clock ticks since boot. As a root it may be zero, which
	// accepts whoever has the number.
	StartTicks uint64
	// State is that of its first thread, a letter as in proc(5): R, S, D, T, t, Z.
	State byte
}

// rescanAfter is how long the orphans found by reading the whole process table serve.
const rescanAfter = time.Second

// Tree finds the members of a tree: some roots, what descends from them, and, as
// orphans are no longer anybody's descendants, the processes of their sessions and
// process groups. It belongs to one goroutine.
//
// Descendants are found by the kernel's lists of children (CONFIG_PROC_CHILDREN).
// Orphans are in no list that leads to them: Members reads the whole process table for
// them, at most once a second, which costs 7 us for each process there is. An orphan in
// a session of its own, as a daemon makes itself one, has nothing that tells whose it
// is: give it as a root.
type Tree struct {
	roots   []Process
	orphans []Process // members that are no member's children
	scanned time.Time
	slow    bool // the kernel has no lists of children
	buffer  []byte
}

// New returns the tree of the roots.
func New(roots ...Process) *Tree { return &Tree{roots: roots} }

// stat is what we want of /proc/PID/stat.
type stat struct {
	state                  byte
	parent, group, session int
	threads                int
	start                  uint64
}

// dead tells whether nothing of the process runs any more. One of which only the
// first thread has ended lives.
func (s stat) dead() bool { return s.state == 'X' || s.state == 'Z' && s.threads <= 1 }

// parseStat reads a line of /proc/PID/stat. The name is in parentheses and may hold
// any byte but zero, also parentheses and blanks.
func parseStat(line []byte) (s stat, ok bool) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, false
	}
	const first, last = 3, 22 // the state, the start time
	var numbers [last + 1]uint64
	rest := bytes.TrimLeft(line[i+1:], " ")
	for f := first; f <= last; f++ {
		var word []byte
		word, rest, _ = bytes.Cut(rest, []byte{' '})
		if len(word) == 0 {
			return stat{}, false
		}
		if f == first {
			s.state = word[0]
			continue
		}
		for _, digit := range bytes.TrimPrefix(word, []byte{'-'}) {
			if digit < '0' || digit > '9' {
				return stat{}, false
			}
			numbers[f] = numbers[f]*10 + uint64(digit-'0')
		}
	}
	s.parent, s.group, s.session = int(numbers[4]), int(numbers[5]), int(numbers[6])
	s.threads, s.start = int(numbers[20]), numbers[22]
	return s, true
}

// parseNumbers calls f for each number of a list with blanks between.
func parseNumbers(text []byte, f func(n int)) {
	n, in := 0, false
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			n, in = n*10+int(c-'0'), true
		case in:
			f(n)
			n, in = 0, false
		}
	}
	if in {
		f(n)
	}
}

// resolve works out which processes of a table belong to the roots: the roots
// themselves, their sessions and groups, and all descendants. Orphans are members
// whose parent is none.
func resolve(table map[int]stat, roots []Process) (members, orphans []Process) {
	root := make(map[int]bool, len(roots))
	for _, r := range roots {
		// The number of a process that has ended stays its session's and group's as
		// long as these have members. In the hands of another it is not the root.
		if s, ok := table[r.PID]; !ok || r.StartTicks == 0 || s.start == r.StartTicks {
			root[r.PID] = true
		}
	}
	const unknown, yes, no = 0, 1, 2
	verdicts := make(map[int]int, len(table))
	var belongs func(pid int) bool
	belongs = func(pid int) bool {
		if v := verdicts[pid]; v != unknown {
			return v == yes
		}
		s, ok := table[pid]
		if !ok {
			return false
		}
		// The table is not read at one moment: where numbers changed hands
		// meanwhile there might be a circle, which ends here.
		verdicts[pid] = no
		is := root[pid] || root[s.session] || root[s.group]
		if !is {
			// A parent that is younger than its child has only got the number.
			if parent, ok := table[s.parent]; ok && parent.start <= s.start {
				is = belongs(s.parent)
			}
		}
		if is {
			verdicts[pid] = yes
		}
		return is
	}
	for pid, s := range table {
		if !belongs(pid) || s.dead() {
			continue
		}
		p := Process{PID: pid, StartTicks: s.start, State: s.state}
		members = append(members, p)
		if !root[pid] && !belongs(s.parent) {
			orphans = append(orphans, p)
		}
	}
	return members, orphans
}
