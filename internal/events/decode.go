package events

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// decoder reads lines of the history. Those that look as this package writes them, which
// is nearly all, it reads by itself, at a fraction of what encoding/json takes; the
// others it leaves to that. The zero value is ready; it is for one goroutine.
type decoder struct {
	line  []byte
	at    int               // where in line it is
	words map[string]string // texts that come again and again, once each
}

// maxWords bounds decoder.words.
const maxWords = 4096

// head reads what is at the head of a line: Seq, At, Type, ID and Name. It reports
// whether the line can be an event; rest reads the others.
func (d *decoder) head(line []byte, e *app.Event) bool {
	d.line, d.at, *e = line, 0, app.Event{}
	if n := len(line); n > 2 && line[n-2] == '}' && d.known(e) {
		return true
	}
	d.at, *e = -1, app.Event{}
	return json.Unmarshal(line, e) == nil
}

// rest reads what head has left of the same line. It reports whether it is an event.
func (d *decoder) rest(e *app.Event) bool {
	if d.at < 0 { // it is read
		return true
	}
	if d.others(e) {
		return true
	}
	*e = app.Event{}
	return json.Unmarshal(d.line, e) == nil
}

func (d *decoder) known(e *app.Event) bool {
	return d.skip(`{"seq":`) && d.unsigned(&e.Seq) &&
		d.skip(`,"at":`) && d.time(&e.At) &&
		d.skip(`,"type":`) && d.word((*string)(&e.Type)) &&
		d.skip(`,"id":`) && d.integer(&e.ID) &&
		d.skip(`,"name":`) && d.word(&e.Name)
}

// others reads the fields behind the name, in the order in which they are written.
func (d *decoder) others(e *app.Event) bool {
	if d.skip(`,"gen":`) && !d.unsigned(&e.Gen) || d.skip(`,"pid":`) && !d.integer(&e.PID) {
		return false
	}
	if d.skip(`,"exit":{`) {
		e.Exit = &app.Exit{}
		if !d.exit(e.Exit) {
			return false
		}
	}
	return (!d.skip(`,"detail":`) || d.text(&e.Detail)) &&
		(!d.skip(`,"by":`) || d.word(&e.By)) &&
		(!d.skip(`,"version":`) || d.word(&e.Version)) &&
		d.skip("}\n") && d.at == len(d.line)
}

func (d *decoder) exit(x *app.Exit) bool {
	return d.skip(`"code":`) && d.integer(&x.Code) &&
		(!d.skip(`,"signal":`) || d.word(&x.Signal)) &&
		(!d.skip(`,"oom":true`) || set(&x.OOM)) &&
		(!d.skip(`,"error":`) || d.text(&x.Error)) &&
		(!d.skip(`,"at":`) || d.time(&x.At)) &&
		(!d.skip(`,"uptime":`) || d.duration(&x.Uptime)) &&
		(!d.skip(`,"stderr":[`) || d.texts(&x.Stderr)) &&
		(!d.skip(`,"wanted":true`) || set(&x.Wanted)) &&
		(!d.skip(`,"pid":`) || d.integer(&x.PID)) &&
		(!d.skip(`,"started":`) || d.time(&x.Started)) &&
		d.skip("}")
}

func set(to *bool) bool {
	*to = true
	return true
}

// skip goes over a text, if it comes next.
func (d *decoder) skip(text string) bool {
	if end := d.at + len(text); end <= len(d.line) && string(d.line[d.at:end]) == text {
		d.at = end
		return true
	}
	return false
}

// unsigned reads a number of 18 digits at most.
func (d *decoder) unsigned(to *uint64) bool {
	from, n := d.at, uint64(0)
	for ; d.at < len(d.line) && d.line[d.at]-'0' <= 9; d.at++ {
		n = n*10 + uint64(d.line[d.at]-'0')
	}
	*to = n
	digits := d.at - from
	return digits == 1 || digits > 1 && digits <= 18 && d.line[from] != '0'
}

func (d *decoder) integer(to *int) bool {
	minus := d.skip("-")
	var n uint64
	if !d.unsigned(&n) {
		return false
	}
	if *to = int(n); minus {
		*to = -*to
	}
	return true
}

// quoted returns what is between the next quotes. It is plain if it stands for itself,
// and is with its quotes else.
func (d *decoder) quoted() (text []byte, plain, ok bool) {
	if !d.skip(`"`) {
		return nil, false, false
	}
	from, escaped, ascii := d.at, false, true
	for ; d.at < len(d.line); d.at++ {
		switch c := d.line[d.at]; {
		case c == '"':
			text = d.line[from:d.at]
			d.at++
			if escaped {
				return d.line[from-1 : d.at], false, true
			}
			return text, true, ascii || utf8.Valid(text)
		case c == '\\':
			escaped = true
			d.at++
		case c < ' ':
			return nil, false, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false, false
}

// text reads a text.
func (d *decoder) text(to *string) bool {
	text, plain, ok := d.quoted()
	if !ok {
		return false
	}
	if plain {
		*to = string(text)
		return true
	}
	return json.Unmarshal(text, to) == nil
}

// word reads a text that is likely to come again.
func (d *decoder) word(to *string) bool {
	text, plain, ok := d.quoted()
	if !ok {
		return false
	}
	if !plain {
		return json.Unmarshal(text, to) == nil
	}
	word, ok := d.words[string(text)]
	if !ok {
		if d.words == nil || len(d.words) >= maxWords {
			d.words = map[string]string{}
		}
		word = string(text)
		d.words[word] = word
	}
	*to = word
	return true
}

// texts reads a list of texts, of which the bracket that opens it is read.
func (d *decoder) texts(to *[]string) bool {
	for {
		var text string
		if !d.text(&text) {
			return false
		}
		if *to = append(*to, text); d.skip("]") {
			return true
		}
		if !d.skip(",") {
			return false
		}
	}
}

func (d *decoder) time(to *time.Time) bool {
	text, plain, ok := d.quoted()
	return ok && plain && to.UnmarshalText(text) == nil
}

func (d *decoder) duration(to *app.Duration) bool {
	text, plain, ok := d.quoted()
	if !ok || !plain {
		return false
	}
	var err error
	*to, err = app.ParseDuration(string(text))
	return err == nil
}
