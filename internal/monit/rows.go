package monit

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
)

// row is a line of the list: an app with all its instances, or one of them.
type row struct {
	app     string // as the daemon writes it
	label   string // cleaned
	id      int    // of the instance; ofApp for the app
	child   bool   // below its app
	folds   bool   // it has children, shown or not
	open    bool   // they are shown
	members []*app.Status
	sum     figures
}

// ofApp is the id of a row that is an app of several instances.
const ofApp = -1

// key finds a row again in the next list.
type key struct {
	app string
	id  int
}

func (r *row) key() key { return key{r.app, r.id} }

// ids are the instances that a row means.
func (r *row) ids() []string {
	list := make([]string, len(r.members))
	for i, s := range r.members {
		list[i] = strconv.Itoa(s.ID)
	}
	return list
}

// figures are those of one instance, or of all of an app.
type figures struct {
	state            app.State // the worst
	online           int
	cpu, memory      float64
	restarts, queue  int
	hasQueue, hasPID bool
	started          time.Time // the oldest process
}

// figures adds up those of list. The queue that an app's instances share is the
// app's alone.
func (m *Model) figures(list []*app.Status, whole bool) figures {
	var f figures
	for i, s := range list {
		if i == 0 || worse(s.State) > worse(f.state) {
			f.state = s.State
		}
		if s.State == app.Online {
			f.online++
		}
		f.restarts += s.Restarts
		if n, ok := m.queues[s.ID]; ok {
			f.queue, f.hasQueue = f.queue+n, true
		}
		if s.PID == 0 {
			continue
		}
		f.hasPID = true
		f.cpu += s.CPU
		f.memory += float64(s.MemoryBytes)
		if f.started.IsZero() || s.StartedAt.Before(f.started) {
			f.started = s.StartedAt
		}
	}
	if whole && len(list) > 0 {
		if n, ok := m.appQueues[list[0].Name]; ok {
			f.queue, f.hasQueue = n, true
		}
	}
	return f
}

// order is what the list is sorted by.
type order int

const (
	byID order = iota
	byName
	byState
	byCPU
	byMemory
	byRestarts
	byUptime
	orders // how many there are
)

func (o order) String() string {
	return [...]string{"id", "name", "state", "cpu", "memory", "restarts", "uptime"}[o]
}

// compare puts first what one looks for: the largest, the worst, the youngest.
func (o order) compare(a, b *row) int {
	byIDs := cmp.Compare(a.members[0].ID, b.members[0].ID)
	switch o {
	case byName:
		return cmp.Or(cmp.Compare(strings.ToLower(a.app), strings.ToLower(b.app)), byIDs)
	case byState:
		return cmp.Or(cmp.Compare(worse(b.sum.state), worse(a.sum.state)), byIDs)
	case byCPU:
		return cmp.Or(cmp.Compare(b.sum.cpu, a.sum.cpu), byIDs)
	case byMemory:
		return cmp.Or(cmp.Compare(b.sum.memory, a.sum.memory), byIDs)
	case byRestarts:
		return cmp.Or(cmp.Compare(b.sum.restarts, a.sum.restarts), byIDs)
	case byUptime:
		return cmp.Or(b.sum.started.Compare(a.sum.started), byIDs)
	}
	return byIDs
}

// arrange makes the rows of the instances that there are.
func (m *Model) arrange() {
	groups := map[string]*row{}
	var tops []*row
	for i := range m.list {
		s := &m.list[i]
		r := groups[s.Name]
		if r == nil {
			r = &row{app: s.Name, label: clean(s.Name), id: ofApp}
			groups[s.Name] = r
			if m.find == "" || strings.Contains(strings.ToLower(r.label), strings.ToLower(m.find)) {
				tops = append(tops, r)
			}
		}
		r.members = append(r.members, s)
	}
	for _, r := range tops {
		r.sum = m.figures(r.members, true)
	}
	slices.SortFunc(tops, m.order.compare)
	rows := make([]row, 0, len(m.list)+len(tops))
	for _, top := range tops {
		if len(top.members) == 1 {
			top.id = top.members[0].ID
			rows = append(rows, *top)
			continue
		}
		top.folds, top.open = true, m.isOpen(top)
		rows = append(rows, *top)
		if !top.open {
			continue
		}
		from := len(rows)
		for i, s := range top.members {
			rows = append(rows, row{
				app: top.app, id: s.ID, child: true, label: "[" + strconv.Itoa(s.Index) + "]",
				members: top.members[i : i+1], sum: m.figures(top.members[i:i+1], false),
			})
		}
		children := rows[from:]
		slices.SortFunc(children, func(a, b row) int { return m.order.compare(&a, &b) })
	}
	m.rows = rows
	m.keepSelection()
}

// manyInstances is from where on an app is folded at first.
const manyInstances = 9

func (m *Model) isOpen(r *row) bool {
	if folded, ok := m.folded[r.app]; ok {
		return !folded
	}
	return len(r.members) < manyInstances
}

// keepSelection finds the selected row again, or what is in its place.
func (m *Model) keepSelection() {
	for i := range m.rows {
		if m.rows[i].key() == m.selected {
			m.at = i
			return
		}
	}
	if m.selected.id != ofApp { // it was folded in, or its app has another number of instances
		for i := range m.rows {
			if m.rows[i].app == m.selected.app {
				m.choose(i)
				return
			}
		}
	}
	m.choose(m.at)
}

// choose selects row i, or the nearest that there is.
func (m *Model) choose(i int) {
	m.at = max(0, min(i, len(m.rows)-1))
	if r := m.row(); r != nil {
		m.selected = r.key()
	}
}

// row is the selected one; nil if there is none.
func (m *Model) row() *row {
	if m.at < 0 || m.at >= len(m.rows) {
		return nil
	}
	return &m.rows[m.at]
}
