package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Members returns who is alive in the tree, in no order.
func (t *Tree) Members() ([]Process, error) {
	if t.slow || t.scanned.IsZero() || time.Since(t.scanned) >= rescanAfter {
		return t.scan()
	}
	members, err := t.walk(append(slices.Clip(t.roots), t.orphans...))
	if errors.Is(err, fs.ErrNotExist) { // the kernel has no such lists
		t.slow = true
		return t.scan()
	}
	return members, err
}

// Descendants returns the roots that are alive and their descendants, in no order. It
// costs some microseconds each: about 10 and 4 for each thread.
func (t *Tree) Descendants() ([]Process, error) {
	if !t.slow {
		members, err := t.walk(t.roots)
		if !errors.Is(err, fs.ErrNotExist) {
			return members, err
		}
		t.slow = true
	}
	return t.scan()
}

// scan reads the whole process table.
func (t *Tree) scan() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	defer dir.Close() //nolint:errcheck // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	table := make(map[int]stat, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		s, ok, err := t.stat("/proc/" + name + "/stat")
		if err != nil {
			return nil, fmt.Errorf("read process table: %w", err)
		}
		if ok {
			table[pid] = s
		}
	}
	var members []Process
	members, t.orphans = resolve(table, t.roots)
	t.scanned = time.Now()
	return members, nil
}

// walk follows the lists of children down from some processes. Errors: fs.ErrNotExist if the kernel was built
// without them.
func (t *Tree) walk(from []Process) ([]Process, error) {
	seen := map[int]bool{}
	members := make([]Process, 0, len(from))
	todo := slices.Clone(from)
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[p.PID] {
			continue
		}
		seen[p.PID] = true
		s, ok, err := t.stat(procPath(p.PID, "stat"))
		if err != nil {
			return nil, fmt.Errorf("read process %d: %w", p.PID, err)
		}
		if !ok || s.dead() || p.StartTicks != 0 && p.StartTicks != s.start {
			continue
		}
		members = append(members, Process{PID: p.PID, StartTicks: s.start, State: s.state})
		err = EachThread(p.PID, func(tid int) error {
			text, err := t.read(procPath(p.PID, "task/"+strconv.Itoa(tid)+"/children"))
			if errors.Is(err, fs.ErrNotExist) && exists(procPath(p.PID, "task/"+strconv.Itoa(tid)+"/stat")) {
				return err
			}
			parseNumbers(text, func(child int) { todo = append(todo, Process{PID: child}) })
			return scarce(err)
		})
		if err != nil {
			return nil, fmt.Errorf("read children of process %d: %w", p.PID, err)
		}
	}
	return members, nil
}

// EachThread calls f with the id of each thread of a process, in the order of their
// start, and stops at its first error, which it returns. A process that has ended has
// none.
func EachThread(pid int, f func(tid int) error) error {
	dir, err := os.Open(procPath(pid, "task"))
	if err != nil {
		return scarce(err)
	}
	defer dir.Close() //nolint:errcheck // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return scarce(err)
	}
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if err := f(tid); err != nil {
			return err
		}
	}
	return nil
}

// ThreadState returns the state of a thread as a letter of proc(5); 'X' if it has
// ended.
func ThreadState(pid, tid int) (byte, error) {
	var buffer [1024]byte // 52 numbers and a name of at most 64 bytes
	n, err := readFile(procPath(pid, "task/"+strconv.Itoa(tid)+"/stat"), buffer[:])
	if err != nil {
		return 'X', scarce(err)
	}
	s, ok := parseStat(buffer[:n])
	if !ok {
		return 0, fmt.Errorf("read state of thread %d: unexpected format %q", tid, buffer[:n])
	}
	return s.state, nil
}

// Parent returns the parent of a process, 0 if there is no such process.
func Parent(pid int) int {
	s, ok, err := New().stat(procPath(pid, "stat"))
	if err != nil || !ok {
		return 0
	}
	return s.parent
}

// Find returns a living process; false if there is none with that number.
func Find(pid int) (Process, bool) {
	var buffer [1024]byte
	n, err := readFile(procPath(pid, "stat"), buffer[:])
	if err != nil {
		return Process{}, false
	}
	s, ok := parseStat(buffer[:n])
	if !ok || s.dead() {
		return Process{}, false
	}
	return Process{PID: pid, StartTicks: s.start, State: s.state}, true
}

// stat reads a stat line; false if there is no such process.
func (t *Tree) stat(name string) (stat, bool, error) {
	text, err := t.read(name)
	if err != nil {
		return stat{}, false, scarce(err)
	}
	s, ok := parseStat(text)
	return s, ok, nil
}

// read returns the contents of a file, until the next call.
func (t *Tree) read(name string) ([]byte, error) {
	if t.buffer == nil {
		t.buffer = make([]byte, 4096)
	}
	for {
		n, err := readFile(name, t.buffer)
		if err != nil || n < len(t.buffer) {
			return t.buffer[:n], err
		}
		t.buffer = make([]byte, 2*len(t.buffer))
	}
}

// readFile reads as much of a file as the buffer takes. It is for small files of
// /proc that are read by the hundred; package os would have its poller look at each.
func readFile(name string, buffer []byte) (n int, err error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd) //nolint:errcheck // only read
	for n < len(buffer) {
		m, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, buffer[n:]) })
		if err != nil {
			return 0, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// scarce passes on errors that say nothing about the process: that there is no
// descriptor or memory to look with. Any other means that it has ended, or that it is
// hidden from us.
func scarce(err error) error {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}

func exists(name string) bool { return unix.Access(name, unix.F_OK) == nil }

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
