package clone

import (
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"time"
)

// copying is one call of Clone.
type copying struct {
	known references[reflect.Value]
	depth int
}

func (c *copying) enter() error {
	if c.depth++; c.depth > MaxDepth {
		return tooDeep()
	}
	return nil
}

func (c *copying) leave() { c.depth-- }

func tooDeep() error {
	return &Error{Reason: fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
}

// below puts a step of the path in front of an error's.
func below(step string, err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // made here, never wrapped
		if len(e.Path) < 512 {
			e.Path = step + e.Path
		} else if e.Path[:3] != "..." {
			e.Path = "..." + e.Path
		}
	}
	return err
}

// rooted ends the path of an error.
func rooted(err error) error { return below("value", err) }

// keyStep is the step to the property or entry of that key.
func keyStep(key any) string {
	s, ok := key.(string)
	if !ok {
		return "[" + brief(key) + "]"
	}
	if len(s) > maxBrief {
		s = s[:maxBrief] + "..."
	}
	for i, r := range s {
		letter := r == '_' || r == '$' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || '9' < r) {
			return "[" + strconv.Quote(s) + "]"
		}
	}
	if s == "" {
		return `[""]`
	}
	return "." + s
}

// maxBrief is how many bytes of a value a message shows.
const maxBrief = 64

// brief shows a value in a message. Values may come from strangers: what has no
// bound is told by its type.
func brief(v any) string {
	switch n := v.(type) {
	case *big.Int:
		if n != nil && n.BitLen() > 8*maxBrief {
			return fmt.Sprintf("a bigint of %d bits", n.BitLen())
		}
	case string:
		if len(n) > maxBrief {
			return strconv.Quote(n[:maxBrief]) + "..."
		}
		return strconv.Quote(n)
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array, reflect.Interface, reflect.Pointer:
		if _, isBig := v.(*big.Int); !isBig {
			return fmt.Sprintf("a %T", v)
		}
	}
	return fmt.Sprint(v)
}

func indexStep(i int) string { return "[" + strconv.Itoa(i) + "]" }

// any copies what an interface holds. The types that trees of any are made of
// have their own way, without reflection.
func (c *copying) any(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, float64, float32, int, int8, int16, int32, int64,
		uint, uint8, uint16, uint32, uint64, uintptr, Undefined, time.Time, time.Duration:
		return v, nil
	case map[string]any:
		to, err := c.object(v)
		return to, err
	case []any:
		to, err := c.array(v)
		return to, err
	case *big.Int:
		if v == nil {
			return v, nil
		}
	case copied:
		return c.copied(v)
	}
	from := reflect.ValueOf(v)
	p := planOf(from.Type())
	if p.fix == nil {
		return v, nil
	}
	if p.opaque {
		if err, ok := v.(error); ok && !isNil(from) {
			return c.errorValue(err)
		}
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	if p.copy != nil {
		to, err := p.copy(c, from)
		if err != nil {
			return nil, err
		}
		return to.Interface(), nil
	}
	to := reflect.New(from.Type()).Elem()
	to.Set(from)
	if err := p.fix(c, to); err != nil {
		return nil, err
	}
	return to.Interface(), nil
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return v.IsNil()
	}
	return false
}

