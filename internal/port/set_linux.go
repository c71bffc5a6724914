package port

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Set is the addresses of one app. Its methods may be called from many goroutines;
// one goroutine of its own owns all that is behind them.
type Set struct {
	o     Options
	calls chan func()
	quit  chan struct{} // closed by Close
	done  chan struct{} // closed when the goroutine has ended
	once  sync.Once

	// What follows belongs to the goroutine.

	groups  map[Address]*Group
	bound   []Address    // by Bind, the newest last
	seats   map[int]Seat // of processes whose sockets are adopted
	using   map[int]bool // the slots that Use has put into the rotation
	next    int          // the next group's number
	watcher *watcher
	own     *Watch // made for this set alone
	wakes   waking
	awaited bool     // a program waits for the call under way
	later   []func() // what is to be done when that is over
}

// NewSet returns a set, empty or with what an earlier daemon had opened. It starts
// a goroutine that Close ends. Errors: none on Linux; what cannot be taken over is
// logged and dropped, and its processes go on with the sockets they have.
func NewSet(o Options) (*Set, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	s := &Set{
		o: o, calls: make(chan func()), quit: make(chan struct{}), done: make(chan struct{}),
		groups: map[Address]*Group{}, seats: map[int]Seat{}, using: map[int]bool{}, watcher: newWatcher(),
	}
	s.restore()
	go s.run()
	return s, nil
}

// run owns the groups.
func (s *Set) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case call := <-s.calls:
			call()
			continue
		case <-s.watcher.ticks:
		case <-timer.C:
		}
		if again := s.judge(time.Now()); !again.IsZero() {
			timer.Reset(max(time.Until(again), 0))
		}
	}
}

// do runs f in the set's goroutine and waits for it.
func (s *Set) do(f func()) error {
	finished := make(chan struct{})
	select {
	case s.calls <- func() { f(); close(finished); s.catchUp() }:
		<-finished
		return nil
	case <-s.quit:
		return ErrClosed
	}
}

// after does f when the call under way has been answered, if a program waits for it;
// at once if not.
func (s *Set) after(f func()) {
	if s.awaited {
		s.later = append(s.later, f)
		return
	}
	f()
}

// catchUp does what a call has left for later.
func (s *Set) catchUp() {
	for _, f := range s.later {
		f()
	}
	s.later = nil
}

// Open returns the slot's place at an address: the first call binds the address
// and lets it listen, later ones find the group. The slot gets no share of a kernel
// group's connections before Use. Errors: ErrClosed, and what the kernel says, as a
// syscall.Errno that errors.As finds.
func (s *Set) Open(a Address, slot int) (l *Listener, err error) {
	if e := s.do(func() { l, err = s.open(a, slot) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, wrap(a, err)
	}
	return l, nil
}

func (s *Set) open(a Address, slot int) (*Listener, error) {
	if slot < 0 {
		return nil, syscall.EINVAL
	}
	g := s.groups[a.key()]
	if g == nil {
		var err error
		if g, err = s.found(a, slot); err != nil {
			return nil, err
		}
		return g.listener(g.lanes[0])
	}
	l := g.lane(g.laneOf(slot))
	if l == nil {
		l, err := s.join(g, slot, a.backlog())
		if err != nil {
			return nil, err
		}
		return g.listener(l)
	}
	if _, ok := l.slots[slot]; !ok {
		l.slots[slot] = false
		if err := s.keepLane(g, l, false); err != nil {
			delete(l.slots, slot)
			return nil, err
		}
	}
	return g.listener(l)
}

func (g *Group) listener(l *lane) (*Listener, error) {
	f, err := fileOf(l.fd, g.addr.Network()+" "+g.addr.String())
	if err != nil {
		return nil, err
	}
	return &Listener{Group: g, File: f}, nil
}

// Use puts the slot into the rotation of all its kernel groups, from the moment
// its process listens, or out of it. When it leaves, what waits in its queue moves
// to the others in rotation; if there are none, it stays for the slot's successor.
// With Options.Freeze it is left to its processes, if they accept it. What is adopted
// for a slot in use later is in rotation at once.
func (s *Set) Use(slot int, on bool) {
	_ = s.do(func() { // a closed set has no rotation
		if on {
			s.using[slot] = true
		} else {
			delete(s.using, slot)
		}
		for _, g := range s.groups {
			s.use(g, slot, on)
			s.settle(g)
		}
	})
}

// Leave ends the slot's part in a group that Open returned: its process does not
// listen there any more. The last slot closes the group.
func (s *Set) Leave(g *Group, slot int) {
	_ = s.do(func() { // a closed set has left everything
		if s.groups[g.asked.key()] == g {
			s.report(s.leave(g, slot))
		}
	})
}

// Release ends the slot's part in all groups: it is no longer wanted. Unlike Retire
// it closes the groups in which nobody else is.
func (s *Set) Release(slot int) {
	_ = s.do(func() { // a closed set has left everything
		delete(s.seats, slot)
		delete(s.using, slot)
		for _, g := range s.groups {
			s.report(s.leave(g, slot))
		}
	})
}

func (s *Set) report(err error) {
	if err != nil {
		s.o.Log("close a port: %v", err)
	}
}

// Queue returns how many connections wait, for TCP, by address and slot.
func (s *Set) Queue() (depths []Depth) {
	_ = s.do(func() { // nothing waits at a closed set
		for _, g := range s.groups {
			if g.asked.Network == "unix" || isUDP(g.asked) {
				continue
			}
			for _, l := range g.lanes {
				d := Depth{Slot: -1, Address: g.addr.String()}
				if g.kernel {
					d.Slot = l.slot()
				}
				var err error
				if d.Waiting, d.Limit, err = queue(l.fd); err == nil {
					g.tally.MaxWaiting = max(g.tally.MaxWaiting, d.Waiting)
					depths = append(depths, d)
				}
			}
		}
	})
	slices.SortFunc(depths, func(a, b Depth) int {
		if c := strings.Compare(a.Address, b.Address); c != 0 {
			return c
		}
		return a.Slot - b.Slot
	})
	return depths
}

// Close lets everything go, in the Store too: nobody listens any more but the
// processes that still hold a socket.
func (s *Set) Close() error {
	var errs []error
	s.once.Do(func() {
		close(s.quit)
		<-s.done
		for _, g := range s.groups {
			errs = append(errs, s.shut(g))
		}
		s.bound = nil
		errs = append(errs, s.keepBound())
		if s.own != nil {
			errs = append(errs, s.own.Close())
		}
	})
	return errors.Join(errs...)
}
