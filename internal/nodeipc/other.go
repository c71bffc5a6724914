//go:build !linux

package nodeipc

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// errSystem says why nothing works here: the channel relies on Linux's way to peek at a stream
// with descriptors in it, and on epoll.
var errSystem = fmt.Errorf("speak with Node workers: needs Linux: %w", errors.ErrUnsupported)

// Pair fails: it needs Linux.
func Pair() (parent, child *os.File, err error) { return nil, nil, errSystem }

// Primary is the cluster primary of one app; on this system it does nothing.
type Primary struct{}

// NewPrimary returns a Primary that no worker can be attached to.
func NewPrimary(PrimaryOptions) *Primary { return &Primary{} }

// Close does nothing.
func (p *Primary) Close() {}

// Accepted returns nothing new.
func (p *Primary) Accepted(list []Accepted) []Accepted { return list }

// Trim does nothing.
func (p *Primary) Trim() {}

// Worker is a Node process; there is none on this system.
type Worker struct{}

// Attach fails: it needs Linux.
func Attach(WorkerOptions) (*Worker, error) { return nil, errSystem }

// Send fails: it needs Linux.
func (w *Worker) Send([]byte) error { return errSystem }

// Expect returns nil.
func (w *Worker) Expect(uint16) func() bool { return nil }

// Unanswered returns nothing.
func (w *Worker) Unanswered() (time.Time, int) { return time.Time{}, 0 }

// Rotate fails: it needs Linux.
func (w *Worker) Rotate(bool) error { return errSystem }

// Drain fails: it needs Linux.
func (w *Worker) Drain(DrainOptions) error { return errSystem }

// Disconnect fails: it needs Linux.
func (w *Worker) Disconnect() error { return errSystem }

// Close fails: it needs Linux.
func (w *Worker) Close() error { return errSystem }
