package clone

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// writePlan is how values of one type are written.
type writePlan struct {
	write func(w *writer, v reflect.Value) error
}

// writePlans are the plans of the types seen so far, by reflect.Type; see plans.
var writePlans sync.Map

func writePlanOf(t reflect.Type) *writePlan {
	if p, ok := writePlans.Load(t); ok {
		return p.(*writePlan)
	}
	b := &writePlanning{open: make(map[reflect.Type]*writePlan)}
	p := b.plan(t)
	for t, p := range b.open {
		writePlans.LoadOrStore(t, p)
	}
	return p
}

type writePlanning struct {
	open map[reflect.Type]*writePlan
}

func (b *writePlanning) plan(t reflect.Type) *writePlan {
	if p, ok := writePlans.Load(t); ok {
		return p.(*writePlan)
	}
	if p, ok := b.open[t]; ok {
		return p
	}
	p := &writePlan{}
	b.open[t] = p
	p.write = b.fill(t)
	return p
}

var (
	timeType       = reflect.TypeFor[time.Time]()
	undefinedType  = reflect.TypeFor[Undefined]()
	textReaderType = reflect.TypeFor[encoding.TextUnmarshaler]()
	textType       = reflect.TypeFor[encoding.TextMarshaler]()
	errorType      = reflect.TypeFor[error]()
	writtenType    = reflect.TypeFor[written]()
)

func (b *writePlanning) fill(t reflect.Type) func(w *writer, v reflect.Value) error {
	pointer := reflect.PointerTo(t)
	switch {
	case t == timeType:
		return func(w *writer, v reflect.Value) error {
			t, _ := reflect.TypeAssert[time.Time](v)
			return w.date(t)
		}
	case t == undefinedType:
		return func(w *writer, _ reflect.Value) error {
			w.tag(tagUndefined)
			return nil
		}
	case t == bigIntType:
		return func(w *writer, v reflect.Value) error {
			n, _ := reflect.TypeAssert[*big.Int](addressable(v))
			w.tag(tagBigInt)
			w.bigInt(n)
			return nil
		}
	case t.Kind() != reflect.Interface && t.Implements(sharedType):
		return func(*writer, reflect.Value) error {
			return &Error{Reason: fmt.Sprintf("%v is shared memory, which ends with the process", t)}
		}
	case t.Kind() == reflect.Pointer && (t.Implements(writtenType) || t.Implements(errorType)):
		return func(w *writer, v reflect.Value) error { return w.any(v.Interface()) }
	case t.Kind() == reflect.Struct && pointer.Implements(writtenType):
		return func(w *writer, v reflect.Value) error { return w.any(addressable(v).Interface()) }
	case t.Kind() != reflect.Interface && t.Implements(errorType):
		return func(w *writer, v reflect.Value) error { return w.any(v.Interface()) }
	case t.Kind() == reflect.Pointer && t.Implements(transferableType):
		return func(*writer, reflect.Value) error {
			return &Error{Reason: fmt.Sprintf("%v can be transferred within the process only", t)}
		}
	case t.Kind() == reflect.Struct && t.Implements(textType):
		return func(w *writer, v reflect.Value) error {
			m, _ := reflect.TypeAssert[encoding.TextMarshaler](v)
			text, err := m.MarshalText()
			if err != nil {
				return &Error{Reason: err.Error()}
			}
			return w.string(string(text))
		}
	}
	return b.kind(t)
}

// addressable is a pointer to v, or to a copy of it.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

