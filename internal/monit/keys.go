package monit

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"paceline/internal/app"
)

// kind is what an action does.
type kind string

const (
	restarts kind = "restart"
	reloads  kind = "reload"
	stops    kind = "stop"
	starts   kind = "start"
	scales   kind = "scale"
)

// action is something that is done to instances, once it is confirmed.
type action struct {
	kind    kind
	app     string   // as the daemon writes it
	targets []string // ids
	label   string   // for people
	to      int      // scale: how many instances there are to be
}

// question asks whether it is meant.
func (a *action) question() string { return fmt.Sprintf("%s %s?", a.kind, a.label) }

// prompt is a line that is being typed.
type prompt struct {
	text   string
	before string // comes back with Esc
	logs   bool   // a filter of logs; otherwise of apps
}

// helpLines say what each key does.
func helpLines() [][2]string {
	return [][2]string{
		{"up down j k", "select; PgUp PgDn Home End g G go further"},
		{"tab left right", "list, logs, information"},
		{"enter", "fold or unfold an app's instances; z all"},
		{"o O", "sort by the next field, the one before"},
		{"f", "find apps by name; Esc shows all"},
		{"/", "filter the logs by a regular expression"},
		{"space", "pause the logs, and go on"},
		{"w", "wrap long lines, or cut them off"},
		{"r", "restart, after a question"},
		{"R", "reload: replace without a gap"},
		{"s S", "stop, start"},
		{"+ -", "one instance more, one less"},
		{"ctrl+l", "draw the screen anew"},
		{"ctrl+z", "suspend; `fg` comes back"},
		{"q", "leave"},
	}
}

// key acts on a key.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case name == "ctrl+z":
		return tea.Suspend
	case name == "ctrl+l":
		return tea.ClearScreen
	case m.confirm != nil:
		return m.confirmed(name)
	case m.prompt != nil:
		m.typed(k)
		return nil
	case m.help:
		m.help = false
		if name == "q" {
			return nil
		}
	}
	if m.busy == "" {
		m.notice = ""
	}
	if moved, cmd := m.move(name); moved {
		return cmd
	}
	switch name {
	case "q":
		return tea.Quit
	case "?", "h", "f1":
		m.help = true
	case "tab", "right", "l":
		m.focus = (m.focus + 1) % panes
	case "shift+tab", "left":
		m.focus = (m.focus + panes - 1) % panes
	case "enter":
		return m.fold()
	case "z":
		return m.foldAll()
	case "o":
		m.sortBy((m.order + 1) % orders)
	case "O":
		m.sortBy((m.order + orders - 1) % orders)
	case "/":
		m.prompt = &prompt{text: m.logs.text, before: m.logs.text, logs: true}
	case "f", "ctrl+f":
		m.prompt = &prompt{text: m.find, before: m.find}
	case "esc":
		return m.escape()
	case "space":
		m.logs.pause(!m.logs.paused)
	case "w":
		m.wrap = !m.wrap
	case "r", "R", "s", "S", "+", "-", "=":
		m.offer(name)
	}
	return nil
}

// move goes up or down in the pane that has the focus; it reports whether name is a
// key for that.
func (m *Model) move(name string) (bool, tea.Cmd) {
	page := max(m.height/2-2, 1)
	by := 0
	const far = 1 << 20
	switch name {
	case "up", "k":
		by = -1
	case "down", "j":
		by = 1
	case "pgup":
		by = -page
	case "pgdown":
		by = page
	case "home", "g":
		by = -far
	case "end", "G":
		by = far
	default:
		return false, nil
	}
	switch m.focus {
	case onLogs:
		m.logs.scroll(-by)
	case onInfo:
		m.info = max(0, m.info+by)
	default:
		before := m.selected
		m.choose(m.at + by)
		if m.selected != before {
			return true, m.selectedAnew()
		}
	}
	return true, nil
}

func (m *Model) sortBy(o order) {
	m.order = o
	m.arrange()
	m.notice, m.bad = "sorted by "+o.String(), false
}

