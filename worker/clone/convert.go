package clone

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
)

// As makes v a T: what [Unmarshal] has read, or JavaScript has sent, a value of
// the types that a program works with.
//
//   - A value that is a T is that T, not a copy.
//   - Objects and maps become structs, by the names that encoding/json would give
//     the fields, exactly; what has no field is left out, what is missing is zero.
//   - Numbers become any type of number that has exactly that one. A bigint is a
//     number, and a number without a fraction a *big.Int.
//   - Arrays, typed arrays and sets become slices and arrays; objects and Maps
//     become maps; strings what reads them by UnmarshalText.
//   - Boxed values are what is in them; nil and undefined are the zero value.
//   - What is shared or cyclic is so in T, where T has a pointer, slice or map.
//
// Errors: *Error, which says what in v does not fit.
func As[T any](v any) (T, error) {
	if t, ok := v.(T); ok {
		return t, nil
	}
	var to T
	c := converting{}
	if err := c.set(reflect.ValueOf(&to).Elem(), v); err != nil {
		var none T
		return none, rooted(err)
	}
	return to, nil
}

// converting is one call of As.
type converting struct {
	depth int
	known map[conversion]reflect.Value
}

// conversion is a value with an identity that has become a pointer, a slice or a
// map of a type.
type conversion struct {
	from reference
	to   reflect.Type
}

func misfit(to reflect.Type, v any) error {
	return &Error{Reason: fmt.Sprintf("a %T is no %v", v, to)}
}

// set makes v the value of to.
func (c *converting) set(to reflect.Value, v any) error {
	if c.depth++; c.depth > MaxDepth {
		return tooDeep()
	}
	defer func() { c.depth-- }()
	from := reflect.ValueOf(v)
	if from.IsValid() && from.Type().AssignableTo(to.Type()) {
		to.Set(from)
		return nil
	}
	switch b := v.(type) {
	case nil, Undefined:
		to.SetZero()
		return nil
	case *Boxed:
		if b != nil {
			return c.set(to, b.Value)
		}
	}
	switch to.Type() {
	case timeType:
		if d, ok := v.(*Date); ok && d != nil {
			if t, valid := d.Time(); valid {
				to.Set(reflect.ValueOf(t))
				return nil
			}
			return &Error{Reason: "an invalid date is no time.Time"}
		}
		return misfit(to.Type(), v)
	case bigIntType:
		n, err := bigOf(v)
		if err == nil {
			to.Set(reflect.ValueOf(n).Elem())
		}
		return err
	}
	if text, ok := v.(string); ok && to.Kind() != reflect.Pointer && to.CanAddr() {
		if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](to.Addr()); ok {
			if err := u.UnmarshalText([]byte(text)); err != nil {
				return &Error{Reason: err.Error()}
			}
			return nil
		}
	}
	switch to.Kind() {
	case reflect.Pointer:
		return c.identical(to, from, func() (reflect.Value, func() error) {
			p := reflect.New(to.Type().Elem())
			return p, func() error { return c.set(p.Elem(), v) }
		})
	case reflect.Bool:
		if from.IsValid() && from.Kind() == reflect.Bool {
			to.SetBool(from.Bool())
			return nil
		}
	case reflect.String:
		if from.IsValid() && from.Kind() == reflect.String {
			to.SetString(from.String())
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return setInteger(to, v)
	case reflect.Float32, reflect.Float64:
		return setFloat(to, v)
	case reflect.Slice, reflect.Array:
		return c.list(to, from, v)
	case reflect.Map:
		return c.mapping(to, from, v)
	case reflect.Struct:
		return c.structure(to, v)
	}
	if from.Kind() == reflect.Pointer && !from.IsNil() && from.Elem().Kind() != reflect.Struct {
		return c.set(to, from.Elem().Interface())
	}
	return misfit(to.Type(), v)
}

// identical gives to what make makes, or what it has made of the same before, and
// then fills it.
func (c *converting) identical(to, from reflect.Value, make func() (reflect.Value, func() error)) error {
	var key conversion
	if from.IsValid() {
		switch from.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			key = conversion{from: reference{at: from.UnsafePointer(), of: from.Type()}, to: to.Type()}
			if from.Kind() == reflect.Slice {
				key.from.len = from.Len()
			}
			if made, ok := c.known[key]; ok {
				to.Set(made)
				return nil
			}
		}
	}
	made, fill := make()
	if key.to != nil {
		if c.known == nil {
			c.known = map[conversion]reflect.Value{}
		}
		c.known[key] = made
	}
	if err := fill(); err != nil {
		return err
	}
	to.Set(made)
	return nil
}

// bigOf is a number without a fraction.
func bigOf(v any) (*big.Int, error) {
	if n, ok := v.(*big.Int); ok && n != nil {
		return new(big.Int).Set(n), nil
	}
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
	case r.CanInt():
		return big.NewInt(r.Int()), nil
	case r.CanUint():
		return new(big.Int).SetUint64(r.Uint()), nil
	case r.CanFloat():
		if f := r.Float(); f == math.Trunc(f) && !math.IsInf(f, 0) {
			n, _ := big.NewFloat(f).Int(nil)
			return n, nil
		}
		return nil, &Error{Reason: fmt.Sprintf("the number %v is no integer", v)}
	}
	return nil, &Error{Reason: fmt.Sprintf("a %T is no number", v)}
}

func setInteger(to reflect.Value, v any) error {
	n, err := bigOf(v)
	if err != nil {
		return err
	}
	if to.CanInt() {
		if n.IsInt64() && !to.OverflowInt(n.Int64()) {
			to.SetInt(n.Int64())
			return nil
		}
	} else if n.IsUint64() && !to.OverflowUint(n.Uint64()) {
		to.SetUint(n.Uint64())
		return nil
	}
	return &Error{Reason: fmt.Sprintf("the number %s does not fit a %v", brief(n), to.Type())}
}

