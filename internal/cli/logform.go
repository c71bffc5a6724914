package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

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

// marked is the text of a line with what is highlighted.
func (l *logs) marked(text string) string {
	if l.highlight == "" {
		return text
	}
	return strings.ReplaceAll(text, l.highlight, l.look.paint(highlighted, l.highlight))
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
