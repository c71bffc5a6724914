package clone_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"paceline/worker/clone"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type tagged struct {
	Name   string        `json:"name"`
	Age    int           `json:"age,omitempty"`
	Hidden string        `json:"-"`
	Zero   time.Duration `json:",omitzero"`
	base
	own int
}

type base struct {
	Name string // less far out
	ID   uint8
}

// What Go values become, byte by byte: what v8.serialize writes of the value of
// JavaScript beside it.
func TestMarshal(t *testing.T) {
	shared := &struct{ X int }{1}
	list := []string{"a"}
	loop := map[string]any{}
	loop["l"] = loop
	for _, c := range []struct {
		v    any
		want string // without the version
	}{
		{clone.Undefined{}, "5f"},
		{nil, "30"},
		{true, "54"},
		{-1, "4901"},
		{int64(math.MaxInt32), "49feffffff0f"},
		{uint32(1 << 31), "4e000000000000e041"},
		{int64(1 << 60), "5a100000000000000010"},
		{uint64(math.MaxUint64), "5a10ffffffffffffffff"},
		{math.Copysign(0, -1), "4e0000000000000080"},
		{float32(1.5), "4e000000000000f83f"},
		{big.NewInt(-5), "5a110500000000000000"},
		{*big.NewInt(0), "5a00"},
		{"hé", "220268e9"},
		{"a€", "6304 6100ac20"},
		{"\xed\xa0\x80", "6302 00d8"}, // a lone surrogate
		{"a\xff", "6304 6100fdff"},
		{map[string]any{"ab": "€"}, "6f 22026162 00 6302 ac20 7b01"},
		{time.UnixMilli(5), "440000000000001440"},
		{[]any{1, "€"}, "4102 4902 6302ac20 240002"},
		{[]string{"a"}, "4101 220161 240001"},
		{[2]bool{true, false}, "4102 54 46 240002"},
		{[]byte{1, 2}, "42020102 5642000200"},
		{[2]byte{1, 2}, "42020102 5642000200"},
		{[]int16{-1}, "4202ffff 5677000200"},
		{[]float32{1.5}, "42040000c03f 5666000400"},
		{[]uint64{1}, "42080100000000000000 5651000800"},
		{[]int{1}, "4101 4902 240001"},
		{[]time.Duration{1}, "4101 4902 240001"},
		{map[string]int{"b": 1, "1": 2, "a": 3}, "6f 4902 4904 220161 4906 220162 4902 7b03"},
		{map[int]string{1: "x"}, "3b 4902 220178 3a02"},
		{tagged{Name: "n", Age: 0, Hidden: "h", base: base{Name: "b", ID: 7}, own: 1}, "6f 22046e616d65 22016e 22044e616d65 220162 22024944 490e 7b03"},
		{struct{ A, B *struct{ X int } }{shared, shared}, "6f 220141 6f 220158 4902 7b01 220142 5e01 7b02"},
		{[]any{list, list}, "4102 4101 220161 240001 5e01 240002"},
		{[]any{[]byte{1}, clone.NewSet([]byte{2}), shared, shared}, "4104 420101 5642000100 27 420102 5642000100 2c01 6f 220158 4902 7b01 5e06 240004"},
		{loop, "6f 22016c 5e00 7b01"},
		{netip.MustParseAddr("::1"), "22033a3a31"},
		{fmt.Errorf("a: %w", io.EOF), "72 6d2206613a20454f46 732200 63 72 6d2203454f46 732200 2e 2e"},
		{&clone.ErrorValue{Name: "TypeError", Message: "m"}, "72 54 6d22016d 732200 2e"},
		{(*tagged)(nil), "30"},
		{[]int(nil), "30"},
	} {
		got, err := clone.Options{Sorted: true}.Marshal(c.v)
		if err != nil {
			t.Errorf("%T %v: %v", c.v, c.v, err)
			continue
		}
		if want := append([]byte{0xff, 15}, unhex(t, c.want)...); !bytes.Equal(got, want) {
			t.Errorf("%T %v:\n got %x\nwant %x", c.v, c.v, got, want)
		}
	}
}

// Sorted or not the values are the same; sorted the bytes are as well.
func TestSorted(t *testing.T) {
	type entry struct{ N int }
	numbers, mixed, entries := map[string]int{}, map[string]any{}, map[string]entry{}
	for i := range 50 {
		k := fmt.Sprint("key ", i)
		numbers[k], entries[k] = i, entry{i}
		mixed[k] = map[string]any{k: float64(i), "a": "b"}
	}
	sortsTheSame(t, numbers)
	sortsTheSame(t, mixed)
	sortsTheSame(t, entries)
}

