package clone

import (
	"errors"
	"math"
	"reflect"
	"sync"
	"time"
)

// UnmarshalAs is [As] of what [Unmarshal] reads, without the values in between
// where the data is what [Marshal] makes of a T.
//
// Errors: those of the two.
func UnmarshalAs[T any](data []byte) (T, error) {
	var to, none T
	r := newReader(data, Options{})
	err := r.typed(reflect.ValueOf(&to).Elem())
	again := r.again
	r.release()
	if err == nil && !again {
		return to, nil
	}
	// Whatever the short way has no answer for has one here, errors too.
	v, err := Unmarshal(data)
	if err != nil {
		return none, err
	}
	return As[T](v)
}

// errIndirect says that data has to be read into values first.
var errIndirect = errors.New("cannot be read directly")

// typed reads all data into to.
func (r *reader) typed(to reflect.Value) error {
	if len(r.data) < 2 || r.data[0] != tagVersion || r.data[1] < oldestVersion || r.data[1] > version {
		return errIndirect
	}
	r.at, r.version = 2, uint32(r.data[1])
	if err := readPlanOf(to.Type()).read(r, to); err != nil {
		return err
	}
	if r.at < len(r.data) {
		return errIndirect
	}
	return nil
}

// direct gives an object that is read without a value in between its number. It
// is a pointer or a map, or nil: then what refers to it cannot be read directly.
func (r *reader) direct(v any) {
	r.objects = append(r.objects, object{value: v, direct: true})
}

// readPlan is how values of one type are read. An error only means that it must be
// done indirectly.
type readPlan struct {
	read func(r *reader, to reflect.Value) error
}

// readPlans are the plans of the types seen so far, by reflect.Type; see plans.
var readPlans sync.Map

func readPlanOf(t reflect.Type) *readPlan {
	if p, ok := readPlans.Load(t); ok {
		return p.(*readPlan)
	}
	b := &readPlanning{open: make(map[reflect.Type]*readPlan)}
	p := b.plan(t)
	for t, p := range b.open {
		readPlans.LoadOrStore(t, p)
	}
	return p
}

type readPlanning struct {
	open map[reflect.Type]*readPlan
}

func (b *readPlanning) plan(t reflect.Type) *readPlan {
	if p, ok := readPlans.Load(t); ok {
		return p.(*readPlan)
	}
	if p, ok := b.open[t]; ok {
		return p
	}
	p := &readPlan{}
	b.open[t] = p
	p.read = b.fill(t)
	return p
}

func (b *readPlanning) fill(t reflect.Type) func(r *reader, to reflect.Value) error {
	switch {
	case t == timeType:
		return readTime
	case t == undefinedType, t == bigIntType, t.Implements(writtenType), t.Implements(textReaderType), reflect.PointerTo(t).Implements(textReaderType):
		return readIndirect
	}
	switch t.Kind() {
	case reflect.Bool:
		return orZero(func(_ *reader, to reflect.Value, tag byte) error {
			if tag != tagTrue && tag != tagFalse {
				return errIndirect
			}
			to.SetBool(tag == tagTrue)
			return nil
		})
	case reflect.String:
		return orZero(func(r *reader, to reflect.Value, tag byte) error {
			if tag != tagOneByte && tag != tagTwoByte && tag != tagUTF8 {
				return errIndirect
			}
			s, err := r.text(tag)
			to.SetString(s)
			return err
		})
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return orZero(func(r *reader, to reflect.Value, tag byte) error {
			f, err := r.float(tag)
			if n := int64(f); err == nil && float64(n) == f && -maxSafe <= n && n <= maxSafe && !to.OverflowInt(n) {
				to.SetInt(n)
				return nil
			}
			return errIndirect
		})
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return orZero(func(r *reader, to reflect.Value, tag byte) error {
			f, err := r.float(tag)
			if err == nil && 0 <= f && f <= maxSafe && f == math.Trunc(f) && !to.OverflowUint(uint64(f)) {
				to.SetUint(uint64(f))
				return nil
			}
			return errIndirect
		})
	case reflect.Float32, reflect.Float64:
		return orZero(func(r *reader, to reflect.Value, tag byte) error {
			f, err := r.float(tag)
			if err != nil || to.OverflowFloat(f) {
				return errIndirect
			}
			to.SetFloat(f)
			return nil
		})
	case reflect.Pointer:
		return b.pointer(t)
	case reflect.Slice:
		return b.slice(t)
	case reflect.Map:
		if t.Key().Kind() == reflect.String && !t.Key().Implements(textReaderType) {
			return b.mapping(t)
		}
	case reflect.Struct:
		if plainStruct(t) {
			read := b.structure(t)
			return orZero(func(r *reader, to reflect.Value, tag byte) error {
				if tag != tagObject {
					return errIndirect
				}
				r.direct(nil)
				return read(r, to)
			})
		}
	}
	return readIndirect
}

