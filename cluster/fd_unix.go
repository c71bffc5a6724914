//go:build unix

package cluster

import "syscall"

// closeOnExec keeps a descriptor from the program's own children.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
