package clone

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"
)

// writer is one call of Marshal.
type writer struct {
	out   []byte
	start int // of the data in out, from which even places count
	depth int
	next  uint32   // number of the next object
	keys  []string // of the maps that are being written, those of each sorted
	known references[uint32]
}

func (w *writer) enter() error {
	if w.depth++; w.depth > MaxDepth {
		return tooDeep()
	}
	return nil
}

func (w *writer) tag(t byte) { w.out = append(w.out, t) }

func (w *writer) varint(n uint64) { w.out = binary.AppendUvarint(w.out, n) }

func (w *writer) length(n int) error {
	if int64(n) > math.MaxUint32 {
		return &Error{Reason: fmt.Sprintf("a length of %d has no place in the format", n)}
	}
	w.varint(uint64(n))
	return nil
}

func (w *writer) bits(f float64) {
	w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(f))
}

func (w *writer) number(f float64) {
	// -0 is a double as well.
	if i := int32(f); float64(i) == f && (i != 0 || !math.Signbit(f)) {
		w.small(i)
		return
	}
	w.tag(tagDouble)
	w.bits(f)
}

func (w *writer) small(i int32) {
	w.tag(tagInt32)
	w.varint(uint64(uint32(i)<<1 ^ uint32(i>>31)))
}

func (w *writer) int(i int64) {
	switch {
	case i == int64(int32(i)):
		w.small(int32(i))
	case -maxSafe <= i && i <= maxSafe:
		w.number(float64(i))
	default:
		w.tag(tagBigInt)
		w.bigInt(big.NewInt(i))
	}
}

func (w *writer) uint(i uint64) {
	if i <= maxSafe {
		w.int(int64(i))
		return
	}
	w.tag(tagBigInt)
	w.bigInt(new(big.Int).SetUint64(i))
}

func (w *writer) bool(yes bool) {
	if yes {
		w.tag(tagTrue)
	} else {
		w.tag(tagFalse)
	}
}

// bigInt writes sign, length and digits, of 8 bytes each.
func (w *writer) bigInt(n *big.Int) {
	size := (n.BitLen() + 63) / 64 * 8
	head := uint64(size) << 1
	if n.Sign() < 0 {
		head |= 1
	}
	w.varint(head)
	at := len(w.out)
	w.out = append(w.out, make([]byte, size)...)
	n.FillBytes(w.out[at:])
	slices.Reverse(w.out[at:])
}

// string writes Latin-1 if that is enough, else UTF-16.
func (w *writer) string(s string) error {
	if isASCII(s) {
		w.tag(tagOneByte)
		if err := w.length(len(s)); err != nil {
			return err
		}
		w.out = append(w.out, s...)
		return nil
	}
	units, wide := 0, false
	for rest := s; rest != ""; {
		r, n := next(rest)
		rest = rest[n:]
		units++
		wide = wide || r > 0xff
		if r > 0xffff {
			units++
		}
	}
	if !wide {
		w.tag(tagOneByte)
		if err := w.length(units); err != nil {
			return err
		}
		for _, r := range s {
			w.out = append(w.out, byte(r))
		}
		return nil
	}
	var size [binary.MaxVarintLen64]byte
	if (len(w.out)-w.start+1+binary.PutUvarint(size[:], uint64(units)*2))%2 != 0 {
		w.tag(tagPadding)
	}
	w.tag(tagTwoByte)
	if err := w.length(units * 2); err != nil {
		return err
	}
	for s != "" {
		r, n := next(s)
		s = s[n:]
		if r > 0xffff {
			r -= 0x10000
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(0xd800+r>>10))
			r = 0xdc00 + r&0x3ff
		}
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(r))
	}
	return nil
}

// key writes the key of a property: the index of an array as a number, as V8 does.
func (w *writer) key(k string) error {
	if i, ok := arrayIndex(k); ok {
		w.number(float64(i))
		return nil
	}
	return w.string(k)
}

// object begins an object: with a reference to it, and true, if it has been there.
func (w *writer) object(key reference) bool {
	if id, ok := w.known.get(key); ok {
		w.tag(tagReference)
		w.varint(uint64(id))
		return true
	}
	w.known.put(key, w.next)
	w.next++
	return false
}

// fresh begins an object that nothing else can refer to.
func (w *writer) fresh() { w.next++ }

// any writes what an interface holds.
func (w *writer) any(v any) error {
	switch v := v.(type) {
	case nil:
		w.tag(tagNull)
		return nil
	case Undefined:
		w.tag(tagUndefined)
		return nil
	case bool:
		w.bool(v)
		return nil
	case string:
		return w.string(v)
	case float64:
		w.number(v)
		return nil
	case int:
		w.int(int64(v))
		return nil
	}
	r := reflect.ValueOf(v)
	if isNil(r) {
		if k := r.Kind(); k == reflect.Func || k == reflect.Chan {
			return refuse(r.Type())
		}
		w.tag(tagNull)
		return nil
	}
	if err := w.enter(); err != nil {
		return err
	}
	defer func() { w.depth-- }()
	switch v := v.(type) {
	case map[string]any:
		if w.object(reference{at: r.UnsafePointer(), of: r.Type()}) {
			return nil
		}
		return w.mapping(v)
	case []any:
		if cap(v) == 0 {
			w.fresh()
		} else if w.object(reference{at: r.UnsafePointer(), len: len(v), of: r.Type()}) {
			return nil
		}
		return w.array(v)
	case written:
		return w.own(v, r)
	case error:
		if r.Kind() != reflect.Pointer {
			w.fresh()
		} else if w.object(reference{at: r.UnsafePointer(), of: r.Type()}) {
			return nil
		}
		return w.errorValue(plainError(v))
	}
	return writePlanOf(r.Type()).write(w, r)
}

func (w *writer) array(list []any) error {
	w.tag(tagDense)
	if err := w.length(len(list)); err != nil {
		return err
	}
	for i, e := range list {
		if err := w.any(e); err != nil {
			return below(indexStep(i), err)
		}
	}
	w.tag(tagDenseEnd)
	w.varint(0)
	return w.length(len(list))
}

func (w *writer) mapping(m map[string]any) error {
	w.tag(tagObject)
	keys := sortedKeys(w, m)
	for _, k := range keys {
		if err := w.key(k); err != nil {
			return below(keyStep(k), err)
		}
		if err := w.any(m[k]); err != nil {
			return below(keyStep(k), err)
		}
	}
	w.forget(len(keys))
	w.tag(tagObjectEnd)
	return w.length(len(m))
}

func (w *writer) properties(n int, all func(yield func(string, any) bool)) error {
	w.tag(tagObject)
	for k, v := range all {
		if err := w.key(k); err != nil {
			return below(keyStep(k), err)
		}
		if err := w.any(v); err != nil {
			return below(keyStep(k), err)
		}
	}
	w.tag(tagObjectEnd)
	return w.length(n)
}

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