func (c *copying) object(from map[string]any) (map[string]any, error) {
	if from == nil {
		return nil, nil
	}
	v := reflect.ValueOf(from)
	key := reference{at: v.UnsafePointer(), of: v.Type()}
	if to, ok := c.known.get(key); ok {
		m, _ := reflect.TypeAssert[map[string]any](to)
		return m, nil
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	to := make(map[string]any, len(from))
	c.known.put(key, reflect.ValueOf(to))
	for k, e := range from {
		copied, err := c.any(e)
		if err != nil {
			return nil, below(keyStep(k), err)
		}
		to[k] = copied
	}
	return to, nil
}

func (c *copying) array(from []any) ([]any, error) {
	if from == nil {
		return nil, nil
	}
	v := reflect.ValueOf(from)
	key := reference{at: v.UnsafePointer(), len: len(from), of: v.Type()}
	if to, ok := c.known.get(key); ok && cap(from) > 0 {
		s, _ := reflect.TypeAssert[[]any](to)
		return s, nil
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	to := make([]any, len(from), max(len(from), min(cap(from), 1)))
	if cap(from) > 0 {
		c.known.put(key, reflect.ValueOf(to))
	}
	for i, e := range from {
		copied, err := c.any(e)
		if err != nil {
			return nil, below(indexStep(i), err)
		}
		to[i] = copied
	}
	return to, nil
}

// errorValue is what stands for an error whose type cannot be copied.
func (c *copying) errorValue(err error) (any, error) {
	if e := c.enter(); e != nil {
		return nil, e
	}
	defer c.leave()
	to := &ErrorValue{Name: "Error", Message: err.Error()}
	switch from := err.(type) { //nolint:errorlint // this one, not what it wraps
	case interface{ Unwrap() error }:
		cause := from.Unwrap()
		if cause == nil {
			return to, nil
		}
		copied, e := c.any(cause)
		if e != nil {
			return nil, below(".Unwrap()", e)
		}
		to.Cause = copied
	case interface{ Unwrap() []error }:
		var list []any
		for i, cause := range from.Unwrap() {
			copied, e := c.any(cause)
			if e != nil {
				return nil, below(".Unwrap()"+indexStep(i), e)
			}
			list = append(list, copied)
		}
		to.Cause = list
	}
	return to, nil
}

// copied is a type of this package that knows how it is copied.
type copied interface {
	// copyTo makes this one, which is new, a copy of from, which has the same type.
	copyFrom(c *copying, from any) error
	// empty is a new value of the type.
	empty() copied
	// none says whether this is a nil pointer.
	none() bool
}

func (c *copying) copied(from copied) (any, error) {
	if from.none() {
		return from, nil
	}
	v := reflect.ValueOf(from)
	key := reference{at: v.UnsafePointer(), of: v.Type()}
	if to, ok := c.known.get(key); ok {
		return to.Interface(), nil
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.leave()
	to := from.empty()
	c.known.put(key, reflect.ValueOf(to))
	if err := to.copyFrom(c, from); err != nil {
		return nil, err
	}
	return to, nil
}

func (m *Map) empty() copied         { return &Map{} }
func (s *Set) empty() copied         { return &Set{} }
func (o *Object) empty() copied      { return &Object{} }
func (b *ArrayBuffer) empty() copied { return &ArrayBuffer{} }

func (m *Map) none() bool         { return m == nil }
func (s *Set) none() bool         { return s == nil }
func (o *Object) none() bool      { return o == nil }
func (b *ArrayBuffer) none() bool { return b == nil }

func (m *Map) copyFrom(c *copying, from any) error {
	list, _ := from.(*Map)
	for k, v := range list.All() {
		key, err := c.any(k)
		if err != nil {
			return below("[key "+brief(k)+"]", err)
		}
		value, err := c.any(v)
		if err != nil {
			return below(keyStep(k), err)
		}
		m.Set(key, value)
	}
	return nil
}

func (s *Set) copyFrom(c *copying, from any) error {
	list, _ := from.(*Set)
	i := 0
	for v := range list.All() {
		value, err := c.any(v)
		if err != nil {
			return below(indexStep(i), err)
		}
		s.Add(value)
		i++
	}
	return nil
}

func (o *Object) copyFrom(c *copying, from any) error {
	list, _ := from.(*Object)
	o.properties = make([]Property, len(list.properties))
	copy(o.properties, list.properties)
	for i := range o.properties {
		p := &o.properties[i]
		value, err := c.any(p.Value)
		if err != nil {
			return below(keyStep(p.Key), err)
		}
		p.Value = value
	}
	if list.index != nil {
		o.reindex()
	}
	return nil
}

func (b *ArrayBuffer) copyFrom(_ *copying, from any) error {
	other, _ := from.(*ArrayBuffer)
	if other.detached {
		return &Error{Reason: "*clone.ArrayBuffer is detached: it has been transferred"}
	}
	b.data = make([]byte, len(other.data))
	copy(b.data, other.data)
	b.max = other.max
	return nil
}
