//go:build !linux

package freeze

import (
	"fmt"
	"os"

	"paceline/internal/kernel"
)

// Freezer makes trees stand still; only Linux can.
type Freezer struct{}

// New returns ErrUnsupported.
func New(*os.File) (*Freezer, error) {
	return nil, fmt.Errorf("freeze processes: %w: it needs Linux", kernel.ErrUnsupported)
}

// File is never reached.
func (z *Freezer) File() *os.File { return nil }

// Freeze is never reached.
func (z *Freezer) Freeze(Target) (thaw func(), err error) { return nil, kernel.ErrUnsupported }

// Close is never reached.
func (z *Freezer) Close() error { return nil }
