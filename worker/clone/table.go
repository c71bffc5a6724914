package clone

import (
	"math"
	"math/big"
	"reflect"
)

// table is a hash table that keeps the order of insertion: a Map, or the values
// of a Set.
type table struct {
	entries []entry
	index   map[any]int // by keyOf
	live    int
}

type entry struct {
	key, value any
	gone       bool
}

func (t *table) find(key any) (int, bool) {
	i, ok := t.index[keyOf(key)]
	return i, ok
}

func (t *table) set(key, value any) {
	k := keyOf(key)
	if i, ok := t.index[k]; ok {
		t.entries[i].value = value
		return
	}
	if t.index == nil {
		t.index = make(map[any]int)
	}
	t.index[k] = len(t.entries)
	t.entries = append(t.entries, entry{key: key, value: value})
	t.live++
}

func (t *table) remove(key any) bool {
	k := keyOf(key)
	i, ok := t.index[k]
	if !ok {
		return false
	}
	delete(t.index, k)
	t.entries[i] = entry{gone: true}
	t.live--
	if len(t.entries) > 2*t.live+16 {
		t.compact()
	}
	return true
}

func (t *table) compact() {
	kept := make([]entry, 0, t.live)
	for _, e := range t.entries {
		if !e.gone {
			kept = append(kept, e)
		}
	}
	t.entries = kept
	for i, e := range kept {
		t.index[keyOf(e.key)] = i
	}
}

func (t *table) all(yield func(key, value any) bool) {
	for _, e := range t.entries {
		if !e.gone && !yield(e.key, e.value) {
			return
		}
	}
}

// The kinds of keys that are not compared as Go would.
type (
	nanKey      struct{}
	bigKey      string
	identityKey struct {
		kind reflect.Type
		at   uintptr
		n    int
	}
	uniqueKey struct{ at *byte }
)

// keyOf is what stands for a key in the index: equal exactly if JavaScript's
// SameValueZero holds for the two. Identity by address is safe: the entry keeps
// what it points to alive and in place.
func keyOf(v any) any {
	switch v := v.(type) {
	case nil, string, bool, Undefined:
		return v
	case float64:
		if math.IsNaN(v) {
			return nanKey{}
		}
		return v + 0 // -0 becomes 0
	case *big.Int:
		if v == nil {
			return nil
		}
		return bigKeyOf(v)
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := r.Int(); -maxSafe <= n && n <= maxSafe {
			return float64(n)
		}
		return bigKeyOf(big.NewInt(r.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := r.Uint(); n <= maxSafe {
			return float64(n)
		}
		return bigKeyOf(new(big.Int).SetUint64(r.Uint()))
	case reflect.Float32, reflect.Float64:
		return keyOf(r.Float())
	case reflect.String:
		return r.String()
	case reflect.Bool:
		return r.Bool()
	case reflect.Map:
		return identityKey{r.Type(), r.Pointer(), 0}
	case reflect.Slice:
		if r.Cap() > 0 { // else all share one address
			return identityKey{r.Type(), r.Pointer(), r.Len()}
		}
	}
	if r.Comparable() {
		return v
	}
	return uniqueKey{new(byte)}
}

// bigKeyOf is the number's sign and bytes: its digits would take long to make.
func bigKeyOf(n *big.Int) bigKey {
	sign := "+"
	if n.Sign() < 0 {
		sign = "-"
	}
	return bigKey(sign + string(n.Bytes()))
}

// maxSafe is Number.MAX_SAFE_INTEGER: up to it a float64 is every integer.
const maxSafe = 1<<53 - 1
