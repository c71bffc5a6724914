package clone

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestSortKeysOrdersAsStringsDo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(of string, longest int) string {
		b := make([]byte, random.IntN(longest+1))
		for i := range b {
			b[i] = of[random.IntN(len(of))]
		}
		return string(b)
	}
	kinds := map[string]func(i int) string{
		"numbers":             func(i int) string { return fmt.Sprint("key ", i) },
		"one prefix":          func(int) string { return "a/long/prefix/of/all/" + letters("ab", 12) },
		"bytes":               func(int) string { return letters("\x00\x01\x7f\x80\xff", 10) },
		"alike for 8 bytes":   func(int) string { return letters("x", 20) + letters("abc", 3) },
		"zeros at the end":    func(i int) string { return "k" + strings.Repeat("\x00", i%30) },
		"the same many times": func(int) string { return letters("z", 2) },
	}
	for name, key := range kinds {
		for _, n := range []int{0, 1, 2, 3, fewKeys, fewKeys + 1, 1000} {
			w := writer{keys: []string{"another map's"}}
			var want []string
			for i := range n {
				k := key(i)
				w.keys, want = append(w.keys, k), append(want, k)
			}
			slices.Sort(want)
			if got := w.sortKeys(1); !slices.Equal(got, want) {
				t.Errorf("%s, %d of them: got %q, want %q", name, n, got, want)
			}
			if w.forgetKeys(1); !slices.Equal(w.keys, []string{"another map's"}) {
				t.Errorf("%s, %d of them: %q are left of the keys", name, n, w.keys)
			}
		}
	}
}

func TestReferencesFindWhatWasPut(t *testing.T) {
	var r references[int]
	objects := make([][4]int, 5000)
	ref := func(i int) reference {
		// A struct and its first field have one address.
		o := &objects[i/2]
		return reference{at: unsafe.Pointer(o), len: i % 2}
	}
	for round := range 3 {
		n := []int{len(objects), 5, 300}[round]
		for i := range 2 * n {
			if _, ok := r.get(ref(i)); ok {
				t.Fatalf("round %d: %d is known before it is put", round, i)
			}
			r.put(ref(i), i)
		}
		for i := range 2 * n {
			if got, ok := r.get(ref(i)); !ok || got != i {
				t.Fatalf("round %d: got %d, %v for %d", round, got, ok, i)
			}
		}
		r = reset(r)
	}
}
