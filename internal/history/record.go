package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Files begin with a word of eight bytes that names kind and version, and go on with
// records: length, checksum, content.
const (
	imageMagic   = "pacehi\x01i"
	journalMagic = "pacehi\x01j"
	recordHead   = 8
	maxRecord    = 16 << 20
)

// Why a file cannot be read on.
var (
	errDamaged = errors.New("damaged")
	errCut     = fmt.Errorf("%w: it ends within a record", errDamaged)
	errMagic   = fmt.Errorf("%w: it is not of this version", errDamaged)
)

// sum returns the checksum of a record (CRC-32C, which processors compute).
func sum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// seal fills in the head of the record that b[from:] is, behind recordHead bytes of room.
func seal(b []byte, from int) []byte {
	content := b[from+recordHead:]
	binary.LittleEndian.PutUint32(b[from:], uint32(len(content)))
	binary.LittleEndian.PutUint32(b[from+4:], sum(content))
	return b
}

// room is what a record begins with.
var room [recordHead]byte

// readRecords calls each with the content of each record. Errors: errDamaged, those
// of each, those of r.
func readRecords(r io.Reader, magic string, each func(content []byte) error) error {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return errMagic
	}
	var buf []byte
	for {
		if n, err := io.ReadFull(r, head[:recordHead]); n == 0 && errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return errCut
		}
		length := binary.LittleEndian.Uint32(head)
		if length > maxRecord {
			return errDamaged
		}
		if int(length) > cap(buf) {
			buf = make([]byte, length)
		}
		buf = buf[:length]
		if _, err := io.ReadFull(r, buf); err != nil {
			return errCut
		}
		if sum(buf) != binary.LittleEndian.Uint32(head[4:]) {
			return errDamaged
		}
		if err := each(buf); err != nil {
			return err
		}
	}
}

// reader takes values off a record. After the first error all are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.b) {
		r.err = errDamaged
		return make([]byte, n)
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) int64() int64   { return int64(r.uint64()) }

func (r *reader) float() float64 { return math.Float64frombits(r.uint64()) }

func (r *reader) count(size int) int {
	n := r.uint64()
	if n > uint64(len(r.b)/size) {
		r.err = errDamaged
		return 0
	}
	return int(n)
}

func (r *reader) text() string { return string(r.take(r.count(1))) }

func (r *reader) key() Key { return Key{ID: int(r.int64()), Created: r.int64()} }

func (r *reader) cell() (c cell) {
	copy(c[:], r.take(cellBytes))
	return c
}

func appendInt(b []byte, n int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(n)) }

func appendFloat(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

func appendText(b []byte, s string) []byte { return append(appendInt(b, int64(len(s))), s...) }

func appendKey(b []byte, k Key) []byte { return appendInt(appendInt(b, int64(k.ID)), k.Created) }
