package adopt

import (
	"context"
	"errors"
	"net/netip"
	"os"
)

// Name is the name of the filter that [Filter] returns. It changes with it.
const Name = "trap/1"

// ErrPass is returned by a Handler to let the kernel carry a call out as if it had
// not been stopped.
var ErrPass = errors.New("call passes untouched")

// Handler decides about sockets. Its methods are called by several goroutines, but
// never by two for the same process of the system. ctx ends when the server closes:
// a method that returns ctx's error then leaves the call to the next server, which
// begins it again. So may a server that died half way: each method has to bear being
// called again for a socket with which it had already done, or half done, its work.
//
// Other errors become the result of the program's call: the errno that errors.As
// finds in them, or else EIO.
type Handler interface {
	// Owner says to which of ours a process of the system belongs, by its pid (never
	// that of a thread). If it belongs to none, the call passes.
	Owner(pid int) (key string, ok bool)
	// Bind binds the socket.
	Bind(ctx context.Context, b Bind) error
	// Listen lets the socket listen. A socket that it returns takes the place of the
	// program's, under the same number, and is closed by the caller; nil leaves the
	// program's own.
	Listen(ctx context.Context, l Listen) (replacement *os.File, err error)
	// Shut reports whether a listening socket is one of those that the program must
	// not shut down; then the program is told that it did.
	Shut(key string, f *os.File) bool
}

// Bind is a call of bind(2) for a TCP socket and a port that is not 0.
type Bind struct {
	// Key is what Handler.Owner said.
	Key string
	// PID is the process.
	PID int
	// File is a duplicate of its socket, not polled by the runtime and in the mode
	// in which the program put it. It is closed after the call.
	File *os.File
	// Addr is where to. Its zone is the number of the interface, if there is one.
	Addr netip.AddrPort
	// V6Only is the socket's option. False for IPv4.
	V6Only bool
	// Bound says that the socket has this address already: the call was begun
	// before, and what belongs to it may be unfinished. To return nil is right.
	Bound bool
}

// Listen is a call of listen(2) for a TCP socket that is bound to a port.
type Listen struct {
	// Key is what Handler.Owner said.
	Key string
	// PID is the process.
	PID int
	// File is a duplicate of its socket, as in Bind.
	File *os.File
	// Addr is what the socket is bound to. Its zone is the number of the interface,
	// if there is one.
	Addr netip.AddrPort
	// V6Only is the socket's option. False for IPv4.
	V6Only bool
	// Backlog is what the program asks for, as it is; it may be negative.
	Backlog int
	// MPTCP says that it is no TCP socket, and cannot share its port. It was bound to
	// one of the kernel's choice, or where no filter was. ErrPass is the answer.
	MPTCP bool
}

// Options describe a server.
type Options struct {
	// Notify is the descriptor of the filter. It is duplicated and made
	// non-blocking; the caller's own stays the caller's. Required.
	Notify *os.File
	// Handler decides. Required.
	Handler Handler
	// Save is called with what the next server has to be given as Saved, once for
	// each call that was stopped and before it is handled; it replaces what was saved
	// before. Nil saves nothing: then the calls that a dying server had in hand are
	// never answered.
	Save func(note []byte) error
	// Saved is what the last server of this Notify saved; nil if it is the first.
	Saved []byte
	// Log receives a line about what went wrong. Nil discards it.
	Log func(format string, a ...any)
}
