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

// registry is which apps and instances there are. Supervisor.run owns it.
type registry struct {
	*shared
	store  func(Saved) error
	list   atomic.Pointer[listing] // read by anyone
	apps   map[string]*group
	nextID int
	strays int // processes of unknown apps that are being ended
}

// maxLaunches is how many processes of one app are being started at a time: more
// would not be faster and would starve everybody else.
const maxLaunches = 8

// group is an app with its slots. Supervisor.run owns it.
type group struct {
	reg       *registry
	spec      atomic.Pointer[app.Spec] // the wanted one; read by anyone
	slots     []*slot                  // by index, those that are leaving included
	reload    *reload                  // nil if none is under way
	reloading atomic.Bool              // reload is not nil; read by anyone
	launches  chan struct{}            // one token for each process being started
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

func (r *registry) newGroup(spec *app.Spec) *group {
	g := &group{reg: r, launches: make(chan struct{}, maxLaunches)}
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

// addSlot gives the group a slot.
func (r *registry) addSlot(g *group, index int) *slot {
	sl := &slot{id: r.nextID, index: index, group: g}
	r.nextID++
	sl.current.Store(r.newInstance(sl, g.spec.Load()))
	g.slots = append(g.slots, sl)
	return sl
}

// sort puts the slots in the order of their indexes.
func (g *group) sort() {
	slices.SortStableFunc(g.slots, func(a, b *slot) int { return cmp.Compare(a.index, b.index) })
}

// resize adds slots at the lowest free indexes, or marks those with the highest
// as leaving, until n stay. What it returns has not been told to any instance;
// undo takes it back.
func (r *registry) resize(g *group, n int) (added, leaving []*slot, undo func()) {
	slotsBefore, idBefore := slices.Clone(g.slots), r.nextID
	staying := g.staying()
	taken := map[int]bool{}
	for _, sl := range staying {
		taken[sl.index] = true
	}
	for index := 0; len(staying)+len(added) < n; index++ {
		if !taken[index] {
			added = append(added, r.addSlot(g, index))
		}
	}
	g.sort()
	for _, sl := range staying[min(n, len(staying)):] {
		sl.leaving = true
		leaving = append(leaving, sl)
	}
	return added, leaving, func() {
		g.slots, r.nextID = slotsBefore, idBefore
		for _, sl := range leaving {
			sl.leaving = false
		}
	}
}

// addBeside puts a further instance into a slot.
func (r *registry) addBeside(in *instance) {
	in.recording = false
	in.slot.beside = append(in.slot.beside, in)
	r.bring(in)
}

// bury takes an instance that has ended out of its slot, and the slot out of its
// app when it was the last.
func (r *registry) bury(in *instance) {
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
	r.host.Save(sl.id, nil)
	if r.apps[g.name()] != g { // see endStrays
		r.strays--
		return
	}
	if len(g.slots) == 0 {
		delete(r.apps, g.name())
		r.host.SaveSpec(g.name(), nil)
	}
	if len(r.apps) == 0 && r.strays == 0 {
		r.nextID = 0
	}
	r.relist()
	r.touch()
	r.event(app.Event{At: time.Now(), Type: app.EventDelete, ID: sl.id, Name: g.name()})
}

// relist shows readers the present slots.
func (r *registry) relist() {
	l := &listing{}
	for _, name := range slices.Sorted(maps.Keys(r.apps)) {
		g := r.apps[name]
		l.apps = append(l.apps, g)
		l.slots = append(l.slots, g.slots...)
	}
	slices.SortFunc(l.slots, func(a, b *slot) int { return cmp.Compare(a.id, b.id) })
	r.list.Store(l)
	r.depended.Store(slices.ContainsFunc(l.apps, func(g *group) bool { return len(g.spec.Load().DependsOn) > 0 }))
	r.recheck()
}

// setSpec makes spec the wanted one, which each instance's next process gets.
func (r *registry) setSpec(g *group, spec *app.Spec) {
	g.spec.Store(spec)
	r.keepSpec(spec)
	for _, sl := range g.slots {
		sl.current.Load().box.put(update{spec: spec})
	}
}

// keepSpec gives the spec to the host, for a daemon that finds no state file.
func (r *registry) keepSpec(spec *app.Spec) {
	b, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("supervisor: encode spec: %v", err)) // it holds only plain values
	}
	r.host.SaveSpec(spec.Name, b)
}

// find returns the slots of ids, by id and each once.
func (r *registry) find(ids []int) ([]*slot, error) {
	all := r.list.Load().slots
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	slots := make([]*slot, 0, len(ids))
	for _, id := range ids {
		i, found := slices.BinarySearchFunc(all, id, func(sl *slot, id int) int { return cmp.Compare(sl.id, id) })
		if !found {
			return nil, fmt.Errorf("instance %d: %w", id, ErrNotFound)
		}
		slots = append(slots, all[i])
	}
	return slots, nil
}

// save writes the wanted apps. wish says what some instances are to become,
// before they know of it themselves.
func (r *registry) save(wish map[int]wanted) error {
	saved := Saved{NextID: r.nextID, Apps: []SavedApp{}}
	for _, name := range slices.Sorted(maps.Keys(r.apps)) {
		g := r.apps[name]
		one := SavedApp{Spec: *g.spec.Load()}
		for _, sl := range g.staying() {
			rec := sl.record()
			if w, ok := wish[sl.id]; ok {
				rec.Wanted = w
			}
			one.Instances = append(one.Instances, SavedInstance{ID: sl.id, Index: sl.index, Record: rec.encode()})
		}
		if len(one.Instances) > 0 {
			saved.Apps = append(saved.Apps, one)
		}
	}
	if len(saved.Apps) == 0 {
		saved.NextID = 0
	}
	if err := r.store(saved); err != nil {
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