func sortsTheSame[T any](t *testing.T, v T) {
	t.Helper()
	var first []byte
	for i := range 10 {
		sorted, err := clone.Options{Sorted: true}.Append([]byte("x"), v)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = sorted
		} else if !bytes.Equal(sorted, first) {
			t.Fatalf("%T: not the same bytes:\n%x\n%x", v, sorted, first)
		}
		plain, err := clone.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{sorted[1:], plain} {
			if back, err := clone.UnmarshalAs[T](data); err != nil || !reflect.DeepEqual(back, v) {
				t.Fatalf("%v, %v; want %v", back, err, v)
			}
		}
	}
}

func TestMarshalRefusedWithThePath(t *testing.T) {
	for want, v := range map[string]any{
		"value.user.onClick: func() cannot be cloned":           map[string]any{"user": map[string]any{"onClick": func() {}}},
		"value[1].Any: chan int cannot be cloned":               []any{1, node{Any: make(chan int)}},
		"value.Next.Any: complex128 cannot be cloned":           &node{Next: &node{Any: complex(1, 2)}},
		"value[0]: a string of":                                 nil,
		"value: the time":                                       time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC),
		"value: unknown flag 'q' of a regular expression":       &clone.RegExp{Flags: "q"},
		"value: a int cannot be boxed":                          &clone.Boxed{Value: 1},
		"value[5]: the array has a length of 3":                 &clone.Array{Length: 3, Elements: map[uint32]any{5: 1}},
		"value: a Int32Array from byte 1":                       &clone.View{Kind: clone.Int32Array, Buffer: clone.NewArrayBuffer(make([]byte, 8)), ByteOffset: 1, ByteLength: 4},
		"value: a Uint8Array reaches beyond its buffer":         &clone.View{Kind: clone.Uint8Array, Buffer: clone.NewArrayBuffer(make([]byte, 8)), ByteOffset: 1, ByteLength: 8},
		"value: *clone_test.mover can be transferred within":    &mover{},
		"value: *clone_test.common is shared memory, which end": &common{},
	} {
		if v == nil {
			continue
		}
		if _, err := clone.Marshal(v); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

type common struct{ n []int }

func (*common) CloneShared() {}

func TestSharedStaysTheSame(t *testing.T) {
	c := &common{n: []int{1}}
	to := of(t, []any{c, map[string]*common{"c": c}})
	if to[0] != any(c) || to[1].(map[string]*common)["c"] != c {
		t.Errorf("got %v", to)
	}
}

func TestUnmarshal(t *testing.T) {
	buffer := clone.NewArrayBuffer([]byte{1, 2})
	for _, c := range []struct {
		data string
		want any
	}{
		{"ff0f 00 00 4902", 1.0},
		{"ff0f 3f05 4902", 1.0},
		{"ff0f 5503", 3.0},
		{"ff0d 5303 e282ac", "€"},
		{"ff0f 5a0801000000", big.NewInt(1)},
		{"ff0f 42020102", buffer},
		{"ff0d 42020102 56420002", []byte{1, 2}},
		{"ff0e 42020102 5677000200", []int16{0x201}},
		{"ff0f 5c 0504 01000000", []int32{1}},
		{"ff0f 5c 0a02 6162", []byte("ab")},
		{"ff0f 41 02 2d 4902 24 00 02", &clone.Array{Length: 2, Elements: map[uint32]any{1: 1.0}}},
		{"ff0f 61 02 4900 4902 4902 4904 40 02 02", []any{1.0, 2.0}},
		{"ff0f 6f 4901 220161 4e000000000000f83f 220162 7b02", map[string]any{"-1": "a", "1.5": "b"}},
		{"ff0f 440000000000001440", time.UnixMilli(5).UTC()},
		{"ff0f 52 220161 af01", &clone.RegExp{Source: "a", Flags: "gimysd"}},
	} {
		got, err := clone.Unmarshal(unhex(t, c.data))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %#v, %v, want %#v", c.data, got, err, c.want)
		}
	}
	// A child process of Node with serialization: 'advanced' wrote this.
	v, err := clone.Options{Host: clone.HostNodeIPC}.Unmarshal(unhex(t,
		"ff0f6f2201615c000a0278792201625c000808000000000000f83f2201732749022c017b03"))
	want := map[string]any{"a": []byte("xy"), "b": []float64{1.5}, "s": clone.NewSet(1.0)}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("got %#v, %v, want %#v", v, err, want)
	}
}

