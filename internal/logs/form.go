package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/dayjs"
)

// Form says in which form the lines of a stream are written to a file.
type Form struct {
	// Date is the format of each line's time, in the tokens of day.js. Without JSON it
	// stands before the line, with a colon and a blank behind it: "12:30: text".
	Date string `json:",omitempty"`
	// JSON writes an object for each line: message (with its newline, as PM2 writes
	// it), timestamp (by Date, or the ISO form in UTC), type, process_id, app_name. A
	// line that is longer than a pipe holds becomes several objects, the last of which
	// has the newline. Bytes that are not UTF-8 become U+FFFD.
	JSON   bool   `json:",omitempty"`
	Stream string `json:",omitempty"` // JSON's type: "out" or "err"
	ID     int    `json:",omitempty"` // JSON's process_id
	Name   string `json:",omitempty"` // JSON's app_name
}

// form is a Form that has been read. A nil one leaves lines as they are.
type form struct {
	date dayjs.Format
	iso  bool   // no date format was given
	json bool   // else the time is a prefix
	tail string // of an object, from the end of its timestamp on
}

// The parts of an object before and after its message.
const (
	jsonHead = `{"message":"`
	jsonTime = `","timestamp":"`
)

// newForm reads a Form; nil and the zero value are nil.
func newForm(spec *Form) (*form, error) {
	if spec == nil || spec.Date == "" && !spec.JSON {
		return nil, nil //nolint:nilnil // nil is the form of plain lines
	}
	f := &form{json: spec.JSON, iso: spec.Date == ""}
	if !f.iso {
		var err error
		if f.date, err = dayjs.Parse(spec.Date); err != nil {
			return nil, err
		}
	}
	if f.json {
		stream, err := json.Marshal(spec.Stream)
		if err != nil {
			return nil, fmt.Errorf("write JSON: %w", err)
		}
		name := appendQuoted(nil, []byte(spec.Name))
		f.tail = fmt.Sprintf(`","type":%s,"process_id":%d,"app_name":"%s"}`+"\n", stream, spec.ID, name)
	}
	return f, nil
}

func (f *form) isJSON() bool { return f != nil && f.json }

// Message returns the message of a line that Form.JSON has written, without its
// newline; any other line as it is.
func Message(line string) string {
	var object struct {
		Message *string `json:"message"`
	}
	if json.Unmarshal([]byte(line), &object) != nil || object.Message == nil {
		return line
	}
	return strings.TrimSuffix(*object.Message, "\n")
}

// stamp returns the time as it is written for each line of a burst.
func (f *form) stamp(now time.Time) string {
	switch {
	case f == nil:
		return ""
	case f.json && f.iso:
		return now.UTC().Format(dayjs.ISO)
	case f.json:
		return string(appendQuoted(nil, f.date.Append(nil, now)))
	}
	return f.date.Format(now) + ": "
}

// width returns the length of the prefix of a line.
func (f *form) width(now time.Time) int {
	if f == nil || f.json {
		return 0
	}
	return len(f.stamp(now))
}

// frame returns how long an object with an empty message is.
func (f *form) frame(now time.Time) int {
	return len(jsonHead) + len(jsonTime) + len(f.stamp(now)) + len(f.tail)
}

// append adds block to dst in this form; mid says that it begins within a line.
func (f *form) append(dst, block []byte, now time.Time, mid bool) []byte {
	switch {
	case f == nil:
		return append(dst, block...)
	case !f.json:
		return appendStamped(dst, block, f.stamp(now), mid)
	}
	end := jsonTime + f.stamp(now) + f.tail
	for line := range bytes.Lines(block) {
		dst = append(dst, jsonHead...)
		dst = appendQuoted(dst, line)
		dst = append(dst, end...)
	}
	return dst
}

// size returns how long block is in this form.
func (f *form) size(block []byte, now time.Time, mid bool) int64 {
	if !f.isJSON() {
		return stampedBytes(block, f.width(now), mid)
	}
	n, frame := int64(0), f.frame(now)
	for line := range bytes.Lines(block) {
		n += int64(frame + quotedBytes(line))
	}
	return n
}

