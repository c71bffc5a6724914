// Package axm understands what an app that uses @pm2/io tells on its channel: the
// figures it reports, the actions it offers, how it is configured, and what an
// action has returned. It knows the messages, not who sends them.
package axm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"paceline/internal/app"
)

// Bounds of what one process may report. What exceeds them is left out.
const (
	MaxMetrics = 200
	MaxActions = 200
	MaxBytes   = 64 << 10 // of the figures, of the actions, and of the options, each
)

// Kind tells messages apart.
type Kind uint8

// The kinds of messages.
const (
	Other   Kind = iota // none of @pm2/io's, or one that only its listeners care about
	Monitor             // figures
	Action              // an action that is offered
	Options             // how it is configured
	Reply               // what an action has returned
)

var kinds = map[string]Kind{
	"axm:monitor": Monitor, "axm:action": Action, "axm:option:configuration": Options, "axm:reply": Reply,
}

// Message is a message of @pm2/io.
type Message struct {
	Kind Kind
	Data json.RawMessage // an object
}

// prefix is in each message that Parse knows, so that others cost one look.
var prefix = []byte(`axm:`)

// Parse reads a message that an app has sent. Those of other kinds are Other.
func Parse(message []byte) Message {
	if !bytes.Contains(message, prefix) {
		return Message{}
	}
	var m struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(message, &m) != nil || len(m.Data) == 0 || m.Data[0] != '{' {
		return Message{}
	}
	return Message{Kind: kinds[m.Type], Data: m.Data}
}

// Returned is the content of a Reply.
type Returned struct {
	Action string          `json:"action_name"`
	Return json.RawMessage `json:"return"` // null if the action returned nothing
}

// Returned reads a Reply; not ok: it names no action.
func (m Message) Returned() (r Returned, ok bool) {
	if m.Kind != Reply || json.Unmarshal(m.Data, &r) != nil {
		return Returned{}, false
	}
	if len(r.Return) == 0 {
		r.Return = json.RawMessage("null")
	}
	return r, r.Action != ""
}

// Call makes the message that has an app run an action.
func Call(action string, params *string) []byte {
	var v any = action
	if params != nil {
		v = struct {
			Msg  string `json:"msg"`
			Opts string `json:"opts"`
		}{action, *params}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("axm: strings cannot be encoded: " + err.Error())
	}
	return b
}

// Report is all that a process has told. It is a value: Add returns another one, so
// that whoever holds one may go on reading it.
type Report struct {
	metrics, actions, options fields
}

// fields are the members of an object in their order.
type fields struct {
	list  []field
	bytes int
}

type field struct {
	name  string
	value json.RawMessage
}

// ErrTooMuch says that something was left out of a report.
var ErrTooMuch = errors.New("the app reports more than is kept")

// Add takes in a Monitor, an Action or Options; other messages change nothing.
// Errors: ErrTooMuch, and that the message is malformed; the rest of it counts.
func (r Report) Add(m Message) (Report, error) {
	switch m.Kind {
	case Monitor:
		return r, r.metrics.merge(m.Data, MaxMetrics)
	case Options:
		return r, r.options.merge(m.Data, MaxMetrics)
	case Action:
		var a struct {
			Name string `json:"action_name"`
		}
		if err := json.Unmarshal(m.Data, &a); err != nil || a.Name == "" {
			return r, errors.New("the app offers an action without a name")
		}
		return r, r.actions.with([]field{{a.Name, m.Data}}, MaxActions)
	}
	return r, nil
}

// merge takes in the members of an object.
func (f *fields) merge(object json.RawMessage, most int) error {
	members, err := membersOf(object)
	if err != nil {
		return fmt.Errorf("the app reports what cannot be read: %w", err)
	}
	return f.with(members, most)
}

