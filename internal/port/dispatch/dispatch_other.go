//go:build !linux

package dispatch

import (
	"fmt"
	"os"
)

// RoundRobin deals connections out in turn; only Linux can.
type RoundRobin struct{}

// NewRoundRobin returns ErrUnsupported.
func NewRoundRobin() (*RoundRobin, error) {
	return nil, fmt.Errorf("%w: it needs Linux", ErrUnsupported)
}

// Restore returns ErrUnsupported.
func Restore(_, _ *os.File) (*RoundRobin, error) { return NewRoundRobin() }
