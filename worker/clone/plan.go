package clone

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"regexp"
	"sync"
	"time"
)

// plan is how values of one type are copied.
type plan struct {
	// fix replaces, in a settable value that is a plain copy of the original, what
	// refers to the original by copies. Nil: there is nothing of the kind.
	fix func(c *copying, v reflect.Value) error
	// copy returns the copy of a value that is itself a reference. Nil: it is not.
	copy func(c *copying, v reflect.Value) (reflect.Value, error)
	// opaque says that some values of the type, or all, are refused.
	opaque bool
	// parts says that the type is a struct which is copied field by field.
	parts bool
}

// plans are the plans of the types seen so far, by reflect.Type. It only saves
// work: what a plan is depends on the type alone.
var plans sync.Map

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	b := &planning{open: make(map[reflect.Type]*plan)}
	p := b.plan(t)
	// Plans of recursive types point to each other, so they are published together,
	// when all are complete. Which of two equal ones is kept does not matter.
	for t, p := range b.open {
		plans.LoadOrStore(t, p)
	}
	return p
}

// planning makes the plans of a type and of those in it.
type planning struct {
	open map[reflect.Type]*plan
}

func (b *planning) plan(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	if p, ok := b.open[t]; ok {
		return p
	}
	p := &plan{}
	b.open[t] = p
	// Until it is known better: a type that contains itself does so by a reference.
	p.fix = func(*copying, reflect.Value) error { return nil }
	b.fill(p, t)
	return p
}

var (
	sharedType       = reflect.TypeFor[Shared]()
	clonerType       = reflect.TypeFor[Cloner]()
	transferableType = reflect.TypeFor[Transferable]()
	copiedType       = reflect.TypeFor[copied]()
	lockerType       = reflect.TypeFor[sync.Locker]()
	bigIntType       = reflect.TypeFor[big.Int]()
	bigFloatType     = reflect.TypeFor[big.Float]()
	bigRatType       = reflect.TypeFor[big.Rat]()
)

// immutable are types with references that nobody can change anything by.
var immutable = map[reflect.Type]bool{
	reflect.TypeFor[time.Time]():         true,
	reflect.TypeFor[*time.Location]():    true,
	reflect.TypeFor[*regexp.Regexp]():    true,
	reflect.TypeFor[netip.Addr]():        true,
	reflect.TypeFor[netip.AddrPort]():    true,
	reflect.TypeFor[netip.Prefix]():      true,
	reflect.TypeOf(errors.New("simple")): true,
}

func (b *planning) fill(p *plan, t reflect.Type) {
	switch {
	case immutable[t], t.Implements(sharedType) && t.Kind() != reflect.Interface:
		p.fix = nil
	case t.Kind() == reflect.Pointer && t.Implements(copiedType):
		p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
			to, err := c.copied(v.Interface().(copied))
			return reflect.ValueOf(to), err
		})
	case t.Kind() != reflect.Interface && t.Implements(clonerType):
		b.cloner(p, t)
	case t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(copiedType):
		p.fix = func(c *copying, v reflect.Value) error {
			from := reflect.New(t)
			from.Elem().Set(v)
			v.SetZero()
			return v.Addr().Interface().(copied).copyFrom(c, from.Interface())
		}
	case t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(clonerType):
		p.fix = func(_ *copying, v reflect.Value) error {
			to, err := v.Addr().Interface().(Cloner).CloneValue()
			if err != nil {
				return &Error{Reason: err.Error()}
			}
			if r := reflect.ValueOf(to); r.IsValid() && r.Type() == reflect.PointerTo(t) && !r.IsNil() {
				v.Set(r.Elem())
				return nil
			}
			return &Error{Reason: fmt.Sprintf("CloneValue of %v returned a %T", reflect.PointerTo(t), to)}
		}
	case t.Kind() == reflect.Pointer && t.Implements(transferableType):
		p.opaque = true
		p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
			if to, ok := c.known.get(reference{at: v.UnsafePointer(), of: t}); ok {
				return to, nil
			}
			return v, &Error{Reason: fmt.Sprintf("%v cannot be copied, only transferred: it is not in the transfer list", t)}
		})
	case t == bigIntType:
		p.fix = func(_ *copying, v reflect.Value) error {
			v.Set(reflect.ValueOf(new(big.Int).Set(v.Addr().Interface().(*big.Int))).Elem())
			return nil
		}
	case t == bigFloatType:
		p.fix = func(_ *copying, v reflect.Value) error {
			// Copy, not Set: precision and accuracy stay.
			v.Set(reflect.ValueOf(new(big.Float).Copy(v.Addr().Interface().(*big.Float))).Elem())
			return nil
		}
	case t == bigRatType:
		p.fix = func(_ *copying, v reflect.Value) error {
			v.Set(reflect.ValueOf(new(big.Rat).Set(v.Addr().Interface().(*big.Rat))).Elem())
			return nil
		}
	default:
		b.kind(p, t)
	}
}

