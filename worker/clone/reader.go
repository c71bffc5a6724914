package clone

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strings"
)

// reader is one pass over data.
type reader struct {
	options Options
	data    []byte
	at      int
	version uint32
	depth   int
	objects []object // by number

	// promised is how many elements the arrays that are open still have to come.
	// Each takes at least a byte, so data that promises more than is left is
	// refused before memory is taken for it.
	promised int
	// viewed is how many bytes of buffers have been copied for views.
	viewed int

	names      *names
	converting converting // of values, on the way to a type

	forms map[int]form // of arrays by number, from an earlier pass
	again bool         // a pass with forms is needed
}

// object is a numbered object.
type object struct {
	value    any
	direct   bool // it was read as what it is to be; value is nil if that is no pointer or map
	open     bool // an array that has not ended
	referred bool // something has referred to it while it was open
}

// form is what an array turned out to be, other than its beginning said.
type form struct {
	slice  bool // a []any, though it was written as a sparse one
	length int  // of it
}

func (r *reader) all() (any, error) {
	if len(r.data) < 2 || r.data[0] != tagVersion {
		return nil, malformed(0, "it does not begin with a version")
	}
	r.at = 1
	v, err := r.varint()
	if err != nil {
		return nil, err
	}
	if v < oldestVersion || v > version {
		return nil, malformed(1, "version %d: only %d to %d are known", v, oldestVersion, version)
	}
	r.version = v
	to, err := r.value()
	if err != nil {
		return nil, err
	}
	if _, hole := to.(hole); hole {
		return nil, malformed(r.at, "a hole outside of an array")
	}
	if r.at < len(r.data) {
		return nil, malformed(r.at, "%d bytes after the end of the value", len(r.data)-r.at)
	}
	return to, nil
}

// hole is an element that is not there.
type hole struct{}

func (r *reader) left() int { return len(r.data) - r.at }

func (r *reader) truncated() error { return malformed(len(r.data), "the data ends too early") }

// tag takes the next tag that means something.
func (r *reader) tag() (byte, error) {
	for r.at < len(r.data) {
		t := r.data[r.at]
		r.at++
		if t != tagPadding {
			return t, nil
		}
	}
	return 0, r.truncated()
}

// is takes the next tag if it is t.
func (r *reader) is(t byte) bool {
	at := r.at
	if next, err := r.tag(); err == nil && next == t {
		return true
	}
	r.at = at
	return false
}

func (r *reader) byte() (byte, error) {
	if r.at >= len(r.data) {
		return 0, r.truncated()
	}
	r.at++
	return r.data[r.at-1], nil
}

// varint takes a number of at most 32 bits.
func (r *reader) varint() (uint32, error) {
	if r.at < len(r.data) && r.data[r.at] < 0x80 {
		r.at++
		return uint32(r.data[r.at-1]), nil
	}
	v, n := binary.Uvarint(r.data[r.at:])
	switch {
	case n == 0:
		return 0, r.truncated()
	case n < 0 || v > math.MaxUint32:
		return 0, malformed(r.at, "a number of more than 32 bits")
	}
	r.at += n
	return uint32(v), nil
}

// bytes takes so many bytes, which stay part of the data.
func (r *reader) bytes(n uint32) ([]byte, error) {
	if int64(n) > int64(r.left()) {
		return nil, r.truncated()
	}
	r.at += int(n)
	return r.data[r.at-int(n) : r.at], nil
}

// sized takes a length and as many bytes.
func (r *reader) sized() ([]byte, error) {
	n, err := r.varint()
	if err != nil {
		return nil, err
	}
	return r.bytes(n)
}

