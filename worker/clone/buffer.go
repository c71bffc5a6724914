package clone

import "errors"

// ErrDetached says that a value has been given away by a transfer.
var ErrDetached = errors.New("detached: it has been transferred")

// Transferable is a value that moves to the receiver instead of being copied.
type Transferable interface {
	// BeginTransfer claims the value and returns what the receiver gets in its
	// place. Then finish is called once: with true if it has been delivered, which
	// detaches the value, with false if nothing has happened and it stays as it
	// was. The error is ErrDetached if it has moved before.
	BeginTransfer() (moved any, finish func(delivered bool), err error)
}

// Shared is a value that Clone passes as it is, because all sides are meant to
// see the same.
type Shared interface {
	CloneShared()
}

// Cloner is a type that copies itself: Clone takes what it returns, which must
// have the same type.
type Cloner interface {
	CloneValue() (any, error)
}

// ArrayBuffer is a handle for bytes, so that they can be transferred: the receiver
// has the same memory then, and the sender's handle none. A handle belongs to one
// goroutine at a time.
type ArrayBuffer struct {
	data     []byte
	max      int // of a resizable buffer; -1 if it is not
	detached bool
}

// NewArrayBuffer returns a handle for the bytes, without a copy: the caller does
// not use them any more except by Bytes.
func NewArrayBuffer(data []byte) *ArrayBuffer { return &ArrayBuffer{data: data, max: -1} }

// Bytes are the bytes themselves, not a copy; nil once they are transferred.
func (b *ArrayBuffer) Bytes() []byte { return b.data }

// Len is the length in bytes; 0 once they are transferred.
func (b *ArrayBuffer) Len() int { return len(b.data) }

// MaxLen is how long a resizable buffer may become, and whether it is resizable.
func (b *ArrayBuffer) MaxLen() (int, bool) { return max(b.max, 0), b.max >= 0 }

// Detached says whether the bytes have been transferred.
func (b *ArrayBuffer) Detached() bool { return b.detached }

// BeginTransfer implements [Transferable].
func (b *ArrayBuffer) BeginTransfer() (any, func(bool), error) {
	if b.detached {
		return nil, nil, ErrDetached
	}
	moved := &ArrayBuffer{data: b.data, max: b.max}
	return moved, func(delivered bool) {
		if delivered {
			b.data, b.detached = nil, true
		}
	}, nil
}

// ViewKind says how a [View] sees its bytes.
type ViewKind uint8

// The kinds, which are the names of JavaScript's constructors.
const (
	Int8Array ViewKind = iota
	Uint8Array
	Uint8ClampedArray
	Int16Array
	Uint16Array
	Int32Array
	Uint32Array
	Float32Array
	Float64Array
	DataView
	BigInt64Array
	BigUint64Array
	Float16Array
)

type viewKind struct {
	name string
	tag  byte
	size int
}

// kinds has a row for each ViewKind: its name, the tag that follows a 'V', and
// the size of an element in bytes.
var kinds = [...]viewKind{
	Int8Array:         {"Int8Array", 'b', 1},
	Uint8Array:        {"Uint8Array", 'B', 1},
	Uint8ClampedArray: {"Uint8ClampedArray", 'C', 1},
	Int16Array:        {"Int16Array", 'w', 2},
	Uint16Array:       {"Uint16Array", 'W', 2},
	Int32Array:        {"Int32Array", 'd', 4},
	Uint32Array:       {"Uint32Array", 'D', 4},
	Float32Array:      {"Float32Array", 'f', 4},
	Float64Array:      {"Float64Array", 'F', 8},
	DataView:          {"DataView", '?', 1},
	BigInt64Array:     {"BigInt64Array", 'q', 8},
	BigUint64Array:    {"BigUint64Array", 'Q', 8},
	Float16Array:      {"Float16Array", 'h', 2},
}

func (k ViewKind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return "unknown view"
}

// ElementSize is the size of an element in bytes.
func (k ViewKind) ElementSize() int {
	if int(k) < len(kinds) {
		return kinds[k].size
	}
	return 1
}

// View is a typed array or a DataView over a part of a buffer, in the byte order
// of JavaScript's typed arrays: little-endian.
type View struct {
	Kind       ViewKind
	Buffer     *ArrayBuffer
	ByteOffset int
	ByteLength int
	Tracking   bool // its end is that of a resizable buffer
}

// Bytes are the bytes that the view sees, not a copy; nil if they are not there
// (any more).
func (v *View) Bytes() []byte {
	if v.Buffer == nil || v.ByteOffset < 0 || v.ByteOffset > v.Buffer.Len() {
		return nil
	}
	b := v.Buffer.Bytes()[v.ByteOffset:]
	if v.Tracking {
		return b
	}
	if v.ByteLength < 0 || v.ByteLength > len(b) {
		return nil
	}
	return b[:v.ByteLength:v.ByteLength]
}
