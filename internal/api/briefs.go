package api

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// Briefs is a list of statuses that Brief has returned, as it goes over the wire.
// Its JSON is that of a []app.Status; but `pace list` of 500 instances is to take
// 10 ms in all, of which encoding/json takes 3, for both sides. So what a daemon
// usually writes is written and read by hand here, and everything else, down to
// blanks between two values, is left to encoding/json.
type Briefs []app.Status

// AppendJSON appends what json.Marshal returns for a []app.Status.
func (l Briefs) AppendJSON(b []byte) []byte {
	b = append(b, '[')
	for i := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBrief(b, &l[i])
	}
	return append(b, ']')
}

func appendBrief(b []byte, s *app.Status) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), int64(s.ID), 10)
	b = appendText(append(b, `,"name":`...), s.Name)
	b = strconv.AppendInt(append(b, `,"index":`...), int64(s.Index), 10)
	b = appendText(append(b, `,"mode":`...), string(s.Mode))
	if s.Balance != "" {
		b = appendText(append(b, `,"balance":`...), string(s.Balance))
	}
	if s.BalanceReason != "" {
		b = appendText(append(b, `,"balance_reason":`...), s.BalanceReason)
	}
	b = appendText(append(b, `,"state":`...), string(s.State))
	if s.Ready {
		b = append(b, `,"ready":true`...)
	}
	if s.OutOfRotation {
		b = append(b, `,"out_of_rotation":true`...)
	}
	if s.PID != 0 {
		b = strconv.AppendInt(append(b, `,"pid":`...), int64(s.PID), 10)
	}
	b = strconv.AppendInt(append(b, `,"restarts":`...), int64(s.Restarts), 10)
	if s.Unstable != 0 {
		b = strconv.AppendInt(append(b, `,"unstable":`...), int64(s.Unstable), 10)
	}
	b = appendTime(b, `,"started_at":`, s.StartedAt)
	if len(s.Ports) > 0 {
		before := `,"ports":[`
		for _, port := range s.Ports {
			b = appendText(append(b, before...), port)
			before = ","
		}
		b = append(b, ']')
	}
	if s.LastExit != nil {
		b = appendAny(append(b, `,"last_exit":`...), s.LastExit)
	}
	b = appendTime(b, `,"next_restart":`, s.NextRestart)
	b = appendTime(b, `,"next_run":`, s.NextRun)
	if s.Reason != "" {
		b = appendText(append(b, `,"reason":`...), s.Reason)
	}
	if s.Draining {
		b = append(b, `,"draining":true`...)
	}
	b = appendFloat(append(b, `,"cpu":`...), s.CPU)
	if s.MemoryBytes != 0 {
		b = strconv.AppendUint(append(b, `,"memory_bytes":`...), s.MemoryBytes, 10)
	}
	return append(b, '}')
}

// appendText appends a string; what must be escaped is left to encoding/json.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			return appendAny(b, text)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

// appendTime appends a member, unless t is zero.
func appendTime(b []byte, member string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = append(append(b, member...), '"')
	return append(t.AppendFormat(b, time.RFC3339Nano), '"')
}

