// Package port owns the listening sockets that an app's instances share.
//
// A Set holds all addresses of one app. Behind each address is a Group: one
// socket for all slots, or, where the kernel lets us, one socket per slot in a
// SO_REUSEPORT group whose connections an eBPF program deals out in turn or by the
// client's address (package dispatch). Paceline holds a duplicate of each socket,
// and the keeper another one, so that an accept queue outlives the process that
// served it and the daemon that set it up: what a dead process has not accepted goes
// to the other slots, or to its successor.
//
// There are two ways into a group. A program that asks us for its sockets (Node)
// has a slot, the index of its instance, and gets the slot's socket by Open, as
// its predecessor did. Any other program makes sockets of its own, which Bind and
// Adopt take into the group while its calls of bind and listen are held up. Each
// such process has a seat, a number of its own, so that old and new of a reload have
// sockets of their own; those of a seat come and go with its process (Retire).
//
// In a kernel group a slot that does not accept (its queue is not empty, and nothing
// is accepted from it for 25 ms, though its process has a processor) leaves the
// rotation, and its queue moves to the others: the stuck rule, see gauge. It asks for
// nothing while no connection waits: see Watch.
//
// Where all share one socket there is nothing to take out of rotation: a reload
// needs a second socket, for the processes of the new release together, and Switch
// gives it the connections. That needs no right, either.
package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// ErrClosed is the error of a call on a closed Set.
var ErrClosed = errors.New("set of ports is closed")

// ErrForeign is the error of Join for a socket that is bound to an address which is
// none of the set's.
var ErrForeign = errors.New("address is not the set's")

// Policy is who gets the next connection.
type Policy int

// The policies.
const (
	// RoundRobin gives each slot in rotation the same share. Without the right to
	// have the kernel do it a group is Shared, and Group.Reason says why.
	RoundRobin Policy = iota
	// Shared gives a connection to whichever process accepts it first.
	Shared
	// IPHash gives the connections of a client's address to the same rank (see Seat),
	// or slot, as long as that is in rotation. It needs the same right as RoundRobin.
	// Those that are moved go to the others in turn, and so does the one with which
	// a stuck slot is tried.
	IPHash
)

// Seat is what the set should know of a process that takes a seat.
type Seat struct {
	// Epoch tells the processes of a new release from those of the old one, where
	// all share one socket; see Set.Switch. It only has to differ.
	Epoch uint64
	// Rank is the index of the instance. With IPHash a client stays with its rank
	// when a reload gives it another process.
	Rank int
}

// Store keeps notes and descriptors beyond the daemon's death: the keeper, seen
// through the daemon. The names are Options.Name and more; a name that ends in "/"
// drops all names under it. Keep with a nil note or file leaves the earlier one in
// place; it has sent the file, which stays the caller's, when it returns.
type Store interface {
	Keep(name string, note []byte, f *os.File) error
	Drop(names ...string) error
}

// Saved is an entry of the Store as an earlier daemon left it.
type Saved struct {
	Note []byte
	File *os.File // nil if it is a note only
}

// Options describe a Set.
type Options struct {
	// Name begins the name of each entry in the Store, and ends in "/".
	Name string
	// Policy is what is asked for, for TCP. Unix sockets and UDP are always Shared.
	Policy Policy
	// Store keeps what a later daemon needs; nil keeps nothing.
	Store Store
	// Saved holds the entries under Name that an earlier daemon left. The set is
	// rebuilt from them and takes their files, also when NewSet returns an error.
	Saved map[string]Saved
	// Freeze stops the slot's processes while its queue is moved, because a program
	// may take the moment in which its socket does not listen for an error: Go's
	// http.Server returns, Ruby's accept raises. A slot without a process is no
	// error. If it fails the queue stays where it is, and is tried again. It is called
	// from the set's own goroutine and must not call the set.
	//
	// It is not called for what waits at a slot that leaves the rotation in good
	// health, which accepts it, nor after Retire.
	// Nil moves queues under running processes, which Node does not notice.
	Freeze func(slot int) (thaw func(), err error)
	// Processor begins to follow what processor time the slot's processes get, when its
	// queue stands still. What it returns reports whether they want more at the moment,
	// yet have had less than so much since. It is called often, from the set's own
	// goroutine, and must not call the set. Nil, here or as the answer, means that this is
	// not known: then a queue that stands still for 25 ms is always the slot's fault.
	Processor func(slot int) (starved func(less time.Duration) bool)
	// Held reports whether a process of the seat still has the socket with this inode
	// open. It is asked seldom, and like Freeze from the set's own goroutine. Nil
	// means that it has.
	Held func(seat int, inode uint64) bool
	// Watch notices queues that are not empty. Nil gives the set one of its own,
	// which costs a thread; give all sets of a process the same.
	Watch *Watch
	// NoKernel keeps the policies from using the kernel, as if it could not.
	NoKernel bool
	// Log is told what the user should know; nil tells nobody.
	Log func(format string, a ...any)

	bears time.Duration // how long each queue may be stalled, if more than patience; a test's
}

