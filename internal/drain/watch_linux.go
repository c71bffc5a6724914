package drain

import (
	"context"

	"paceline/internal/proctree"
)

// Watch looks at the connections of a program again and again, and remembers what it
// saw: the longer it looks, the better it can tell what is in flight. It belongs to
// one goroutine.
type Watch struct {
	o     Options
	diag  *diag
	tree  *proctree.Tree
	known map[uint64]*known // by cookie
	look  uint32            // number of the look
	busy  []socket          // found so by the last look, and still so
}

// known is a socket that was seen before.
type known struct {
	memory
	look   uint32 // when it was seen last
	looks  uint8  // how often it was looked for in the descriptors, up to enough
	theirs bool   // the program's
}

// enough is how often a socket is looked for. A connection that another process has
// got at the first look, as the successor of ours, is not looked for at each. Once
// would not do: between the accept and its descriptor it is nobody's for a moment.
const enough = 2

// New returns a Watch; Close it. Errors: kernel.ErrUnsupported if the processes have a
// network of their own.
func New(o Options) (*Watch, error) {
	roots := make([]proctree.Process, 0, len(o.PIDs))
	for _, pid := range o.PIDs {
		if err := sameNetwork(pid); err != nil {
			return nil, err
		}
		if p, ok := proctree.Find(pid); ok {
			roots = append(roots, p)
		}
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	d, err := openDiag(o.Ports)
	if err != nil {
		return nil, err
	}
	return &Watch{o: o, diag: d, tree: proctree.New(roots...), known: map[uint64]*known{}}, nil
}

// Look tells the state of the connections now. It costs one walk through the kernel's
// table of connections and, if there are new ones, through the program's descriptors,
// some microseconds each. Errors: kernel.ErrUnsupported if we may not see these.
func (w *Watch) Look() (State, error) {
	if len(w.o.Ports) == 0 {
		return State{}, nil
	}
	w.look++
	var seen []socket
	search := false
	err := w.diag.dump(func(s socket) {
		if s.inode == 0 { // not accepted yet, or closed already
			return
		}
		k := w.known[s.cookie]
		if k == nil {
			k = &known{}
			w.known[s.cookie] = k
		}
		k.look = w.look
		search = search || !k.theirs && k.looks < enough
		seen = append(seen, s)
	})
	if err == nil && search {
		err = w.search(seen)
	}
	if err != nil {
		return State{}, err
	}
	for cookie, k := range w.known {
		if k.look != w.look {
			delete(w.known, cookie)
		}
	}
	return w.judge(seen), nil
}

// search finds out which sockets are the program's.
func (w *Watch) search(seen []socket) error {
	members, err := w.tree.Members()
	if err != nil {
		return err
	}
	inodes := make(map[uint32]bool, 2*len(seen))
	for _, m := range members {
		if err := sockets(m.PID, inodes); err != nil {
			return err
		}
	}
	for _, s := range seen {
		k := w.known[s.cookie]
		k.theirs = inodes[s.inode]
		k.looks = min(k.looks+1, enough)
	}
	return nil
}

// maxRecheck is how many are looked at one by one. All together they do not cost more
// than one look at all.
const maxRecheck = 100

// recheck tells whether one that the last look has found busy still is.
func (w *Watch) recheck() (bool, error) {
	still := w.busy[:0]
	for i, s := range w.busy {
		if i >= maxRecheck && len(still) > 0 {
			still = append(still, s)
			continue
		}
		again, ok, err := w.diag.one(s)
		if err != nil {
			return false, err
		}
		if !ok || again.inode == 0 {
			continue
		}
		k := w.known[s.cookie]
		k.learn(again.conn)
		if k.busy(again.conn, w.o.Quiet) {
			still = append(still, s)
		}
	}
	w.busy = still
	return len(still) > 0, nil
}

func (w *Watch) judge(seen []socket) (state State) {
	w.busy = w.busy[:0]
	for _, s := range seen {
		k := w.known[s.cookie]
		switch {
		case !k.theirs:
			continue
		case s.listens:
			state.Listening++
			state.Queued += int(s.queued)
			continue
		}
		k.learn(s.conn)
		if k.busy(s.conn, w.o.Quiet) {
			state.Busy++
			w.busy = append(w.busy, s)
		} else {
			state.Idle++
		}
	}
	return state
}

// Wait returns when no connection has a request in flight, or when ctx ends, with the
// state of the last look.
func (w *Watch) Wait(ctx context.Context) Result { return wait(ctx, w, w.o) }

// WaitQueues is Wait with Options.Queues, for what a Watch learns of its queues later.
func (w *Watch) WaitQueues(ctx context.Context) Result {
	o := w.o
	o.Queues = true
	return wait(ctx, w, o)
}

// LookAgain is Look that takes no connection for another program's only because it was
// so before: for processes that stand still, and so are in no midst of an accept.
func (w *Watch) LookAgain() (State, error) {
	for _, k := range w.known {
		if !k.theirs {
			k.looks = 0
		}
	}
	return w.Look()
}

// Close frees what the Watch holds.
func (w *Watch) Close() { w.diag.close() }