// with replaces or adds members, and leaves what others hold of f as it is.
func (f *fields) with(members []field, most int) (err error) {
	next := fields{list: append(make([]field, 0, len(f.list)+len(members)), f.list...), bytes: f.bytes}
	at := make(map[string]int, len(next.list))
	for i, old := range next.list {
		at[old.name] = i
	}
	for _, m := range members {
		value, buf := m.value, bytes.Buffer{}
		if json.Compact(&buf, value) == nil {
			value = buf.Bytes()
		}
		i, known := at[m.name]
		size := next.bytes + len(m.name) + len(value)
		if known {
			size -= len(m.name) + len(next.list[i].value)
		}
		switch {
		case size > MaxBytes, !known && len(next.list) == most:
			err = ErrTooMuch
			continue
		case known:
			next.list[i].value = value
		default:
			at[m.name] = len(next.list)
			next.list = append(next.list, field{m.name, value})
		}
		next.bytes = size
	}
	*f = next
	return err
}

// membersOf returns the members of an object in their order.
func membersOf(object json.RawMessage) (list []field, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("not an object"), err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return list, err
		}
		name, ok := t.(string)
		if !ok {
			return list, fmt.Errorf("%v is no name", t)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return list, err
		}
		list = append(list, field{name, value})
	}
	return list, nil
}

// Empty reports whether the process has told nothing.
func (r Report) Empty() bool {
	return len(r.metrics.list) == 0 && len(r.actions.list) == 0 && len(r.options.list) == 0
}

// Actions returns the names of the actions, those of the app before @pm2/io's own.
func (r Report) Actions() []string {
	var own, internal []string
	for _, f := range r.actions.list {
		if strings.HasPrefix(f.name, "km:") {
			internal = append(internal, f.name)
		} else {
			own = append(own, f.name)
		}
	}
	return append(own, internal...)
}

// Metrics returns the figures in the order of their first report.
func (r Report) Metrics() (list []app.Metric) {
	for _, f := range r.metrics.list {
		m := app.Metric{Name: f.name, Value: text(f.value)}
		var full struct {
			Value json.RawMessage `json:"value"`
			Unit  any             `json:"unit"`
		}
		if f.value[0] == '{' && json.Unmarshal(f.value, &full) == nil {
			m.Value = text(full.Value)
			m.Unit, _ = full.Unit.(string)
		}
		list = append(list, m)
	}
	return list
}

// text shows a JSON value: a string without its quotes.
func text(value json.RawMessage) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s
	}
	return string(value)
}

// Raw returns the report in PM2's shapes.
func (r Report) Raw() app.AXM {
	actions := make([]json.RawMessage, len(r.actions.list))
	for i, f := range r.actions.list {
		actions[i] = f.value
	}
	return app.AXM{
		Actions: append(append(json.RawMessage{'['}, bytes.Join(bare(actions), []byte{','})...), ']'),
		Monitor: r.metrics.object(), Options: r.options.object(),
	}
}

func bare(list []json.RawMessage) [][]byte {
	out := make([][]byte, len(list))
	for i, b := range list {
		out[i] = b
	}
	return out
}

func (f fields) object() json.RawMessage {
	b := json.RawMessage{'{'}
	for i, m := range f.list {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			panic("axm: a string cannot be encoded: " + err.Error())
		}
		b = append(append(append(b, name...), ':'), m.value...)
	}
	return append(b, '}')
}

// saved is what of a report a process does not tell again.
type saved struct {
	Actions []json.RawMessage `json:"actions"`
	Options json.RawMessage   `json:"options"`
}

// Encode returns the part of the report that the process will not tell again:
// actions and options. Figures come anew every second.
func (r Report) Encode() []byte {
	raw := r.Raw() // put together by hand: json.Marshal would write some characters in another way
	return slices.Concat([]byte(`{"actions":`), raw.Actions, []byte(`,"options":`), raw.Options, []byte{'}'})
}

// Decode reads what Encode wrote.
func Decode(b []byte) (r Report, err error) {
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return Report{}, fmt.Errorf("read report: %w", err)
	}
	for _, a := range s.Actions {
		next, addErr := r.Add(Message{Action, a})
		r, err = next, errors.Join(err, addErr)
	}
	if len(s.Options) > 0 {
		next, addErr := r.Add(Message{Options, s.Options})
		r, err = next, errors.Join(err, addErr)
	}
	return r, err
}