// Address is what a program asks to listen on.
type Address struct {
	// Network is tcp, tcp4, tcp6, udp, udp4, udp6 or unix.
	Network string `json:"network"`
	// Host is a numeric address, with a zone if need be. Empty means any: with tcp
	// and udp that is "::" for both families, or 0.0.0.0 where "::" cannot be bound.
	Host string `json:"host,omitempty"`
	// Port 0 has the kernel choose, once for the group.
	Port int `json:"port,omitempty"`
	// Path of a unix socket; a leading or inner NUL byte, as Node sends it, or a
	// leading @ begins an abstract name.
	Path string `json:"path,omitempty"`
	// Nth tells several binds to port 0 apart.
	Nth int `json:"nth,omitempty"`
	// Backlog is the length of the accept queue; 0 means 511, which is Node's. The
	// kernel's net.core.somaxconn caps it.
	Backlog int `json:"backlog,omitempty"`
	// V6Only keeps "::" from taking IPv4 connections.
	V6Only bool `json:"v6only,omitempty"`
	// ReuseAddr sets SO_REUSEADDR on UDP; TCP has it always.
	ReuseAddr bool `json:"reuseaddr,omitempty"`
	// Readable and Writable open a unix socket's file to everybody.
	Readable bool `json:"readable,omitempty"`
	Writable bool `json:"writable,omitempty"`
}

// defaultBacklog is Node's (net.Server.listen).
const defaultBacklog = 511

// String returns the address as a user would write it.
func (a Address) String() string {
	if a.Network == "unix" {
		return abstract(a.Path)
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// key returns what makes two addresses the same group.
func (a Address) key() Address {
	a.Backlog, a.Readable, a.Writable = 0, false, false
	return a
}

// backlog returns the length of the accept queue to ask for.
func (a Address) backlog() int {
	if a.Backlog <= 0 {
		return defaultBacklog
	}
	return a.Backlog
}

// abstract turns Node's way to write an abstract name (a NUL byte, after the
// working folder) into the usual one.
func abstract(path string) string {
	for i := range len(path) {
		if path[i] == 0 {
			return "@" + path[i+1:]
		}
	}
	return path
}

// Listener is a slot's place at an address.
type Listener struct {
	Group *Group
	// File is a duplicate of the slot's socket. It is the caller's to close. The
	// socket is non-blocking, yet Go's runtime does not poll this file.
	File *os.File
	// Replace says, after Adopt, that the program must get File in the place of its
	// own socket, which is of no use: the address has one for all.
	Replace bool
}

// Counters is what has become of the connections to an address. Moved, Stuck and
// MaxWaiting begin at 0 with each daemon.
type Counters struct {
	Address   string
	Mechanism string // "kernel" or "shared socket"
	Reason    string // why not "kernel", if that was asked for
	// Dealt is how many connections the kernel has given out, moved ones twice; -1
	// where nobody counts them.
	Dealt int64
	// Dropped is how many the kernel dropped at the sockets, most often because the
	// accept queue was full.
	Dropped int64
	// Moved is how many went from the queue of a slot that had died, left or stood
	// still to those of others, and Stuck how often one was found to stand still.
	Moved, Stuck int64
	// Waiting is how many wait to be accepted now, and MaxWaiting the most at one
	// socket that was seen. A shared socket is looked at only when Counters or Queue
	// is called.
	Waiting, MaxWaiting int
}

// Load is what one socket of a TCP address has to do with.
type Load struct {
	Address string
	// Rank is the index of the instance whose socket it is, -1 for one that is shared.
	Rank int
	// Waiting is how many connections wait there to be accepted, and Peak the most that
	// were seen since Loads was last called to begin anew.
	Waiting, Peak int
	// Dealt is how many connections the kernel has given to the sockets of that rank
	// since the set was made, moved ones twice; -1 where nobody counts them.
	Dealt int64
}

// Depth is how many connections wait to be accepted.
type Depth struct {
	Slot           int // -1: all slots together
	Address        string
	Waiting, Limit int
}

// Stall is a queue from which nothing is accepted.
type Stall struct {
	Slot    int // or seat; -1: all together
	Address string
	Since   time.Time
	Seen    time.Time // when it was last known to be so
	Waiting int       // connections in it now
}

// Support says what works on this machine.
type Support struct {
	Kernel bool   // round robin in the kernel
	Reason string // why not; how it was found out, if it works
}

// Addr returns the address that the group is bound to, with its real port.
func (g *Group) Addr() net.Addr { return g.addr }

// Kernel reports whether each slot has a socket of its own and the kernel deals
// the connections out by the policy.
func (g *Group) Kernel() bool { return g.kernel }

// Mechanism returns the word for who chooses: "kernel" or "shared socket".
func (g *Group) Mechanism() string {
	if g.kernel {
		return "kernel"
	}
	return "shared socket"
}

// Reason says why a group that was to be RoundRobin or IPHash is not in the kernel.
// It is empty if it is, and for the policy Shared.
func (g *Group) Reason() string { return g.reason }

// wrap says on what address something was not possible; the errno stays visible.
func wrap(a Address, err error) error {
	return fmt.Errorf("listen on %s: %w", a, err)
}
