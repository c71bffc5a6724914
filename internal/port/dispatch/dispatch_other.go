//go:build !linux

package dispatch

import (
	"fmt"
	"os"
)

// RoundRobin deals connections out in turn; only Linux can.
type Dealer struct{}

// NewRoundRobin returns ErrUnsupported.
func NewRoundRobin() (*Dealer, error) {
	return nil, fmt.Errorf("%w: it needs Linux", ErrUnsupported)
}

// NewIPHash returns ErrUnsupported.
func NewIPHash() (*Dealer, error) { return NewRoundRobin() }

// Restore returns ErrUnsupported.
func Restore(_, _ *os.File) (*Dealer, error) { return NewRoundRobin() }