func TestErrorInItself(t *testing.T) {
	v, err := clone.Unmarshal(unhex(t, "ff0f 72 6d22016d 732200 63 5e00 2e"))
	if e, ok := v.(*clone.ErrorValue); err != nil || !ok || e.Cause != any(e) {
		t.Fatalf("got %#v, %v", v, err)
	}
	again, err := clone.Marshal(v)
	if err != nil || !bytes.Equal(again, unhex(t, "ff0f 72 6d22016d 732200 63 5e00 2e")) {
		t.Errorf("got %x, %v", again, err)
	}
}

func TestUnmarshalSaysWhatIsWrong(t *testing.T) {
	for data, want := range map[string]string{
		"":                        "begin with a version",
		"0f30":                    "begin with a version",
		"ff0c30":                  "version 12",
		"ff1030":                  "version 16",
		"ff0f":                    "ends too early",
		"ff0f3030":                "1 bytes after the end",
		"ff0f2d":                  "hole",
		"ff0f5e00":                "object 0",
		"ff0f2205":                "ends too early",
		"ff0f4e0000":              "ends too early",
		"ff0f6303616161":          "3 bytes",
		"ff0f41ffffffff0f":        "4294967295 elements",
		"ff0f4103410349024902":    "an array of 3 elements",
		"ff0f49ffffffffff01":      "32 bits",
		"ff0f5a fe ff ff ff 0f":   "too early",
		"ff0f6f 2d":               "key",
		"ff0f6f 7b01":             "1 properties",
		"ff0f3b 4902 4904 3a04":   "announced",
		"ff0f7e 0302 000000":      "at most 2",
		"ff0f42020102 5677010100": "elements have 2",
		"ff0f42020102 5642010200": "its buffer has 2",
		"ff0f42020102 5642000201": "flags",
		"ff0f42020102 565a000201": "unknown kind",
		"ff0f5c 2002 0000":        "unknown kind 32",
		"ff0f5c 0503 010203":      "Int32Array of 3 bytes",
		"ff0f74 00":               "unsupported tag 't'",
		"ff0f52 220161 40":        "flags",
		"ff0f72 78":               "in an error",
		"ff0f" + strings.Repeat("3f00", 11000) + "30": "deeper",
	} {
		v, err := clone.Unmarshal(unhex(t, data))
		var wrong *clone.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, %v, want %q", data, v, err, want)
		}
	}
}

// allocated is how many bytes this process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// What data can make Unmarshal allocate, in bytes for each of its own: an empty
// Map is two of them, and 96 here.
const amplification = 400

// Data that says it has much more than there is must not have memory taken for it.
func TestMemoryIsInProportionToTheData(t *testing.T) {
	repeat := func(head, part string, n int, tail string) []byte {
		return unhex(t, "ff0f"+head+strings.Repeat(part, n)+tail)
	}
	const n = 9000
	for name, data := range map[string][]byte{
		"arrays in arrays":    repeat("", "41e0d403", n, ""),
		"sparse arrays":       repeat("41a846", "61e0d403 4000e0d403", n, "2400a846"),
		"resizable buffers":   repeat("41a846", "7e00ffffffff0f", n, "2400a846"),
		"views of one buffer": repeat("41a946 4280a006"+strings.Repeat("00", 102400), "5e01 5644 00 80a006 00", n, "2400a946"),
		"bytes of one buffer": repeat("41a946 4280a006"+strings.Repeat("00", 102400), "5e01 5642 00 80a006 00", n, "2400a946"),
		"maps":                repeat("41a846", "3b3a00", n, "2400a846"),
		"objects":             repeat("41a846", "6f7b00", n, "2400a846"),
		"one long string":     repeat("", "22ffffffff0f", 1, ""),
		"referred while open": repeat("61a846", "", 0, strings.Repeat("49005e00", n)+"40a846a846"),
		"arrays with a name":  repeat("41a846", "41005e00 2201615e00 240100", 1, ""),
	} {
		for _, exact := range []bool{false, true} {
			before := allocated()
			_, err := clone.Options{Exact: exact}.Unmarshal(data)
			if took := allocated() - before; took > uint64(amplification*len(data)+1<<20) {
				t.Errorf("%s, exact %v: %d bytes for %d of data (%v)", name, exact, took, len(data), err)
			}
		}
	}
}

