package clone

import "fmt"

// The format is V8's ValueSerializer, which Node's v8.serialize wraps: a version,
// then one value; a value is a tag of one byte and what that asks for. Numbers of
// fixed size are little-endian, others base-128 varints. Objects are numbered as
// they begin, in the order of the data, and can be referred to by number.
// (v8/src/objects/value-serializer.cc, of which only the form is taken.)
const (
	oldestVersion = 13 // host objects have a tag; Node 8
	version       = 15 // Node 18 to 24
)

const (
	tagVersion      = 0xff
	tagPadding      = 0
	tagObjectCount  = '?' // followed by a number that means nothing any more
	tagHole         = '-'
	tagUndefined    = '_'
	tagNull         = '0'
	tagTrue         = 'T'
	tagFalse        = 'F'
	tagInt32        = 'I' // zigzag varint
	tagUint32       = 'U'
	tagDouble       = 'N'
	tagBigInt       = 'Z' // sign and length, digits
	tagUTF8         = 'S'
	tagOneByte      = '"' // Latin-1
	tagTwoByte      = 'c' // UTF-16, at an even place
	tagReference    = '^'
	tagObject       = 'o'
	tagObjectEnd    = '{'
	tagSparse       = 'a'
	tagSparseEnd    = '@'
	tagDense        = 'A'
	tagDenseEnd     = '$'
	tagDate         = 'D'
	tagTrueObject   = 'y'
	tagFalseObject  = 'x'
	tagNumberObject = 'n'
	tagBigIntObject = 'z'
	tagStringObject = 's'
	tagRegExp       = 'R'
	tagMap          = ';'
	tagMapEnd       = ':'
	tagSet          = '\''
	tagSetEnd       = ','
	tagBuffer       = 'B'
	tagResizable    = '~'
	tagView         = 'V' // after its buffer or a reference to it
	tagHost         = '\\'
	tagError        = 'r'

	errorMessage = 'm'
	errorCause   = 'c'
	errorStack   = 's'
	errorEnd     = '.'

	viewTracking  = 1 // its end is that of the buffer
	viewResizable = 2 // its buffer is resizable
)

// errorNames are the errors that have a prototype of their own, by tag. Any other
// is a plain Error: its name is not part of the data.
var errorNames = map[byte]string{
	'E': "EvalError", 'R': "RangeError", 'F': "ReferenceError", 'S': "SyntaxError", 'T': "TypeError", 'U': "URIError",
}

// regExpFlags are the flags in the order of their bits. There is another, for an
// engine that V8 has as an experiment, at bit 6.
const regExpFlags = "gimyus?dv"

// Host says who has written what is outside of the format, as Node does with
// typed arrays. Marshal writes nothing of the kind, so all can read it.
type Host uint8

// The hosts.
const (
	HostNode    Host = iota // v8.serialize
	HostNodeIPC             // child processes with serialization: 'advanced'
)

// hostKinds are the views of Node's v8.serialize by their number there (its
// lib/v8.js). A Buffer, 10, is a Uint8Array for everyone else.
var hostKinds = [...]ViewKind{
	Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array,
	Float32Array, Float64Array, DataView, Uint8Array, BigInt64Array, BigUint64Array, Float16Array,
}

// Options are ways of reading and writing. The zero value is what Unmarshal and Marshal
// do.
type Options struct {
	// Sorted writes the properties of each Go map in the order of their keys, so that
	// equal values become equal bytes, for up to twice the time. It is about maps whose
	// keys are strings; reading does not look at it. Default is the order of Go's maps,
	// which is another each time.
	Sorted bool
	// Exact reads into the types of this package that lose nothing, as the table
	// in the package's comment says. Default is the types that a Go program would choose.
	Exact bool
	// Host is who has written the data. Default is HostNode.
	Host Host
}

// Marshal writes v, in version 15 of the format. It takes what Unmarshal returns,
// and beyond that:
//
//   - all numbers of Go; an integer outside ±(2^53-1) becomes a bigint
//   - structs: objects with their exported fields, under the names that
//     encoding/json would give them, with its omitempty, omitzero and "-"
//   - maps with strings as keys: objects; others: Map; in no particular order
//     ([Options].Sorted)
//   - slices and arrays: Array; those of numbers that have a typed array: that
//   - pointers: what they point to. Those to the same struct, and the same maps and
//     slices, are the same object there
//   - errors: Error, with the cause that they wrap
//   - structs that are an encoding.TextMarshaler: strings
//
// Errors: *Error, which says where in v something has no counterpart.
func Marshal(v any) ([]byte, error) { return Options{}.Append(nil, v) }

// Append is [Marshal] to the end of a slice that may hold something else already.
func Append(to []byte, v any) ([]byte, error) { return Options{}.Append(to, v) }

// Marshal is [Marshal] with options.
func (o Options) Marshal(v any) ([]byte, error) { return o.Append(nil, v) }

// Append is [Append] with options. With an error it returns the slice as it was.
func (o Options) Append(to []byte, v any) ([]byte, error) {
	w := newWriter(to, o)
	defer w.release()
	w.out = append(w.out, tagVersion, version)
	if err := w.any(v); err != nil {
		return to, rooted(err)
	}
	return w.out, nil
}

// Unmarshal reads a value that was written in version 13, 14 or 15 of the format.
// It takes memory in proportion to the data, whatever that is, and does not keep
// it.
//
// Errors: *Error if it is not such data, or nested deeper than MaxDepth.
func Unmarshal(data []byte) (any, error) { return Options{}.Unmarshal(data) }

// Unmarshal is [Unmarshal] with options.
func (o Options) Unmarshal(data []byte) (any, error) {
	r := newReader(data, o)
	v, err := r.all()
	forms, again := r.forms, r.again
	r.release()
	if err == nil && again {
		// What an array had become was known only after something had referred to it.
		r = newReader(data, o)
		r.forms = forms
		v, err = r.all()
		r.release()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func malformed(at int, format string, args ...any) error {
	return &Error{Reason: fmt.Sprintf("read V8 data: byte %d: %s", at, fmt.Sprintf(format, args...))}
}
