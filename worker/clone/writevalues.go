package clone

import (
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// written is a type of this package that knows how it is written. It is not nil.
type written interface {
	// writeTo writes the object, which has its number.
	writeTo(w *writer) error
}

func (w *writer) own(v written, r reflect.Value) error {
	if _, ok := v.(*View); ok { // begins with its buffer
		return v.writeTo(w)
	}
	if w.object(reference{at: r.UnsafePointer(), of: r.Type()}) {
		return nil
	}
	return v.writeTo(w)
}

func (d *Date) writeTo(w *writer) error {
	w.tag(tagDate)
	w.bits(d.Milliseconds)
	return nil
}

// date writes a time, of which milliseconds are left.
func (w *writer) date(t time.Time) error {
	w.fresh()
	d := Date{Milliseconds: float64(t.UnixMilli())}
	if _, ok := d.Time(); !ok {
		return &Error{Reason: fmt.Sprintf("the time %v is beyond what a Date can hold", t)}
	}
	return d.writeTo(w)
}

func (r *RegExp) writeTo(w *writer) error {
	w.tag(tagRegExp)
	if err := w.string(r.Source); err != nil {
		return err
	}
	bits := uint64(0)
	for _, f := range r.Flags {
		i := strings.IndexRune(regExpFlags, f)
		if i < 0 || f == '?' {
			return &Error{Reason: fmt.Sprintf("unknown flag %q of a regular expression", f)}
		}
		bits |= 1 << i
	}
	w.varint(bits)
	return nil
}

func (b *Boxed) writeTo(w *writer) error {
	switch v := b.Value.(type) {
	case bool:
		if v {
			w.tag(tagTrueObject)
		} else {
			w.tag(tagFalseObject)
		}
	case float64:
		w.tag(tagNumberObject)
		w.bits(v)
	case string:
		w.tag(tagStringObject)
		return w.string(v)
	case *big.Int:
		if v == nil {
			v = new(big.Int)
		}
		w.tag(tagBigIntObject)
		w.bigInt(v)
	default:
		return &Error{Reason: fmt.Sprintf("a %T cannot be boxed: only a bool, float64, string or *big.Int", b.Value)}
	}
	return nil
}

func (a *Array) writeTo(w *writer) error {
	w.tag(tagSparse)
	w.varint(uint64(a.Length))
	for _, i := range slices.Sorted(maps.Keys(a.Elements)) {
		if i >= a.Length {
			return below(indexStep(int(i)), &Error{Reason: fmt.Sprintf("the array has a length of %d", a.Length)})
		}
		w.number(float64(i))
		if err := w.any(a.Elements[i]); err != nil {
			return below(indexStep(int(i)), err)
		}
	}
	for k, v := range a.Named.All() {
		if err := w.key(k); err != nil {
			return err
		}
		if err := w.any(v); err != nil {
			return below(keyStep(k), err)
		}
	}
	w.tag(tagSparseEnd)
	w.varint(uint64(len(a.Elements) + a.Named.Len()))
	w.varint(uint64(a.Length))
	return nil
}

func (o *Object) writeTo(w *writer) error { return w.properties(o.Len(), o.All()) }

func (m *Map) writeTo(w *writer) error {
	w.tag(tagMap)
	for k, v := range m.All() {
		if err := w.any(k); err != nil {
			return below("[key "+brief(k)+"]", err)
		}
		if err := w.any(v); err != nil {
			return below(keyStep(k), err)
		}
	}
	w.tag(tagMapEnd)
	return w.length(2 * m.Len())
}

func (s *Set) writeTo(w *writer) error {
	w.tag(tagSet)
	i := 0
	for v := range s.All() {
		if err := w.any(v); err != nil {
			return below(indexStep(i), err)
		}
		i++
	}
	w.tag(tagSetEnd)
	return w.length(s.Len())
}

func (b *ArrayBuffer) writeTo(w *writer) error {
	if b.detached {
		return &Error{Reason: "*clone.ArrayBuffer is detached: it has been transferred"}
	}
	limit, resizable := b.MaxLen()
	if resizable {
		w.tag(tagResizable)
	} else {
		w.tag(tagBuffer)
	}
	if err := w.length(b.Len()); err != nil {
		return err
	}
	if resizable {
		w.varint(uint64(limit))
	}
	w.out = append(w.out, b.data...)
	return nil
}

func (v *View) writeTo(w *writer) error {
	r := reflect.ValueOf(v)
	return w.view(v, reference{at: r.UnsafePointer(), of: r.Type()})
}

// view writes a view after its buffer, or a reference to that.
func (w *writer) view(v *View, key reference) error {
	if id, ok := w.known.get(key); ok {
		w.tag(tagReference)
		w.varint(uint64(id))
		return nil
	}
	size := v.Kind.ElementSize()
	switch {
	case v.Buffer == nil, v.Bytes() == nil && (v.ByteLength != 0 || v.ByteOffset != 0 || v.Buffer.detached):
		return &Error{Reason: fmt.Sprintf("a %v reaches beyond its buffer, or that has been transferred", v.Kind)}
	case int(v.Kind) >= len(kinds) || v.ByteOffset%size != 0 || v.ByteLength%size != 0:
		return &Error{Reason: fmt.Sprintf("a %v from byte %d on, of %d bytes: its elements have %d", v.Kind, v.ByteOffset, v.ByteLength, size)}
	}
	if err := w.own(v.Buffer, reflect.ValueOf(v.Buffer)); err != nil {
		return err
	}
	w.known.put(key, w.next)
	w.next++
	w.tag(tagView)
	w.tag(kinds[v.Kind].tag)
	w.varint(uint64(v.ByteOffset))
	flags := uint64(0)
	if _, resizable := v.Buffer.MaxLen(); resizable {
		flags = viewResizable
	}
	if v.Tracking && flags != 0 {
		flags |= viewTracking
		w.varint(0)
	} else {
		w.varint(uint64(len(v.Bytes())))
	}
	w.varint(flags)
	return nil
}

// typed writes a typed array over a buffer of its own, of so many bytes that fill
// appends. A zero key is nobody else's.
func (w *writer) typed(kind ViewKind, bytes int, key reference, fill func()) error {
	if id, ok := w.known.get(key); ok {
		w.tag(tagReference)
		w.varint(uint64(id))
		return nil
	}
	w.fresh() // the buffer
	w.tag(tagBuffer)
	if err := w.length(bytes); err != nil {
		return err
	}
	w.out = slices.Grow(w.out, bytes+16)
	fill()
	if key.at != nil && bytes > 0 {
		w.known.put(key, w.next)
	}
	w.next++
	w.out = append(w.out, tagView, kinds[kind].tag, 0)
	w.varint(uint64(bytes))
	w.varint(0)
	return nil
}

func (e *ErrorValue) writeTo(w *writer) error { return w.errorValue(e) }

func (w *writer) errorValue(e *ErrorValue) error {
	w.tag(tagError)
	for tag, name := range errorNames {
		if name == e.Name {
			w.tag(tag)
		}
	}
	if e.Message != "" {
		w.tag(errorMessage)
		if err := w.string(e.Message); err != nil {
			return err
		}
	}
	// The cause last: the V8 of Node 22 and 24 wants it there, older ones take any
	// order.
	w.tag(errorStack)
	if err := w.string(e.Stack); err != nil {
		return err
	}
	if e.Cause != nil {
		w.tag(errorCause)
		if err := w.any(e.Cause); err != nil {
			return below(".Cause", err)
		}
	}
	w.tag(errorEnd)
	return nil
}

// plainError is what JavaScript sees of an error.
func plainError(err error) *ErrorValue {
	e := &ErrorValue{Name: "Error", Message: err.Error()}
	switch from := err.(type) { //nolint:errorlint // this one, not what it wraps
	case interface{ Unwrap() error }:
		if cause := from.Unwrap(); cause != nil {
			e.Cause = cause
		}
	case interface{ Unwrap() []error }:
		var list []any
		for _, cause := range from.Unwrap() {
			list = append(list, cause)
		}
		e.Cause = list
	}
	return e
}
