package monit

import (
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"paceline/internal/api"
	"paceline/internal/app"
)

// backend does what a Model wants. Its commands run beside the Model and answer
// with messages; they may send more of them on the way.
type backend interface {
	poll(q query) tea.Cmd                        // answers snapshot
	follow(stream int, targets []string) tea.Cmd // sends lines, answers linesEnd
	events() tea.Cmd                             // sends app.Event, answers eventsEnd
	act(a action) tea.Cmd                        // sends step, answers done
	after(d time.Duration, msg tea.Msg) tea.Cmd
}

// query says what of the daemon is asked for.
type query struct {
	detail  int  // the instance of which more is wanted; negative for none
	sample  bool // a second has passed
	history bool // with what was before
}

// snapshot is the answer to query.
type snapshot struct {
	query   query
	at      time.Time
	list    []app.Status // by id
	ports   []api.Port
	detail  *api.AppInfo // nil: nothing is known
	history *api.History // nil: it was not asked for, or not given
	old     bool         // the daemon is too old to have a history
	err     error        // then nothing else counts
}

// lines are new log lines of a stream.
type lines struct {
	stream  int
	first   bool // the stream begins
	list    []logLine
	skipped int // lines before these that came too fast
}

type (
	linesEnd struct {
		stream int
		err    error
	}
	eventsBegin struct{}
	eventsEnd   struct{ err error }
	second      struct{}              // it is time for the next sample
	refresh     struct{}              // something has happened
	settle      struct{ stream int }  // the selection has stayed for a moment
	step        struct{ text string } // an action has got so far
	done        struct {
		action action
		err    error
	}
)

// link is the state of the connection to the daemon.
type link int

const (
	connecting link = iota
	up
	gone
)

// pane is a part of the screen that keys go to.
type pane int

const (
	onList pane = iota
	onLogs
	onInfo
	panes
)

// Model is all that the dashboard knows. Only Update changes it.
type Model struct {
	do            backend
	painter       painter
	width, height int

	list      []app.Status // by id
	now       time.Time    // of the list
	trails    map[int]*trail
	appTrails map[string]*trail
	queues    map[int]int    // connections that wait, by instance
	appQueues map[string]int // and by app
	detail    *api.AppInfo   // of the selection

	rows     []row
	at       int // the selected row
	top      int // the first row on the screen
	selected key
	folded   map[string]bool
	order    order
	find     string // apps whose names hold it

	focus pane
	logs  logPane
	info  int // the first line of the information that is shown

	link      link
	polling   bool // an answer is awaited
	again     bool // something has happened meanwhile
	due       bool // a refresh is about to be asked for
	listening bool // events come
	history   bool // what was before is wanted
	noHistory bool // the daemon has none

	prompt  *prompt
	confirm *action
	notice  string
	bad     bool   // notice is an error
	busy    string // what is being done
	help    bool
	wrap    bool // long log lines take several lines
}

// newModel returns a Model that knows nothing yet.
func newModel(do backend, colour bool) *Model {
	return &Model{
		do: do, painter: painter{colour: colour}, width: 80, height: 24, history: true,
		trails: map[int]*trail{}, appTrails: map[string]*trail{}, folded: map[string]bool{},
		selected: key{id: ofApp}, logs: logPane{stream: 0},
	}
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd {
	m.polling = true
	return tea.Batch(m.do.poll(query{detail: ofApp, sample: true, history: true}), m.do.after(time.Second, second{}))
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		cmd = m.key(msg)
	case tea.PasteMsg:
		if m.prompt != nil {
			m.prompt.text += clean(strings.ReplaceAll(msg.Content, "\n", " "))
			m.prompted()
		}
	case second:
		cmd = tea.Batch(m.ask(true), m.do.after(time.Second, second{}))
	case refresh:
		m.due = false
		cmd = m.ask(false)
	case snapshot:
		cmd = m.answered(msg)
	case app.Event:
		cmd = m.happened(msg)
	case eventsBegin:
		cmd = m.happened(app.Event{ID: ofApp}) // what was missed in between
	case eventsEnd:
		m.listening = false
		if msg.err != nil {
			m.lost()
		}
	case lines:
		m.logs.add(msg)
	case linesEnd:
		if msg.stream == m.logs.stream {
			m.logs.ended = true
		}
	case settle:
		if msg.stream == m.logs.stream {
			cmd = m.do.follow(msg.stream, m.logs.targets)
		}
	case step:
		m.busy = clean(msg.text)
	case done:
		cmd = m.acted(msg)
	}
	return m, cmd
}

// ask asks for the present state, unless an answer is awaited.
func (m *Model) ask(sample bool) tea.Cmd {
	if m.polling {
		m.again = m.again || !sample
		return nil
	}
	q := query{detail: ofApp, sample: sample, history: m.history && !m.noHistory}
	if r := m.row(); r != nil {
		q.detail = r.members[0].ID
	}
	m.polling = true
	return m.do.poll(q)
}

// soon bounds how often events have the list asked for.
const soon = 100 * time.Millisecond

// happened asks for the list after an event, once for all events of a moment.
func (m *Model) happened(e app.Event) tea.Cmd {
	if e.Type == app.EventMessage || m.due {
		return nil
	}
	m.due = true
	return m.do.after(soon, refresh{})
}

// lost notes that the daemon does not answer.
func (m *Model) lost() {
	m.link = gone
}

