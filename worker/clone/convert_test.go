package clone_test

import (
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"paceline/worker/clone"

	"pgregory.net/rapid"
)

// as is what v is as a T, or the error.
func as[T any](v any) any {
	t, err := clone.As[T](v)
	if err != nil {
		return err.Error()
	}
	return t
}

type point struct {
	X    int8     `json:"x"`
	Y    *float32 `json:"y"`
	Next *point   `json:"next"`
	Kids []point  `json:"kids"`
}

func TestAs(t *testing.T) {
	half := float32(0.5)
	object := map[string]any{"x": 1.0, "y": 0.5, "unknown": true, "kids": []any{map[string]any{"x": 2.0}}}
	ordered := clone.NewObject(clone.Property{Key: "x", Value: 1.0}, clone.Property{Key: "y", Value: 0.5})
	var numbers clone.Map
	numbers.Set(1.0, "one")
	for i, c := range []struct{ got, want any }{
		{as[int](3.0), 3},
		{as[uint8](255.0), uint8(255)},
		{as[uint8](256.0), "value: the number 256 does not fit a uint8"},
		{as[uint8](-1), "value: the number -1 does not fit a uint8"},
		{as[int](1.5), "value: the number 1.5 is no integer"},
		{as[int](math.NaN()), "value: the number NaN is no integer"},
		{as[int]("1"), "value: a string is no number"},
		{as[int64](big.NewInt(math.MaxInt64)), int64(math.MaxInt64)},
		{as[int](nil), 0},
		{as[string](clone.Undefined{}), ""},
		{as[float64](int64(5)), 5.0},
		{as[float64](int64(1<<53 + 1)), "value: the number 9007199254740993 does not fit a float64"},
		{as[float64](big.NewInt(8)), 8.0},
		{as[float32](1e300), "value: the number 1e+300 does not fit a float32"},
		{as[*big.Int](4.0), big.NewInt(4)},
		{as[time.Duration](4.0), 4 * time.Nanosecond},
		{as[time.Time](&clone.Date{Milliseconds: 5}), time.UnixMilli(5).UTC()},
		{as[time.Time](&clone.Date{Milliseconds: math.NaN()}), "value: an invalid date is no time.Time"},
		{as[netip.Addr]("::1"), netip.MustParseAddr("::1")},
		{as[bool](&clone.Boxed{Value: true}), true},
		{as[[]int]([]any{1.0, 2.0}), []int{1, 2}},
		{as[[]int]([]float64{1, 2}), []int{1, 2}},
		{as[[]string](clone.NewSet("b", "a")), []string{"b", "a"}},
		{as[[]byte](clone.NewArrayBuffer([]byte("x"))), []byte("x")},
		{as[[2]string]([]any{"a", "b"}), [2]string{"a", "b"}},
		{as[[3]string]([]any{"a"}), "value: 1 elements are no [3]string"},
		{as[map[string]int](map[string]any{"a": 1.0}), map[string]int{"a": 1}},
		{as[map[int]string](&numbers), map[int]string{1: "one"}},
		{as[map[int]string](map[string]any{"7": "seven"}), map[int]string{7: "seven"}},
		{as[map[int]string](map[string]any{"x": ""}), `value[key "x"]: "x" is no number`},
		{as[point](object), point{X: 1, Y: &half, Kids: []point{{X: 2}}}},
		{as[*point](ordered), &point{X: 1, Y: &half}},
		{as[point](map[string]any{"next": map[string]any{"kids": []any{nil, map[string]any{"x": "no"}}}}), "value.next.kids[1].x: a string is no number"},
		{as[point]("text"), "value: a string is no clone_test.point"},
		{as[base](tagged{Name: "n", base: base{ID: 5, Name: "b"}}), base{Name: "b", ID: 5}},
		{as[error](1), "value: a int is no error"},
		{as[func()](1), "value: a int is no func()"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%d: got %v (%T), want %v (%T)", i, c.got, c.got, c.want, c.want)
		}
	}
}

