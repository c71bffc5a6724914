package monit

import (
	"fmt"
	"strconv"

	"paceline/internal/app"
)

// column is a column of the list.
type column struct {
	head  string
	width int
	drop  int // where there is no room, the largest goes first; 0 stays
	right bool
	cell  func(m *Model, r *row, width int) (style, string)
}

// fit makes a text as wide as the column.
func (c *column) fit(text string) string {
	if c.right {
		return right(text, c.width)
	}
	return left(text, c.width)
}

// gutter is what stands before a name: the selection's mark and that of folding.
const gutter = 3

const (
	leastName, mostName = 11, 32
	mostChart           = 24
)

// columns of the list, after the name.
func columns() []column {
	return []column{
		{"id", 4, 3, true, func(_ *Model, r *row, _ int) (style, string) {
			if r.id == ofApp {
				return dim, "x" + strconv.Itoa(len(r.members))
			}
			return plain, strconv.Itoa(r.id)
		}},
		{"state", 10, 0, false, stateCell},
		{"cpu", 6, 1, true, func(_ *Model, r *row, _ int) (style, string) {
			if !r.sum.hasPID {
				return dim, "-"
			}
			return plain, percent(r.sum.cpu)
		}},
		{"", 10, 5, false, func(m *Model, r *row, w int) (style, string) {
			if t := m.trailOf(r); t != nil {
				return cyan, t.cpu.chart(w, 5)
			}
			return plain, ""
		}},
		{"mem", 7, 2, true, func(_ *Model, r *row, _ int) (style, string) {
			if !r.sum.hasPID {
				return dim, "-"
			}
			return plain, size(r.sum.memory)
		}},
		{"", 8, 8, false, func(m *Model, r *row, w int) (style, string) {
			if t := m.trailOf(r); t != nil {
				return magenta, t.memory.chart(w, 1<<20)
			}
			return plain, ""
		}},
		{"↺", 4, 4, true, func(_ *Model, r *row, _ int) (style, string) {
			if r.sum.restarts == 0 {
				return dim, "0"
			}
			return yellow, strconv.Itoa(r.sum.restarts)
		}},
		{"queue", 5, 6, true, func(_ *Model, r *row, _ int) (style, string) {
			switch {
			case !r.sum.hasQueue:
				return dim, "-"
			case r.sum.queue == 0:
				return plain, "0"
			}
			return yellow, strconv.Itoa(r.sum.queue)
		}},
		{"up", 5, 7, true, func(m *Model, r *row, _ int) (style, string) {
			if !r.sum.hasPID || r.sum.started.IsZero() {
				return dim, "-"
			}
			return plain, span(m.now.Sub(r.sum.started))
		}},
		{"pid", 8, 9, true, func(_ *Model, r *row, _ int) (style, string) {
			if r.id == ofApp || r.members[0].PID == 0 {
				return dim, "-"
			}
			return plain, strconv.Itoa(r.members[0].PID)
		}},
	}
}

func stateCell(_ *Model, r *row, _ int) (style, string) {
	s, text := stateStyle(r.sum.state), string(r.sum.state)
	if n := len(r.members); n > 1 && r.sum.state != app.Online {
		text = fmt.Sprintf("%d/%d up", r.sum.online, n)
	}
	return s, text
}

// fitting leaves out columns until the rest fits, and says how wide the name is.
func fitting(w int) ([]column, int) {
	list := columns()
	for {
		sum, worst := 0, -1
		for i, c := range list {
			sum += c.width + 1
			if c.drop > 0 && (worst < 0 || c.drop > list[worst].drop) {
				worst = i
			}
		}
		room := w - gutter - sum
		if room >= leastName || worst < 0 {
			name := max(1, min(room, mostName))
			for i := range list { // what is left makes the first chart longer
				if list[i].head == "" {
					more := min(room-name, mostChart-list[i].width)
					list[i].width += max(more, 0)
					room -= max(more, 0)
				}
			}
			return list, name
		}
		list = append(list[:worst], list[worst+1:]...)
	}
}

// listPane draws the list: a heading, and the rows around the selected one.
func (m *Model) listPane(w, h int) []string {
	cols, name := fitting(w)
	c := m.canvas(w)
	s := dim
	if m.focus == onList && !m.help {
		s = bold
	}
	c.put(s, blanks(gutter)+left("app", name))
	for _, col := range cols {
		c.put(s, " "+col.fit(col.head))
	}
	out := []string{c.line()}
	seen := h - 1
	m.top = max(0, min(m.top, m.at, len(m.rows)-seen))
	if m.at >= m.top+seen {
		m.top = m.at - seen + 1
	}
	for i := m.top; i < min(m.top+seen, len(m.rows)); i++ {
		out = append(out, m.rowLine(&m.rows[i], cols, name, w, i == m.at))
	}
	if len(m.rows) == 0 && h > 1 {
		text := "  no apps; `pace start server.js` starts one"
		switch {
		case m.link == connecting:
			text = ""
		case m.find != "":
			text = "  no app is called " + m.find
		}
		out = append(out, m.painter.paint(dim, left(text, w)))
	}
	return m.fill(out, w, h)
}

func (m *Model) rowLine(r *row, cols []column, name, w int, selected bool) string {
	c := m.canvas(w)
	if selected {
		c.cover = inverse
	} else if m.link == gone {
		c.cover = dim
	}
	mark, label, s := " ", r.label, plain
	switch {
	case r.open:
		mark = "▾"
	case r.folds:
		mark = "▸"
	case r.child:
		label, s = "  "+label, dim
	}
	edge := " "
	if selected { // seen where neither colours nor inverse are
		edge = "›"
	}
	c.put(plain, edge+mark+" ")
	c.put(s, left(label, name))
	for _, col := range cols {
		s, text := col.cell(m, r, col.width)
		c.put(plain, " ")
		c.put(s, col.fit(text))
	}
	return c.line()
}
