package keeper

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// Spawn starts a process and returns when exec has succeeded. Its exit may be among
// the events before Spawn returns.
//
// When ctx ends first, the process is not wanted any more: if it comes to be all the
// same, it is killed and forgotten, and what was to be kept with it is dropped.
// Events about it are still delivered.
//
// Errors: *SpawnError, which wraps the errno; ErrExists; ErrLost; ctx's.
func (c *Client) Spawn(ctx context.Context, s Spawn) (Process, error) {
	if err := reach(ctx, s.Dir, s.Path); err != nil {
		return Process{}, about("spawn", s.Key, err)
	}
	for _, f := range s.Files {
		if f != nil {
			_ = f.Fd() // makes it blocking, as os/exec does: programs expect that of os.Pipe
		}
	}
	body, files := putSpawn(nil, s)
	asked, err := c.ask(kindSpawn, files, func(head []byte) []byte { return append(head, body...) })
	if err != nil {
		return Process{}, about("spawn", s.Key, err)
	}
	select {
	case r := <-asked.answer:
		return r.process, about("spawn", s.Key, r.err)
	case <-ctx.Done():
	}
	c.mu.Lock()
	if c.waiting[asked.id] != nil {
		asked.undo = &s
		c.mu.Unlock()
		return Process{}, about("spawn", s.Key, ctx.Err())
	}
	c.mu.Unlock()
	r := <-asked.answer // it came at the last moment
	return r.process, about("spawn", s.Key, r.err)
}

// undo removes a process that nobody waits for any more. It is forgotten when the
// keeper says that it is gone.
func (c *Client) undo(s *Spawn) {
	// Errors mean that the keeper is lost, or the process gone already.
	_ = c.Signal(s.Key, syscall.SIGKILL, Tree)
	names := make([]string, len(s.Keep))
	for i, n := range s.Keep {
		names[i] = n.Name
	}
	_ = c.Drop(names...)
}

// reach touches what the keeper is about to use. On a network file system that is
// dead this call hangs, and not the keeper, whose fork cannot be interrupted.
// Whether anything is wrong with the paths is the keeper's to say.
func reach(ctx context.Context, paths ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	touched := make(chan struct{})
	go func() { // left behind if it hangs; there is no way to stop it
		defer close(touched)
		for _, path := range paths {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				return
			}
		}
	}()
	select {
	case <-touched:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
