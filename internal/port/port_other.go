//go:build !linux

package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
)

var errLinux = fmt.Errorf("sharing a port needs Linux: %w", errors.ErrUnsupported)

// Group is the sockets behind one address.
type Group struct {
	addr   net.Addr
	kernel bool
	reason string
}

// Set is the addresses of one app.
type Set struct{}

// Watch notices queues that are not empty.
type Watch struct{}

// NewWatch returns errors.ErrUnsupported.
func NewWatch() (*Watch, error) { return nil, errLinux }

// Close does nothing.
func (*Watch) Close() error { return nil }

// NewSet returns errors.ErrUnsupported.
func NewSet(o Options) (*Set, error) {
	var errs []error
	for _, saved := range o.Saved {
		if saved.File != nil {
			errs = append(errs, saved.File.Close())
		}
	}
	return nil, errors.Join(append(errs, errLinux)...)
}

// Open returns errors.ErrUnsupported.
func (*Set) Open(a Address, _ int) (*Listener, error) { return nil, wrap(a, errLinux) }

// Adopt returns errors.ErrUnsupported.
func (*Set) Adopt(_ *os.File, _, _ int) (*Listener, error) { return nil, errLinux }

// Bind returns errors.ErrUnsupported.
func (*Set) Bind(*os.File, netip.AddrPort, uint32, bool) error { return errLinux }

// Managed returns false.
func (*Set) Managed(*os.File) bool { return false }

// Join returns errors.ErrUnsupported.
func (*Set) Join(*os.File, int, Seat, int, bool) (*Listener, error) { return nil, errLinux }

// Seat does nothing.
func (*Set) Seat(int, Seat) {}

// Retire does nothing.
func (*Set) Retire(int) {}

// Prune does nothing.
func (*Set) Prune() {}

// Switch returns errors.ErrUnsupported.
func (*Set) Switch(uint64) error { return errLinux }

// Drained returns true.
func (*Set) Drained(uint64) bool { return true }

// Hold returns errors.ErrUnsupported.
func (*Set) Hold(int) (func(), error) { return nil, errLinux }

// Connecting returns false.
func (*Set) Connecting(int) bool { return false }

// Counters returns nothing.
func (*Set) Counters() []Counters { return nil }

// Loads returns nothing.
func (*Set) Loads(list []Load, _ bool) []Load { return list }

// Use does nothing.
func (*Set) Use(int, bool) {}

// Leave does nothing.
func (*Set) Leave(*Group, int) {}

// Release does nothing.
func (*Set) Release(int) {}

// Queue returns nothing.
func (*Set) Queue() []Depth { return nil }

// Steered is a connection that is to reach one slot.
type Steered struct{}

// Steer returns nil.
func (*Set) Steer(_, _ uint16, _ int) *Steered { return nil }

// Over returns false.
func (*Steered) Over() bool { return false }

// Stalled returns nothing.
func (*Set) Stalled() []Stall { return nil }

// Close does nothing.
func (*Set) Close() error { return nil }

// Probe says that it needs Linux.
func Probe() Support { return Support{Reason: errLinux.Error()} }

// WhoHas returns "": it reads /proc.
func WhoHas(Address) string { return "" }