// kind plans a type that is nothing but its parts.
func (b *planning) kind(p *plan, t reflect.Type) {
	switch t.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		p.opaque = true
		p.fix = func(_ *copying, v reflect.Value) error {
			if v.IsNil() {
				return nil
			}
			return refuse(t)
		}
	case reflect.Interface:
		p.fix = func(c *copying, v reflect.Value) error {
			if v.IsNil() {
				return nil
			}
			to, err := c.any(v.Interface())
			if err != nil {
				return err
			}
			r := reflect.ValueOf(to)
			if !r.Type().AssignableTo(t) {
				return &Error{Reason: fmt.Sprintf("%T cannot be cloned into a %v", v.Interface(), t)}
			}
			v.Set(r)
			return nil
		}
	case reflect.Pointer:
		b.pointer(p, t)
	case reflect.Slice:
		b.slice(p, t)
	case reflect.Map:
		b.mapping(p, t)
	case reflect.Array:
		elem := b.plan(t.Elem())
		p.opaque = elem.opaque
		if elem.fix == nil {
			p.fix = nil
			return
		}
		p.fix = func(c *copying, v reflect.Value) error {
			for i := range v.Len() {
				if err := elem.fix(c, v.Index(i)); err != nil {
					return below(indexStep(i), err)
				}
			}
			return nil
		}
	case reflect.Struct:
		b.structure(p, t)
	default:
		p.fix = nil // numbers, strings, bools
	}
}

func refuse(t reflect.Type) error {
	return &Error{Reason: fmt.Sprintf("%v cannot be cloned", t)}
}

// reference makes the plan of a reference of how it is copied if it is not nil.
func (p *plan) reference(copy func(c *copying, v reflect.Value) (reflect.Value, error)) {
	p.copy = func(c *copying, v reflect.Value) (reflect.Value, error) {
		if v.IsNil() {
			return v, nil
		}
		return copy(c, v)
	}
	p.fix = func(c *copying, v reflect.Value) error {
		if v.IsNil() {
			return nil
		}
		if err := c.enter(); err != nil {
			return err
		}
		defer c.leave()
		to, err := copy(c, v)
		if err != nil {
			return err
		}
		v.Set(to)
		return nil
	}
}

// cloner plans a type, which may be a reference, that copies itself.
func (b *planning) cloner(p *plan, t reflect.Type) {
	self := func(v reflect.Value) (reflect.Value, error) {
		to, err := v.Interface().(Cloner).CloneValue()
		if err != nil {
			return v, &Error{Reason: err.Error()}
		}
		r := reflect.ValueOf(to)
		if !r.IsValid() || r.Type() != t {
			return v, &Error{Reason: fmt.Sprintf("CloneValue of %v returned a %T", t, to)}
		}
		return r, nil
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Map {
		p.fix = func(_ *copying, v reflect.Value) error {
			to, err := self(v)
			if err == nil {
				v.Set(to)
			}
			return err
		}
		return
	}
	p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
		key := reference{at: v.UnsafePointer(), of: t}
		if to, ok := c.known.get(key); ok {
			return to, nil
		}
		to, err := self(v)
		if err == nil {
			c.known.put(key, to)
		}
		return to, err
	})
}

