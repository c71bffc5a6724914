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
	// slots is a hash table, by address, of the last in the list of each, counted from 1,
	// once there are so many that looking through it takes longer. It is at most half
	// full. Several may have one address, as a struct and its first field.
	slots []int32
}

type seen[T any] struct {
	reference
	before int32 // the one before of the address, counted from 1; 0 if there is none
	as     T
}

const (
	fewReferences = 12
	leastSlots    = 64 // a power of two, as all sizes of the table
)

func (r *references[T]) get(key reference) (T, bool) {
	if len(r.list) <= fewReferences {
		for i := range r.list {
			if s := &r.list[i]; s.reference == key {
				return s.as, true
			}
		}
	} else {
		for i := r.slots[r.slot(key.at)]; i > 0; i = r.list[i-1].before {
			if s := &r.list[i-1]; s.reference == key {
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
	r.list = append(r.list, seen[T]{reference: key, as: as})
	switch n := len(r.list); {
	case n <= fewReferences:
	case 2*n > len(r.slots):
		r.enlarge()
	default:
		r.note(n - 1)
	}
}

// slot is where an address is in the table, or would be. The addresses are those of
// objects in Go's heap, which stay where they are.
func (r *references[T]) slot(at unsafe.Pointer) uint {
	mask := uint(len(r.slots) - 1)
	// Multiplied by 2^64 divided by the golden ratio, what differs in the low bits does so
	// in the high ones.
	i := uint(uint64(uintptr(at))*0x9e3779b97f4a7c15>>32) & mask
	for n := r.slots[i]; n > 0 && r.list[n-1].at != at; n = r.slots[i] {
		i = (i + 1) & mask
	}
	return i
}

func (r *references[T]) note(i int) {
	slot := &r.slots[r.slot(r.list[i].at)]
	r.list[i].before = *slot
	*slot = int32(i + 1)
}

// enlarge makes the table, or one of double the size, of all that is in the list.
func (r *references[T]) enlarge() {
	n := max(leastSlots, 2*len(r.slots))
	if n <= cap(r.slots) {
		r.slots = r.slots[:n]
		clear(r.slots)
	} else {
		r.slots = make([]int32, n)
	}
	for i := range r.list {
		r.note(i)
	}
}
