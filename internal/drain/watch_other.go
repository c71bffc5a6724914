//go:build !linux

package drain

import (
	"context"
	"fmt"

	"paceline/internal/kernel"
)

// Watch looks at connections; only Linux can.
type Watch struct{}

// New returns ErrUnsupported.
func New(Options) (*Watch, error) {
	return nil, fmt.Errorf("look at connections: %w: it needs Linux", kernel.ErrUnsupported)
}

// Look is never reached.
func (w *Watch) Look() (State, error) { return State{}, kernel.ErrUnsupported }

// Wait is never reached.
func (w *Watch) Wait(context.Context) Result { return Result{Err: kernel.ErrUnsupported} }

// LookAgain is never reached.
func (w *Watch) LookAgain() (State, error) { return State{}, kernel.ErrUnsupported }

// WaitQueues is never reached.
func (w *Watch) WaitQueues(context.Context) Result { return Result{Err: kernel.ErrUnsupported} }

// Close is never reached.
func (w *Watch) Close() {}
