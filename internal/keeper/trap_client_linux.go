package keeper

import (
	"os"

	"golang.org/x/sys/unix"
)

// Trap has the keeper hold a trap under a name: a seccomp filter (an array of struct
// sock_filter) with a descriptor that tells of the calls it stops. It is made at the
// first call with this name; later calls, of later daemons too, get a duplicate of
// the same descriptor, which is also in their inventory, and their filter is not
// looked at. Processes are started in it by [Spawn.Trap]. The keeper answers nothing:
// while no daemon does, a stopped call waits, and its caller can be killed.
//
// Errors: an errno, which is EBUSY if the keeper itself runs in somebody's trap, and
// EPERM or ENOSYS if there is no seccomp for it; ErrUnknownRequest; ErrLost.
func (c *Client) Trap(name string, filter []byte) (Trap, error) {
	asked, err := c.ask(kindTrap, nil, func(b []byte) []byte { return putString(putString(b, name), filter) })
	if err != nil {
		return Trap{}, about("set trap", name, err)
	}
	r := <-asked.answer
	return r.trap, about("set trap", name, r.err)
}

// readTrap takes the descriptor out of a reply.
func readTrap(f *frame, p *payload) (Trap, error) {
	if len(f.fds) != 1 || f.short {
		return Trap{}, unix.EMFILE
	}
	t := p.trap()
	if p.bad {
		return Trap{}, errFrame
	}
	file := os.NewFile(uintptr(f.fds[0]), "trap")
	f.fds[0] = none
	return Trap{Notify: file, NoNewPrivs: t.noNewPrivs, WaitKillable: t.waitKillable}, nil
}
