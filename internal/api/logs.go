package api

import (
	"time"
	"unicode/utf8"
)

// Stream names where a log line comes from.
type Stream string

// The streams.
const (
	Out    Stream = "out"
	Err    Stream = "err"
	Notice Stream = "notice" // not of the app: the daemon has something to say about the log, such as skipped lines
	All    Stream = "all"    // in queries only
)

// MaxLogLine bounds the text of one LogLine; what is longer comes in parts.
const MaxLogLine = 1 << 20

// LogLine is one line of a log.
type LogLine struct {
	ID     int       `json:"id"`
	Name   string    `json:"name"`
	Stream Stream    `json:"stream"`
	Line   string    `json:"line"`
	Raw    []byte    `json:"raw,omitempty"`  // instead of Line, where that is not UTF-8
	More   bool      `json:"more,omitempty"` // the line goes on in the stream's next LogLine
	At     time.Time `json:"at,omitzero"`    // when it was written, if that is known
}

// SetText puts text, which may be any bytes, into Line or Raw.
func (l *LogLine) SetText(text []byte) {
	if l.Line, l.Raw = "", nil; utf8.Valid(text) {
		l.Line = string(text)
		return
	}
	l.Raw = append(l.Raw, text...)
}

// Text returns the line as it was written.
func (l *LogLine) Text() string {
	if l.Raw != nil {
		return string(l.Raw)
	}
	return l.Line
}

// LogsQuery selects log lines.
type LogsQuery struct {
	Targets []string // as in TargetsRequest; none means all
	Lines   int      // how many old lines per stream come first; at most MaxLines
	Stream  Stream   // Out, Err, or All, which is also what "" means
	Follow  bool     // then those that are written from now on, also of later instances
}

// MaxLines bounds LogsQuery.Lines.
const MaxLines = 100_000
