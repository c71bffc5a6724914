package keeper

// Trap has the keeper hold a trap under a name: a seccomp filter (an array of struct
// sock_filter) with a descriptor that tells of the calls it stops. It is made at the
// first call with this name; later calls, of later daemons too, get a duplicate of
// the same descriptor, which is also in their inventory. Processes are started in it
// by [Spawn.Trap]. The keeper answers nothing: while no daemon does, a stopped call
// waits, and its caller can be killed.
//
// Errors: an errno, which is EBUSY if the keeper itself runs in somebody's trap;
// ErrUnknownRequest; ErrLost.
func (c *Client) Trap(name string, filter []byte) (Trap, error) {
	return Trap{}, ErrUnknownRequest
}