// lines returns the length of the whole lines of block that fit into limit bytes.
func (f *form) lines(block []byte, limit int64, now time.Time, mid bool) int {
	if !f.isJSON() {
		return wholeLines(block, limit, f.width(now), mid)
	}
	taken, frame := 0, f.frame(now)
	for line := range bytes.Lines(block) {
		if limit -= int64(frame + quotedBytes(line)); limit < 0 || line[len(line)-1] != '\n' {
			break
		}
		taken += len(line)
	}
	return taken
}

// piece returns how many bytes of a line always fit into limit.
func (f *form) piece(limit int, now time.Time) int {
	if f.json {
		return max((limit-f.frame(now))/quotedMost, 1)
	}
	return max(limit-f.width(now), 1)
}

// portion returns what of b is written in one go: not much more than maxStamped.
func (f *form) portion(b []byte, now time.Time) []byte {
	if f.size(b, now, false) <= maxStamped {
		return b
	}
	n := f.lines(b, maxStamped, now, false)
	if n == 0 {
		n = min(len(b), f.piece(maxStamped, now))
	}
	return b[:n]
}

// unbroken returns how much of a text that could not be written to its end stays:
// half an object is none.
func (f *form) unbroken(text []byte) int {
	if !f.json {
		return len(text)
	}
	return bytes.LastIndexByte(text, '\n') + 1
}

// raw returns how many bytes of block are in text, the beginning of what append has
// made of it.
func (f *form) raw(text, block []byte, now time.Time, mid bool) int {
	if !f.json {
		return rawBytes(text, f.width(now), mid)
	}
	return endOfLines(block, bytes.Count(text, []byte{'\n'}))
}

// shortened returns how long the part of a text of objects is that holds the whole
// lines of raw, and the object of the line that raw ends within, as it is without the
// rest of that line; nil if there is none.
func shortened(text, raw []byte) (end int, last []byte) {
	whole := bytes.LastIndexByte(raw, '\n') + 1
	end = endOfLines(text, bytes.Count(raw, []byte{'\n'}))
	rest := raw[whole:]
	object, _, found := bytes.Cut(text[end:], []byte{'\n'})
	if len(rest) == 0 || !found || !bytes.HasPrefix(object, []byte(jsonHead)) {
		return end, nil
	}
	at := len(jsonHead) // of the quote that ends the message
	for at < len(object) && object[at] != '"' {
		if object[at] == '\\' {
			at++
		}
		at++
	}
	if at >= len(object) {
		return end, nil
	}
	last = appendQuoted([]byte(jsonHead), rest)
	return end, append(append(last, object[at:]...), '\n')
}

// endOfLines returns the length of the first n lines of text, the last of which may
// lack its newline.
func endOfLines(text []byte, n int) int {
	end := 0
	for line := range bytes.Lines(text) {
		if n--; n < 0 {
			break
		}
		end += len(line)
	}
	return end
}

// wholeRunes leaves out the beginning of a character whose end is still to come.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i < len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// maxStamped bounds what a block may grow to by its form.
const maxStamped = 1 << 20

// quotedMost is how many bytes one byte of text may become in JSON.
const quotedMost = 6

// appendQuoted adds text as it stands between the quotes of a JSON string, as
// JavaScript's JSON.stringify writes it.
func appendQuoted(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	for len(text) > 0 {
		c := text[0]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(text)
			dst = utf8.AppendRune(dst, r)
			text = text[n:]
			continue
		}
		text = text[1:]
		switch short := shortEscape(c); {
		case short != 0:
			dst = append(dst, '\\', short)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// quotedBytes returns how many bytes appendQuoted adds.
func quotedBytes(text []byte) (n int) {
	for len(text) > 0 {
		c := text[0]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text)
			n += utf8.RuneLen(r)
			text = text[size:]
			continue
		}
		text = text[1:]
		switch {
		case shortEscape(c) != 0:
			n += 2
		case c < ' ':
			n += 6
		default:
			n++
		}
	}
	return n
}

// shortEscape returns the letter behind the backslash, 0 if there is none.
func shortEscape(c byte) byte {
	switch c {
	case '"', '\\':
		return c
	case '\n':
		return 'n'
	case '\r':
		return 'r'
	case '\t':
		return 't'
	case '\b':
		return 'b'
	case '\f':
		return 'f'
	}
	return 0
}
