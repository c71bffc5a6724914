package drain

import (
	"context"

	"paceline/internal/kernel"
)

// Watch looks at the connections of a program again and again, and remembers what
// it saw. It belongs to one goroutine.
type Watch struct{ o Options }

// New returns a Watch; Close it.
func New(o Options) (*Watch, error) { return &Watch{o: o}, nil }

// Look tells the state of the connections now.
func (w *Watch) Look() (State, error) { return State{}, kernel.ErrUnsupported }

// Wait returns when no connection has a request in flight, or when ctx ends.
func (w *Watch) Wait(context.Context) Result { return Result{Err: kernel.ErrUnsupported} }

// Close frees what the Watch holds.
func (w *Watch) Close() {}
