//go:build !linux

package jseval

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// confine leaves it at the engine's limits and the parent's clock.
func confine(int64, time.Duration) error { return nil }

// follow ends the child when its stdin does, which the parent holds open.
func follow(stdin io.Reader) {
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(1)
	}()
}

// tie makes cmd a group of its own.
func tie(cmd *exec.Cmd) (untie func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return func() {}
}

func access(name string, mode int) error {
	return pathError("access", name, syscall.Access(name, uint32(mode)&7))
}

// killGroup ends the child and what it may have started. It is called before Wait
// has reaped the child, so that the number is still its own.
func killGroup(p *os.Process) error {
	return syscall.Kill(-p.Pid, syscall.SIGKILL) //nolint:forbidigo // our own child, not yet reaped; a keeper's pidfd is of apps
}