func setFloat(to reflect.Value, v any) error {
	r := reflect.ValueOf(v)
	var f float64
	exact := true
	switch n, isBig := v.(*big.Int); {
	case isBig && n != nil:
		var a big.Accuracy
		f, a = new(big.Float).SetInt(n).Float64()
		exact = a == big.Exact
	case r.IsValid() && r.CanFloat():
		f = r.Float()
	case r.IsValid() && r.CanInt():
		f = float64(r.Int())
		exact = int64(f) == r.Int()
	case r.IsValid() && r.CanUint():
		f = float64(r.Uint())
		exact = uint64(f) == r.Uint()
	default:
		return misfit(to.Type(), v)
	}
	// A float32 rounds fractions, as JavaScript's Float32Array does.
	if !exact || to.OverflowFloat(f) {
		return &Error{Reason: fmt.Sprintf("the number %s does not fit a %v", brief(v), to.Type())}
	}
	to.SetFloat(f)
	return nil
}

// list fills a slice or an array.
func (c *converting) list(to, from reflect.Value, v any) error {
	switch l := v.(type) {
	case *ArrayBuffer:
		if l == nil {
			return misfit(to.Type(), v)
		}
		from = reflect.ValueOf(l.Bytes())
	case *View:
		if l == nil || l.Kind.ElementSize() != 1 {
			return misfit(to.Type(), v)
		}
		from = reflect.ValueOf(l.Bytes())
	case *Set:
		if l == nil {
			return misfit(to.Type(), v)
		}
		all := make([]any, 0, l.Len())
		for e := range l.All() {
			all = append(all, e)
		}
		from = reflect.ValueOf(all)
	}
	if !from.IsValid() || from.Kind() != reflect.Slice && from.Kind() != reflect.Array {
		return misfit(to.Type(), v)
	}
	n := from.Len()
	fill := func(to reflect.Value) error {
		for i := range n {
			if err := c.set(to.Index(i), from.Index(i).Interface()); err != nil {
				return below(indexStep(i), err)
			}
		}
		return nil
	}
	if to.Kind() == reflect.Array {
		if to.Len() != n {
			return &Error{Reason: fmt.Sprintf("%d elements are no %v", n, to.Type())}
		}
		return fill(to)
	}
	return c.identical(to, reflect.ValueOf(v), func() (reflect.Value, func() error) {
		s := reflect.MakeSlice(to.Type(), n, max(n, 1))
		return s, func() error { return fill(s) }
	})
}

// mapping fills a map.
func (c *converting) mapping(to, from reflect.Value, v any) error {
	return c.identical(to, from, func() (reflect.Value, func() error) {
		m := reflect.MakeMap(to.Type())
		return m, func() error {
			return c.entries(v, to.Type(), func(key, value any) error {
				k, e := reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
				if err := c.key(k, key); err != nil {
					return below("[key "+brief(key)+"]", err)
				}
				if err := c.set(e, value); err != nil {
					return below(keyStep(key), err)
				}
				if !k.Comparable() {
					return &Error{Reason: fmt.Sprintf("a %T is no key of a map", key)}
				}
				m.SetMapIndex(k, e)
				return nil
			})
		}
	})
}

// key sets the key of a map; those of objects are strings.
func (c *converting) key(to reflect.Value, key any) error {
	s, ok := key.(string)
	if ok && (to.CanInt() || to.CanUint()) {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return &Error{Reason: brief(s) + " is no number"}
		}
		return setInteger(to, n)
	}
	return c.set(to, key)
}

// entries calls each for the entries of what has some.
func (c *converting) entries(v any, to reflect.Type, each func(key, value any) error) error {
	switch m := v.(type) {
	case *Object:
		if m == nil {
			return misfit(to, v)
		}
		for k, e := range m.All() {
			if err := each(k, e); err != nil {
				return err
			}
		}
		return nil
	case *Map:
		if m == nil {
			return misfit(to, v)
		}
		for k, e := range m.All() {
			if err := each(k, e); err != nil {
				return err
			}
		}
		return nil
	}
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer && !r.IsNil() {
		r = r.Elem()
	}
	switch {
	case r.Kind() == reflect.Map:
		for it := r.MapRange(); it.Next(); {
			if err := each(it.Key().Interface(), it.Value().Interface()); err != nil {
				return err
			}
		}
		return nil
	case r.Kind() == reflect.Struct && plainStruct(r.Type()):
		for _, p := range propertiesOf(r.Type()) {
			f, err := r.FieldByIndexErr(p.index)
			if err != nil || p.omitEmpty && isEmpty(f) || p.omitZero && f.IsZero() {
				continue
			}
			if err := each(p.name, f.Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	return misfit(to, v)
}

// structure fills the fields of a struct.
func (c *converting) structure(to reflect.Value, v any) error {
	if !plainStruct(to.Type()) {
		return misfit(to.Type(), v)
	}
	fields := make(map[string]property)
	for _, p := range propertiesOf(to.Type()) {
		fields[p.name] = p
	}
	return c.entries(v, to.Type(), func(key, value any) error {
		name, ok := key.(string)
		if !ok {
			return misfit(to.Type(), v)
		}
		p, ok := fields[name]
		if !ok {
			return nil
		}
		part := to
		for i, n := range p.index {
			if i > 0 && part.Kind() == reflect.Pointer {
				if part.IsNil() {
					part.Set(reflect.New(part.Type().Elem()))
				}
				part = part.Elem()
			}
			part = part.Field(n)
		}
		if err := c.set(part, value); err != nil {
			return below(keyStep(name), err)
		}
		return nil
	})
}
