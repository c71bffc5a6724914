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
		{as[map[int]string](map[string]any{"x": ""}), `value[key x]: "x" is no number`},
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
