package jseval

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// overhead is what the process may have beyond the engine: what Go reads, converts
// and collects late.
const overhead = 512 << 20

// confine sets what the kernel holds this process to, beside what the engine counts.
func confine(memory int64, limit time.Duration) error {
	seconds := uint64(limit/time.Second) + 2
	// RLIMIT_DATA counts what is writable (Linux 4.7); RLIMIT_AS would also count the
	// gigabytes of address space that Go only reserves.
	for _, l := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"RLIMIT_DATA", unix.RLIMIT_DATA, uint64(2*memory) + overhead},
		{"RLIMIT_CPU", unix.RLIMIT_CPU, seconds},
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0},
		{"RLIMIT_FSIZE", unix.RLIMIT_FSIZE, 0},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("read %s: %w", l.name, err)
		}
		value := min(l.value, now.Max)
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("set %s: %w", l.name, err)
		}
	}
	return nil
}

// follow has nothing to do: the kernel ends the child with its parent.
func follow(io.Reader) {}

// tie makes cmd a group of its own that dies with this process. The kernel means
// the thread that starts it, so that one is kept until untie, after Wait.
func tie(cmd *exec.Cmd) (untie func()) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return runtime.UnlockOSThread
}

// access is access(2) with the effective rights.
func access(name string, mode int) error {
	return pathError("access", name, unix.Faccessat(unix.AT_FDCWD, name, uint32(mode)&7, unix.AT_EACCESS))
}

// killGroup ends the child and what it may have started. It is called before Wait
// has reaped the child, so that the number is still its own.
func killGroup(p *os.Process) error {
	return unix.Kill(-p.Pid, unix.SIGKILL) //nolint:forbidigo // our own child, not yet reaped; a keeper's pidfd is of apps
}
