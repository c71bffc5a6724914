package wasm

import (
	"errors"
	"fmt"
)

// What the engine leaves open is closed in the module itself, before it is compiled:
//
//   - The engine looks whether its time is over at loops alone. A function that
//     calls itself twice runs for years without one, so that functions get a loop of
//     no turns at their entry, which is passed at every entryInterval-th call: a
//     counter in a global of its own says when.
//   - A table may grow to 2^32 elements of 8 bytes, outside of the linear memory. So
//     tables get a maximum.
//   - Debug information would tell wrong places now, and needs memory: it goes, as
//     do all custom sections but the names of functions.
const (
	entryInterval = 1000
	// maxTableElements is for all tables together: 2 MiB. A Go program has one for
	// each function.
	maxTableElements = 256 << 10

	wasiModule = "wasi_snapshot_preview1"
)

// Sections of a module, by the number in the binary format (core specification 2.0,
// 5.5.2).
const (
	sectionCustom    = 0
	sectionImport    = 2
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionCode      = 10
	sectionDataCount = 12
)

var magic = []byte{0, 'a', 's', 'm', 1, 0, 0, 0}

// harden returns the module as it is compiled. It refuses what a worker could not
// run: an import that is not of WASI, or a module without _start.
func harden(module []byte) ([]byte, error) {
	r := reader{data: module}
	if head := r.take(len(magic)); string(head) != string(magic) {
		return nil, errors.New("no WebAssembly module: it does not begin with its magic number and version 1")
	}
	h := hardener{out: append(make([]byte, 0, len(module)+len(module)/8), magic...)}
	for r.err == nil && len(r.data) > 0 {
		id := r.byte()
		content := r.take(int(r.u32()))
		if r.err != nil {
			break
		}
		if err := h.section(id, content); err != nil {
			return nil, err
		}
	}
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("no WebAssembly module: %w", r.err)
	case !h.started:
		return nil, errors.New("the module exports no function _start: build it as a WASI command, not as a library")
	}
	return h.out, nil
}

type hardener struct {
	out     []byte
	started bool // there is an export _start
	counter int  // index of the global; -1 before its section
	counted bool
}

func (h *hardener) section(id byte, content []byte) error {
	// Behind the memories and before everything that follows, as the order demands.
	if id != sectionCustom && id > sectionMemory && id != sectionGlobal && !h.counted {
		h.add(sectionGlobal, h.globals(nil))
	}
	r := &reader{data: content}
	switch id {
	case sectionCustom:
		if name := string(r.bytes()); r.err != nil || name != "name" {
			return nil
		}
	case sectionImport:
		if err := imports(r); err != nil {
			return err
		}
	case sectionTable:
		tables, err := boundTables(r)
		if err != nil {
			return err
		}
		content = tables
	case sectionGlobal:
		content = h.globals(content)
	case sectionExport:
		for range r.u32() {
			name, kind := string(r.bytes()), r.byte()
			r.u32()
			if r.err != nil {
				return fmt.Errorf("no WebAssembly module: exports: %w", r.err)
			}
			h.started = h.started || name == "_start" && kind == 0
		}
	case sectionCode:
		code, err := h.code(r)
		if err != nil {
			return err
		}
		content = code
	}
	h.add(id, content)
	return nil
}

func (h *hardener) add(id byte, content []byte) {
	h.out = append(h.out, id)
	h.out = appendU32(h.out, uint32(len(content)))
	h.out = append(h.out, content...)
}

// imports refuses all but functions of WASI. So no global is imported, and the
// index of one is its place in the section.
func imports(r *reader) error {
	for range r.u32() {
		module, name, kind := string(r.bytes()), string(r.bytes()), r.byte()
		if r.err == nil && (module != wasiModule || kind != 0) {
			return fmt.Errorf("the module imports %q of %q: a worker has the functions of %s alone", name, module, wasiModule)
		}
		r.u32()
		if r.err != nil {
			return fmt.Errorf("no WebAssembly module: imports: %w", r.err)
		}
	}
	return nil
}

// boundTables gives each table a maximum, so that all stay within maxTableElements.
func boundTables(r *reader) ([]byte, error) {
	type table struct {
		kind     byte
		min, max uint32
	}
	var list []table
	var total uint64
	for range r.u32() {
		t := table{kind: r.byte()}
		flag := r.byte()
		t.min, t.max = r.u32(), maxTableElements
		if flag == 1 {
			t.max = r.u32()
		}
		if r.err == nil && (flag > 1 || t.kind != 0x70 && t.kind != 0x6f) {
			r.err = errors.New("a kind of table that is not known")
		}
		if r.err != nil {
			return nil, fmt.Errorf("no WebAssembly module: tables: %w", r.err)
		}
		total += uint64(t.min)
		list = append(list, t)
	}
	if total > maxTableElements {
		return nil, fmt.Errorf("the module's tables have %d elements, and a worker's at most %d", total, maxTableElements)
	}
	out := appendU32(nil, uint32(len(list)))
	for _, t := range list {
		room := (maxTableElements - uint32(total)) / uint32(len(list))
		out = append(out, t.kind, 1)
		out = appendU32(out, t.min)
		out = appendU32(out, max(t.min, min(t.max, t.min+room)))
	}
	return out, nil
}

// globals is the section with the counter at its end.
func (h *hardener) globals(content []byte) []byte {
	r := reader{data: content}
	n := uint32(0)
	if content != nil {
		n = r.u32()
	}
	h.counter, h.counted = int(n), true
	out := appendU32(nil, n+1)
	out = append(out, r.data...)
	out = append(out, 0x7f, 1, 0x41) // a variable i32, which is first
	out = appendS32(out, entryInterval)
	return append(out, 0x0b)
}

// code puts the entry before each function's first instruction. Branches count
// from the inside, so none changes.
func (h *hardener) code(r *reader) ([]byte, error) {
	counter := appendU32(nil, uint32(h.counter))
	var entry []byte
	entry = append(append(entry, 0x23), counter...)               // global.get
	entry = append(entry, 0x41, 1, 0x6b)                          // i32.const 1, i32.sub
	entry = append(append(entry, 0x24), counter...)               // global.set
	entry = append(append(entry, 0x23), counter...)               // global.get
	entry = append(entry, 0x45, 0x04, 0x40)                       // i32.eqz, if
	entry = appendS32(append(entry, 0x41), entryInterval)         // i32.const
	entry = append(append(entry, 0x24), counter...)               // global.set
	entry = append(entry, 0x03, 0x40 /* loop */, 0x0b, 0x0b /**/) // its end, and that of if

	n := r.u32()
	out := appendU32(make([]byte, 0, len(r.data)+int(min(n, 1<<20))*len(entry)), n)
	for range n {
		body := reader{data: r.bytes()}
		whole := body.data
		for range body.u32() { // groups of locals of one type
			body.u32()
			body.byte()
			if body.err != nil {
				break
			}
		}
		if r.err != nil || body.err != nil {
			return nil, fmt.Errorf("no WebAssembly module: code: %w", errors.Join(r.err, body.err))
		}
		out = appendU32(out, uint32(len(whole)+len(entry)))
		out = append(out, whole[:len(whole)-len(body.data)]...)
		out = append(out, entry...)
		out = append(out, body.data...)
	}
	return out, nil
}

// reader takes the parts of the binary format from the front of data. After an error
// all it reads is zero.
type reader struct {
	data []byte
	err  error
}

var errCut = errors.New("it is cut short")

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.data) {
		if r.err == nil {
			r.err = errCut
		}
		r.data = nil
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
	if r.err == nil {
		r.err = errors.New("a number of more than 32 bits")
	}
	return 0
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
