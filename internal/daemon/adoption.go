package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"paceline/internal/adopt"
	"paceline/internal/app"
	"paceline/internal/keeper"
	"paceline/internal/port"
	"paceline/internal/supervisor"
)

// adoption makes unmodified programs listen on sockets that their app shares: it
// answers the calls that the keeper's trap stops. It implements adopt.Handler.
type adoption struct {
	h *host

	mu     sync.Mutex  // guards what follows; held while the trap is set, once
	known  bool        // whether there is a trap or none can be had
	trap   keeper.Trap // without its descriptor
	err    error       // why none can be had
	saved  []byte      // the calls that an earlier daemon had in hand
	server *adopt.Server
}

// callsName is the note in which the server of the trap leaves the calls that it
// has in hand.
const callsName = adopt.Name + "/calls"

// adopts reports whether the app's programs are started in the trap. Workers of
// Node's cluster module ask their primary instead, and whoever is handed its
// sockets need not be.
func adopts(s *app.Spec) bool {
	return !isClusterNode(s) && s.Balance != app.None && len(s.Sockets) == 0
}

// needsTrap reports whether the app cannot do without: its copies would meet at
// one port.
func needsTrap(s *app.Spec) bool {
	return adopts(s) && s.Mode == app.Cluster && s.Instances > 1 && !s.SDKWorkers()
}

// trapName returns the trap to start a process of the app in, "" for none. A program with
// package cluster needs none: without it, it asks for its TCP sockets on its channel, too.
func (a *adoption) trapName(s *app.Spec) (string, error) {
	if !adopts(s) {
		return "", nil
	}
	err := a.ready()
	switch {
	case err == nil:
		return adopt.Name, nil
	case s.Remap != "":
		return "", fmt.Errorf("%s cannot be moved to another port here: %w", s.Name, err)
	case needsTrap(s):
		return "", fmt.Errorf("copies of %s cannot share a port here: %w; start one instance, hand it its sockets with --socket, or use --balance none if it listens on nothing", s.Name, err)
	}
	return "", nil
}

// unshared says that several instances of an app that began as one, on its own,
// cannot listen where the first does; "" if they can.
func (a *adoption) unshared(s *app.Spec) string {
	if !adopts(s) || s.Instances < 2 || s.SDKWorkers() {
		return ""
	}
	if err := a.ready(); err != nil {
		return fmt.Sprintf("copies of %s cannot share a port here, and each has to listen elsewhere: %v", s.Name, err)
	}
	return ""
}

// ready returns nil if there is a trap whose calls are answered.
func (a *adoption) ready() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known {
		return a.err
	}
	a.known = true
	if a.err = adopt.Probe(); a.err != nil {
		return a.err
	}
	filter, err := adopt.Filter()
	if err != nil {
		a.err = err
		return err
	}
	if a.trap, err = a.h.keeper.Trap(adopt.Name, filter); err != nil {
		a.err = err
		return err
	}
	a.server, err = adopt.New(adopt.Options{
		Notify: a.trap.Notify, Handler: a, Saved: a.saved,
		Save: func(note []byte) error { return a.h.keeper.Note(keeper.Named{Name: callsName, Note: note}) },
		Log:  func(format string, args ...any) { a.h.log.Warn(fmt.Sprintf(format, args...)) },
	})
	a.err = errors.Join(err, a.trap.Notify.Close())
	return a.err
}

// resume goes on with the trap that an earlier daemon had set, if there is one. It
// comes when all processes are known again.
func (a *adoption) resume(trap, calls keeper.Entry) {
	if trap.File == nil {
		return
	}
	a.mu.Lock()
	a.saved = calls.Note
	a.mu.Unlock()
	if err := errors.Join(a.ready(), trap.File.Close()); err != nil {
		a.h.log.Error("take up the trap", "error", err)
	}
}

func (a *adoption) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return nil
	}
	server := a.server
	a.server = nil
	return server.Close()
}

// note says what adoption means for a process, for people; "" if nothing special.
func (a *adoption) note(s *app.Spec) string {
	if !adopts(s) {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.known && a.err != nil && s.SDKWorkers():
		return ""
	case a.known && a.err != nil:
		return "a restart leaves its port unserved for a moment: " + a.err.Error()
	case a.known && a.trap.NoNewPrivs:
		return "no_new_privs is set: set-uid programs such as sudo gain no rights below it"
	}
	return ""
}

// startWait bounds how long a call of a process waits that is just being started.
const startWait = 5 * time.Second

// Owner implements adopt.Handler. Every process that we start leads a session of
// its own, which its descendants are in unless they leave it.
func (a *adoption) Owner(pid int) (key string, ok bool) {
	deadline := time.Now().Add(startWait)
	for {
		starts := a.h.startsUnderWay()
		if p := a.h.ancestorOf(pid); p != nil {
			return p.key, true
		}
		if starts == nil || time.Now().After(deadline) {
			return "", false
		}
		select {
		case <-starts: // the keeper has answered one: it may be this
		case <-time.After(time.Until(deadline)):
		}
	}
}

// Bind implements adopt.Handler.
func (a *adoption) Bind(_ context.Context, b adopt.Bind) error {
	p := a.h.find(b.Key)
	if p == nil || p.examined.Load() {
		return adopt.ErrPass
	}
	c, err := a.h.share(p)
	if err != nil {
		return err
	}
	if err = c.bind(p, b); err != nil {
		c.refuse(b.Key, err)
	}
	return err
}

// Listen implements adopt.Handler.
func (a *adoption) Listen(_ context.Context, l adopt.Listen) (*os.File, error) {
	p := a.h.find(l.Key)
	if p == nil {
		return nil, adopt.ErrPass
	}
	c, err := a.h.share(p)
	if err != nil {
		return nil, err
	}
	if l.MPTCP {
		return nil, adopt.ErrPass
	}
	replacement, err := c.adopt(p, l.File, l.Backlog)
	if errors.Is(err, port.ErrForeign) {
		return nil, adopt.ErrPass
	}
	if l.Backlog >= 0 && l.Backlog < app.SmallBacklog {
		a.h.remark(p, fmt.Sprintf("%s: it listens on %s with a queue of %d", app.NoteSmallBacklog, addrText(tcpAddr(l.Addr)), l.Backlog))
	}
	if err != nil {
		c.refuse(l.Key, err)
		return nil, err
	}
	p.sink(supervisor.Listening{Addr: addrText(tcpAddr(l.Addr)), Shared: true})
	return replacement, nil
}

// Shut implements adopt.Handler.
func (a *adoption) Shut(key string, f *os.File) bool {
	p := a.h.find(key)
	if p == nil {
		return false
	}
	c := a.h.sharedBy(p)
	return c != nil && c.set.Managed(f)
}

func tcpAddr(a netip.AddrPort) net.Addr {
	return &net.TCPAddr{IP: a.Addr().AsSlice(), Port: int(a.Port()), Zone: a.Addr().Zone()}
}