// orZero reads nil and undefined as the zero value.
func orZero(read func(r *reader, to reflect.Value, tag byte) error) func(r *reader, to reflect.Value) error {
	return func(r *reader, to reflect.Value) error {
		t, err := r.tag()
		if err != nil {
			return err
		}
		if t == tagNull || t == tagUndefined {
			to.SetZero()
			return nil
		}
		return read(r, to, t)
	}
}

// float takes what follows the tag of a number.
func (r *reader) float(tag byte) (float64, error) {
	switch tag {
	case tagInt32:
		n, err := r.int32()
		return float64(n), err
	case tagUint32:
		n, err := r.varint()
		return float64(n), err
	case tagDouble:
		return r.double()
	}
	return 0, errIndirect
}

// readIndirect reads a value and makes it what it must be.
func readIndirect(r *reader, to reflect.Value) error {
	v, err := r.element()
	if err != nil {
		return err
	}
	return r.converting.set(to, v)
}

func readTime(r *reader, to reflect.Value) error {
	if !r.is(tagDate) {
		return readIndirect(r, to)
	}
	r.direct(nil)
	ms, err := r.double()
	if err != nil {
		return err
	}
	d := Date{Milliseconds: ms}
	t, valid := d.Time()
	if !valid {
		return errIndirect
	}
	p, ok := reflect.TypeAssert[*time.Time](to.Addr())
	if !ok {
		return errIndirect
	}
	*p = t
	return nil
}

// refer takes the number of an object that has become what to is before.
func (r *reader) refer(to reflect.Value) error {
	n, err := r.varint()
	if err != nil || int64(n) >= int64(len(r.objects)) {
		return errIndirect
	}
	o := &r.objects[n]
	if !o.direct || o.value == nil || reflect.TypeOf(o.value) != to.Type() {
		return errIndirect
	}
	to.Set(reflect.ValueOf(o.value))
	return nil
}

func (b *readPlanning) pointer(t reflect.Type) func(r *reader, to reflect.Value) error {
	of := t.Elem()
	elem := b.plan(of)
	if of.Kind() != reflect.Struct || !plainStruct(of) || of == bigIntType || t.Name() != "" ||
		t.Implements(textReaderType) {
		return func(r *reader, to reflect.Value) error {
			if r.is(tagNull) || r.is(tagUndefined) {
				to.SetZero()
				return nil
			}
			p := reflect.New(of)
			if t.Name() != "" || r.at < len(r.data) && r.data[r.at] == tagReference {
				return errIndirect
			}
			if err := elem.read(r, p.Elem()); err != nil {
				return err
			}
			to.Set(p)
			return nil
		}
	}
	read := b.structure(of)
	return orZero(func(r *reader, to reflect.Value, tag byte) error {
		switch tag {
		case tagReference:
			return r.refer(to)
		case tagObject:
			p := reflect.New(of)
			r.direct(p.Interface())
			to.Set(p)
			return read(r, p.Elem())
		}
		return errIndirect
	})
}

// structure reads the properties of an object into a struct.
func (b *readPlanning) structure(t reflect.Type) func(r *reader, to reflect.Value) error {
	type field struct {
		property
		plan *readPlan
	}
	var fields []field
	byName := make(map[string]int)
	for _, p := range propertiesOf(t) {
		byName[p.name] = len(fields)
		fields = append(fields, field{p, b.plan(t.FieldByIndex(p.index).Type)})
	}
	return func(r *reader, to reflect.Value) error {
		if err := r.enter(); err != nil {
			return err
		}
		next := 0 // most likely: the fields in their order
		for n := 0; ; n++ {
			t, err := r.tag()
			if err != nil {
				return err
			}
			if t == tagObjectEnd {
				r.depth-- // nothing is read after an error
				return r.counted(n)
			}
			at, found := next, false
			if t == tagOneByte {
				key, err := r.sized()
				if err != nil {
					return err
				}
				if found = at < len(fields) && fields[at].name == string(key); !found && isASCII(key) {
					at, found = byName[string(key)]
				} else if !found {
					at, found = byName[fromLatin1(key)]
				}
			} else {
				r.at--
				key, err := r.key()
				if err != nil {
					return err
				}
				at, found = byName[key]
			}
			if !found {
				if _, err := r.element(); err != nil {
					return err
				}
				continue
			}
			next = at + 1
			f := &fields[at]
			part := to.Field(f.index[0])
			for _, i := range f.index[1:] {
				if part.Kind() == reflect.Pointer {
					if part.IsNil() {
						part.Set(reflect.New(part.Type().Elem()))
					}
					part = part.Elem()
				}
				part = part.Field(i)
			}
			if err := f.plan.read(r, part); err != nil {
				return err
			}
		}
	}
}