func (r *reader) double() (float64, error) {
	b, err := r.bytes(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

func (r *reader) int32() (int32, error) {
	n, err := r.varint()
	return int32(n>>1) ^ -int32(n&1), err
}

// number gives an object the next number.
func (r *reader) number(v any) int {
	r.objects = append(r.objects, object{value: v})
	return len(r.objects) - 1
}

func (r *reader) enter() error {
	if r.depth++; r.depth > MaxDepth {
		return malformed(r.at, "nested deeper than %d levels", MaxDepth)
	}
	return nil
}

// value takes the next value, a view with its buffer.
func (r *reader) value() (any, error) {
	t, err := r.tag()
	if err != nil {
		return nil, err
	}
	switch t {
	case tagUndefined:
		return Undefined{}, nil
	case tagNull:
		return nil, nil
	case tagTrue:
		return true, nil
	case tagFalse:
		return false, nil
	case tagHole:
		return hole{}, nil
	case tagInt32:
		n, err := r.int32()
		return float64(n), err
	case tagUint32:
		n, err := r.varint()
		return float64(n), err
	case tagDouble:
		return wrap(r.double())
	case tagBigInt:
		return wrap(r.bigInt())
	case tagUTF8, tagOneByte, tagTwoByte:
		return wrap(r.text(t))
	case tagObjectCount:
		if _, err := r.varint(); err != nil {
			return nil, err
		}
		// One after another would be recursion without a bound.
		if err := r.enter(); err != nil {
			return nil, err
		}
		defer func() { r.depth-- }()
		return r.value()
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	v, err := r.object(t)
	r.depth--
	if err != nil {
		return nil, err
	}
	if b, ok := v.(*ArrayBuffer); ok && r.is(tagView) {
		return r.view(b)
	}
	return v, nil
}

// wrap is for the results of other types.
func wrap[T any](v T, err error) (any, error) { return v, err }

// object takes what has a number, or refers to such.
func (r *reader) object(t byte) (any, error) {
	switch t {
	case tagReference:
		at := r.at
		n, err := r.varint()
		if err != nil {
			return nil, err
		}
		if int64(n) < int64(len(r.objects)) && r.objects[n].direct {
			return nil, errIndirect
		}
		if int64(n) >= int64(len(r.objects)) || r.objects[n].value == nil {
			return nil, malformed(at, "reference to object %d, which has not been read", n)
		}
		o := &r.objects[n]
		o.referred = o.referred || o.open
		return o.value, nil
	case tagObject:
		return r.plain()
	case tagDense:
		return r.dense()
	case tagSparse:
		return r.sparse()
	case tagMap:
		return r.mapping()
	case tagSet:
		return r.set()
	case tagDate:
		id := r.number(nil)
		ms, err := r.double()
		d := &Date{Milliseconds: ms}
		var v any = d
		if t, valid := d.Time(); valid && !r.options.Exact {
			v = t
		}
		r.objects[id].value = v
		return v, err
	case tagTrueObject, tagFalseObject, tagNumberObject, tagBigIntObject, tagStringObject:
		return r.boxed(t)
	case tagRegExp:
		return r.regExp()
	case tagError:
		return r.error()
	case tagBuffer, tagResizable:
		return r.buffer(t)
	case tagHost:
		return r.host()
	}
	return nil, malformed(r.at-1, "unknown or unsupported tag %q", t)
}

// text takes what follows the tag of a string.
func (r *reader) text(t byte) (string, error) {
	at := r.at
	b, err := r.sized()
	switch {
	case err != nil:
		return "", err
	case t == tagOneByte:
		return fromLatin1(b), nil
	case t == tagUTF8:
		return strings.ToValidUTF8(string(b), "\uFFFD"), nil
	case len(b)%2 != 0:
		return "", malformed(at, "a string of two bytes a character has %d bytes", len(b))
	}
	return fromUTF16(b), nil
}

// string takes a string with its tag.
func (r *reader) string() (string, error) {
	t, err := r.tag()
	if err != nil {
		return "", err
	}
	if t != tagUTF8 && t != tagOneByte && t != tagTwoByte {
		return "", malformed(r.at-1, "tag %q where a string must be", t)
	}
	return r.text(t)
}

func (r *reader) bigInt() (*big.Int, error) {
	head, err := r.varint()
	if err != nil {
		return nil, err
	}
	digits, err := r.bytes(head >> 1)
	if err != nil {
		return nil, err
	}
	b := slices.Clone(digits)
	slices.Reverse(b)
	n := new(big.Int).SetBytes(b)
	if head&1 != 0 {
		n.Neg(n)
	}
	return n, nil
}

func (r *reader) boxed(t byte) (any, error) {
	b := &Boxed{}
	r.number(b)
	var err error
	switch t {
	case tagTrueObject:
		b.Value = true
	case tagFalseObject:
		b.Value = false
	case tagNumberObject:
		b.Value, err = r.double()
	case tagBigIntObject:
		b.Value, err = r.bigInt()
	case tagStringObject:
		b.Value, err = r.string()
	}
	return b, err
}

func (r *reader) regExp() (any, error) {
	re := &RegExp{}
	r.number(re)
	var err error
	if re.Source, err = r.string(); err != nil {
		return nil, err
	}
	at := r.at
	bits, err := r.varint()
	if err != nil {
		return nil, err
	}
	for i := range len(regExpFlags) {
		if bits&(1<<i) != 0 && regExpFlags[i] != '?' {
			re.Flags += regExpFlags[i : i+1]
			bits &^= 1 << i
		}
	}
	if bits != 0 {
		return nil, malformed(at, "unknown flags %#x of a regular expression", bits)
	}
	return re, nil
}

func (r *reader) error() (any, error) {
	e := &ErrorValue{Name: "Error"}
	r.number(e)
	for {
		t, err := r.byte()
		if err != nil {
			return nil, err
		}
		switch t {
		case errorMessage:
			e.Message, err = r.string()
		case errorStack:
			e.Stack, err = r.string()
		case errorCause:
			e.Cause, err = r.element()
		case errorEnd:
			return e, nil
		default:
			name, ok := errorNames[t]
			if !ok {
				return nil, malformed(r.at-1, "unknown tag %q in an error", t)
			}
			e.Name = name
		}
		if err != nil {
			return nil, err
		}
	}
}
