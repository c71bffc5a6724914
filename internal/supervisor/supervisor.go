package supervisor

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"paceline/internal/app"
)

// saveDelay is how long changes of counters may wait until they are in the state
// file. The host has them at once.
const saveDelay = time.Second

// saveRetry is how long it takes until saving them is tried again.
const saveRetry = 10 * time.Second

// Options are what a Supervisor works with.
type Options struct {
	Host  Host
	Event func(app.Event)   // gets each event; must not block. Nil: nobody wants them
	Save  func(Saved) error // keeps the wanted apps; returns when they are safe. Nil: they are not kept
}

// Saved is what has to outlive the machine.
type Saved struct {
	NextID int        `json:"next_id"`
	Apps   []SavedApp `json:"apps"`
}

// SavedApp is one app of Saved.
type SavedApp struct {
	Spec      app.Spec        `json:"spec"`
	Instances []SavedInstance `json:"instances"`
}

// SavedInstance is one instance of SavedApp. Record is what Host.Save gets.
type SavedInstance struct {
	ID     int             `json:"id"`
	Index  int             `json:"index"`
	Record json.RawMessage `json:"record,omitempty"`
}

// Supervisor holds all apps. Its methods may be called from any goroutine, but
// not from within the Host or the functions in Options.
type Supervisor struct {
	*shared
	reg       *registry // owned by run
	closeOnce sync.Once
	saveFails bool // the last attempt to save counters failed; owned by run
}

// shared is what all parts of a supervisor need of it.
type shared struct {
	host     Host
	event    func(app.Event)
	wg       sync.WaitGroup // all goroutines
	closed   chan struct{}  // closed when they are to end
	requests chan func()    // to Supervisor.run
	dirty    chan struct{}  // holds a token while something is unsaved
	depended atomic.Bool    // some app depends on another one
	news     chan struct{}  // holds a token while apps may wait for what has happened
	// replace starts a successor beside an instance's process gen; see Supervisor.surge.
	replace func(in *instance, gen uint64)
}

// New starts a supervisor without any app.
func New(o Options) *Supervisor {
	sh := &shared{
		host: o.Host, event: o.Event,
		closed: make(chan struct{}), requests: make(chan func()), dirty: make(chan struct{}, 1),
		news: make(chan struct{}, 1),
	}
	if sh.event == nil {
		sh.event = func(app.Event) {}
	}
	reg := &registry{shared: sh, store: o.Save, apps: map[string]*group{}}
	if reg.store == nil {
		reg.store = func(Saved) error { return nil }
	}
	reg.list.Store(&listing{})
	s := &Supervisor{shared: sh, reg: reg}
	sh.replace = s.surge
	s.wg.Go(s.run)
	return s
}

// Close stops watching over the processes, which go on, and returns when nothing
// of the supervisor runs any more.
func (s *Supervisor) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
	s.wg.Wait()
}

// run owns the apps.
func (s *Supervisor) run() {
	var flush, look <-chan time.Time
	unsaved := false
	for {
		select {
		case <-s.closed:
			if unsaved || len(s.dirty) > 0 {
				s.flush()
			}
			return
		case request := <-s.requests:
			request()
		case <-s.dirty:
			if unsaved = true; flush == nil {
				flush = time.After(saveDelay)
			}
		case <-s.news:
			look = s.reg.releaseHeld()
		case <-look:
			look = s.reg.releaseHeld()
		case <-flush:
			flush = nil
			if unsaved = !s.flush(); unsaved {
				flush = time.After(saveRetry)
			}
		}
	}
}

// do runs f in the goroutine that owns the apps and returns its error.
func (s *shared) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case s.requests <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return ErrClosed
	}
}

// touch has the state file written soon.
func (s *shared) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// recheck has it looked whether what an app depends on is up. It costs nothing
// where no app depends on another one.
func (s *shared) recheck() {
	if !s.depended.Load() {
		return
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// bring starts the goroutine of an instance.
func (s *shared) bring(in *instance) { s.wg.Go(in.run) }

// flush saves what has changed without a command. A failure is told once.
func (s *Supervisor) flush() (ok bool) {
	err := s.reg.save(nil)
	if err != nil && !s.saveFails {
		s.event(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Detail: err.Error()})
	}
	s.saveFails = err != nil
	return err == nil
}

// List returns a snapshot of all instances by id. It never waits.
func (s *Supervisor) List() []app.Status {
	slots := s.reg.list.Load().slots
	list := make([]app.Status, len(slots))
	for i, sl := range slots {
		list[i] = sl.show()
	}
	return list
}

// Place is which instance there is in a slot, for those who ask often.
type Place struct {
	ID, Index int
	Name      string // of the app
	Created   time.Time
	PID       int // 0 without a process
}

// Places appends all instances to list, by id. It never waits.
func (s *Supervisor) Places(list []Place) []Place {
	for _, sl := range s.reg.list.Load().slots {
		st := sl.current.Load().status.Load()
		list = append(list, Place{ID: sl.id, Index: sl.index, Name: sl.group.name(), Created: st.CreatedAt, PID: st.PID})
	}
	return list
}

// show is the slot's present status. The instance learns a new name of its app later.
func (sl *slot) show() app.Status {
	st := *sl.current.Load().status.Load()
	st.Name = sl.group.name()
	st.Draining = sl.retiring.Load() > 0
	return st
}

// Apps returns the wanted spec of each app by name. Their maps and slices are
// shared and must not be changed.
func (s *Supervisor) Apps() []app.Spec {
	groups := s.reg.list.Load().apps
	specs := make([]app.Spec, len(groups))
	for i, g := range groups {
		specs[i] = *g.spec.Load()
	}
	return specs
}

// Spec returns the wanted spec of one app; ok is false where there is none.
func (s *Supervisor) Spec(name string) (spec app.Spec, ok bool) {
	for _, g := range s.reg.list.Load().apps {
		if g.name() == name {
			return *g.spec.Load(), true
		}
	}
	return app.Spec{}, false
}

// Reloading returns the name of an app that is being reloaded, "" if there is none.
func (s *Supervisor) Reloading() string {
	for _, g := range s.reg.list.Load().apps {
		if g.reloading.Load() {
			return g.name()
		}
	}
	return ""
}
