package port

import (
	"net/netip"
	"os"
)

// Bind binds a program's own plain TCP socket to an address, as bind(2) does, and
// remembers that the address is the set's: only what is bound to it by Bind can
// join, and an unrelated program's address is in use. scope is the index of the
// interface of a link-local address, and v6only is set on a socket for IPv6. f
// stays the caller's. To bind a socket to the address that it has is no error.
//
// Errors: ErrClosed, a syscall.Errno that errors.As finds; EADDRINUSE says who has
// the address, if that can be told.
func (s *Set) Bind(f *os.File, to netip.AddrPort, scope uint32, v6only bool) error {
	return nil
}

// Managed reports whether the address that the socket is bound to is the set's, so
// that Adopt is for it. A socket that was bound to port 0, or past Bind, is its
// program's own affair.
func (s *Set) Managed(f *os.File) bool { return false }

// Seat says what process takes a seat, before anything is adopted for it. Without
// it the epoch is 0 and the rank is the seat's number.
func (s *Set) Seat(seat int, is Seat) {}

// Adopt makes a program's own TCP socket, which is bound by Bind, part of the group
// of its address and lets it listen with the backlog. f stays the caller's.
//
// In a kernel group the socket becomes a lane of the seat, and gets connections
// from Use on, or at once if the seat is in use already. A seat may have several; those
// that its processes do not hold any more (Options.Held) go. Where all share one
// socket the first of an epoch brings it, and the others must take the Listener's
// file for theirs: see Listener.Replace. To adopt a socket again sets its backlog.
//
// Errors: ErrClosed, a syscall.Errno that errors.As finds; ENOSPC if the address
// has 256 sockets.
func (s *Set) Adopt(f *os.File, seat, backlog int) (l *Listener, err error) {
	return nil, ErrClosed
}

// Retire says that the seat's process is gone. It is out of rotation at once. What
// waits for it goes to the others in rotation, and when there is none, to the
// first that comes, in whatever seat; until then its sockets stay, so that nobody
// is refused. The number is free for another process at once.
func (s *Set) Retire(seat int) {}

// Switch gives new connections at shared sockets to the processes of an epoch, as
// far as they listen there. What waits at the socket of another epoch is left to
// its processes: see Drained. A reload that fails needs no Switch: retire the seats
// of the new epoch.
//
// Kernel groups know no epochs: use the seats of the new release, then not those of
// the old one.
func (s *Set) Switch(epoch uint64) error { return nil }

// Drained reports whether the processes of an epoch that is not the current one
// any more have accepted all that they will ever get from shared sockets: nothing
// waits, and no handshake that began before the Switch is under way. One that takes
// longer than 5 s is not waited for. Ask again every few milliseconds.
func (s *Set) Drained(epoch uint64) bool { return true }

// Counters returns the counters of all TCP groups, by address.
func (s *Set) Counters() []Counters { return nil }
