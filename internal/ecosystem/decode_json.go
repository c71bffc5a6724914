package ecosystem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// decodeJSON reads strict JSON. Errors: *syntaxError, errDepth, errValues.
func decodeJSON(data []byte) (value, error) {
	r := jsonReader{data: data, lines: lineCounter{data: data, line: 1}, d: json.NewDecoder(bytes.NewReader(data))}
	r.d.UseNumber()
	v, err := r.value(0)
	if err == nil {
		if _, end := r.d.Token(); !errors.Is(end, io.EOF) {
			err = r.fail(errors.New("something follows the value"))
		}
	}
	if err != nil {
		return value{}, err
	}
	return v, nil
}

type jsonReader struct {
	data   []byte
	lines  lineCounter
	d      *json.Decoder
	budget budget
}

func (r *jsonReader) value(depth int) (value, error) {
	if err := r.budget.take(depth); err != nil {
		return value{}, err
	}
	t, err := r.d.Token()
	if err != nil {
		return value{}, r.fail(err)
	}
	v := value{line: r.lines.at(r.d.InputOffset())}
	switch t := t.(type) {
	case nil:
	case bool:
		v.kind, v.text = boolean, strconv.FormatBool(t)
	case json.Number:
		v.kind, v.text = number, t.String()
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if t == '[' {
			return v, r.list(&v, depth)
		}
		return v, r.object(&v, depth)
	}
	return v, nil
}

func (r *jsonReader) list(v *value, depth int) error {
	v.kind = list
	for r.d.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	return r.close()
}

func (r *jsonReader) object(v *value, depth int) error {
	v.kind = object
	for r.d.More() {
		t, err := r.d.Token()
		if err != nil {
			return r.fail(err)
		}
		key, ok := t.(string)
		if !ok {
			return r.fail(fmt.Errorf("%v is not a key", t))
		}
		line := r.lines.at(r.d.InputOffset())
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.members = append(v.members, member{key, item, line})
	}
	return r.close()
}

// close reads the bracket at the end.
func (r *jsonReader) close() error {
	if _, err := r.d.Token(); err != nil {
		return r.fail(err)
	}
	return nil
}

// fail gives an error of the decoder its place.
func (r *jsonReader) fail(err error) error {
	at, message := r.d.InputOffset(), err.Error()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok && e.Offset > 0 {
		at = e.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		at, message = int64(len(r.data)), "the text ends too early"
	}
	at = min(at, int64(len(r.data)))
	line := 1 + bytes.Count(r.data[:at], []byte("\n"))
	column := int(at) - bytes.LastIndexByte(r.data[:at], '\n') - 1
	return &syntaxError{line: line, column: max(column, 1), message: message}
}

// lineCounter tells lines of offsets that only grow.
type lineCounter struct {
	data []byte
	seen int64
	line int
}

func (l *lineCounter) at(offset int64) int {
	if offset > l.seen {
		l.line += bytes.Count(l.data[l.seen:offset], []byte("\n"))
		l.seen = offset
	}
	return l.line
}
