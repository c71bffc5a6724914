package clone

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
)

// writer is one call of Marshal.
type writer struct {
	out    []byte
	start  int // of the data in out, from which even places count
	depth  int
	next   uint32   // number of the next object
	keys   []string // of the maps that are being written, for each in their order and before that in none
	places []place  // for the time of a sort
	sorted bool
	known  references[uint32]
}

func (w *writer) enter() error {
	if w.depth++; w.depth > MaxDepth {
		return tooDeep()
	}
	return nil
}

func (w *writer) tag(t byte) { w.out = append(w.out, t) }

func (w *writer) varint(n uint64) {
	if n < 0x80 { // nearly always, and then it is inlined
		w.out = append(w.out, byte(n))
		return
	}
	w.out = binary.AppendUvarint(w.out, n)
}

func (w *writer) length(n int) error {
	if int64(n) > math.MaxUint32 {
		return &Error{Reason: fmt.Sprintf("a length of %d has no place in the format", n)}
	}
	w.varint(uint64(n))
	return nil
}

func (w *writer) bits(f float64) {
	w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(f))
}

func (w *writer) number(f float64) {
	// -0 is a double as well.
	if i := int32(f); float64(i) == f && (i != 0 || !math.Signbit(f)) {
		w.small(i)
		return
	}
	w.tag(tagDouble)
	w.bits(f)
}

func (w *writer) small(i int32) {
	w.tag(tagInt32)
	w.varint(uint64(uint32(i)<<1 ^ uint32(i>>31)))
}

func (w *writer) int(i int64) {
	switch {
	case i == int64(int32(i)):
		w.small(int32(i))
	case -maxSafe <= i && i <= maxSafe:
		w.number(float64(i))
	default:
		w.tag(tagBigInt)
		w.bigInt(big.NewInt(i))
	}
}

func (w *writer) uint(i uint64) {
	if i <= maxSafe {
		w.int(int64(i))
		return
	}
	w.tag(tagBigInt)
	w.bigInt(new(big.Int).SetUint64(i))
}

func (w *writer) bool(yes bool) {
	if yes {
		w.tag(tagTrue)
	} else {
		w.tag(tagFalse)
	}
}

// bigInt writes sign, length and digits, of 8 bytes each.
func (w *writer) bigInt(n *big.Int) {
	size := (n.BitLen() + 63) / 64 * 8
	head := uint64(size) << 1
	if n.Sign() < 0 {
		head |= 1
	}
	w.varint(head)
	at := len(w.out)
	w.out = append(w.out, make([]byte, size)...)
	n.FillBytes(w.out[at:])
	slices.Reverse(w.out[at:])
}

// string writes Latin-1 if that is enough, else UTF-16.
func (w *writer) string(s string) error {
	if isASCII(s) {
		if len(s) < 0x80 {
			w.out = append(append(w.out, tagOneByte, byte(len(s))), s...)
			return nil
		}
		w.tag(tagOneByte)
		if err := w.length(len(s)); err != nil {
			return err
		}
		w.out = append(w.out, s...)
		return nil
	}
	units, wide := 0, false
	for rest := s; rest != ""; {
		r, n := next(rest)
		rest = rest[n:]
		units++
		wide = wide || r > 0xff
		if r > 0xffff {
			units++
		}
	}
	if !wide {
		w.tag(tagOneByte)
		if err := w.length(units); err != nil {
			return err
		}
		for _, r := range s {
			w.out = append(w.out, byte(r))
		}
		return nil
	}
	var size [binary.MaxVarintLen64]byte
	if (len(w.out)-w.start+1+binary.PutUvarint(size[:], uint64(units)*2))%2 != 0 {
		w.tag(tagPadding)
	}
	w.tag(tagTwoByte)
	if err := w.length(units * 2); err != nil {
		return err
	}
	for s != "" {
		r, n := next(s)
		s = s[n:]
		if r > 0xffff {
			r -= 0x10000
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(0xd800+r>>10))
			r = 0xdc00 + r&0x3ff
		}
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(r))
	}
	return nil
}

// key writes the key of a property: the index of an array as a number, as V8 does.
func (w *writer) key(k string) error {
	if i, ok := arrayIndex(k); ok {
		w.number(float64(i))
		return nil
	}
	return w.string(k)
}

// object begins an object: with a reference to it, and true, if it has been there.
func (w *writer) object(key reference) bool {
	if id, ok := w.known.get(key); ok {
		w.tag(tagReference)
		w.varint(uint64(id))
		return true
	}
	w.known.put(key, w.next)
	w.next++
	return false
}

// fresh begins an object that nothing else can refer to.
func (w *writer) fresh() { w.next++ }

// any writes what an interface holds.
func (w *writer) any(v any) error {
	switch v := v.(type) {
	case nil:
		w.tag(tagNull)
		return nil
	case Undefined:
		w.tag(tagUndefined)
		return nil
	case bool:
		w.bool(v)
		return nil
	case string:
		return w.string(v)
	case float64:
		w.number(v)
		return nil
	case int:
		w.int(int64(v))
		return nil
	}
	r := reflect.ValueOf(v)
	if isNil(r) {
		if k := r.Kind(); k == reflect.Func || k == reflect.Chan {
			return refuse(r.Type())
		}
		w.tag(tagNull)
		return nil
	}
	if err := w.enter(); err != nil {
		return err
	}
	defer func() { w.depth-- }()
	switch v := v.(type) {
	case map[string]any:
		if w.object(reference{at: r.UnsafePointer(), of: r.Type()}) {
			return nil
		}
		return w.mapping(v)
	case []any:
		if cap(v) == 0 {
			w.fresh()
		} else if w.object(reference{at: r.UnsafePointer(), len: len(v), of: r.Type()}) {
			return nil
		}
		return w.array(v)
	case written:
		return w.own(v, r)
	case error:
		if r.Kind() != reflect.Pointer {
			w.fresh()
		} else if w.object(reference{at: r.UnsafePointer(), of: r.Type()}) {
			return nil
		}
		return w.errorValue(plainError(v))
	}
	if r.Kind() == reflect.Struct {
		r = addressable(r).Elem() // once for all that is in it
	}
	return writePlanOf(r.Type()).write(w, r)
}

func (w *writer) array(list []any) error {
	return w.dense(len(list), func(i int) error { return w.any(list[i]) })
}

// dense writes an array of n elements without holes.
func (w *writer) dense(n int, element func(i int) error) error {
	w.tag(tagDense)
	if err := w.length(n); err != nil {
		return err
	}
	for i := range n {
		if err := element(i); err != nil {
			return below(indexStep(i), err)
		}
	}
	w.tag(tagDenseEnd)
	w.varint(0)
	return w.length(n)
}

func (w *writer) mapping(m map[string]any) error {
	w.tag(tagObject)
	return basicMap(w, m, w.any)
}

func (w *writer) properties(n int, all func(yield func(string, any) bool)) error {
	w.tag(tagObject)
	for k, v := range all {
		if err := w.key(k); err != nil {
			return below(keyStep(k), err)
		}
		if err := w.any(v); err != nil {
			return below(keyStep(k), err)
		}
	}
	w.tag(tagObjectEnd)
	return w.length(n)
}
