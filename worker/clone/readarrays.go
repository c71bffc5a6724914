package clone

import (
	"encoding/binary"
	"math"
	"slices"
)

// promise checks that so many elements can still come.
func (r *reader) promise(n uint32) error {
	if int64(n) > int64(r.left())-int64(r.promised) {
		return malformed(r.at, "an array of %d elements: the data ends before", n)
	}
	r.promised += int(n)
	return nil
}

// dense takes an array whose elements follow one another.
func (r *reader) dense() (any, error) {
	length, err := r.varint()
	if err != nil {
		return nil, err
	}
	if err := r.promise(length); err != nil {
		return nil, err
	}
	// Room for one, so that an empty array too has an address of its own.
	list := make([]any, length, max(length, 1))
	id := r.number(list)
	irregular := r.irregular(id, length)
	r.objects[id].open = true

	var holes map[int]bool
	for i := range list {
		r.promised--
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		if _, is := v.(hole); is {
			if holes == nil {
				holes = make(map[int]bool)
			}
			holes[i] = true
			continue
		}
		list[i] = v
	}
	var named Object
	n, err := r.properties(tagDenseEnd, func(k string, v any) {
		if i, ok := arrayIndex(k); ok && i < length {
			list[i] = v
			delete(holes, int(i))
			return
		}
		named.Set(k, v)
	})
	if err != nil {
		return nil, err
	}
	if err := r.counted(n); err != nil {
		return nil, err
	}
	if err := r.counted(int(length)); err != nil {
		return nil, err
	}
	if holes == nil && named.Len() == 0 && irregular == nil {
		r.objects[id].open = false
		return list, nil
	}
	elements := make(map[uint32]any, len(list)-len(holes))
	for i, v := range list {
		if !holes[i] {
			elements[uint32(i)] = v
		}
	}
	return r.become(id, irregular, &Array{Length: length, Elements: elements, Named: named}), nil
}

// irregular is the Array that an array is known to become, if it is.
func (r *reader) irregular(id int, length uint32) *Array {
	f, known := r.forms[id]
	if !known || f.slice {
		return nil
	}
	a := &Array{Length: length}
	r.objects[id].value = a
	return a
}

// become ends an array that is an Array. If something has referred to it as what
// it was before, another pass has to set that right.
func (r *reader) become(id int, known, a *Array) *Array {
	o := &r.objects[id]
	o.open = false
	if known != nil {
		*known = *a
		return known
	}
	if _, was := o.value.(*Array); !was && o.referred {
		r.learn(id, form{})
	}
	o.value = a
	return a
}

func (r *reader) learn(id int, f form) {
	if r.forms == nil {
		r.forms = make(map[int]form)
	}
	r.forms[id] = f
	r.again = true
}

// sparse takes an array whose elements come with their index: one that has holes,
// or that V8 thinks might have.
func (r *reader) sparse() (any, error) {
	length, err := r.varint()
	if err != nil {
		return nil, err
	}
	a := &Array{Length: length}
	id := r.number(a)
	// As far as the elements come in order from the first, they are in list.
	var list []any
	known, again := r.forms[id]
	if again = again && known.slice; again {
		list = make([]any, 0, known.length)
		r.objects[id].value = list[:known.length]
	}
	r.objects[id].open = true

	elements := map[uint32]any{}
	n, err := r.properties(tagSparseEnd, func(k string, v any) {
		i, ok := arrayIndex(k)
		switch {
		case !ok || i >= length:
			a.Named.Set(k, v)
		case int64(i) == int64(len(list)):
			list = append(list, v)
		case int64(i) < int64(len(list)):
			list[i] = v
		default:
			elements[i] = v
		}
	})
	if err != nil {
		return nil, err
	}
	if err := r.counted(n); err != nil {
		return nil, err
	}
	if err := r.counted(int(length)); err != nil {
		return nil, err
	}
	o := &r.objects[id]
	o.open = false
	if len(elements) == 0 && int64(len(list)) == int64(length) && a.Named.Len() == 0 {
		if o.referred && !again {
			r.learn(id, form{slice: true, length: len(list)})
		}
		list = slices.Clip(list)
		if list == nil {
			list = make([]any, 0, 1)
		}
		o.value = list
		return list, nil
	}
	for i, v := range list {
		elements[uint32(i)] = v
	}
	a.Elements = elements
	o.value = a
	return a, nil
}

// buffer takes an ArrayBuffer.
func (r *reader) buffer(t byte) (any, error) {
	b := &ArrayBuffer{max: -1}
	r.number(b)
	n, err := r.varint()
	if err != nil {
		return nil, err
	}
	if t == tagResizable {
		at := r.at
		limit, err := r.varint()
		if err != nil {
			return nil, err
		}
		if limit < n {
			return nil, malformed(at, "a buffer of %d bytes can have at most %d", n, limit)
		}
		b.max = int(limit)
	}
	data, err := r.bytes(n)
	b.data = slices.Clone(data)
	return b, err
}

