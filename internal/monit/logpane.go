package monit

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"paceline/internal/api"
)

// keptLines is how many log lines of the selection there are to look back at.
const keptLines = 2000

// logLine is a cleaned line.
type logLine struct {
	id     int
	stream api.Stream
	text   string
	at     time.Time // zero if it is not known
}

// logPane is the logs of the selection.
type logPane struct {
	stream  int      // counts what is followed; lines of earlier ones are dropped
	targets []string // that are followed
	of      key      // the row that they are of
	title   string
	waiting bool // for the first lines
	ended   bool // the stream is over, the daemon gone
	all     []logLine
	skipped int // lines that came too fast

	text   string         // of the filter
	filter *regexp.Regexp // nil: all lines
	plain  bool           // the filter's text is no regular expression
	shown  []logLine      // those of all that pass

	paused bool
	held   []logLine // shown when it was paused
	back   int       // how many lines from the end the view has gone
}

// begin turns to other logs. Those of another row go at once; those of the same one
// stay until its new ones are there.
func (p *logPane) begin(targets []string, of key, title string) {
	if of != p.of {
		p.all, p.shown, p.held, p.paused, p.back = nil, nil, nil, false, 0
	}
	p.stream++
	p.targets, p.of, p.title, p.waiting, p.ended, p.skipped = targets, of, title, len(targets) > 0, false, 0
}

// add takes in new lines.
func (p *logPane) add(l lines) {
	if l.stream != p.stream {
		return
	}
	p.waiting = false
	if l.first {
		p.all, p.shown = nil, nil
	}
	p.skipped += l.skipped
	p.all = last(append(p.all, l.list...))
	before := len(p.shown)
	p.shown = last(p.pass(p.shown, l.list))
	if p.back > 0 && !p.paused {
		p.back = min(p.back+max(len(p.shown)-before, 0), len(p.shown))
	}
}

// last bounds what is kept, without a copy for each line.
func last(list []logLine) []logLine {
	if len(list) <= 2*keptLines {
		return list
	}
	return append([]logLine(nil), list[len(list)-keptLines:]...)
}

// pass appends those of list that pass the filter.
func (p *logPane) pass(to, list []logLine) []logLine {
	for _, l := range list {
		if p.filter == nil || p.filter.MatchString(l.text) {
			to = append(to, l)
		}
	}
	return to
}

// sift sets the filter: a regular expression, of which small letters mean large ones
// as well; what is none is looked for as it stands.
func (p *logPane) sift(text string) {
	p.text, p.filter, p.plain, p.back = text, nil, false, 0
	if text != "" {
		flags := ""
		if text == strings.ToLower(text) {
			flags = "(?i)"
		}
		re, err := regexp.Compile(flags + text)
		if err != nil {
			p.plain = true
			re = regexp.MustCompile(flags + regexp.QuoteMeta(text))
		}
		p.filter = re
	}
	p.shown = p.pass(nil, p.all)
	if p.paused {
		p.held = p.shown
	}
}

// pause stops the view, or has it go on.
func (p *logPane) pause(on bool) {
	if p.paused = on; on {
		p.held = slices.Clip(p.shown)
		return
	}
	p.held, p.back = nil, 0
}

// view is what there is to see.
func (p *logPane) view() []logLine {
	if p.paused {
		return p.held
	}
	return p.shown
}

// scroll goes n lines back, or forward if n is negative.
func (p *logPane) scroll(n int) {
	p.back = max(0, min(p.back+n, len(p.view())-1))
}