func (b *writePlanning) kind(t reflect.Type) func(w *writer, v reflect.Value) error {
	switch t.Kind() {
	case reflect.Bool:
		return func(w *writer, v reflect.Value) error {
			w.bool(v.Bool())
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(w *writer, v reflect.Value) error {
			w.int(v.Int())
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(w *writer, v reflect.Value) error {
			w.uint(v.Uint())
			return nil
		}
	case reflect.Float32, reflect.Float64:
		return func(w *writer, v reflect.Value) error {
			w.number(v.Float())
			return nil
		}
	case reflect.String:
		return func(w *writer, v reflect.Value) error { return w.string(v.String()) }
	case reflect.Interface:
		return func(w *writer, v reflect.Value) error { return w.any(v.Interface()) }
	case reflect.Pointer:
		return b.pointer(t)
	case reflect.Slice:
		return b.slice(t)
	case reflect.Array:
		return b.array(t)
	case reflect.Map:
		return b.mapping(t)
	case reflect.Struct:
		p := b.structure(t)
		return func(w *writer, v reflect.Value) error {
			w.fresh()
			return p.write(w, v)
		}
	}
	return func(*writer, reflect.Value) error { return refuse(t) }
}

// deeper calls write one level further down, for types that may contain themselves.
func deeper(write func(w *writer, v reflect.Value) error) func(w *writer, v reflect.Value) error {
	return func(w *writer, v reflect.Value) error {
		if v.IsNil() {
			w.tag(tagNull)
			return nil
		}
		if err := w.enter(); err != nil {
			return err
		}
		err := write(w, v)
		w.depth--
		return err
	}
}

func (b *writePlanning) pointer(t reflect.Type) func(w *writer, v reflect.Value) error {
	elem := b.plan(t.Elem())
	// Of what a pointer can point to a plain struct alone is an object that has no
	// identity of its own.
	if t.Elem().Kind() == reflect.Struct && plainStruct(t.Elem()) {
		p := b.structure(t.Elem())
		return deeper(func(w *writer, v reflect.Value) error {
			if w.object(reference{at: v.UnsafePointer(), of: t}) {
				return nil
			}
			return p.write(w, v.Elem())
		})
	}
	return deeper(func(w *writer, v reflect.Value) error { return elem.write(w, v.Elem()) })
}

// plainStruct says whether a type of struct is written by its fields.
func plainStruct(t reflect.Type) bool {
	return t != timeType && t != bigIntType && t != undefinedType &&
		!t.Implements(textType) && !t.Implements(sharedType) && !t.Implements(errorType) &&
		!reflect.PointerTo(t).Implements(writtenType)
}

// typedKinds are the typed arrays by the type of their elements.
var typedKinds = map[reflect.Type]ViewKind{
	reflect.TypeFor[int8]():    Int8Array,
	reflect.TypeFor[uint8]():   Uint8Array,
	reflect.TypeFor[int16]():   Int16Array,
	reflect.TypeFor[uint16]():  Uint16Array,
	reflect.TypeFor[int32]():   Int32Array,
	reflect.TypeFor[uint32]():  Uint32Array,
	reflect.TypeFor[float32](): Float32Array,
	reflect.TypeFor[float64](): Float64Array,
	reflect.TypeFor[int64]():   BigInt64Array,
	reflect.TypeFor[uint64]():  BigUint64Array,
}

func (b *writePlanning) slice(t reflect.Type) func(w *writer, v reflect.Value) error {
	if kind, ok := typedKinds[t.Elem()]; ok {
		return deeper(func(w *writer, v reflect.Value) error {
			key := reference{at: v.UnsafePointer(), len: v.Len(), of: t}
			return w.typed(kind, v.Len()*kind.ElementSize(), key, func() { w.elements(v) })
		})
	}
	elem := b.plan(t.Elem())
	return deeper(func(w *writer, v reflect.Value) error {
		if v.Cap() == 0 {
			w.fresh()
		} else if w.object(reference{at: v.UnsafePointer(), len: v.Len(), of: t}) {
			return nil
		}
		if v.CanAddr() {
			if s, ok := reflect.TypeAssert[*[]string](v.Addr()); ok {
				return w.dense(len(*s), func(i int) error { return w.string((*s)[i]) })
			}
		}
		return w.list(elem, v)
	})
}

// elements appends the elements of a typed array.
func (w *writer) elements(v reflect.Value) {
	// A pointer is looked at without a copy of the slice, which would be an allocation.
	switch s := addressable(v).Interface().(type) {
	case *[]byte:
		w.out = append(w.out, *s...)
		return
	case *[]int32:
		for _, e := range *s {
			w.out = binary.LittleEndian.AppendUint32(w.out, uint32(e))
		}
		return
	case *[]float64:
		for _, e := range *s {
			w.bits(e)
		}
		return
	case *[]int64:
		for _, e := range *s {
			w.out = binary.LittleEndian.AppendUint64(w.out, uint64(e))
		}
		return
	}
	for i := range v.Len() {
		var bits uint64
		switch e := v.Index(i); e.Kind() {
		case reflect.Float32:
			bits = uint64(math.Float32bits(float32(e.Float())))
		case reflect.Float64:
			bits = math.Float64bits(e.Float())
		case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			bits = uint64(e.Int())
		default:
			bits = e.Uint()
		}
		for range v.Type().Elem().Size() {
			w.out = append(w.out, byte(bits))
			bits >>= 8
		}
	}
}

func (b *writePlanning) array(t reflect.Type) func(w *writer, v reflect.Value) error {
	if kind, ok := typedKinds[t.Elem()]; ok {
		return func(w *writer, v reflect.Value) error {
			p := addressable(v)
			return w.typed(kind, v.Len()*kind.ElementSize(), reference{}, func() { w.elements(p.Elem().Slice(0, v.Len())) })
		}
	}
	elem := b.plan(t.Elem())
	return func(w *writer, v reflect.Value) error {
		w.fresh()
		return w.list(elem, v)
	}
}

func (w *writer) list(elem *writePlan, v reflect.Value) error {
	return w.dense(v.Len(), func(i int) error { return elem.write(w, v.Index(i)) })
}

type keyed struct {
	key   string
	value reflect.Value
}

// basicMap writes the properties of an object, whose tag is written, without
// reflection.
func basicMap[T any](w *writer, m map[string]T, value func(T) error) error {
	if w.sorted {
		from := len(w.keys)
		for k := range m {
			w.keys = append(w.keys, k)
		}
		for _, k := range w.sortKeys(from) {
			if err := w.key(k); err != nil {
				return below(keyStep(k), err)
			}
			if err := value(m[k]); err != nil {
				return below(keyStep(k), err)
			}
		}
		w.forgetKeys(from)
	} else {
		for k, v := range m {
			if err := w.key(k); err != nil {
				return below(keyStep(k), err)
			}
			if err := value(v); err != nil {
				return below(keyStep(k), err)
			}
		}
	}
	w.tag(tagObjectEnd)
	return w.length(len(m))
}

// reflectedMap is basicMap for any type of map whose keys are strings.
func (w *writer) reflectedMap(elem *writePlan, v reflect.Value) error {
	property := func(k string, v reflect.Value) error {
		if err := w.key(k); err != nil {
			return below(keyStep(k), err)
		}
		if err := elem.write(w, v); err != nil {
			return below(keyStep(k), err)
		}
		return nil
	}
	if w.sorted {
		values := make([]keyed, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			values = append(values, keyed{it.Key().String(), it.Value()})
		}
		slices.SortFunc(values, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
		for _, e := range values {
			if err := property(e.key, e.value); err != nil {
				return err
			}
		}
	} else {
		key := reflect.New(v.Type().Key()).Elem()
		for it := v.MapRange(); it.Next(); {
			key.SetIterKey(it)
			if err := property(key.String(), it.Value()); err != nil {
				return err
			}
		}
	}
	w.tag(tagObjectEnd)
	return w.length(v.Len())
}

func (b *writePlanning) mapping(t reflect.Type) func(w *writer, v reflect.Value) error {
	key, elem := b.plan(t.Key()), b.plan(t.Elem())
	if t.Key().Kind() != reflect.String {
		return deeper(func(w *writer, v reflect.Value) error {
			if w.object(reference{at: v.UnsafePointer(), of: t}) {
				return nil
			}
			w.tag(tagMap)
			for it := v.MapRange(); it.Next(); {
				if err := key.write(w, it.Key()); err != nil {
					return below("[key "+brief(it.Key().Interface())+"]", err)
				}
				if err := elem.write(w, it.Value()); err != nil {
					return below(keyStep(simple(it.Key())), err)
				}
			}
			w.tag(tagMapEnd)
			return w.length(2 * v.Len())
		})
	}
	return deeper(func(w *writer, v reflect.Value) error {
		if w.object(reference{at: v.UnsafePointer(), of: t}) {
			return nil
		}
		w.tag(tagObject)
		switch m := v.Interface().(type) {
		case map[string]string:
			return basicMap(w, m, w.string)
		case map[string]int:
			return basicMap(w, m, func(n int) error { w.int(int64(n)); return nil })
		case map[string]float64:
			return basicMap(w, m, func(f float64) error { w.number(f); return nil })
		case map[string]bool:
			return basicMap(w, m, func(b bool) error { w.bool(b); return nil })
		}
		return w.reflectedMap(elem, v)
	})
}

// structure plans the fields of a struct; its number is given by the caller.
func (b *writePlanning) structure(t reflect.Type) *writePlan {
	type field struct {
		property
		key   []byte // as it is written
		plan  *writePlan
		basic basicField
	}
	var fields []field
	for _, p := range propertiesOf(t) {
		var w writer
		if err := w.key(p.name); err != nil || !isASCII(p.name) {
			w.out = nil // where it begins is known only when it is written
		}
		fields = append(fields, field{property: p, key: w.out, plan: b.plan(t.FieldByIndex(p.index).Type), basic: basicFieldOf(t, p)})
	}
	return &writePlan{write: func(w *writer, v reflect.Value) error {
		w.tag(tagObject)
		n := 0
		var base unsafe.Pointer
		if v.CanAddr() {
			base = v.Addr().UnsafePointer()
		}
		for i := range fields {
			f := &fields[i]
			if base != nil && f.basic.of != notBasic && f.key != nil {
				n++
				w.out = append(w.out, f.key...)
				if err := w.basic(f.basic.of, unsafe.Add(base, f.basic.offset)); err != nil {
					return below("."+f.name, err)
				}
				continue
			}
			part := v.Field(f.index[0])
			if len(f.index) > 1 {
				var err error
				if part, err = v.FieldByIndexErr(f.index); err != nil {
					continue // of an embedded pointer that is nil
				}
			}
			if f.omitEmpty && isEmpty(part) || f.omitZero && part.IsZero() {
				continue
			}
			n++
			if f.key != nil {
				w.out = append(w.out, f.key...)
			} else if err := w.key(f.name); err != nil {
				return below("."+f.name, err)
			}
			if err := f.plan.write(w, part); err != nil {
				return below("."+f.name, err)
			}
		}
		w.tag(tagObjectEnd)
		return w.length(n)
	}}
}

// isEmpty is what encoding/json takes for empty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
