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

// unnamed is direct of nil. What is beyond the objects is zero, and to leave it so is
// cheaper than to write a nil that the garbage collector is told of.
func (r *reader) unnamed() {
	n := len(r.objects)
	if n == cap(r.objects) {
		r.direct(nil)
		return
	}
	r.objects = r.objects[:n+1]
	r.objects[n].direct = true
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
				r.unnamed()
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
	r.unnamed()
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
