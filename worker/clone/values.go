package clone

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// Undefined is JavaScript's undefined; null is nil.
type Undefined struct{}

// Date is a Date of JavaScript: milliseconds since 1970 in UTC, NaN if invalid.
type Date struct {
	Milliseconds float64
}

// Time is the date in UTC, and false if it is invalid.
func (d *Date) Time() (time.Time, bool) {
	// 8.64e15 is the last millisecond that a Date can hold (ECMA-262, Time Values).
	if math.IsNaN(d.Milliseconds) || math.Abs(d.Milliseconds) > 8.64e15 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(d.Milliseconds)).UTC(), true
}

// RegExp is a regular expression of JavaScript, whose syntax is not Go's.
type RegExp struct {
	Source string
	Flags  string // letters of "dgimsuvy", in any order
}

// Boxed is an object around a primitive value, as new Number(1) makes it.
type Boxed struct {
	Value any // bool, float64, string or *big.Int
}

// Array is an array that a slice cannot express: one with holes, or with
// properties that are not elements.
type Array struct {
	Length   uint32
	Elements map[uint32]any // those that are there; all below Length
	Named    Object         // the other properties
}

// Property is a property of an [Object].
type Property struct {
	Key   string
	Value any
}

// Object is a plain object that keeps the order of its properties. Its zero
// value is empty and ready to use. It is not safe for concurrent changes.
type Object struct {
	properties []Property
	index      map[string]int // place of each key; nil while there are few
}

// indexFrom is the number of properties from which an Object keeps an index.
const indexFrom = 9

// NewObject returns an object with the properties in that order.
func NewObject(properties ...Property) *Object {
	o := &Object{}
	for _, p := range properties {
		o.Set(p.Key, p.Value)
	}
	return o
}

func (o *Object) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range o.properties {
		if o.properties[i].Key == key {
			return i
		}
	}
	return -1
}

// Len is the number of properties.
func (o *Object) Len() int { return len(o.properties) }

// Get is the value of a property, and whether there is one.
func (o *Object) Get(key string) (any, bool) {
	if i := o.find(key); i >= 0 {
		return o.properties[i].Value, true
	}
	return nil, false
}

// Set changes a property in its place, or adds it at the end.
func (o *Object) Set(key string, value any) {
	if i := o.find(key); i >= 0 {
		o.properties[i].Value = value
		return
	}
	o.properties = append(o.properties, Property{key, value})
	switch n := len(o.properties); {
	case o.index != nil:
		o.index[key] = n - 1
	case n == indexFrom:
		o.reindex()
	}
}

// Delete removes a property and says whether there was one.
func (o *Object) Delete(key string) bool {
	i := o.find(key)
	if i < 0 {
		return false
	}
	o.properties = slices.Delete(o.properties, i, i+1)
	if o.index != nil {
		o.reindex()
	}
	return true
}

func (o *Object) reindex() {
	o.index = make(map[string]int, len(o.properties))
	for i := range o.properties {
		o.index[o.properties[i].Key] = i
	}
}

// All are the properties in their order.
func (o *Object) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, p := range o.properties {
			if !yield(p.Key, p.Value) {
				return
			}
		}
	}
}

// Map is a Map of JavaScript: any keys, in the order they were added. Keys are
// the same as JavaScript sees it: NaN is NaN, 0 is -0, every number of Go is the
// number of JavaScript with its value, and what has an identity (a pointer, a map,
// a slice) is the same only as itself. Its zero value is empty and ready to use.
// It is not safe for concurrent changes.
type Map struct {
	list table
}

// Len is the number of entries.
func (m *Map) Len() int { return m.list.live }

// Get is the value of a key, and whether there is one.
func (m *Map) Get(key any) (any, bool) {
	if i, ok := m.list.find(key); ok {
		return m.list.entries[i].value, true
	}
	return nil, false
}

// Has says whether the key is there.
func (m *Map) Has(key any) bool {
	_, ok := m.list.find(key)
	return ok
}

// Set changes the value of a key in its place, or adds it at the end.
func (m *Map) Set(key, value any) { m.list.set(key, value) }

// Delete removes a key and says whether it was there.
func (m *Map) Delete(key any) bool { return m.list.remove(key) }

// All are the entries in the order they were added.
func (m *Map) All() iter.Seq2[any, any] { return m.list.all }

// Set is a Set of JavaScript: its values are compared as the keys of a [Map]. Its
// zero value is empty and ready to use. It is not safe for concurrent changes.
type Set struct {
	list table
}

// NewSet returns a set of the values in that order.
func NewSet(values ...any) *Set {
	s := &Set{}
	for _, v := range values {
		s.Add(v)
	}
	return s
}

// Len is the number of values.
func (s *Set) Len() int { return s.list.live }

// Has says whether the value is there.
func (s *Set) Has(value any) bool {
	_, ok := s.list.find(value)
	return ok
}

// Add adds a value at the end, if it is not there.
func (s *Set) Add(value any) {
	if !s.Has(value) {
		s.list.set(value, nil)
	}
}

// Delete removes a value and says whether it was there.
func (s *Set) Delete(value any) bool { return s.list.remove(value) }

// All are the values in the order they were added.
func (s *Set) All() iter.Seq[any] {
	return func(yield func(any) bool) {
		s.list.all(func(v, _ any) bool { return yield(v) })
	}
}

// ErrorValue is an error as it looks on the other side: a copy of an Error of
// JavaScript, or of an error of Go whose type cannot be copied.
type ErrorValue struct {
	Name    string // "Error", "TypeError", ...; "" is "Error"
	Message string
	Stack   string // "" if there is none
	Cause   any    // nil if there is none: another *ErrorValue, or any value
}

// Error is the message, after the name unless that is a plain "Error".
func (e *ErrorValue) Error() string {
	switch {
	case e.Name == "" || e.Name == "Error":
		return e.Message
	case e.Message == "":
		return e.Name
	}
	return e.Name + ": " + e.Message
}

// Unwrap is the cause, or the causes, that are errors.
func (e *ErrorValue) Unwrap() []error {
	switch cause := e.Cause.(type) {
	case error:
		return []error{cause}
	case []any:
		var list []error
		for _, c := range cause {
			if err, ok := c.(error); ok {
				list = append(list, err)
			}
		}
		return list
	}
	return nil
}

// Error says why a value cannot be copied, read or written. It is the counterpart
// of JavaScript's DataCloneError.
type Error struct {
	Path   string // where it is, as "value.user.onClick"; "" if that has no meaning
	Reason string // what is wrong with it
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Path, e.Reason)
}
