package clone

import (
	"reflect"
	"unsafe"
)

// reference is what makes a pointer, a map or a slice the same as another. That
// it holds the original keeps the address from becoming another's.
type reference struct {
	at  unsafe.Pointer
	len int // of a slice
	of  reflect.Type
}

// references knows what has become of each. Most values have few, for which a
// list is faster than a map.
type references[T any] struct {
	few  []seen[T]
	many map[reference]T
}

type seen[T any] struct {
	reference
	as T
}

const fewReferences = 12

func (r *references[T]) get(key reference) (T, bool) {
	if r.many != nil {
		as, ok := r.many[key]
		return as, ok
	}
	for i := range r.few {
		if s := &r.few[i]; s.at == key.at && s.len == key.len && s.of == key.of {
			return s.as, true
		}
	}
	var none T
	return none, false
}

func (r *references[T]) put(key reference, as T) {
	if r.many != nil {
		r.many[key] = as
		return
	}
	r.few = append(r.few, seen[T]{key, as})
	if len(r.few) > fewReferences {
		r.many = make(map[reference]T, 4*fewReferences)
		for _, s := range r.few {
			r.many[s.reference] = s.as
		}
	}
}