// view takes what follows the tag of a view over the buffer.
func (r *reader) view(b *ArrayBuffer) (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer func() { r.depth-- }()
	at := r.at
	t, err := r.byte()
	if err != nil {
		return nil, err
	}
	kind := slices.IndexFunc(kinds[:], func(k viewKind) bool { return k.tag == t })
	if kind < 0 {
		return nil, malformed(at, "unknown kind %q of a view", t)
	}
	offset, err := r.varint()
	if err != nil {
		return nil, err
	}
	length, err := r.varint()
	if err != nil {
		return nil, err
	}
	var flags uint32
	if r.version >= 14 {
		if flags, err = r.varint(); err != nil {
			return nil, err
		}
	}
	v := &View{Kind: ViewKind(kind), Buffer: b, ByteOffset: int(offset), ByteLength: int(length), Tracking: flags&viewTracking != 0}
	size := uint32(v.Kind.ElementSize())
	_, resizable := b.MaxLen()
	switch {
	case offset%size != 0 || length%size != 0:
		return nil, malformed(at, "a %v from byte %d on, of %d bytes: its elements have %d", v.Kind, offset, length, size)
	case int64(offset)+int64(length) > int64(b.Len()):
		return nil, malformed(at, "a %v from byte %d on, of %d bytes: its buffer has %d", v.Kind, offset, length, b.Len())
	case flags&^(viewTracking|viewResizable) != 0 || flags != 0 && !resizable:
		return nil, malformed(at, "flags %#x of a view do not fit its buffer", flags)
	}
	id := r.number(v)
	return r.natural(id, v)
}

// host takes what Node writes outside of the format.
func (r *reader) host() (any, error) {
	id := r.number(nil)
	at := r.at
	if r.options.Host == HostNodeIPC {
		t, err := r.varint()
		switch {
		case err != nil:
			return nil, err
		case t == 1: // any other object of the host's, as a plain one
			v, err := r.element()
			if err == nil {
				r.objects[id].value = v
			}
			return v, err
		case t != 0:
			return nil, malformed(at, "unknown kind %d of a host object", t)
		}
	}
	t, err := r.varint()
	if err != nil {
		return nil, err
	}
	if int64(t) >= int64(len(hostKinds)) {
		return nil, malformed(at, "unknown kind %d of a host object", t)
	}
	data, err := r.sized()
	if err != nil {
		return nil, err
	}
	v := &View{Kind: hostKinds[t], Buffer: NewArrayBuffer(slices.Clone(data)), ByteLength: len(data)}
	if len(data)%v.Kind.ElementSize() != 0 {
		return nil, malformed(at, "a %v of %d bytes", v.Kind, len(data))
	}
	return r.natural(id, v)
}

// natural gives a view the type of a Go program, unless it is to be exact.
func (r *reader) natural(id int, v *View) (any, error) {
	var to any = v
	if !r.options.Exact {
		b := v.Bytes()
		// Views over the same bytes again and again would take memory out of proportion.
		if v.Kind != Uint8Array {
			if r.viewed += len(b); r.viewed > 16*len(r.data) {
				return nil, malformed(r.at, "views of one buffer overlap too much; read them with Options.Exact")
			}
		}
		switch v.Kind {
		case Int8Array:
			to = numbers(b, 1, func(b []byte) int8 { return int8(b[0]) })
		case Uint8Array:
			if to = b; b == nil {
				to = []byte{}
			}
		case Int16Array:
			to = numbers(b, 2, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
		case Uint16Array:
			to = numbers(b, 2, binary.LittleEndian.Uint16)
		case Int32Array:
			to = numbers(b, 4, int32Of)
		case Uint32Array:
			to = numbers(b, 4, binary.LittleEndian.Uint32)
		case Float32Array:
			to = numbers(b, 4, float32Of)
		case Float64Array:
			to = numbers(b, 8, float64Of)
		case BigInt64Array:
			to = numbers(b, 8, int64Of)
		case BigUint64Array:
			to = numbers(b, 8, binary.LittleEndian.Uint64)
		}
	}
	r.objects[id].value = to
	return to, nil
}

func int32Of(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) }

func int64Of(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }

func float32Of(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

func float64Of(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// numbers are the elements of a typed array.
func numbers[T any](b []byte, size int, one func([]byte) T) []T {
	to := make([]T, len(b)/size, max(len(b)/size, 1))
	for i := range to {
		to[i] = one(b[i*size:])
	}
	return to
}
