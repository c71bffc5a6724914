package supervisor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"paceline/internal/app"
)

// maxLaunches is how many processes of one app are being started at a time: more
// would not be faster and would starve everybody else.
const maxLaunches = 8

// group is an app with its slots. Supervisor.run owns it.
type group struct {
	spec     atomic.Pointer[app.Spec] // the wanted one; read by anyone
	slots    []*slot                  // by index, those that are leaving included
	reload   *reload                  // nil if none is under way
	launches chan struct{}            // one token for each process being started
}

// slot is a place for an instance, with the id that the user sees. During a
// reload there are several instances in it, of which current is the one.
// Supervisor.run owns what is not atomic.
type slot struct {
	id, index int
	group     *group
	gens      atomic.Uint64            // the last generation given out
	current   atomic.Pointer[instance] // read by anyone
	beside    []*instance              // successors on probation, and the retired
	retiring  atomic.Int32             // how many of them finish requests
	leaving   bool                     // it is being deleted
	empty     bool                     // current has ended
}

// listing is what readers see. It is replaced, never changed.
type listing struct {
	slots []*slot  // by id
	apps  []*group // by name
}

func newGroup(spec *app.Spec) *group {
	g := &group{launches: make(chan struct{}, maxLaunches)}
	g.spec.Store(spec)
	return g
}

func (g *group) name() string { return g.spec.Load().Name }

// staying are the slots that are not being deleted.
func (g *group) staying() []*slot {
	return slices.DeleteFunc(slices.Clone(g.slots), func(sl *slot) bool { return sl.leaving })
}

// running reports whether any instance is not at rest.
func (g *group) running() bool {
	return slices.ContainsFunc(g.slots, func(sl *slot) bool {
		st := sl.current.Load().status.Load()
		return sl.leaving || (st.State != app.Stopped && st.State != app.Errored)
	})
}

// addSlot gives the group a slot at its lowest free index.
func (s *Supervisor) addSlot(g *group) *slot {
	index := 0
	for slices.ContainsFunc(g.slots, func(sl *slot) bool { return !sl.leaving && sl.index == index }) {
		index++
	}
	sl := &slot{id: s.nextID, index: index, group: g}
	s.nextID++
	sl.current.Store(s.newInstance(sl, g.spec.Load()))
	g.insert(sl)
	return sl
}

func (g *group) insert(sl *slot) {
	g.slots = append(g.slots, sl)
	slices.SortStableFunc(g.slots, func(a, b *slot) int { return cmp.Compare(a.index, b.index) })
}

// resize adds slots or marks them as leaving, highest index first, until n stay.
// What it returns has not been told to any instance; undo takes it back.
func (s *Supervisor) resize(g *group, n int) (added, leaving []*slot, undo func()) {
	slotsBefore, idBefore := slices.Clone(g.slots), s.nextID
	staying := g.staying()
	for len(staying)+len(added) < n {
		added = append(added, s.addSlot(g))
	}
	for _, sl := range staying[min(n, len(staying)):] {
		sl.leaving = true
		leaving = append(leaving, sl)
	}
	return added, leaving, func() {
		g.slots, s.nextID = slotsBefore, idBefore
		for _, sl := range leaving {
			sl.leaving = false
		}
	}
}

// bring starts the goroutine of an instance.
func (s *Supervisor) bring(in *instance) { s.wg.Go(in.run) }

// addBeside puts a further instance into a slot.
func (s *Supervisor) addBeside(sl *slot, in *instance) {
	in.recording = false
	sl.beside = append(sl.beside, in)
	s.bring(in)
}

// bury takes an instance that has ended out of its slot, and the slot out of its
// app when it was the last.
func (s *Supervisor) bury(in *instance) {
	s.tell(func() {
		sl := in.slot
		if i := slices.Index(sl.beside, in); i >= 0 {
			sl.beside = slices.Delete(sl.beside, i, i+1)
		} else {
			sl.empty = true
		}
		if in.retired {
			sl.retiring.Add(-1)
		}
		if !sl.empty || len(sl.beside) > 0 {
			return
		}
		g := sl.group
		g.slots = slices.DeleteFunc(g.slots, func(other *slot) bool { return other == sl })
		s.host.Save(sl.id, nil)
		if s.apps[g.name()] != g { // see endStrays
			s.strays--
			return
		}
		if len(g.slots) == 0 {
			delete(s.apps, g.name())
			s.host.SaveSpec(g.name(), nil)
		}
		if len(s.apps) == 0 && s.strays == 0 {
			s.nextID = 0
		}
		s.relist()
		s.touch()
		s.event(app.Event{At: time.Now(), Type: app.EventDelete, ID: sl.id, Name: g.name()})
	})
}

// relist shows readers the present slots.
func (s *Supervisor) relist() {
	l := &listing{}
	for _, name := range slices.Sorted(maps.Keys(s.apps)) {
		g := s.apps[name]
		l.apps = append(l.apps, g)
		l.slots = append(l.slots, g.slots...)
	}
	slices.SortFunc(l.slots, func(a, b *slot) int { return cmp.Compare(a.id, b.id) })
	s.list.Store(l)
}

// setSpec makes spec the wanted one, which each instance's next process gets.
func (s *Supervisor) setSpec(g *group, spec *app.Spec) {
	g.spec.Store(spec)
	s.keepSpec(spec)
	for _, sl := range g.slots {
		sl.current.Load().box.put(update{spec: spec})
	}
}

// keepSpec gives the spec to the host, for a daemon that finds no state file.
func (s *Supervisor) keepSpec(spec *app.Spec) {
	b, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("supervisor: encode spec: %v", err)) // it holds only plain values
	}
	s.host.SaveSpec(spec.Name, b)
}
