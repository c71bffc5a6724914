package api

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// Stream names where a log line comes from.
type Stream string

// The streams.
const (
	Out    Stream = "out"
	Err    Stream = "err"
	Place  Stream = "place"  // no line: see LogsQuery.Places
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
	Raw    []byte    `json:"raw,omitempty"`   // instead of Line, where that is not UTF-8
	More   bool      `json:"more,omitempty"`  // the line goes on in the stream's next LogLine
	At     time.Time `json:"at,omitzero"`     // when it was written, if that is known
	Level  string    `json:"level,omitempty"` // in an answer to a search: what the line says, or is taken for
	Pos    string    `json:"pos,omitempty"`   // the place after it in its log, for LogsQuery.After
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

// LogsQuery selects log lines. With one of Since, Until, Grep and Level it is a search:
// all files of the logs are looked at, rotated and compressed ones too, and what is
// found is merged by time. Without, the last lines of each log come, log by log.
type LogsQuery struct {
	Targets []string // as in TargetsRequest; none means all
	// Lines is how many old lines per stream come first, the last ones; at most MaxLines.
	// In a search AllLines is allowed.
	Lines  int
	Stream Stream // Out, Err, or All, which is also what "" means
	Follow bool   // then those that are written from now on, also of later instances; not with Until

	Since, Until time.Time // bounds of a line's time, inclusive; zero means none
	Grep         string    // a regular expression in RE2's syntax that lines match; "" means any
	IgnoreCase   bool      // of Grep
	Invert       bool      // those that do not match Grep
	Level        string    // the least level of lines: trace, debug, info, warn, error or fatal; "" means any

	// Places has each line say its place in LogLine.Pos. Before the first line of each log
	// that is followed comes one of the stream Place, which has the place, and in Line the name of
	// the stream.
	Places bool
	// After are places in logs from which a follower goes on, instead of Lines: where it
	// was in each when its daemon ended. Other logs are followed from now on.
	After []LogPlace
}

// LogPlace is a place in one log.
type LogPlace struct {
	ID     int
	Stream Stream
	Pos    string // LogLine.Pos
}

const (
	// MaxLines bounds LogsQuery.Lines.
	MaxLines = 100_000
	// AllLines is the number of lines of a search without a bound.
	AllLines = -1
	// MaxGrep bounds LogsQuery.Grep, in bytes.
	MaxGrep = 4096
)

// Searches reports whether the query is a search.
func (q LogsQuery) Searches() bool {
	return !q.Since.IsZero() || !q.Until.IsZero() || q.Grep != "" || q.Level != ""
}

// values writes the query of a request.
func (q LogsQuery) values() url.Values {
	v := url.Values{}
	if q.Lines != AllLines {
		v.Set("lines", strconv.Itoa(q.Lines))
	}
	if len(q.Targets) > 0 {
		v["target"] = q.Targets
	}
	for name, text := range map[string]string{"stream": string(q.Stream), "grep": q.Grep, "level": q.Level} {
		if text != "" {
			v.Set(name, text)
		}
	}
	for name, set := range map[string]bool{"follow": q.Follow, "ignore_case": q.IgnoreCase, "invert": q.Invert, "places": q.Places} {
		if set {
			v.Set(name, "1")
		}
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	for _, p := range q.After {
		v.Add("after", fmt.Sprintf("%d:%s:%s", p.ID, p.Stream, p.Pos))
	}
	return v
}

// DecodeLogs reads the query of OpLogs. In a search without "lines" all are meant.
// Errors: *Error with CodeInvalid.
func DecodeLogs(v url.Values) (LogsQuery, error) {
	q := LogsQuery{
		Targets: v["target"], Stream: Stream(v.Get("stream")), Follow: flag(v, "follow"),
		Grep: v.Get("grep"), IgnoreCase: flag(v, "ignore_case"), Invert: flag(v, "invert"), Places: flag(v, "places"), Level: v.Get("level"),
	}
	var err error
	now := time.Now()
	if q.Since, err = momentOf("since", v.Get("since"), now); err != nil {
		return LogsQuery{}, err
	}
	if q.Until, err = momentOf("until", v.Get("until"), now); err != nil {
		return LogsQuery{}, err
	}
	switch text := v.Get("lines"); {
	case text != "":
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > MaxLines {
			return LogsQuery{}, invalid("lines %q is not a number between 0 and %d", text, MaxLines)
		}
		q.Lines = n
	case q.Searches():
		q.Lines = AllLines
	}
	if q.Stream == "" {
		q.Stream = All
	}
	if !slices.Contains([]Stream{Out, Err, All}, q.Stream) {
		return LogsQuery{}, invalid("stream %q is none of out, err, all", q.Stream)
	}
	for _, text := range v["after"] {
		id, rest, ok := strings.Cut(text, ":")
		stream, pos, ok2 := strings.Cut(rest, ":")
		n, err := strconv.Atoi(id)
		if !ok || !ok2 || err != nil || len(q.After) >= MaxTargets {
			return LogsQuery{}, invalid("after %q is not id:stream:place", text)
		}
		q.After = append(q.After, LogPlace{n, Stream(stream), pos})
	}
	if err := q.Check(); err != nil {
		return LogsQuery{}, err
	}
	return q, checkTargets(q.Targets)
}

// Check holds what is searched for to its rules. Errors: *Error with CodeInvalid.
func (q LogsQuery) Check() error {
	switch {
	case !q.Since.IsZero() && !q.Until.IsZero() && q.Since.After(q.Until):
		return invalid("since %s is after until %s: no line can be", q.Since.Format(time.RFC3339), q.Until.Format(time.RFC3339))
	case q.Follow && !q.Until.IsZero():
		return invalid("follow has no end, so until cannot go with it")
	case len(q.After) > 0 && !q.Follow:
		return invalid("after is for a follower, so follow has to go with it")
	}
	if _, err := app.ParseLevel(q.Level); err != nil {
		return invalid("%v", err)
	}
	return CheckGrep(q.Grep)
}

// CheckGrep holds a pattern to RE2's syntax. Errors: *Error with CodeInvalid.
func CheckGrep(expr string) error {
	if len(expr) > MaxGrep {
		return invalid("grep has %d bytes, more than %d", len(expr), MaxGrep)
	}
	if !utf8.ValidString(expr) {
		return invalid("grep %q is not UTF-8", expr)
	}
	if _, err := regexp.Compile(expr); err != nil {
		return invalid("grep %q is no regular expression: %s", expr, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}

// momentOf reads a time: RFC 3339, or how long before now.
func momentOf(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := ParseMoment(text, now)
	if err != nil {
		return time.Time{}, invalid("%s: %v", name, err)
	}
	return at, nil
}

// ParseMoment reads a time as people write it: a duration back from now such as 10m,
// 36h or 7d; RFC 3339; or a local date or time of day: 2026-01-31, 2026-01-31 12:30,
// 12:30, 12:30:15.
func ParseMoment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 36_500 {
			return now.Add(-time.Duration(n * 24 * float64(time.Hour))), nil
		}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, at.Hour(), at.Minute(), at.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, errMoment(text)
}

func errMoment(text string) error {
	return fmt.Errorf("%q is no time; write how long ago (10m, 36h, 7d), a time of day (12:30) or a date (2026-01-31T12:30:00Z)", text)
}