// answered takes in what the daemon says.
func (m *Model) answered(s snapshot) tea.Cmd {
	m.polling = false
	if s.err != nil {
		m.lost()
		return nil
	}
	m.now = s.at
	var cmds []tea.Cmd
	if m.link == gone { // what was meanwhile is missing in the charts
		m.history, m.noHistory = true, false
	}
	m.link = up
	if !m.listening {
		m.listening = true
		cmds = append(cmds, m.do.events())
	}
	m.take(&s)
	m.arrange()
	cmds = append(cmds, m.watchLogs(m.logs.ended))
	if r := m.row(); r != nil && m.detailOf(r) == nil {
		m.detail = nil
		m.again = true // the selection has changed meanwhile
	}
	if m.again {
		m.again = false
		cmds = append(cmds, m.happened(app.Event{}))
	}
	return tea.Batch(cmds...)
}

// take brings the figures up to date.
func (m *Model) take(s *snapshot) {
	m.list = s.list
	if s.detail != nil || s.query.detail < 0 {
		m.detail = s.detail
	}
	m.queues, m.appQueues = map[int]int{}, map[string]int{}
	for _, p := range s.ports {
		m.appQueues[p.App] += p.Queue
		for _, c := range p.Copies {
			if c.Queue != nil {
				m.queues[c.ID] += *c.Queue
			}
		}
	}
	m.noHistory = m.noHistory || s.old
	if s.history != nil {
		m.history = false
		m.recall(s.history)
	}
	if s.query.sample {
		m.sample()
	}
}

// recall begins the charts with what the daemon has kept.
func (m *Model) recall(h *api.History) {
	m.trails, m.appTrails = map[int]*trail{}, map[string]*trail{}
	sums := map[string]*[2][]float64{}
	for _, s := range h.Series {
		which := 0
		if s.Series == "memory" {
			which = 1
		}
		t := m.trail(s.ID)
		into := []*samples{&t.cpu, &t.memory}[which]
		if sums[s.Name] == nil {
			sums[s.Name] = new([2][]float64)
		}
		sum := &sums[s.Name][which]
		if *sum == nil {
			*sum = slices.Repeat([]float64{nan()}, len(s.Values))
		}
		for i, v := range s.Values {
			into.add(v)
			if i < len(*sum) {
				(*sum)[i] = plus((*sum)[i], v)
			}
		}
	}
	for name, both := range sums {
		t := m.appTrail(name)
		for _, v := range both[0] {
			t.cpu.add(v)
		}
		for _, v := range both[1] {
			t.memory.add(v)
		}
	}
}

// sample adds the present figures to the charts, and forgets who is gone.
func (m *Model) sample() {
	ids, apps := map[int]bool{}, map[string]*[2]float64{}
	for i := range m.list {
		s := &m.list[i]
		ids[s.ID] = true
		if apps[s.Name] == nil {
			apps[s.Name] = &[2]float64{nan(), nan()}
		}
		t, cpu, memory := m.trail(s.ID), nan(), nan()
		if s.PID != 0 {
			cpu, memory = s.CPU, float64(s.MemoryBytes)
		}
		t.cpu.add(cpu)
		t.memory.add(memory)
		sum := apps[s.Name]
		sum[0], sum[1] = plus(sum[0], cpu), plus(sum[1], memory)
	}
	for id := range m.trails {
		if !ids[id] {
			delete(m.trails, id)
		}
	}
	for name, sum := range apps {
		t := m.appTrail(name)
		t.cpu.add(sum[0])
		t.memory.add(sum[1])
	}
	for name := range m.appTrails {
		if apps[name] == nil {
			delete(m.appTrails, name)
		}
	}
}

func (m *Model) trail(id int) *trail {
	t := m.trails[id]
	if t == nil {
		t = new(trail)
		m.trails[id] = t
	}
	return t
}

func (m *Model) appTrail(name string) *trail {
	t := m.appTrails[name]
	if t == nil {
		t = new(trail)
		m.appTrails[name] = t
	}
	return t
}

// trailOf is what a row has used; nil if that is not known.
func (m *Model) trailOf(r *row) *trail {
	if r.id == ofApp {
		return m.appTrails[r.app]
	}
	return m.trails[r.id]
}

// detailOf is the detailed status of the instance that a row is about, the first one
// of an app; nil if it is not known yet.
func (m *Model) detailOf(r *row) *app.Status {
	if m.detail == nil || r == nil {
		return nil
	}
	for i := range m.detail.Instances {
		if s := &m.detail.Instances[i]; s.ID == r.members[0].ID {
			return s
		}
	}
	return nil
}

// settled is how long a selection stays before its logs are asked for.
const settled = 120 * time.Millisecond

// watchLogs has the logs of the selection followed, if that is not done already.
func (m *Model) watchLogs(anew bool) tea.Cmd {
	r := m.row()
	if r == nil {
		if len(m.logs.targets) > 0 {
			m.logs.begin(nil, key{id: ofApp}, "")
		}
		return nil
	}
	targets := r.ids()
	if !anew && slices.Equal(targets, m.logs.targets) {
		return nil
	}
	title := clean(r.app)
	if r.child {
		title += " [" + strconv.Itoa(r.members[0].Index) + "]"
	}
	m.logs.begin(targets, r.key(), title)
	return m.do.after(settled, settle{m.logs.stream})
}

// selectedAnew does what a change of the selection asks for.
func (m *Model) selectedAnew() tea.Cmd {
	m.info = 0
	cmds := []tea.Cmd{m.watchLogs(false)}
	if m.detailOf(m.row()) == nil {
		cmds = append(cmds, m.happened(app.Event{}))
	}
	return tea.Batch(cmds...)
}
