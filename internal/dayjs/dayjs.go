// Package dayjs writes times in the format strings of the JavaScript library day.js,
// which PM2's users know: "YYYY-MM-DD HH:mm:ss".
package dayjs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ISO is how JavaScript's Date.toISOString writes a time, for time.Time.Format of a
// time in UTC.
const ISO = "2006-01-02T15:04:05.000Z"

// MaxFormat is the length of the longest format string, in bytes.
const MaxFormat = 256

// Format is a format string that has been read. The zero value writes nothing.
type Format struct {
	parts []part
	reads []reading // the same, for Read; nil where a part cannot be read
}

// part writes one token.
type part func(dst []byte, t time.Time) []byte

// tokens are those of day.js and two of its plugin advancedFormat, x and X. Longer
// ones come before their beginnings. See https://day.js.org/docs/en/display/format.
var tokens = []struct {
	text  string
	write part
}{
	{"YYYY", layout("2006")},
	{"YY", layout("06")},
	{"MMMM", layout("January")},
	{"MMM", layout("Jan")},
	{"MM", layout("01")},
	{"M", layout("1")},
	{"DD", layout("02")},
	{"D", layout("2")},
	{"dddd", layout("Monday")},
	{"ddd", layout("Mon")},
	{"dd", func(dst []byte, t time.Time) []byte { return append(dst, t.Weekday().String()[:2]...) }},
	{"d", number(func(t time.Time) int { return int(t.Weekday()) }, 1)},
	{"HH", layout("15")},
	{"H", number(time.Time.Hour, 1)},
	{"hh", layout("03")},
	{"h", layout("3")},
	{"mm", layout("04")},
	{"m", layout("4")},
	{"SSS", number(func(t time.Time) int { return t.Nanosecond() / int(time.Millisecond) }, 3)},
	{"ss", layout("05")},
	{"s", layout("5")},
	{"ZZ", layout("-0700")},
	{"Z", layout("-07:00")},
	{"A", layout("PM")},
	{"a", layout("pm")},
	{"X", func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.Unix(), 10) }},
	{"x", func(dst []byte, t time.Time) []byte { return strconv.AppendInt(dst, t.UnixMilli(), 10) }},
}

func layout(l string) part {
	return func(dst []byte, t time.Time) []byte { return t.AppendFormat(dst, l) }
}

func number(of func(time.Time) int, width int) part {
	return func(dst []byte, t time.Time) []byte { return fmt.Appendf(dst, "%0*d", width, of(t)) }
}

// Parse reads a format string. What is in [brackets], and letters that are no token,
// stand for themselves. Errors: it is empty, longer than MaxFormat, or holds a
// newline or another control character.
func Parse(text string) (Format, error) {
	switch {
	case text == "":
		return Format{}, fmt.Errorf("a date format is empty; e.g. YYYY-MM-DD HH:mm:ss")
	case len(text) > MaxFormat:
		return Format{}, fmt.Errorf("a date format of %d bytes is longer than %d", len(text), MaxFormat)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Format{}, fmt.Errorf("the date format %q holds a control character", text)
	}
	var f Format
	for rest := text; rest != ""; {
		if inside, after, ok := strings.Cut(rest[1:], "]"); ok && rest[0] == '[' && inside != "" {
			f.literal(inside)
			rest = after
			continue
		}
		n := 0
		for _, token := range tokens {
			if strings.HasPrefix(rest, token.text) {
				f.parts, n = append(f.parts, token.write), len(token.text)
				f.reads = append(f.reads, readings[token.text])
				break
			}
		}
		if n == 0 {
			n = 1
			f.literal(rest[:1])
		}
		rest = rest[n:]
	}
	return f, nil
}

func (f *Format) literal(text string) {
	f.parts = append(f.parts, func(dst []byte, _ time.Time) []byte { return append(dst, text...) })
	f.reads = append(f.reads, func(b []byte, _ *moment) int {
		if len(b) < len(text) || string(b[:len(text)]) != text {
			return -1
		}
		return len(text)
	})
}

// Append writes t, in its own zone, to dst.
func (f Format) Append(dst []byte, t time.Time) []byte {
	for _, p := range f.parts {
		dst = p(dst, t)
	}
	return dst
}

// Format writes t, in its own zone.
func (f Format) Format(t time.Time) string { return string(f.Append(nil, t)) }