func (b *readPlanning) slice(t reflect.Type) func(r *reader, to reflect.Value) error {
	elem := b.plan(t.Elem())
	size := int64(max(t.Elem().Size(), 1))
	kind, isTyped := typedKinds[t.Elem()]
	return orZero(func(r *reader, to reflect.Value, tag byte) error {
		switch {
		case tag == tagBuffer && isTyped:
			return r.typedSlice(to, kind)
		case tag != tagDense:
			return errIndirect
		}
		n, err := r.varint()
		if err != nil {
			return err
		}
		// Read indirectly it is known before how many there are.
		if int64(n)*size > 16*int64(r.left())+4096 {
			return errIndirect
		}
		if err := r.promise(n); err != nil {
			return err
		}
		if err := r.enter(); err != nil {
			return err
		}
		defer func() { r.depth-- }()
		r.direct(nil)
		to.SetZero()
		to.Grow(max(int(n), 1))
		to.SetLen(int(n))
		if s, ok := reflect.TypeAssert[*[]string](to.Addr()); ok {
			for i := range *s {
				r.promised--
				if (*s)[i], err = r.string(); err != nil {
					return err
				}
			}
		} else {
			for i := range int(n) {
				r.promised--
				if err := elem.read(r, to.Index(i)); err != nil {
					return err
				}
			}
		}
		if !r.is(tagDenseEnd) || r.counted(0) != nil || r.counted(int(n)) != nil {
			return errIndirect
		}
		return nil
	})
}

// typedSlice reads a typed array that is over the whole of its own buffer, after
// the tag of that.
func (r *reader) typedSlice(to reflect.Value, kind ViewKind) error {
	data, err := r.sized()
	if err != nil {
		return err
	}
	size := kind.ElementSize()
	if !r.is(tagView) || len(data)%size != 0 {
		return errIndirect
	}
	if t, err := r.byte(); err != nil || t != kinds[kind].tag {
		return errIndirect
	}
	if r.counted(0) != nil || r.counted(len(data)) != nil || r.version >= 14 && r.counted(0) != nil {
		return errIndirect
	}
	r.direct(nil) // the buffer
	r.direct(nil) // the view
	switch s := to.Addr().Interface().(type) {
	case *[]byte:
		*s = append(make([]byte, 0, max(len(data), 1)), data...)
	case *[]float64:
		*s = numbers(data, 8, float64Of)
	case *[]float32:
		*s = numbers(data, 4, float32Of)
	case *[]int32:
		*s = numbers(data, 4, int32Of)
	case *[]int64:
		*s = numbers(data, 8, int64Of)
	default:
		return errIndirect
	}
	return nil
}

func (b *readPlanning) mapping(t reflect.Type) func(r *reader, to reflect.Value) error {
	elem := b.plan(t.Elem())
	return orZero(func(r *reader, to reflect.Value, tag byte) error {
		switch tag {
		case tagReference:
			return r.refer(to)
		case tagObject:
		default:
			return errIndirect
		}
		if err := r.enter(); err != nil {
			return err
		}
		defer func() { r.depth-- }()
		m := reflect.MakeMap(t)
		r.direct(m.Interface())
		to.Set(m)
		switch m := m.Interface().(type) {
		case map[string]string:
			return basicProperties(r, m, r.string)
		case map[string]int:
			return basicProperties(r, m, r.integer)
		}
		k, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		for n := 0; ; n++ {
			if r.is(tagObjectEnd) {
				return r.counted(n)
			}
			key, err := r.key()
			if err != nil {
				return err
			}
			k.SetString(key)
			e.SetZero()
			if err := elem.read(r, e); err != nil {
				return err
			}
			m.SetMapIndex(k, e)
		}
	})
}

// basicProperties reads the properties of an object without reflection.
func basicProperties[T any](r *reader, to map[string]T, value func() (T, error)) error {
	for n := 0; ; n++ {
		if r.is(tagObjectEnd) {
			return r.counted(n)
		}
		key, err := r.key()
		if err != nil {
			return err
		}
		if to[key], err = value(); err != nil {
			return err
		}
	}
}

// integer takes a number that is an int.
func (r *reader) integer() (int, error) {
	t, err := r.tag()
	if err != nil {
		return 0, err
	}
	f, err := r.float(t)
	if n := int64(f); err == nil && float64(n) == f && -maxSafe <= n && n <= maxSafe && int64(int(n)) == n {
		return int(n), nil
	}
	return 0, errIndirect
}