// No data makes Unmarshal panic or take memory out of proportion, and what it has
// read can be written and read again.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		"30", "41025f2d240002", "6103490049024904490640 0203", "6f2201615e007b01", "3b490249043a02", "2749022c01",
		"42020102 5642000200", "7e0810000000000000000056420000035e0156424002", "72546d22016d7322007372 2e2e",
		"5c0a026162", "52220161af01", "6e000000000000f03f", "5a110500000000000000", "63043dd880de",
		"4101 5e00 2201785e00 240101", "6102 49005e00 49025e00 400202", "440000000000001440",
	} {
		f.Add(unhex(f, "ff0f"+seed))
	}
	one := 1
	full := &target{
		B: []target{{I: 1}}, C: map[string]*target{"c": {J: 2}}, D: map[string]string{"d": "€"}, E: map[string]int{"e": 1},
		F: []string{"f"}, G: []byte("g"), H: []float32{1}, K: 1.5, L: "l", M: true, N: time.UnixMilli(5).UTC(), O: []any{1.0}, P: &one, Q: []int64{1},
	}
	full.A, full.C["self"] = full, full
	for _, v := range []any{full, []*target{full, {}, full}} {
		data, err := clone.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, o := range []clone.Options{{}, {Exact: true}, {Host: clone.HostNodeIPC}} {
			before := allocated()
			v, err := o.Unmarshal(data)
			if took := allocated() - before; took > uint64(amplification*len(data)+1<<20) {
				t.Fatalf("%d bytes for %d of data", took, len(data))
			}
			if err != nil {
				continue
			}
			sorted := clone.Options{Sorted: true}
			once, err := sorted.Marshal(v)
			if err != nil {
				t.Fatalf("what has been read cannot be written: %v\n%#v", err, v)
			}
			again, err := clone.Options{Exact: o.Exact}.Unmarshal(once)
			if err != nil {
				t.Fatalf("what has been written cannot be read: %v\n%x", err, once)
			}
			twice, err := sorted.Marshal(again)
			if err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("%v\nonce  %x\ntwice %x", err, once, twice)
			}
			if o == (clone.Options{}) {
				checkDirect[target](t, data, v)
				checkDirect[[]*target](t, data, v)
			}
			copied, err := clone.Clone(v)
			if err != nil {
				t.Fatal(err)
			}
			if third, err := sorted.Marshal(copied); err != nil || !bytes.Equal(once, third) {
				t.Fatalf("%v\nonce %x\ncopy %x", err, once, third)
			}
		}
	})
}

// target has a field of each kind that is read directly.
type target struct {
	A *target
	B []target
	C map[string]*target
	D map[string]string
	E map[string]int
	F []string
	G []byte
	H []float32
	I int16
	J uint8
	K float32
	L string
	M bool
	N time.Time
	O any
	P *int
	Q []int64
}

// checkDirect checks that data is the same T whether it is read directly or by way
// of the value v.
func checkDirect[T any](t *testing.T, data []byte, v any) {
	t.Helper()
	got, err := clone.UnmarshalAs[T](data)
	want, wrong := clone.As[T](v)
	if (err == nil) != (wrong == nil) {
		t.Fatalf("%T directly: %v, by values: %v", got, err, wrong)
	}
	if err != nil {
		return
	}
	a, err := clone.Options{Sorted: true}.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	b, err := clone.Options{Sorted: true}.Marshal(want)
	if err != nil || !bytes.Equal(a, b) {
		t.Fatalf("%T, %v\ndirectly  %x\nby values %x", got, err, a, b)
	}
}

// What encoding/json makes of a value and what Node makes of it are the same, but
// for what JSON has no place for.
func TestStructsAreWhatJSONMakesThem(t *testing.T) {
	in := people(2)
	data, err := clone.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	eachNode(t, func(t *testing.T, node string) {
		var got, text any
		// Dates have milliseconds there, and a "000Z" that Go leaves out; typed arrays
		// are objects in JSON.
		runNode(t, &got, data, node, "-e", `process.stdout.write(JSON.stringify(
			require('v8').deserialize(require('fs').readFileSync(0)),
			(k, v) => ArrayBuffer.isView(v) ? [...v] : k === 'Born' ? v.replace('.000Z', 'Z') : v))`)
		if err := json.Unmarshal(want, &text); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, text) {
			t.Errorf("got %v\nwant %v", got, text)
		}
	})
}