// fold opens or closes the app of the selection.
func (m *Model) fold() tea.Cmd {
	r := m.row()
	if r == nil || !r.folds && !r.child {
		return nil
	}
	m.folded[r.app] = r.child || r.open
	m.arrange()
	return m.selectedAnew()
}

// foldAll closes all apps if one is open, and opens them otherwise.
func (m *Model) foldAll() tea.Cmd {
	open := false
	for i := range m.rows {
		open = open || m.rows[i].open
	}
	for i := range m.list {
		m.folded[m.list[i].Name] = open
	}
	m.arrange()
	return m.selectedAnew()
}

// escape takes back the last thing that narrows the view.
func (m *Model) escape() tea.Cmd {
	switch {
	case m.logs.paused || m.logs.back > 0:
		m.logs.pause(false)
	case m.logs.text != "":
		m.logs.sift("")
	case m.find != "":
		m.find = ""
		m.arrange()
		return m.selectedAnew()
	}
	return nil
}

// typed edits the prompt.
func (m *Model) typed(k tea.KeyPressMsg) {
	p := m.prompt
	switch name := k.String(); name {
	case "enter":
		m.prompt = nil
		return
	case "esc":
		p.text = p.before
		m.prompted()
		m.prompt = nil
		return
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(p.text)
		p.text = p.text[:len(p.text)-n]
	case "ctrl+u":
		p.text = ""
	case "ctrl+w":
		p.text = p.text[:strings.LastIndexByte(strings.TrimRight(p.text, " "), ' ')+1]
	default:
		p.text += clean(k.Text)
	}
	m.prompted()
}

// prompted puts to use what has been typed so far.
func (m *Model) prompted() {
	if m.prompt.logs {
		m.logs.sift(m.prompt.text)
		return
	}
	m.find = m.prompt.text
	m.arrange()
}

// offer asks whether what a key does is meant.
func (m *Model) offer(name string) {
	r := m.row()
	if r == nil {
		return
	}
	if m.link != up {
		m.notice, m.bad = "the daemon does not answer; nothing can be done now", true
		return
	}
	a := &action{app: r.app, targets: r.ids(), label: m.called(r)}
	switch name {
	case "r":
		a.kind = restarts
	case "R":
		a.kind = reloads
	case "s":
		a.kind = stops
	case "S":
		a.kind, a.targets = starts, nil
		for _, s := range r.members {
			if s.State != app.Online && s.State != app.Launching {
				a.targets = append(a.targets, strconv.Itoa(s.ID))
			}
		}
		if len(a.targets) == 0 {
			m.notice, m.bad = m.called(r)+" runs already", false
			return
		}
	default:
		all := 0
		for i := range m.list {
			if m.list[i].Name == r.app {
				all++
			}
		}
		a.kind, a.to = scales, all+1
		if name == "-" {
			a.to = all - 1
		}
		if a.to < 1 {
			m.notice, m.bad = "one instance is the least; s stops it", false
			return
		}
		a.label = fmt.Sprintf("%s from %d to %d", clean(r.app), all, a.to)
	}
	m.confirm = a
}

// called names what a row means.
func (m *Model) called(r *row) string {
	name := clean(r.app)
	switch {
	case r.child:
		return fmt.Sprintf("%s [%d]", name, r.members[0].Index)
	case r.id == ofApp:
		return fmt.Sprintf("%s (%s)", name, count(len(r.members), "instance"))
	}
	return name
}

// confirmed takes the answer to a question.
func (m *Model) confirmed(name string) tea.Cmd {
	a := *m.confirm
	m.confirm = nil
	if name != "y" && name != "Y" {
		m.notice, m.bad = "not done", false
		return nil
	}
	m.notice, m.busy = "", fmt.Sprintf("%s %s ...", a.kind, a.label)
	return m.do.act(a)
}

// acted tells how an action has ended.
func (m *Model) acted(d done) tea.Cmd {
	m.busy = ""
	m.notice, m.bad = fmt.Sprintf("%s %s: done", d.action.kind, d.action.label), false
	if d.err != nil {
		m.notice, m.bad = fmt.Sprintf("%s %s: %s", d.action.kind, d.action.label, clean(d.err.Error())), true
	}
	return m.happened(app.Event{})
}