func TestAsKeepsTheForm(t *testing.T) {
	loop := map[string]any{"x": 1.0}
	loop["next"] = loop
	p, err := clone.As[*point](loop)
	if err != nil || p.Next != p {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := clone.As[struct {
		Next [1]any `json:"next"`
	}](loop); err == nil {
		t.Error("a map has become an array")
	}
	// Each of the 60 is twice in the next: only what is shared can be converted.
	type twice struct{ A, B *twice }
	var v any
	for range 60 {
		v = map[string]any{"A": v, "B": v}
	}
	two, err := clone.As[*twice](v)
	if err != nil || two.A != two.B || two.A.A != two.B.B {
		t.Errorf("got %+v, %v", two, err)
	}
	type deep struct{ Next []deep }
	endless := map[string]any{}
	endless["Next"] = []any{endless}
	if d, err := clone.As[deep](endless); err != nil && !strings.Contains(err.Error(), "deeper") {
		t.Errorf("got %v, %v", d, err)
	}
}

// Reading directly gives what reading by way of values does.
func TestUnmarshalAsProperties(t *testing.T) {
	type leaf struct {
		I   int32
		U   uint16 `json:",omitempty"`
		F   float32
		S   string `json:"s"`
		T   time.Time
		B   bool
		Any any
	}
	type whole struct {
		leaf
		Next   *whole
		Leaves []leaf
		Ptrs   []*leaf
		Map    map[string]leaf
		Texts  map[string]string
		Bytes  []byte
		Floats []float64
		Ints   []int
		Big    *big.Int
		P      *int
		Any    any
	}
	var draw func(t *rapid.T, depth int) *whole
	leaves := rapid.Custom(func(t *rapid.T) leaf {
		return leaf{
			I: rapid.Int32().Draw(t, "i"), U: rapid.Uint16().Draw(t, "u"), F: rapid.Float32().Draw(t, "f"), S: rapid.String().Draw(t, "s"),
			T: time.UnixMilli(rapid.Int64Range(-1e14, 1e14).Draw(t, "t")).UTC(), B: rapid.Bool().Draw(t, "b"),
			Any: rapid.SampledFrom([]any{nil, "x", 1.5, true, clone.Undefined{}}).Draw(t, "any"),
		}
	})
	draw = func(t *rapid.T, depth int) *whole {
		w := &whole{leaf: leaves.Draw(t, "leaf"), Leaves: rapid.SliceOfN(leaves, 0, 3).Draw(t, "leaves")}
		if rapid.Bool().Draw(t, "more") {
			shared := leaves.Draw(t, "shared")
			w.Ptrs = []*leaf{&shared, nil, &shared}
			w.Map = rapid.MapOfN(rapid.String(), leaves, 0, 3).Draw(t, "map")
			w.Texts = rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "texts")
			w.Bytes = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
			w.Floats = []float64{1, 2.5}
			w.Ints = rapid.SliceOf(rapid.IntRange(math.MinInt32, math.MaxInt32)).Draw(t, "ints")
			w.Big = big.NewInt(rapid.Int64().Draw(t, "big"))
			n := 5
			w.P = &n
		}
		switch rapid.IntRange(0, 4).Draw(t, "next") {
		case 0:
			w.Next = w
		case 1:
			w.Any = w.Texts
		case 2:
			w.Any = []any{w.Floats, w.Bytes}
		case 3:
			if depth > 0 {
				w.Next = draw(t, depth-1)
			}
		}
		return w
	}
	rapid.Check(t, func(t *rapid.T) {
		in := draw(t, 3)
		data, err := clone.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := clone.UnmarshalAs[*whole](data)
		if err != nil {
			t.Fatal(err)
		}
		v, err := clone.Unmarshal(data)
		if err != nil {
			t.Fatal(err)
		}
		want, err := clone.As[*whole](v)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("directly  %+v\nby values %+v", got, want)
		}
		if len(got.Ptrs) > 0 && got.Ptrs[0] != got.Ptrs[2] {
			t.Fatal("what was shared is not")
		}
		if got.Any == nil && in.Any == nil && got.Next != got && !reflect.DeepEqual(got.Leaves, in.Leaves) && len(in.Leaves) > 0 {
			t.Fatalf("got %+v, want %+v", got.Leaves, in.Leaves)
		}
		// Data that is cut off is an error in both ways.
		cut := data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]
		if v, err := clone.UnmarshalAs[*whole](cut); err == nil {
			t.Fatalf("%x became %+v", cut, v)
		}
	})
}

func TestUnmarshalAsSaysWhatIsWrong(t *testing.T) {
	data, err := clone.Marshal(map[string]any{"x": 1, "kids": []any{map[string]any{"x": 300}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "value.kids[0].x: the number 300 does not fit a int8"
	if p, err := clone.UnmarshalAs[point](data); err == nil || err.Error() != want {
		t.Errorf("got %+v, %v, want %s", p, err, want)
	}
}
