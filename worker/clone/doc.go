// Package clone copies values by the rules of the structured clone algorithm,
// and reads and writes them in the form that V8 gives them.
//
// [Clone] copies a Go value within the program: the types stay, everything that
// can be changed is copied, what is shared or cyclic is so in the copy. What
// cannot be copied is refused with an error that names the path to it.
// [Marshal] and [Unmarshal] do the same by way of bytes, in the format of
// v8.serialize and v8.deserialize of Node.js: the values they exchange with
// JavaScript are those of the table.
//
//	JavaScript         Unmarshal              with Options.Exact
//	undefined          Undefined              the same
//	null               nil                    the same
//	boolean            bool                   the same
//	number             float64                the same
//	bigint             *big.Int               the same
//	string             string                 the same
//	Date               time.Time              *Date
//	RegExp             *RegExp                the same
//	Object(1)          *Boxed                 the same
//	Array              []any                  the same
//	with holes, names  *Array                 the same
//	Object             map[string]any         *Object, which keeps the order
//	Map                *Map                   the same
//	Set                *Set                   the same
//	ArrayBuffer        *ArrayBuffer           the same
//	Int8Array          []int8                 *View, as all views: two of them
//	Uint8Array         []byte                 may be over the same buffer
//	Int16Array, …      []int16, …
//	Uint8ClampedArray  *View, as DataView     *View
//	Error              *ErrorValue            the same
//
// Exact loses nothing. Without it the order of an object's properties, a date
// that two values share, and that two views have one buffer are lost, in favour
// of the types a Go program would choose.
//
// A string of Go is UTF-8; a lone surrogate of JavaScript, which has no place in
// it, is kept as the three bytes that UTF-8 would give it, and is written as what
// it was.
//
// Values must not be changed while they are copied or written. Apart from that
// all functions may be called concurrently.
package clone