func (b *planning) pointer(p *plan, t reflect.Type) {
	elem := b.plan(t.Elem())
	p.opaque = elem.opaque
	of := t.Elem()
	p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
		key := reference{at: v.UnsafePointer(), of: t}
		if to, ok := c.known.get(key); ok {
			return to, nil
		}
		to := reflect.New(of)
		if to.Type() != t { // a named pointer type
			to = to.Convert(t)
		}
		c.known.put(key, to)
		to.Elem().Set(v.Elem())
		if elem.fix != nil {
			if err := elem.fix(c, to.Elem()); err != nil {
				return v, err
			}
		}
		return to, nil
	})
}

func (b *planning) slice(p *plan, t reflect.Type) {
	elem := b.plan(t.Elem())
	p.opaque = elem.opaque
	p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
		n := v.Len()
		if v.Cap() == 0 {
			return reflect.MakeSlice(t, 0, 0), nil
		}
		key := reference{at: v.UnsafePointer(), len: n, of: t}
		if to, ok := c.known.get(key); ok {
			return to, nil
		}
		to := reflect.MakeSlice(t, n, max(n, 1))
		c.known.put(key, to)
		reflect.Copy(to, v)
		if elem.fix != nil {
			for i := range n {
				if err := elem.fix(c, to.Index(i)); err != nil {
					return v, below(indexStep(i), err)
				}
			}
		}
		return to, nil
	})
}

func (b *planning) mapping(p *plan, t reflect.Type) {
	key, elem := b.plan(t.Key()), b.plan(t.Elem())
	p.opaque = key.opaque || elem.opaque
	p.reference(func(c *copying, v reflect.Value) (reflect.Value, error) {
		ref := reference{at: v.UnsafePointer(), of: t}
		if to, ok := c.known.get(ref); ok {
			return to, nil
		}
		to := reflect.MakeMapWithSize(t, v.Len())
		c.known.put(ref, to)
		// The two are used again and again: an entry is copied into the map.
		k, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		for it := v.MapRange(); it.Next(); {
			k.SetIterKey(it)
			e.SetIterValue(it)
			if key.fix != nil {
				if err := key.fix(c, k); err != nil {
					return v, below("[key "+brief(it.Key().Interface())+"]", err)
				}
			}
			if elem.fix != nil {
				if err := elem.fix(c, e); err != nil {
					return v, below(keyStep(simple(it.Key())), err)
				}
			}
			to.SetMapIndex(k, e)
		}
		return to, nil
	})
}

// simple is a key as a step of a path shows it.
func simple(key reflect.Value) any {
	if key.Kind() == reflect.String {
		return key.String()
	}
	return key.Interface()
}

func (b *planning) structure(p *plan, t reflect.Type) {
	if reflect.PointerTo(t).Implements(lockerType) {
		p.opaque = true
		p.fix = func(_ *copying, v reflect.Value) error {
			if v.IsZero() {
				return nil
			}
			return &Error{Reason: fmt.Sprintf("%v cannot be cloned: it is a lock", t)}
		}
		return
	}
	p.parts = true
	type field struct {
		index  int
		name   string
		plan   *plan // not its fix, which a recursive type may not have yet
		hidden bool
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		inner := b.plan(f.Type)
		// The fields of an embedded struct can be set by way of it, if they are exported.
		hidden := !f.IsExported() && (!f.Anonymous || !inner.parts)
		p.opaque = p.opaque || inner.opaque || hidden && inner.fix != nil
		if inner.fix != nil {
			fields = append(fields, field{i, f.Name, inner, hidden})
		}
	}
	if len(fields) == 0 {
		p.fix = nil
		return
	}
	p.fix = func(c *copying, v reflect.Value) error {
		for i := range fields {
			f := &fields[i]
			part := v.Field(f.index)
			if f.hidden {
				if !part.IsZero() {
					return below("."+f.name, &Error{Reason: fmt.Sprintf(
						"a %v that is not exported cannot be cloned; give %v a method CloneValue (clone.Cloner)", part.Type(), t)})
				}
				continue
			}
			if err := f.plan.fix(c, part); err != nil {
				return below("."+f.name, err)
			}
		}
		return nil
	}
}
