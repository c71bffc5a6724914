package wasm

import "errors"

// reader takes the parts of the binary format from the front of data. After an error
// all it reads is zero.
type reader struct {
	data []byte
	err  error
}

var errCut = errors.New("it is cut short")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.data) {
		r.fail(errCut)
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// bytes reads a length and as many bytes.
func (r *reader) bytes() []byte { return r.take(int(r.u32())) }

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (r *reader) u32() uint32 {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > 1<<32-1 {
				break
			}
			return uint32(n)
		}
	}
	r.fail(errors.New("a number of more than 32 bits"))
	return 0
}

// skip reads LEB128 numbers of any size, one after the other.
func (r *reader) skip(numbers int) {
	for range numbers {
		for i := 0; r.byte() >= 0x80; i++ {
			if i == 10 {
				r.fail(errors.New("a number of more than 64 bits"))
				return
			}
		}
	}
}

func appendU32(b []byte, n uint32) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendS32 is for the operand of i32.const, which is signed.
func appendS32(b []byte, n int32) []byte {
	for {
		low := byte(n) & 0x7f
		n >>= 7
		if n == 0 && low < 0x40 || n == -1 && low >= 0x40 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
