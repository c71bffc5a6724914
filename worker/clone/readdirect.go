package clone

import (
	"reflect"
	"unsafe"
)

// structure reads the properties of an object into a struct.
func (b *readPlanning) structure(t reflect.Type) func(r *reader, to reflect.Value) error {
	type field struct {
		property
		key   string // as it is written; "" if that depends on the place
		plan  *readPlan
		basic basicField
	}
	var fields []field
	byName := make(map[string]int)
	for _, p := range propertiesOf(t) {
		byName[p.name] = len(fields)
		f := field{property: p, plan: b.plan(t.FieldByIndex(p.index).Type), basic: basicFieldOf(t, p)}
		var w writer
		if err := w.key(p.name); err == nil && isASCII(p.name) {
			f.key = string(w.out)
		}
		fields = append(fields, f)
	}
	return func(r *reader, to reflect.Value) error {
		if err := r.enter(); err != nil {
			return err
		}
		base := to.Addr().UnsafePointer()
		next := 0 // most likely: the fields in their order
		for n := 0; ; n++ {
			at, found := next, false
			if at < len(fields) {
				if key := fields[at].key; key != "" && r.left() >= len(key) && string(r.data[r.at:r.at+len(key)]) == key {
					r.at += len(key)
					found = true
				}
			}
			if !found {
				if r.is(tagObjectEnd) {
					r.depth-- // nothing is read after an error
					return r.counted(n)
				}
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
			if f.basic.of != notBasic && r.basic(f.basic.of, unsafe.Add(base, f.basic.offset)) {
				continue
			}
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
		r.unnamed()
		if s, ok := reflect.TypeAssert[*[]string](to.Addr()); ok {
			*s = make([]string, n, max(n, 1))
			for i := range *s {
				r.promised--
				if (*s)[i], err = r.string(); err != nil {
					return err
				}
			}
		} else {
			to.SetZero()
			to.Grow(max(int(n), 1))
			to.SetLen(int(n))
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
	r.unnamed() // the buffer
	r.unnamed() // the view
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
		m := reflect.MakeMapWithSize(t, r.entries())
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

// entries is how many properties follow, if all values are simple ones: else 0.
// The data says it at the end only, and a map that grows is made several times.
func (r *reader) entries() int {
	at := r.at
	defer func() { r.at = at }()
	for n := 0; ; n++ {
		// A key and a value. A key of the other kinds ends it as well.
		for range 2 {
			t, err := r.tag()
			if err != nil {
				return 0
			}
			switch t {
			case tagObjectEnd:
				return n
			case tagOneByte, tagTwoByte, tagUTF8:
				_, err = r.sized()
			case tagInt32, tagUint32:
				_, err = r.varint()
			case tagDouble:
				_, err = r.bytes(8)
			case tagTrue, tagFalse, tagNull, tagUndefined:
			default:
				return 0
			}
			if err != nil {
				return 0
			}
		}
	}
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
