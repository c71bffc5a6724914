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

// references knows what has become of each.
type references[T any] struct {
	list []seen[T]
	// The last in the list of each address, once there are so many that looking
	// through it takes longer. Several may have one, as a struct and its first field.
	last map[unsafe.Pointer]int32
}

type seen[T any] struct {
	reference
	before int32 // the one before of the address; -1 if none
	as     T
}

const fewReferences = 12

func (r *references[T]) get(key reference) (T, bool) {
	if len(r.list) <= fewReferences {
		for i := range r.list {
			if s := &r.list[i]; s.reference == key {
				return s.as, true
			}
		}
	} else if i, ok := r.last[key.at]; ok {
		for ; i >= 0; i = r.list[i].before {
			if s := &r.list[i]; s.reference == key {
				return s.as, true
			}
		}
	}
	var none T
	return none, false
}

func (r *references[T]) put(key reference, as T) {
	if r.list == nil {
		r.list = make([]seen[T], 0, fewReferences)
	}
	r.list = append(r.list, seen[T]{reference: key, before: -1, as: as})
	switch n := len(r.list); {
	case n > fewReferences+1:
		r.note(n - 1)
	case n > fewReferences:
		if r.last == nil {
			r.last = make(map[unsafe.Pointer]int32, 8*fewReferences)
		}
		for i := range r.list {
			r.note(i)
		}
	}
}

func (r *references[T]) note(i int) {
	s := &r.list[i]
	if before, ok := r.last[s.at]; ok {
		s.before = before
	}
	r.last[s.at] = int32(i)
}
