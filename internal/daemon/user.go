//go:build unix

package daemon

import (
	"os/exec"
	"syscall"

	"paceline/internal/app"
	"paceline/internal/keeper"
)

// runAs has a command run as the app's user, where it has one.
func runAs(cmd *exec.Cmd, u *app.User) {
	if u != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
}

// credential is the app's user as the keeper wants it; nil is the daemon's own.
func credential(u *app.User) *keeper.Credential {
	if u == nil {
		return nil
	}
	return &keeper.Credential{UID: u.UID, GID: u.GID, Groups: u.Groups}
}
