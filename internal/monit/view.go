package monit

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"

	"paceline/internal/app"
)

// From these sizes on the panes stand beside each other.
const (
	leastWidth, leastHeight = 20, 6
	besideList              = 100 // logs beside the list
	besideLogs              = 72  // information beside the logs
	infoWidth               = 30
)

// View implements tea.Model.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	if p := m.prompt; p != nil && m.width >= leastWidth && m.height >= leastHeight {
		x := width(p.label()) + width(p.text)
		v.Cursor = tea.NewCursor(min(x, m.width-1), m.height-1)
	}
	return v
}

// screen returns as many lines as the terminal has, each as wide as it.
func (m *Model) screen() []string {
	w, h := m.width, m.height
	if w < leastWidth || h < leastHeight {
		return []string{cutTo("too small", w)}
	}
	lines := make([]string, 0, h)
	lines = append(lines, m.headLine(w))
	switch body := h - 2; {
	case m.help:
		lines = append(lines, m.helpPane(w, body)...)
	case w >= besideList:
		lw := max(64, w*3/5)
		rw := w - lw - 1
		logs, info := body, 0
		if body >= 14 {
			info = min(body/2, 18)
			logs = body - info
		}
		side := m.logsPane(rw, logs)
		if m.focus == onInfo && info == 0 {
			side = m.infoPane(rw, body)
		} else if info > 0 {
			side = append(side, m.infoPane(rw, info)...)
		}
		lines = append(lines, m.beside(m.listPane(lw, body), side)...)
	default:
		// The list takes what it needs, up to a half.
		lh := max(2, min(len(m.rows)+1, body/2))
		if body < 10 && m.focus != onList {
			lh = 2
		}
		rest := body - lh
		lines = append(lines, m.listPane(w, lh)...)
		switch {
		case w >= besideLogs:
			lines = append(lines, m.beside(m.logsPane(w-infoWidth-1, rest), m.infoPane(infoWidth, rest))...)
		case m.focus == onInfo:
			lines = append(lines, m.infoPane(w, rest)...)
		default:
			lines = append(lines, m.logsPane(w, rest)...)
		}
	}
	return append(lines, m.footLine(w))
}

// beside puts two panes of the same height next to each other.
func (m *Model) beside(a, b []string) []string {
	bar := m.painter.paint(dim, "│")
	for i := range a {
		a[i] += bar + b[i]
	}
	return a
}

func (m *Model) canvas(w int) *canvas { return &canvas{painter: m.painter, room: w} }

// headLine says what there is in all.
func (m *Model) headLine(w int) string {
	c := m.canvas(w)
	c.put(bold, " pace")
	switch m.link {
	case connecting:
		c.put(yellow, "  connecting ...")
		return c.line()
	case gone:
		c.put(red, "  daemon gone, reconnecting")
		return c.line()
	case up:
	}
	states, names := map[app.State]int{}, map[string]bool{}
	var cpu, memory float64
	for i := range m.list {
		s := &m.list[i]
		states[s.State]++
		names[s.Name] = true
		if s.PID != 0 {
			cpu, memory = cpu+s.CPU, memory+float64(s.MemoryBytes)
		}
	}
	c.put(plain, fmt.Sprintf("  %s  ", count(len(names), "app")))
	for _, s := range []app.State{app.Online, app.Launching, app.Stopping, app.Waiting, app.Errored, app.Stopped} {
		if states[s] > 0 {
			c.put(stateStyle(s), fmt.Sprintf("%d %s  ", states[s], s))
		}
	}
	tail := fmt.Sprintf("cpu %s  mem %s ", right(percent(cpu), 5), right(size(memory), 7))
	if c.room >= width(tail) {
		c.put(plain, blanks(c.room-width(tail)))
		c.put(plain, tail)
	}
	return c.line()
}

// label stands before what is typed.
func (p *prompt) label() string {
	if p.logs {
		return " filter logs: "
	}
	return " find apps: "
}

// footLine asks, tells or says which keys there are.
func (m *Model) footLine(w int) string {
	c := m.canvas(w)
	switch {
	case m.confirm != nil:
		hint := "  y/n"
		c.put(bold, cutTo(" "+m.confirm.question(), w-width(hint)))
		c.put(yellow, hint)
	case m.prompt != nil:
		c.put(bold, m.prompt.label())
		c.put(plain, m.prompt.text)
		if m.prompt.logs && m.logs.plain {
			c.put(yellow, "  (as it stands)")
		}
	case m.busy != "":
		c.put(yellow, " "+m.busy)
	case m.notice != "" && m.bad:
		c.put(red, " "+m.notice)
	case m.notice != "":
		c.put(plain, " "+m.notice)
	default:
		for _, k := range [][2]string{
			{"?", "help"},
			{"q", "leave"},
			{"r", "restart"},
			{"R", "reload"},
			{"s", "stop"},
			{"+-", "scale"},
			{"/", "filter"},
			{"space", "pause"},
			{"o", "sort"},
			{"f", "find"},
			{"tab", "pane"},
		} {
			if c.room < width(k[0])+width(k[1])+2 {
				break
			}
			c.put(bold, " "+k[0])
			c.put(dim, " "+k[1])
		}
	}
	return c.line()
}

// rule is the line above a pane; that of the focus is heavy.
func (m *Model) rule(w int, focus pane, title, more string) string {
	c := m.canvas(w)
	dash, s, t := "─", dim, plain
	if m.focus == focus && !m.help {
		dash, s, t = "━", cyan, bold
	}
	c.put(s, dash+" ")
	c.put(t, cutTo(title, c.room-1))
	c.put(s, " ")
	if more != "" && c.room > 6 {
		more = cutTo(more, c.room-3) + " "
		c.put(s, strings.Repeat(dash, max(c.room-width(more)-2, 0))+" ")
		c.put(yellow, more)
	}
	c.put(s, strings.Repeat(dash, max(c.room, 0)))
	return c.line()
}

func (m *Model) helpPane(w, h int) []string {
	lines := []string{m.rule(w, onList, "keys", "any key goes back")}
	names := min(15, w/3)
	for _, k := range helpLines() {
		keys, text := filled(k[0], names), filled(k[1], w-names-2)
		for i := range max(len(keys), len(text)) {
			c := m.canvas(w)
			c.put(bold, " "+left(nth(keys, i), names)+" ")
			c.put(plain, strings.TrimLeft(nth(text, i), " "))
			lines = append(lines, c.line())
		}
	}
	return m.fill(lines, w, h)
}

// fill makes a pane h lines high.
func (m *Model) fill(lines []string, w, h int) []string {
	for len(lines) < h {
		lines = append(lines, blanks(w))
	}
	return lines[:h]
}

func nth(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}
