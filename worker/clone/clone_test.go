package clone_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"paceline/worker/clone"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type node struct {
	Name string
	Next *node
	Kids []*node
	Any  any
	note int // not exported, and no reference
}

type embedded struct{ Inner []int }

type outer struct {
	embedded
	Map map[string][]byte
	Arr [2]*int
}

// of is clone.Of for values that can be copied.
func of[T any](t *testing.T, v T) T {
	t.Helper()
	to, err := clone.Of(v)
	if err != nil {
		t.Fatalf("Clone(%T): %v", v, err)
	}
	return to
}

func TestCopyIsDeep(t *testing.T) {
	one := 1
	in := outer{embedded{[]int{1}}, map[string][]byte{"a": []byte("x")}, [2]*int{&one, nil}}
	out := of(t, in)
	if !reflect.DeepEqual(in, out) {
		t.Fatalf("got %+v, want %+v", out, in)
	}
	in.Inner[0], in.Map["a"][0], in.Map["b"], one = 2, 'y', nil, 2
	if want := 1; out.Inner[0] != want || string(out.Map["a"]) != "x" || len(out.Map) != 1 || *out.Arr[0] != 1 {
		t.Errorf("a change of the original is seen in the copy: %+v", out)
	}
}

func TestIdentityAndCyclesStay(t *testing.T) {
	shared, list := &node{Name: "shared", note: 7}, []any{1}
	m := map[string]any{}
	m["m"] = m
	list[0] = list
	in := &node{Name: "root", Kids: []*node{shared, shared}, Any: []any{list, list, m, m}}
	in.Next = in
	out := of(t, in)
	rest, ok := out.Any.([]any)
	if !ok || out == in || out.Next != out || out.Kids[0] != out.Kids[1] || out.Kids[0] == shared {
		t.Fatalf("the copy has another form: %+v", out)
	}
	if out.Kids[0].note != 7 {
		t.Error("a field that is not exported and holds no reference is not copied")
	}
	l0, l1 := rest[0].([]any), rest[1].([]any)
	if &l0[0] != &l1[0] || &l0[0] == &list[0] || &l0[0].([]any)[0] != &l0[0] {
		t.Error("slices are not shared as they were")
	}
	m0, m1 := rest[2].(map[string]any), rest[3].(map[string]any)
	m0["new"] = true
	if _, there := m1["new"]; !there || m["new"] != nil || m0["m"].(map[string]any)["new"] == nil {
		t.Error("maps are not shared as they were")
	}
}

