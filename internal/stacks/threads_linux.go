package stacks

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxThreads is how many threads are shown, those first that have used most cpu.
const maxThreads = 100

// thread is one thread of a process.
type thread struct {
	tid   int
	name  string
	state string
	ticks uint64 // of cpu, in 1/100 s
	start uint64 // tells it from a later thread of the same number
}

// Threads describes the threads of a process: state, cpu, and where in the kernel they
// are, as far as we may see it. It only reads.
func Threads(pid int) string {
	var b strings.Builder
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return fmt.Sprintf("process %d: %v\n", pid, err)
	}
	for line := range strings.Lines(string(status)) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Name", "State", "TracerPid", "VmRSS", "Threads", "SigBlk", "SigIgn", "SigCgt":
			b.WriteString(line)
		}
	}
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil {
		fmt.Fprintf(&b, "Command:\t%s\n", bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
	}
	list := threads(pid)
	for i, t := range list {
		if i == maxThreads {
			fmt.Fprintf(&b, "\n(%d more threads)\n", len(list)-i)
			break
		}
		fmt.Fprintf(&b, "\nthread %d (%s): %s, %d.%02d s of cpu\n", t.tid, t.name, stateText(t.state), t.ticks/100, t.ticks%100)
		folder := fmt.Sprintf("/proc/%d/task/%d/", pid, t.tid)
		for _, what := range []string{"wchan", "syscall", "stack"} {
			text, err := os.ReadFile(folder + what) // some need a right: then they are missing
			if line := strings.TrimSpace(string(text)); err == nil && line != "" && line != "0" {
				fmt.Fprintf(&b, "  %s: %s\n", what, strings.ReplaceAll(line, "\n", "\n    "))
			}
		}
	}
	return b.String()
}

// stateText is the letter of /proc/PID/stat in words.
func stateText(letter string) string {
	words := map[string]string{
		"R": "running", "S": "sleeping", "D": "in an uninterruptible wait", "T": "stopped by a signal",
		"t": "stopped by a tracer", "Z": "ended, not reaped", "X": "dead", "I": "idle",
	}
	return cmp.Or(words[letter], letter)
}

// threads returns those of a process, the busiest first.
func threads(pid int) (list []thread) {
	folders, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return nil
	}
	for _, path := range folders {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if t, ok := parseStat(b); ok {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b thread) int {
		// What runs now says more than what has run: a busy loop may be young.
		if r := cmp.Compare(running(b), running(a)); r != 0 {
			return r
		}
		return cmp.Compare(b.ticks, a.ticks)
	})
	return list
}

func running(t thread) int {
	if t.state == "R" {
		return 1
	}
	return 0
}

// parseStat reads /proc/PID/task/TID/stat. The name is in brackets and may hold any
// byte.
func parseStat(b []byte) (t thread, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return thread{}, false
	}
	tid, err := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	fields := strings.Fields(string(b[end+1:]))
	if err != nil || len(fields) < 20 {
		return thread{}, false
	}
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			ok = false
		}
		return n
	}
	ok = true
	t = thread{tid: tid, name: strings.ToValidUTF8(string(b[open+1:end]), "?"), state: fields[0]}
	t.ticks, t.start = number(11)+number(12), number(19)
	return t, ok
}

// IsGo reports whether a process runs a Go program, whose runtime prints its stacks
// when it gets SIGQUIT, and ends.
func IsGo(pid int) bool {
	_, err := buildinfo.ReadFile(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && Catches(pid, syscall.SIGQUIT)
}

// IsNode reports whether a process runs Node, which opens its inspector when it gets
// SIGUSR1.
func IsNode(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return false
	}
	name := strings.TrimSuffix(filepath.Base(exe), " (deleted)")
	return (name == "node" || name == "nodejs") && Catches(pid, syscall.SIGUSR1)
}

// Stopped reports whether a process stands still because of a signal or a tracer.
func Stopped(pid int) bool {
	list := threads(pid)
	return len(list) > 0 && !slices.ContainsFunc(list, func(t thread) bool { return t.state != "T" && t.state != "t" })
}

// Catches reports whether a process has a handler for a signal: one that it does not
// know may end it.
func Catches(pid int, sig syscall.Signal) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if name, mask, _ := strings.Cut(line, ":"); name == "SigCgt" {
			bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err == nil && bits&(1<<(uint(sig)-1)) != 0
		}
	}
	return false
}

// QuitBusiest sends SIGQUIT to the thread of a process that has used most cpu, so that
// Go's runtime prints the stack of the goroutine that runs there: it cannot see into
// other threads. The error says why it was not sent: Linux before 6.9 has no such call.
func QuitBusiest(pid int, startTicks uint64) error {
	list := threads(pid)
	if len(list) == 0 {
		return syscall.ESRCH
	}
	busiest := list[0]
	fd, err := unix.PidfdOpen(busiest.tid, unix.O_EXCL) // PIDFD_THREAD
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	// Now that the descriptor stands for it, is it still the one that was meant?
	now, ok := readStat(fmt.Sprintf("/proc/%d/task/%d/stat", pid, busiest.tid))
	leader, ok2 := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	if !ok || !ok2 || now.start != busiest.start || leader.start != startTicks {
		return syscall.ESRCH
	}
	return os.NewSyscallError("pidfd_send_signal", unix.PidfdSendSignal(fd, unix.SIGQUIT, nil, 0))
}

func readStat(path string) (thread, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return thread{}, false
	}
	return parseStat(b)
}
