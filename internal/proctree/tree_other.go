//go:build !linux

package proctree

import (
	"errors"
	"fmt"
)

// Members is known on Linux only. Errors: errors.ErrUnsupported.
func (t *Tree) Members() ([]Process, error) {
	return nil, fmt.Errorf("read process table: %w on this system", errors.ErrUnsupported)
}

// Descendants is known on Linux only. Errors: errors.ErrUnsupported.
func (t *Tree) Descendants() ([]Process, error) { return t.Members() }

// EachThread finds none.
func EachThread(int, func(tid int) error) error { return nil }

// ThreadState knows none.
func ThreadState(int, int) (byte, error) { return 'X', nil }

// Find finds none.
func Find(int) (Process, bool) { return Process{}, false }

// Parent knows none.
func Parent(int) int { return 0 }
