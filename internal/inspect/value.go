// Package inspect writes values as JavaScript does: as JSON in the order of their
// members, and as Node's util.inspect prints them.
//
// A value is nil, a bool, a string, an int, int64, uint64 or float64, an Object, or
// a list: []any, []string or []int.
package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Object is an object whose members keep their order.
type Object []Member

// Member is one member of an Object.
type Member struct {
	Key   string
	Value any
}

// Get returns the value of a member, and whether there is one.
func (o Object) Get(key string) (any, bool) {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value, true
		}
	}
	return nil, false
}

// MarshalJSON makes an Object a part of what encoding/json writes.
func (o Object) MarshalJSON() ([]byte, error) { return AppendJSON(nil, o), nil }

// AppendJSON appends v as JSON without blanks, as JSON.stringify writes it. It
// panics if v, or something in it, is none of the package's values.
func AppendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case Object:
		b = append(b, '{')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, v[i].Key)
			b = append(b, ':')
			b = AppendJSON(b, v[i].Value)
		}
		return append(b, '}')
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	case []int:
		return appendList(b, v)
	}
	return append(b, number(v)...)
}

func appendList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSON(b, list[i])
	}
	return append(b, ']')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("inspect: a string cannot be JSON: " + err.Error()) // every string can
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}

// number writes a number as JavaScript does.
func number(v any) string {
	switch v := v.(type) {
	case int:
		return strconv.Itoa(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		b, err := json.Marshal(v) // ES6's rule, but for what has no place in JSON
		if err != nil {
			return "null"
		}
		return string(b)
	}
	panic(fmt.Sprintf("inspect: %T is no value", v))
}
