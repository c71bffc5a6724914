package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"paceline/internal/api"
	"paceline/internal/dayjs"
)

// The forms of a line's time, as PM2's logs prints it.
const (
	logStamp  = "YYYY-MM-DD-HH:mm:ss"   // --timestamp without a format
	logFormat = "YYYY-MM-DD-HH:mm:ssZZ" // --format
)

// highlighted is the background of what --highlight marks: bright black.
const highlighted = "100"

// pm2LogLine is what PM2's logs --json prints.
type pm2LogLine struct {
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp,omitzero"`
	Type      string    `json:"type"` // "out", "err"; "notice" is ours
	ID        int       `json:"process_id"`
	Name      string    `json:"app_name"`
}

func (l *logs) printJSON(line api.LogLine) error {
	if text := line.Text(); isPM2Line(text) { // an app with --log-type json
		l.printf("%s\n", text)
		return nil
	}
	b, err := json.Marshal(pm2LogLine{line.Text(), line.At.UTC().Truncate(time.Millisecond), string(line.Stream), line.ID, line.Name})
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	l.printf("%s\n", b)
	return nil
}

// isPM2Line reports whether a line is an object as --log-type json writes it.
func isPM2Line(text string) bool {
	if !strings.HasPrefix(text, `{"message":`) {
		return false
	}
	var o struct {
		Message *string `json:"message"`
		Name    *string `json:"app_name"`
	}
	return json.Unmarshal([]byte(text), &o) == nil && o.Message != nil && o.Name != nil
}

// printPairs writes a line as key=value pairs; the time is left out where it is not
// known.
func (l *logs) printPairs(line api.LogLine) {
	stamp, kind := "", string(line.Stream)
	if !line.At.IsZero() {
		stamp = "timestamp=" + l.pairStamp.Format(line.At.In(l.zone)) + " "
	}
	if line.Stream == api.Err {
		kind = "error"
	}
	l.printf("%sapp=%s id=%d type=%s message=%s\n", stamp, line.Name, line.ID, kind, line.Text())
}

// stamp returns the time before a line, if it is wanted and known.
func (l *logs) stamp(line api.LogLine) string {
	if l.timestamp == "" || line.At.IsZero() {
		return ""
	}
	return l.look.paint(dim, l.lineStamp.Format(line.At.In(l.zone))) + " "
}

// marked is the text of a line with what is highlighted, on a terminal.
func (l *logs) marked(text string) string {
	if l.sought == nil || l.highlight == "" && !l.look.terminal {
		return text
	}
	return l.sought.ReplaceAllStringFunc(text, func(found string) string {
		if found == "" {
			return ""
		}
		return l.look.paint(highlighted, found)
	})
}

// harmless is the text of a line as a terminal may get it: a program's output must not
// move the cursor, change the title, or answer for the keyboard. Colours stay, and end
// with the line.
func (l *logs) harmless(text string) string {
	if !l.look.terminal {
		return text
	}
	return harmless(text)
}

// unruly are control characters, but the tab, and those that turn the direction of
// writing.
var unruly = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0, Hi: 8, Stride: 1},
		{Lo: 0xa, Hi: 0x1f, Stride: 1},
		{Lo: 0x7f, Hi: 0x9f, Stride: 1},
		{Lo: 0x200e, Hi: 0x200f, Stride: 1},
		{Lo: 0x2028, Hi: 0x202e, Stride: 1},
		{Lo: 0x2066, Hi: 0x2069, Stride: 1},
	},
	LatinOffset: 3,
}

func harmless(text string) string {
	text = strings.TrimSuffix(text, "\r")
	clean := func(r rune) bool { return r != utf8.RuneError && !unicode.Is(unruly, r) }
	if strings.IndexFunc(text, func(r rune) bool { return !clean(r) }) < 0 {
		return text
	}
	var b strings.Builder
	coloured := false
	for text != "" {
		if n := colourLength(text); n > 0 {
			b.WriteString(text[:n])
			text, coloured = text[n:], true
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case clean(r) || r == utf8.RuneError && n > 1:
			b.WriteString(text[:n])
		case r == utf8.RuneError || r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		default: // other controls, and what turns the direction of writing
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[n:]
	}
	if coloured {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// colourLength returns the length of a change of colour at the beginning of text, 0 if
// there is none.
func colourLength(text string) int {
	if !strings.HasPrefix(text, "\x1b[") {
		return 0
	}
	for i := 2; i < len(text) && i < 40; i++ {
		switch c := text[i]; {
		case c == 'm':
			return i + 1
		case (c < '0' || c > '9') && c != ';' && c != ':':
			return 0
		}
	}
	return 0
}

// readForms reads the formats of times.
func (l *logs) readForms() (err error) {
	l.zone = time.Local
	if l.pairStamp, err = dayjs.Parse(logFormat); err != nil {
		return err
	}
	if l.timestamp != "" {
		if l.lineStamp, err = dayjs.Parse(l.timestamp); err != nil {
			return fmt.Errorf("--timestamp: %w", err)
		}
	}
	return nil
}
