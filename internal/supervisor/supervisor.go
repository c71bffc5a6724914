package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	host      Host
	event     func(app.Event)
	store     func(Saved) error
	closed    chan struct{}
	closeOnce sync.Once
	wg        sync.WaitGroup // all goroutines
	requests  chan func()    // to run
	dirty     chan struct{}  // holds a token while something is unsaved
	list      atomic.Pointer[listing]

	// Owned by run.
	apps      map[string]*group
	nextID    int
	strays    int  // processes of unknown apps that are being ended
	saveFails bool // the last attempt to save counters failed
}

// New starts a supervisor without any app.
func New(o Options) *Supervisor {
	s := &Supervisor{
		host: o.Host, event: o.Event, store: o.Save,
		closed: make(chan struct{}), requests: make(chan func()), dirty: make(chan struct{}, 1),
		apps: map[string]*group{},
	}
	if s.event == nil {
		s.event = func(app.Event) {}
	}
	if s.store == nil {
		s.store = func(Saved) error { return nil }
	}
	s.list.Store(&listing{})
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
	var flush <-chan time.Time
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
		case <-flush:
			flush = nil
			if unsaved = !s.flush(); unsaved {
				flush = time.After(saveRetry)
			}
		}
	}
}

// do runs f in the goroutine that owns the apps and returns its error.
func (s *Supervisor) do(ctx context.Context, f func() error) error {
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

// tell is do for those who have no use for an error.
func (s *Supervisor) tell(f func()) {
	done := make(chan struct{})
	select {
	case s.requests <- func() { f(); close(done) }:
		<-done
	case <-s.closed:
	}
}

// touch has the state file written soon.
func (s *Supervisor) touch() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// flush saves what has changed without a command. A failure is told once.
func (s *Supervisor) flush() (ok bool) {
	err := s.save(nil)
	if err != nil && !s.saveFails {
		s.event(app.Event{At: time.Now(), Type: app.EventWarning, ID: -1, Detail: err.Error()})
	}
	s.saveFails = err != nil
	return err == nil
}

// save writes the wanted apps. wish says what some instances are to become,
// before they know of it themselves.
func (s *Supervisor) save(wish map[int]wanted) error {
	saved := Saved{NextID: s.nextID, Apps: []SavedApp{}}
	for _, name := range slices.Sorted(maps.Keys(s.apps)) {
		g := s.apps[name]
		one := SavedApp{Spec: *g.spec.Load()}
		for _, sl := range g.staying() {
			r := sl.record()
			if w, ok := wish[sl.id]; ok {
				r.Wanted = w
			}
			one.Instances = append(one.Instances, SavedInstance{ID: sl.id, Index: sl.index, Record: r.encode()})
		}
		if len(one.Instances) > 0 {
			saved.Apps = append(saved.Apps, one)
		}
	}
	if len(saved.Apps) == 0 {
		saved.NextID = 0
	}
	if err := s.store(saved); err != nil {
		return fmt.Errorf("%w: %w", ErrSave, err)
	}
	return nil
}

// record is the last record of the slot's instance.
func (sl *slot) record() record {
	if r := sl.current.Load().record.Load(); r != nil {
		return *r
	}
	return record{Name: sl.group.name(), Index: sl.index, Wanted: wantRunning, CreatedAt: time.Now()}
}

// List returns a snapshot of all instances by id. It never waits.
func (s *Supervisor) List() []app.Status {
	slots := s.list.Load().slots
	list := make([]app.Status, len(slots))
	for i, sl := range slots {
		list[i] = sl.show()
	}
	return list
}

// show is the slot's present status.
func (sl *slot) show() app.Status {
	st := *sl.current.Load().status.Load()
	st.Draining = sl.retiring.Load() > 0
	return st
}

// Apps returns the wanted spec of each app by name. Their maps and slices are
// shared and must not be changed.
func (s *Supervisor) Apps() []app.Spec {
	groups := s.list.Load().apps
	specs := make([]app.Spec, len(groups))
	for i, g := range groups {
		specs[i] = *g.spec.Load()
	}
	return specs
}

// Reloading returns the name of an app that is being reloaded, "" if there is none.
func (s *Supervisor) Reloading() string {
	name := ""
	s.tell(func() {
		for _, g := range s.apps {
			if g.reload != nil {
				name = g.name()
			}
		}
	})
	return name
}
