package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Client is the daemon's connection with its keeper. It may be used by many
// goroutines.
type Client struct {
	link   *link
	events *mailbox
	wg     sync.WaitGroup

	closing  sync.Once
	closeErr error // of Close

	sending sync.Mutex // one frame at a time; held over the send, guards nothing else

	mu       sync.Mutex // guards what follows
	next     uint32
	waiting  map[uint32]*call
	unwanted map[string]struct{} // keys of processes to forget when they are gone
	lost     error               // set when there will be no more replies
}

// call is a request that waits for its reply.
type call struct {
	id     uint32
	what   kind
	answer chan reply // buffered
	undo   *Spawn     // set when nobody waits any more for this process
}

// reply is what a request comes to.
type reply struct {
	process Process
	trap    Trap
	err     error
}

// Dial takes over the descriptor on which the daemon was given its keeper, 3, and
// reads what the keeper holds. The files of the inventory are the caller's.
func Dial(ctx context.Context, conn *os.File) (*Client, *Inventory, error) {
	return dial(ctx, conn)
}

func dial(ctx context.Context, conn *os.File) (*Client, *Inventory, error) {
	fd := none
	err := withFDs([]*os.File{conn}, func(fds []int) (err error) {
		fd, err = unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	if err = errors.Join(err, conn.Close()); err != nil {
		return nil, nil, fmt.Errorf("connect to keeper: %w", err)
	}
	l, err := newLink(fd)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.interrupt() }) // receive reports it
	inventory, err := receiveInventory(l)
	if !stop() {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		inventory.close()
		return nil, nil, errors.Join(fmt.Errorf("read inventory: %w", err), l.close())
	}
	c := &Client{link: l, events: newMailbox(), waiting: map[uint32]*call{}, unwanted: map[string]struct{}{}}
	c.wg.Go(c.events.deliver)
	c.wg.Go(c.receive)
	return c, inventory, nil
}

func receiveInventory(l *link) (*Inventory, error) {
	v := &Inventory{Entries: map[string]Entry{}}
	for {
		f, err := l.receive()
		if err != nil {
			return v, err
		}
		if f.short {
			closeFDs(f.fds)
			return v, fmt.Errorf("receive descriptors: %w", unix.EMFILE)
		}
		p := payload{b: f.payload}
		switch f.kind {
		case kindHello:
			h, err := p.hello()
			if err != nil {
				return v, err
			}
			v.Version, v.DaemonStarts, v.Reverted = h.version, h.starts, h.reverted
		case kindProcess:
			v.Processes = append(v.Processes, p.process())
		case kindEntry:
			name, e := p.string(), Entry{Note: p.optional()}
			for _, fd := range f.fds {
				e.File = os.NewFile(uintptr(fd), name)
			}
			v.Entries[name] = e
		case kindReady:
			return v, nil
		default: // of a newer keeper
			closeFDs(f.fds)
			continue
		}
		if p.bad {
			return v, errFrame
		}
	}
}

func (v *Inventory) close() {
	for _, e := range v.Entries {
		if e.File != nil {
			_ = e.File.Close() // never used
		}
	}
}

// receive hands out replies and events until the keeper is lost.
func (c *Client) receive() {
	defer c.events.close()
	defer c.lose()
	for {
		f, err := c.link.receive()
		if err != nil {
			return
		}
		p := payload{b: f.payload}
		switch f.kind {
		case kindReply:
			c.reply(&f, &p)
		case kindExited:
			c.events.put(Event{Exited: p.exit()})
		case kindGone:
			key := p.string()
			c.events.put(Event{Gone: key})
			if c.isUnwanted(key) {
				c.wg.Go(func() { _ = c.Forget(key) }) // fails only if the keeper is lost
			}
		}
		closeFDs(f.fds) // what was not taken
		if p.bad {
			return
		}
	}
}

// reply hands a reply to who waits for it.
func (c *Client) reply(f *frame, p *payload) {
	c.mu.Lock()
	waiting := c.waiting[f.id]
	delete(c.waiting, f.id)
	r := reply{err: p.error()}
	switch {
	case r.err != nil || waiting == nil:
	case waiting.what == kindTrap:
		r.trap, r.err = readTrap(f, p)
	case len(p.b) > 0:
		r.process = p.process()
	}
	if waiting != nil && waiting.undo != nil && r.err == nil {
		c.unwanted[waiting.undo.Key] = struct{}{}
		c.wg.Go(func() { c.undo(waiting.undo) })
	}
	c.mu.Unlock()
	if waiting != nil {
		waiting.answer <- r
	}
}

func (c *Client) isUnwanted(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.unwanted[key]
	delete(c.unwanted, key)
	return found
}

// lose answers all who wait.
func (c *Client) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = ErrLost
	for _, waiting := range c.waiting {
		waiting.answer <- reply{err: ErrLost}
	}
	clear(c.waiting)
}

