//go:build !linux

package worker

import (
	"errors"
	"fmt"
)

// thread is nothing here: what one thread uses cannot be told from the others'.
type thread struct{ locked bool }

func (t *thread) begin(locked bool) { t.locked = locked }

func (t *thread) finish() {}

func (t *thread) usage() (Usage, error) {
	if !t.locked {
		return Usage{}, ErrNotLocked
	}
	return Usage{}, fmt.Errorf("usage of a thread: %w", errors.ErrUnsupported)
}
