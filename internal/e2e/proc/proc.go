// Package proc reads what the kernel says about processes, for tests and measurements.
package proc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a process as /proc shows it.
type Process struct {
	PID, PPID int
	State     byte // 'R', 'S', 'Z', ...
	Name      string
	Command   string // argv, joined by spaces; empty for a zombie
	// CPUTicks is the user and system time of the process itself, in hundredths
	// of a second; ChildTicks that of its children that have been waited for.
	CPUTicks, ChildTicks uint64
	StartTicks           uint64
}

// String is one line for a report.
func (p Process) String() string {
	return fmt.Sprintf("pid %d (parent %d, %c): %s", p.PID, p.PPID, p.State, cmp.Or(p.Command, p.Name))
}

// Read returns the process with this pid. Errors: fs.ErrNotExist or ESRCH, wrapped.
func Read(pid int) (Process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	// The name stands in parentheses and may hold any character, also ')'.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if open < 0 || end < open || len(fields) < 20 {
		return Process{}, fmt.Errorf("read process %d: unexpected stat %q", pid, stat)
	}
	number := func(i int) uint64 { // i as proc(5) counts, from 1
		n, _ := strconv.ParseUint(fields[i-3], 10, 64)
		return n
	}
	p := Process{
		PID: pid, PPID: int(number(4)), State: fields[0][0], Name: string(stat[open+1 : end]),
		CPUTicks: number(14) + number(15), ChildTicks: number(16) + number(17), StartTicks: number(22),
	}
	if argv, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Command = strings.TrimSpace(strings.ReplaceAll(string(argv), "\x00", " "))
	}
	return p, nil
}

// All returns every process there is, by pid.
func All() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := Read(pid); err == nil { // else it has ended meanwhile
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list, nil
}

// Marked returns the processes, zombies left out, whose initial environment
// holds any of the marks ("KEY=value"), and all their descendants. The caller
// itself is never among them.
func Marked(marks ...string) ([]Process, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	self := os.Getpid()
	found := map[int]bool{}
	for _, p := range all {
		if p.PID == self {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "environ"))
		if err != nil {
			continue // another user's, a kernel thread, or gone
		}
		for kv := range strings.SplitSeq(string(env), "\x00") {
			if slices.Contains(marks, kv) {
				found[p.PID] = true
				break
			}
		}
	}
	for grown := true; grown; { // a child may have a smaller pid than its parent
		grown = false
		for _, p := range all {
			if found[p.PPID] && !found[p.PID] && p.PID != self {
				found[p.PID], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(all, func(p Process) bool { return !found[p.PID] || p.State == 'Z' }), nil
}

// Children returns the processes whose parent is pid.
func Children(pid int) ([]Process, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p Process) bool { return p.PPID != pid }), nil
}

// Alive reports whether pid is a process that has not ended. A zombie has.
func Alive(pid int) bool {
	p, err := Read(pid)
	return err == nil && p.State != 'Z' && p.State != 'X'
}

// RSS returns the resident memory of a process in bytes: VmRSS of its status.
func RSS(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read memory of %d: %w", pid, err)
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("read memory of %d: no VmRSS", pid)
}

// CPU returns the processor time that a process has used, to the nanosecond: the
// sum of its threads' schedstat, which hundredths of a second would round away.
func CPU(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/schedstat"))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("read CPU time of %d: no such process", pid)
	}
	var sum time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time of %d: %w", pid, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// Descriptors returns how many descriptors a process has open.
func Descriptors(pid int) (int, error) {
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(list), err
}

// ReadPID returns the number that a pid file holds.
func ReadPID(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s holds %q, not a pid", file, b)
	}
	return pid, nil
}

// Kill sends SIGKILL to a process. Gone is no error.
func Kill(pid int) error {
	return Signal(pid, syscall.SIGKILL)
}

// Signal sends a signal to a process. Gone is no error.
func Signal(pid int, sig syscall.Signal) error {
	//nolint:forbidigo // the harness plays the operator who types kill; it has no pidfd of another's child
	err := syscall.Kill(pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// WaitGone waits until none of the processes is alive.
func WaitGone(ctx context.Context, pids ...int) error {
	return Poll(ctx, 5*time.Millisecond, func() (bool, error) {
		return !slices.ContainsFunc(pids, Alive), nil
	})
}

// Poll calls done at once and then in this interval until it reports true, fails, or ctx ends.
func Poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
