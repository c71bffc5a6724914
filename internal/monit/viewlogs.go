package monit

import (
	"fmt"
	"slices"
	"strconv"

	"paceline/internal/api"
)

// logsPane draws the logs of the selection, the newest at the bottom.
func (m *Model) logsPane(w, h int) []string {
	p := &m.logs
	title, more := "logs", ""
	if p.title != "" {
		title += " " + p.title
	}
	list := p.view()
	p.back = max(0, min(p.back, len(list)-1))
	switch {
	case p.paused:
		more = "paused"
		if n := len(p.shown) - len(p.held); n > 0 {
			more = fmt.Sprintf("paused, %d more", n)
		}
	case p.back > 0:
		more = fmt.Sprintf("%d lines back", p.back)
	case p.skipped > 0:
		more = fmt.Sprintf("%d skipped", p.skipped)
	}
	if p.text != "" {
		if more != "" {
			more += ", "
		}
		more += "/" + clean(p.text) + "/"
	}
	room := h - 1
	ids := 0
	if len(p.targets) > 1 {
		for _, t := range p.targets {
			ids = max(ids, len(t))
		}
	}
	var body []string
	for i := len(list) - 1 - p.back; i >= 0 && len(body) < room; i-- {
		parts := m.logLines(&list[i], w, ids)
		for j := len(parts) - 1; j >= 0 && len(body) < room; j-- {
			body = append(body, parts[j])
		}
	}
	out := []string{m.rule(w, onLogs, title, more)}
	for _, line := range slices.Backward(body) {
		out = append(out, line)
	}
	if len(body) == 0 {
		text := ""
		switch {
		case len(p.targets) == 0:
		case p.waiting:
			text = " ..."
		case p.text != "" && len(p.all) > 0:
			text = " no line passes the filter"
		default:
			text = " nothing has been written yet"
		}
		out = append(out, m.painter.paint(dim, left(text, w)))
	}
	return m.fill(out, w, h)
}

// logLines draws one line: the instance if there are several, a bar that is red, and
// an "!", for the error output, and the text with what the filter has found.
func (m *Model) logLines(l *logLine, w, ids int) []string {
	prefix := ""
	if ids > 0 {
		prefix = right(strconv.Itoa(l.id), ids)
	}
	bar, s, t := "│", dim, plain
	switch l.stream {
	case api.Err:
		bar, s = "!", red
	case api.Notice:
		bar, s, t = "*", yellow, dim
	}
	parts := []string{l.text}
	if m.wrap {
		parts = wrapped(l.text, w-width(prefix)-2)
	}
	out := make([]string, 0, len(parts))
	for _, text := range parts {
		c := m.canvas(w)
		c.put(dim, prefix)
		c.put(s, bar)
		c.put(plain, " ")
		m.found(c, t, text)
		out = append(out, c.line())
	}
	return out
}

// found writes a text with what the filter finds in it in inverse.
func (m *Model) found(c *canvas, s style, text string) {
	text = cutTo(text, c.room)
	if m.logs.filter == nil {
		c.put(s, text)
		return
	}
	from := 0
	for _, at := range m.logs.filter.FindAllStringIndex(text, -1) {
		if at[0] == at[1] {
			continue
		}
		c.put(s, text[from:at[0]])
		c.put(inverse, text[at[0]:at[1]])
		from = at[1]
	}
	c.put(s, text[from:])
}