func TestWhatHasItsOwnWay(t *testing.T) {
	number, ok := new(big.Int).SetString("123456789012345678901234567890", 10)
	if !ok {
		t.Fatal("not a number")
	}
	address, err := url.Parse("http://user:secret@example.com/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile("a+")
	in := []any{
		time.Now(), number, *number, big.NewFloat(1.5), big.NewRat(1, 3), re, address, netip.MustParseAddr("::1"),
		[]int(nil),
		[]int{},
		map[string]int(nil), (*node)(nil), nil,
		[2]int{1, 2},
		math.Inf(1), complex(1, 2),
		clone.Undefined{},
		struct{ Err error }{io.EOF},
		time.Second, (func())(nil),
	}
	out := of(t, in)
	for i := range in {
		if !reflect.DeepEqual(in[i], out[i]) {
			t.Errorf("%T: %v became %v", in[i], in[i], out[i])
		}
	}
	if out[1].(*big.Int) == number {
		t.Error("the number is the same, not a copy")
	}
	out[1].(*big.Int).Bits()[0]++
	if plain := out[2].(big.Int); plain.Cmp(number) != 0 || number.String() != "123456789012345678901234567890" {
		t.Error("the digits of the number are shared")
	}
	if out[5] != any(re) {
		t.Error("a regular expression, which nobody can change, is copied")
	}
	if len(out[9].([]int)) != 0 || out[9].([]int) == nil || out[8].([]int) != nil {
		t.Error("empty and nil are mixed up")
	}
}

type withLock struct {
	mu sync.Mutex
	N  int
}

type hidden struct{ list []int }

type cloner struct{ hidden hidden }

func (c *cloner) CloneValue() (any, error) {
	if c.hidden.list == nil {
		return nil, errors.New("has no list")
	}
	return &cloner{hidden{append([]int(nil), c.hidden.list...)}}, nil
}

func TestRefusedWithThePath(t *testing.T) {
	locked := &withLock{N: 1}
	locked.mu.Lock()
	for want, v := range map[string]any{
		"value.user.onClick: func() cannot be cloned":                                                                          map[string]any{"user": map[string]any{"onClick": func() {}}},
		"value: func(int) string cannot be cloned":                                                                             func(int) string { return "" },
		"value[1].Any.x[\"a b\"]: chan int cannot be cloned":                                                                   []*node{nil, {Any: map[string]any{"x": map[string]chan int{"a b": make(chan int)}}}},
		"value.Next.Kids[0].Any: unsafe.Pointer cannot be cloned":                                                              node{Next: &node{Kids: []*node{{Any: unsafe.Pointer(t)}}}},
		"value.mu: a sync.Mutex that is not exported cannot be cloned":                                                         locked,
		"value.list: a []int that is not exported cannot be cloned; give clone_test.hidden a method CloneValue (clone.Cloner)": hidden{[]int{1}},
		"value[0]: has no list":                                 []*cloner{{}},
		"value[7]: chan<- int cannot be cloned":                 map[int]any{7: (chan<- int)(make(chan int))},
		"value[key 0x":                                          map[any]int{make(chan int): 1},
		"value.a: func() cannot be cloned":                      clone.NewObject(clone.Property{Key: "a", Value: func() {}}),
		"value[1]: func() cannot be cloned":                     clone.NewSet(1, func() {}),
		"value.Named.x: func() cannot be cloned":                &clone.Array{Named: *clone.NewObject(clone.Property{Key: "x", Value: func() {}})},
		"value: *clone_test.mover cannot be copied, only trans": &mover{},
	} {
		_, err := clone.Clone(v)
		var refused *clone.Error
		if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := clone.Clone(&withLock{N: 1}); err != nil {
		t.Errorf("a lock that nobody has: %v", err)
	}
	if c := of(t, &cloner{hidden{[]int{1}}}); len(c.hidden.list) != 1 {
		t.Errorf("got %+v", c)
	}
}

type mover struct{ moved bool }

func (m *mover) BeginTransfer() (any, func(bool), error) {
	if m.moved {
		return nil, nil, clone.ErrDetached
	}
	return &mover{}, func(delivered bool) { m.moved = delivered }, nil
}

type codeError struct{ Code int }

func (e *codeError) Error() string { return fmt.Sprint("code ", e.Code) }

func TestErrorsStayErrors(t *testing.T) {
	_, missing := os.Open("/does/not/exist")
	in := []error{
		io.EOF, &codeError{5}, missing, fmt.Errorf("outer: %w", &codeError{6}), errors.Join(io.EOF, &codeError{7}),
		&clone.ErrorValue{Name: "TypeError", Message: "m", Cause: io.EOF},
	}
	out := of(t, in)
	if out[0] != io.EOF { //nolint:errorlint // the same, not one that wraps it
		t.Errorf("io.EOF became %v", out[0])
	}
	var code *codeError
	for i, want := range map[int]int{1: 5, 3: 6, 4: 7} {
		if !errors.As(out[i], &code) || code.Code != want || out[i].Error() != in[i].Error() {
			t.Errorf("%v became %#v", in[i], out[i])
		}
	}
	if !errors.Is(out[2], fs.ErrNotExist) || !errors.Is(out[4], io.EOF) || !errors.Is(out[5], io.EOF) {
		t.Errorf("what they wrap is lost: %#v", out)
	}
	if want := "TypeError: m"; out[5].Error() != want {
		t.Errorf("got %q, want %q", out[5], want)
	}
}

func TestTooDeepIsAnError(t *testing.T) {
	var list *node
	for range 2 * clone.MaxDepth {
		list = &node{Next: list}
	}
	var tree any
	for range 2 * clone.MaxDepth {
		tree = []any{tree}
	}
	var object any
	for range 2 * clone.MaxDepth {
		object = clone.NewObject(clone.Property{Key: "x", Value: object})
	}
	data := []byte{0xff, 15}
	for range 2 * clone.MaxDepth {
		data = append(data, 'A', 1)
	}
	for range 2 * clone.MaxDepth {
		data = append(data, '$', 0, 1)
	}
	for i, v := range []any{list, tree, object} {
		if _, err := clone.Clone(v); err == nil || !strings.Contains(err.Error(), "deeper") {
			t.Errorf("Clone of %d: %v", i, err)
		}
		if _, err := clone.Marshal(v); err == nil || !strings.Contains(err.Error(), "deeper") {
			t.Errorf("Marshal of %d: %v", i, err)
		}
	}
	if _, err := clone.Unmarshal(data); err == nil {
		t.Error("Unmarshal has read it")
	}
}

func TestTransferMovesTheBytes(t *testing.T) {
	data := []byte("bytes")
	b, other := clone.NewArrayBuffer(data), clone.NewArrayBuffer([]byte("copied"))
	v := map[string]any{"b": b, "again": b, "view": &clone.View{Kind: clone.Uint8Array, Buffer: b, ByteLength: 5}, "other": other}

	moved, finish, err := clone.Transfer(v, b)
	if err != nil {
		t.Fatal(err)
	}
	finish(false)
	if b.Detached() || b.Len() != 5 {
		t.Fatal("detached, though it has not been delivered")
	}
	if moved, finish, err = clone.Transfer(v, b); err != nil {
		t.Fatal(err)
	}
	finish(true)
	got := moved.Value.(map[string]any)
	to := got["b"].(*clone.ArrayBuffer)
	if &to.Bytes()[0] != &data[0] {
		t.Error("the bytes are a copy")
	}
	if to != got["again"] || got["view"].(*clone.View).Buffer != to || to != moved.Moved[0] {
		t.Error("the three are not one buffer any more")
	}
	if !b.Detached() || b.Len() != 0 || b.Bytes() != nil || other.Detached() {
		t.Error("of the two the wrong one is detached")
	}
	if _, err := clone.Clone(b); err == nil || !strings.Contains(err.Error(), "detached") {
		t.Errorf("copying a detached buffer: %v", err)
	}
	if _, _, err := clone.Transfer(nil, b); !errors.Is(err, clone.ErrDetached) {
		t.Errorf("transferring a detached buffer: %v", err)
	}
	if _, _, err := clone.Transfer(nil, other, other); err == nil || other.Detached() {
		t.Errorf("transferring a buffer twice: %v", err)
	}
	m := &mover{}
	if _, _, err := clone.Transfer([]any{m, func() {}}, m); err == nil || m.moved {
		t.Errorf("transferring with what cannot be copied: %v, moved: %v", err, m.moved)
	}
}

func TestMapKeysAreJavaScripts(t *testing.T) {
	var m clone.Map
	p, list := &node{}, []any{1}
	keys := []any{1.0, "1", true, nil, clone.Undefined{}, math.NaN(), big.NewInt(5), p, list, []any{}, map[string]any{}}
	for i, k := range keys {
		m.Set(k, i)
	}
	for i, k := range []any{1, "1", true, nil, clone.Undefined{}, math.NaN(), big.NewInt(5), p, list} {
		if got, ok := m.Get(k); !ok || got != i {
			t.Errorf("Get(%v): %v, %v, want %d", k, got, ok, i)
		}
	}
	m.Set(math.Copysign(0, -1), "zero")
	if got, _ := m.Get(0); got != "zero" {
		t.Errorf("0 is not -0: %v", got)
	}
	if m.Has([]any{}) || m.Has(map[string]any{}) || m.Has(&node{}) || m.Has(5) {
		t.Error("what only looks the same is found")
	}
	if !m.Delete("1") || m.Delete("1") || m.Len() != len(keys) {
		t.Errorf("Delete: %d left", m.Len())
	}
	for i := range 1000 {
		m.Set(i, i)
	}
	for i := range 1000 {
		m.Delete(i)
	}
	var left []any
	for k := range m.All() {
		left = append(left, k)
	}
	if len(left) != m.Len() || left[0] != true {
		t.Errorf("left: %v, Len %d", left, m.Len())
	}
}

// Map and Object do what a map and an order of keys would.
func TestMapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m clone.Map
		var o clone.Object
		model, order := map[string]int{}, []string{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			k := rapid.StringMatching("[a-l]{1,2}").Draw(t, "key")
			_, there := model[k]
			if rapid.Bool().Draw(t, "delete") {
				if got, was := m.Delete(k), o.Delete(k); got != there || was != there {
					t.Fatalf("Delete(%q): %v and %v, want %v", k, got, was, there)
				}
				delete(model, k)
				for i := range order {
					if order[i] == k {
						order = append(order[:i:i], order[i+1:]...)
						break
					}
				}
				continue
			}
			v := rapid.Int().Draw(t, "value")
			m.Set(k, v)
			o.Set(k, v)
			if model[k] = v; !there {
				order = append(order, k)
			}
		}
		keys, properties := []string{}, []string{}
		for k, v := range m.All() {
			if keys = append(keys, k.(string)); v != model[k.(string)] {
				t.Fatalf("value of %v: %v", k, v)
			}
		}
		for k, v := range o.All() {
			if properties = append(properties, k); v != model[k] {
				t.Fatalf("value of %v: %v", k, v)
			}
			if got, ok := o.Get(k); !ok || got != v {
				t.Fatalf("Get(%q): %v, %v", k, got, ok)
			}
		}
		if d := cmp.Diff(order, keys); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(order, properties); d != "" {
			t.Fatal(d)
		}
	})
}

func TestCopiesMayBeMadeTogether(t *testing.T) {
	type fresh struct { // a type that no other test has made the plan of
		Next *fresh
		M    map[string]*fresh
		S    []fresh
	}
	v := &fresh{M: map[string]*fresh{}, S: []fresh{{}}}
	v.Next, v.M["v"] = v, v
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				to, err := clone.Of(v)
				if err != nil || to == v || to.Next != to || to.M["v"] != to {
					t.Errorf("%v, %+v", err, to)
					return
				}
				if _, err := clone.Marshal(v); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}