// appendFloat appends a number; the forms with an exponent are left to encoding/json.
func appendFloat(b []byte, f float64) []byte {
	if size := math.Abs(f); f != 0 && !(size >= 1e-6 && size < 1e21) {
		return appendAny(b, f)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// appendAny appends a value that can always be encoded.
func appendAny(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // a number that is none
		text = []byte("null")
	}
	return append(b, text...)
}

// decode reads a list as json.Unmarshal does into a nil []app.Status.
func (l *Briefs) decode(data []byte) error {
	r := briefReader{data: data, text: string(data)}
	if list := r.list(); !r.other {
		*l = list
		return nil
	}
	var list []app.Status
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*l = list
	return nil
}

// briefReader reads what AppendJSON writes. The strings that it returns are parts
// of text.
type briefReader struct {
	data  []byte
	text  string // the same
	at    int
	other bool // it is something else, so that nothing of it counts
}

func (r *briefReader) list() Briefs {
	list := make(Briefs, 0, strings.Count(r.text, `{"id":`))
	r.want('[')
	if !r.next(']') {
		for more := true; more && !r.other; more = r.next(',') {
			list = append(list, app.Status{})
			r.status(&list[len(list)-1])
		}
		r.want(']')
	}
	r.other = r.other || r.at != len(r.text)
	return list
}

func (r *briefReader) status(s *app.Status) {
	r.want('{')
	for more := true; more && !r.other; more = r.next(',') {
		key := r.string()
		r.want(':')
		r.member(key, s)
	}
	r.want('}')
}

func (r *briefReader) member(key string, s *app.Status) {
	switch key {
	case "id":
		s.ID = r.integer()
	case "name":
		s.Name = r.string()
	case "index":
		s.Index = r.integer()
	case "mode":
		s.Mode = app.Mode(r.string())
	case "balance":
		s.Balance = app.Balance(r.string())
	case "balance_reason":
		s.BalanceReason = r.string()
	case "state":
		s.State = app.State(r.string())
	case "ready":
		s.Ready = r.yes()
	case "out_of_rotation":
		s.OutOfRotation = r.yes()
	case "pid":
		s.PID = r.integer()
	case "restarts":
		s.Restarts = r.integer()
	case "unstable":
		s.Unstable = r.integer()
	case "started_at":
		r.any(&s.StartedAt)
	case "ports":
		s.Ports = r.strings()
	case "last_exit":
		if s.LastExit == nil {
			s.LastExit = new(app.Exit)
		}
		r.any(s.LastExit)
	case "next_restart":
		r.any(&s.NextRestart)
	case "next_run":
		r.any(&s.NextRun)
	case "reason":
		s.Reason = r.string()
	case "draining":
		s.Draining = r.yes()
	case "cpu":
		s.CPU = r.float()
	case "memory_bytes":
		s.MemoryBytes = r.unsigned()
	default: // of another version
		r.other = true
	}
}

// next reports whether c comes next, and passes it.
func (r *briefReader) next(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *briefReader) want(c byte) { r.other = !r.next(c) || r.other }

func (r *briefReader) string() string {
	r.want('"')
	from := r.at
	for ascii := true; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			text := r.text[from:r.at]
			r.at++
			r.other = r.other || !ascii && !utf8.ValidString(text)
			return text
		case c == '\\':
			var text string
			r.at = from - 1
			r.any(&text)
			return text
		case c < ' ':
			r.other = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.other = true
	return ""
}

func (r *briefReader) strings() []string {
	list := []string{}
	r.want('[')
	for more := true; more && !r.other; more = r.next(',') {
		list = append(list, r.string())
	}
	r.want(']')
	return list
}

// yes is true: what is not is left out.
func (r *briefReader) yes() bool {
	yes := strings.HasPrefix(r.text[r.at:], "true")
	r.at += len("true")
	r.other = r.other || !yes
	return yes
}

// number is a token of digits and what may stand between them.
func (r *briefReader) number(between string) string {
	from := r.at
	for r.at < len(r.text) && (r.text[r.at] >= '0' && r.text[r.at] <= '9' || strings.IndexByte(between, r.text[r.at]) >= 0) {
		r.at++
	}
	token := r.text[from:r.at]
	if len(token) > 1 && token[0] == '0' && token[1] != '.' || strings.HasSuffix(token, ".") || strings.HasPrefix(token, ".") {
		r.other = true
	}
	return token
}

func (r *briefReader) integer() int {
	n, err := strconv.Atoi(r.number(""))
	r.other = r.other || err != nil
	return n
}

func (r *briefReader) unsigned() uint64 {
	n, err := strconv.ParseUint(r.number(""), 10, 64)
	r.other = r.other || err != nil
	return n
}

func (r *briefReader) float() float64 {
	f, err := strconv.ParseFloat(r.number("."), 64)
	r.other = r.other || err != nil
	return f
}

// any reads a string or an object as encoding/json does.
func (r *briefReader) any(into any) {
	from, depth, quoted := r.at, 0, false
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case quoted && c == '\\':
			r.at++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
		if depth <= 0 && !quoted { // the end of one value, or no value at all
			r.at++
			break
		}
	}
	end := min(r.at, len(r.data))
	var err error
	if t, ok := into.(*time.Time); ok {
		err = t.UnmarshalJSON(r.data[from:end]) // which json.Unmarshal calls after a look at it
	} else {
		err = json.Unmarshal(r.data[from:end], into)
	}
	r.other = r.other || err != nil
}
