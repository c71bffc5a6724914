//go:build !linux

package stacks

import (
	"context"
	"syscall"
)

// Threads says nothing: it needs Linux.
func Threads(int) string { return "" }

// IsGo returns false.
func IsGo(int) bool { return false }

// IsNode returns false.
func IsNode(int) bool { return false }

// Stopped returns false.
func Stopped(int) bool { return false }

// Catches returns false.
func Catches(int, syscall.Signal) bool { return false }

// QuitBusiest returns ErrSilent.
func QuitBusiest(int, uint64) error { return ErrSilent }

// Node returns ErrSilent.
func Node(context.Context, int, func() error) (string, error) { return "", ErrSilent }
