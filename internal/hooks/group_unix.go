//go:build unix

package hooks

import (
	"os/exec"
	"syscall"
)

// group gives a command a process group of its own, all of which ends with it.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } //nolint:forbidigo // our own child, not waited for yet
}
