package wasm

import "fmt"

// renumber copies instructions and gives each function that they name its new index.
// With checks it copies all of a function's, and puts them in; otherwise those of one
// expression, whose end is the first that ends no block. (Core specification 2.0, 5.4.)
func (r *reader) renumber(out []byte, index func(uint32) uint32, put *checks) []byte {
	depth, whole := 0, put != nil
	from := r.data // what is not copied yet begins here
	for r.err == nil && len(r.data) > 0 {
		at := r.data
		op := r.byte()
		switch {
		case op == 0x10 || op == 0xd2: // call, ref.func
			out = append(out, from[:len(from)-len(r.data)]...)
			out = appendU32(out, index(r.u32()))
			from = r.data
			continue
		case op == 0x0b: // end
			if depth--; depth < 0 && !whole {
				return append(out, from[:len(from)-len(r.data)]...)
			}
		case op >= 0x02 && op <= 0x04: // block, loop, if
			depth++
			r.skip(1)
			if op == 0x03 && whole {
				out = append(out, from[:len(from)-len(r.data)]...)
				out = append(out, put.loop...)
				from = r.data
			}
		case op == 0xfc && whole:
			kind := r.u32()
			r.miscellaneous(kind)
			if check := put.before(kind); check != nil {
				out = append(out, from[:len(from)-len(at)]...)
				out = append(out, check...)
				from = at
			}
		default:
			r.immediates(op)
		}
	}
	if r.err == nil && !whole {
		r.fail(errCut)
	}
	return append(out, from[:len(from)-len(r.data)]...)
}

// checks are what is put into a function, beside its entry.
type checks struct {
	loop     []byte // at the beginning of each turn of a loop
	bytes    []byte // before an instruction for as many bytes as is on the stack,
	elements []byte // or elements of a table
}

// before is the check for one of the miscellaneous instructions, nil if none is needed.
func (c *checks) before(op uint32) []byte {
	switch op {
	case 8, 10, 11: // memory.init, memory.copy, memory.fill
		return c.bytes
	case 12, 14, 15, 17: // table.init, table.copy, table.grow, table.fill
		return c.elements
	}
	return nil
}

// immediates reads what belongs to an instruction.
func (r *reader) immediates(op byte) {
	switch {
	case op <= 0x01, op == 0x05, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
		// none
	case op == 0x0c || op == 0x0d: // br, br_if
		r.skip(1)
	case op == 0x0e: // br_table
		r.vector(func() { r.skip(1) })
		r.skip(1)
	case op == 0x11: // call_indirect
		r.skip(2)
	case op == 0x1c: // select of types
		r.vector(func() { r.byte() })
	case op >= 0x20 && op <= 0x26: // of locals, globals and tables
		r.skip(1)
	case op >= 0x28 && op <= 0x3e: // of memory
		r.skip(2)
	case op == 0x3f || op == 0x40 || op == 0x41 || op == 0x42 || op == 0xd0:
		r.skip(1)
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	case op == 0xfc:
		r.miscellaneous(r.u32())
	case op == 0xfd:
		r.vectorial(r.u32())
	default:
		r.fail(fmt.Errorf("an instruction that is not known, 0x%02x", op))
	}
}

// vector reads a length and as many things.
func (r *reader) vector(each func()) {
	for range r.u32() {
		if each(); r.err != nil {
			return
		}
	}
}

// miscellaneous are those of saturation, bulk memory and tables.
func (r *reader) miscellaneous(op uint32) {
	switch {
	case op <= 7:
	case op == 9, op == 11, op == 13, op >= 15 && op <= 17:
		r.skip(1)
	case op == 8, op == 10, op == 12, op == 14:
		r.skip(2)
	default:
		r.fail(fmt.Errorf("an instruction that is not known, 0xfc %d", op))
	}
}

// vectorial are those of v128.
func (r *reader) vectorial(op uint32) {
	switch {
	case op <= 11, op == 92, op == 93:
		r.skip(2)
	case op == 12, op == 13:
		r.take(16)
	case op >= 21 && op <= 34:
		r.byte()
	case op >= 84 && op <= 91:
		r.skip(2)
		r.byte()
	case op > 255:
		r.fail(fmt.Errorf("an instruction that is not known, 0xfd %d", op))
	}
}
