package freeze

import (
	"os"

	"paceline/internal/kernel"
)

// Freezer makes trees stand still. Its file says what it has stopped: kept beyond
// the daemon's death, it has the next one continue what this one has left.
type Freezer struct{ f *os.File }

// New returns a Freezer. f is the File of an earlier one, which it takes: what that
// has left standing is continued at once. Nil makes a new file.
func New(f *os.File) (*Freezer, error) { return &Freezer{f: f}, nil }

// File is what the Freezer writes down what it has stopped in, before it stops it.
// It stays the Freezer's.
func (z *Freezer) File() *os.File { return z.f }

// Freeze returns when every thread of the tree stands still, and a function that
// lets it go on, which may be called again. What had been stopped before by
// somebody else stays so.
func (z *Freezer) Freeze(Target) (thaw func(), err error) { return nil, kernel.ErrUnsupported }

// Close lets everything go on and closes the file.
func (z *Freezer) Close() error { return nil }