// Close hangs up and waits for the client's goroutines. The keeper keeps all; but
// it expects the daemon to end then, and kills it after 5 s.
func (c *Client) Close() error {
	c.closing.Do(func() {
		err := c.link.finish()
		c.events.discard()
		c.wg.Wait()
		c.closeErr = errors.Join(err, c.link.close())
	})
	return c.closeErr
}

// Events are what happens to processes, in order. The channel is closed when the
// keeper is lost. It has to be read, or what has happened piles up.
func (c *Client) Events() <-chan Event { return c.events.out }

// ask sends a request. The reply will come to the call's answer.
func (c *Client) ask(what kind, files []*os.File, put func([]byte) []byte) (*call, error) {
	asked := &call{what: what, answer: make(chan reply, 1)}
	c.mu.Lock()
	if c.lost != nil {
		c.mu.Unlock()
		return nil, c.lost
	}
	if c.next++; c.next == noReply {
		c.next++
	}
	asked.id = c.next
	c.waiting[asked.id] = asked
	c.mu.Unlock()

	if err := c.send(what, files, asked.id, put); err != nil {
		c.mu.Lock()
		delete(c.waiting, asked.id)
		c.mu.Unlock()
		return nil, err
	}
	return asked, nil
}

// send sends a request.
func (c *Client) send(what kind, files []*os.File, id uint32, put func([]byte) []byte) error {
	b := end(put(begin(nil, what, len(files), id)))
	if len(b) > maxFrame || len(files) > maxFiles {
		return errTooLong
	}
	err := withFDs(files, func(fds []int) error {
		c.sending.Lock()
		defer c.sending.Unlock()
		return c.link.send(b, fds)
	})
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		return ErrLost
	}
	return err
}

// call sends a request and waits for the reply.
func (c *Client) call(what kind, files []*os.File, put func([]byte) []byte) error {
	asked, err := c.ask(what, files, put)
	if err != nil {
		return err
	}
	return (<-asked.answer).err
}

// Signal sends a signal to a process or its tree. Errors: ErrGone if nothing is left
// of it; an errno.
func (c *Client) Signal(key string, sig syscall.Signal, scope Scope) error {
	err := c.call(kindSignal, nil, func(b []byte) []byte { return putSignal(b, key, sig, scope) })
	return about("signal", key, err)
}

// Keep adds entries, or replaces what they hold: all of them or, on an error, none.
func (c *Client) Keep(n ...Named) error {
	var files []*os.File
	b, files := putNamed(nil, files, n)
	return about("keep", "entries", c.call(kindKeep, files, func(head []byte) []byte { return append(head, b...) }))
}

// Drop forgets entries; a name that ends in a slash stands for all that begin so.
func (c *Client) Drop(names ...string) error {
	return about("drop", "entries", c.call(kindDrop, nil, func(b []byte) []byte { return putStrings(b, names) }))
}

// Note is Keep of one entry, or Drop if there is neither note nor file, that does not
// wait: what has been asked for by the time a daemon dies is done, in its order, and
// before what it asks for later. Errors: ErrLost, and nothing that comes later.
func (c *Client) Note(n Named) error {
	if n.Note == nil && n.File == nil {
		return about("drop", n.Name, c.tell(kindDrop, nil, func(b []byte) []byte { return putStrings(b, []string{n.Name}) }))
	}
	b, files := putNamed(nil, nil, []Named{n})
	return about("keep", n.Name, c.tell(kindKeep, files, func(head []byte) []byte { return append(head, b...) }))
}

// tell is ask without a reply.
func (c *Client) tell(what kind, files []*os.File, put func([]byte) []byte) error {
	c.mu.Lock()
	lost := c.lost
	c.mu.Unlock()
	if lost != nil {
		return lost
	}
	return c.send(what, files, noReply, put)
}

// Forget drops a process that is gone; one that is not known counts as forgotten.
// Errors: ErrAlive.
func (c *Client) Forget(key string) error {
	return about("forget", key, c.call(kindForget, nil, func(b []byte) []byte { return putString(b, key) }))
}

// Replace makes exe, an absolute path, the next daemon's binary; the daemon that
// asks has to end by itself. A binary that dies at each start is given up, see
// Inventory.Reverted.
func (c *Client) Replace(exe string) error {
	return about("replace", "daemon", c.call(kindReplace, nil, func(b []byte) []byte { return putString(b, exe) }))
}

// Shutdown makes the keeper end when the daemon has: it starts no other, kills what
// is left and removes its files. The API socket's name is gone when Shutdown
// returns.
func (c *Client) Shutdown() error {
	return about("shut down", "keeper", c.call(kindShutdown, nil, func(b []byte) []byte { return b }))
}

// about says what an error is about. ErrLost needs no more words.
func about(verb, object string, err error) error {
	if err == nil || errors.Is(err, ErrLost) {
		return err
	}
	return fmt.Errorf("%s %s: %w", verb, object, err)
}
