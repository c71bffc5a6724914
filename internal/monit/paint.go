package monit

import "strings"

// style is a list of SGR parameters, "" for none.
type style string

const (
	plain   style = ""
	bold    style = "1"
	dim     style = "2"
	inverse style = "7"
	red     style = "31"
	green   style = "32"
	yellow  style = "33"
	blue    style = "34"
	magenta style = "35"
	cyan    style = "36"
)

// painter writes styles, or those of them that are no colours.
type painter struct{ colour bool }

func (p painter) paint(s style, text string) string {
	if s == plain || text == "" || !p.colour && s.isColour() {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[m"
}

func (s style) isColour() bool { return strings.HasPrefix(string(s), "3") }

// canvas puts together one line of a known width.
type canvas struct {
	painter
	text  strings.Builder
	room  int   // columns left
	cover style // of the whole line, instead of the styles of its parts; "" for those
}

// put writes a cleaned text, or what of it there is room for.
func (c *canvas) put(s style, text string) {
	if c.room <= 0 || text == "" {
		return
	}
	text = cutTo(text, c.room)
	c.room -= width(text)
	if c.cover != plain {
		s = c.cover
	}
	c.text.WriteString(c.paint(s, text))
}

// line returns the line, filled up.
func (c *canvas) line() string {
	if c.room > 0 {
		c.put(plain, blanks(c.room))
	}
	return c.text.String()
}
