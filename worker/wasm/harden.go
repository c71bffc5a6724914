package wasm

import (
	"errors"
	"fmt"
)

// What the engine leaves open is closed in the module itself, before it is compiled:
//
//   - The engine could look whether its time is over at each turn of a loop, but not
//     in a function that calls itself twice, which runs for years without one, and it
//     lets a stack grow to 80 MB, outside of the linear memory. So each function begins
//     by subtracting what its frame may need from a counter, a global of its own, and
//     calls the host (see guard.go) when that is used up. Turns of loops do so, too,
//     by how much code there is, and what copies and fills by how much that is. It is
//     also much quicker than to leave the guest at each turn.
//   - A table may grow to 2^32 elements of 8 bytes, outside of the linear memory. So
//     tables get a maximum.
//   - Debug information would tell wrong places now, and needs memory: it goes, as
//     do all custom sections but the names of functions, for traces.
//
// The host's function is the last of the imported ones, so that all functions of the
// module's own have another index, by one.
const (
	// budgetBytes is how much stack may be used between two looks at it. It is less than
	// 0.1 ms of loops, and 4 MiB of copies.
	budgetBytes = 256 << 10
	// maxTableElements is for all tables together: 2 MiB. A Go program has one for
	// each function.
	maxTableElements = 256 << 10

	wasiModule  = "wasi_snapshot_preview1"
	guardModule = "paceline"
	guardName   = "enter"
)

// Sections of a module, by the number in the binary format (core specification 2.0,
// 5.5.2).
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
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
	last := 0
	for r.err == nil && len(r.data) > 0 {
		id := r.byte()
		content := r.take(int(r.u32()))
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			h.names(&reader{data: content})
			continue
		}
		if order(id) <= last {
			return nil, fmt.Errorf("no WebAssembly module: section %d is not in its place", id)
		}
		h.insert(last, order(id))
		last = order(id)
		if err := h.section(id, content); err != nil {
			return nil, err
		}
	}
	h.insert(last, order(sectionData)+1)
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("no WebAssembly module: %w", r.err)
	case !h.started:
		return nil, errors.New("the module exports no function _start: build it as a WASI command, not as a library")
	}
	return h.out, nil
}

// order is the place of a section: the count of data stands before the code.
func order(id byte) int {
	if id == sectionDataCount {
		return 2*sectionElement + 1
	}
	return 2 * int(id)
}

type hardener struct {
	out      []byte
	started  bool   // there is an export _start
	types    uint32 // how many there were: the index of the guard's
	imported uint32 // how many functions there were: the index of the guard
	counter  uint32 // index of the global, of which the next keeps a value for a moment
}

// insert adds the sections that are needed and that the module does not have, where
// they belong: between the sections at these places.
func (h *hardener) insert(after, before int) {
	for _, id := range []byte{sectionType, sectionImport, sectionGlobal} {
		if after < order(id) && order(id) < before {
			// Of no entries, so that it cannot fail.
			_ = h.section(id, []byte{0})
		}
	}
}

// names keeps the names of functions, where there are any that can be read. They are
// the custom section "name" (appendix A.4.1), which stands behind all others.
func (h *hardener) names(r *reader) {
	if string(r.bytes()) != "name" {
		return
	}
	for r.err == nil && len(r.data) > 0 {
		kind, content := r.byte(), reader{data: r.bytes()}
		if kind != 1 {
			continue
		}
		n := content.u32()
		out := appendU32(nil, n)
		for range n {
			index, name := content.u32(), content.bytes()
			if content.err != nil {
				return
			}
			out = appendName(appendU32(out, h.index(index)), string(name))
		}
		section := appendU32(append(appendName(nil, "name"), 1), uint32(len(out)))
		h.add(sectionCustom, append(section, out...))
		return
	}
}

// index is the new index of a function.
func (h *hardener) index(old uint32) uint32 {
	if old >= h.imported {
		return old + 1
	}
	return old
}

func (h *hardener) section(id byte, content []byte) error {
	r := &reader{data: content}
	out := make([]byte, 0, len(content)+64)
	var err error
	switch id {
	case sectionType:
		h.types = r.u32()
		out = appendU32(out, h.types+1)
		out = append(out, r.data...)
		out, r.data = append(out, 0x60, 0, 0), nil // no parameters, no results
	case sectionImport:
		out, err = h.imports(r, out)
	case sectionTable:
		out, err = boundTables(r, out)
	case sectionGlobal:
		out = h.globals(r, out)
	case sectionExport:
		out = h.exports(r, out)
	case sectionStart:
		// Compilers make it for modules with threads; it would run without its guard.
		return errors.New("the module has a start function beside _start: build it as a WASI command without threads")
	case sectionElement:
		out = h.elements(r, out)
	case sectionCode:
		out = h.code(r, out)
	default:
		out, r.data = content, nil
	}
	switch {
	case err != nil:
		return err
	case r.err != nil:
		return fmt.Errorf("no WebAssembly module: section %d: %w", id, r.err)
	case len(r.data) > 0:
		return fmt.Errorf("no WebAssembly module: section %d is longer than what is in it", id)
	}
	h.add(id, out)
	return nil
}

func (h *hardener) add(id byte, content []byte) {
	h.out = append(h.out, id)
	h.out = appendU32(h.out, uint32(len(content)))
	h.out = append(h.out, content...)
}

func appendName(out []byte, s string) []byte {
	return append(appendU32(out, uint32(len(s))), s...)
}

// imports refuses all but functions of WASI, so that no global is imported, and the
// index of one is its place in the section. It adds the guard.
func (h *hardener) imports(r *reader, out []byte) ([]byte, error) {
	h.imported = r.u32()
	out = appendU32(out, h.imported+1)
	all, strange := r.data, ""
	for left := h.imported; left > 0 && r.err == nil; left-- {
		module, name, kind := string(r.bytes()), string(r.bytes()), r.byte()
		r.u32()
		if module != wasiModule || kind != 0 {
			strange = fmt.Sprintf("%q of %q", name, module)
			break
		}
	}
	if r.err == nil && strange != "" {
		return nil, fmt.Errorf("the module imports %s: a worker has the functions of %s alone", strange, wasiModule)
	}
	out = append(out, all[:len(all)-len(r.data)]...)
	out = appendName(appendName(out, guardModule), guardName)
	return appendU32(append(out, 0), h.types), nil
}

// boundTables gives each table a maximum, so that all stay within maxTableElements.
func boundTables(r *reader, out []byte) ([]byte, error) {
	type table struct {
		kind     byte
		min, max uint32
	}
	var list []table
	var total uint64
	r.vector(func() {
		t := table{kind: r.byte()}
		flag := r.byte()
		t.min, t.max = r.u32(), maxTableElements
		if flag == 1 {
			t.max = r.u32()
		}
		if flag > 1 || t.kind != 0x70 && t.kind != 0x6f {
			r.fail(errors.New("a kind of table that is not known"))
		}
		total += uint64(t.min)
		list = append(list, t)
	})
	if r.err == nil && total > maxTableElements {
		return nil, fmt.Errorf("the module's tables have %d elements, and a worker's at most %d", total, maxTableElements)
	}
	out = appendU32(out, uint32(len(list)))
	for _, t := range list {
		room := (maxTableElements - uint32(total)) / uint32(len(list))
		out = append(out, t.kind, 1)
		out = appendU32(out, t.min)
		out = appendU32(out, min(t.max, t.min+room))
	}
	return out, nil
}

// globals adds the counter at the end of the section, and a place for a value.
func (h *hardener) globals(r *reader, out []byte) []byte {
	h.counter = r.u32()
	out = appendU32(out, h.counter+2)
	for range h.counter {
		out = append(out, r.take(2)...) // the type, and whether it can be changed
		if out = r.renumber(out, h.index, nil); r.err != nil {
			return nil
		}
	}
	for _, first := range []int32{budgetBytes, 0} {
		out = append(out, 0x7f, 1, 0x41) // a variable i32, which is first
		out = append(appendS32(out, first), 0x0b)
	}
	return out
}

func (h *hardener) exports(r *reader, out []byte) []byte {
	n := r.u32()
	out = appendU32(out, n)
	for range n {
		name, kind, index := string(r.bytes()), r.byte(), r.u32()
		if r.err != nil {
			return nil
		}
		if kind == 0 {
			h.started = h.started || name == "_start"
			index = h.index(index)
		}
		out = append(appendName(out, name), kind)
		out = appendU32(out, index)
	}
	return out
}

// elements are functions in tables.
func (h *hardener) elements(r *reader, out []byte) []byte {
	n := r.u32()
	out = appendU32(out, n)
	for range n {
		flag := r.u32()
		if flag > 7 {
			r.fail(errors.New("a kind of segment that is not known"))
		}
		out = appendU32(out, flag)
		active, table, expressions := flag&1 == 0, flag&2 != 0, flag&4 != 0
		if active {
			if table {
				out = appendU32(out, r.u32())
			}
			out = r.renumber(out, h.index, nil) // where in the table
		}
		if flag&3 != 0 {
			out = append(out, r.byte()) // the kind of the elements
		}
		count := r.u32()
		out = appendU32(out, count)
		for range count {
			if expressions {
				out = r.renumber(out, h.index, nil)
			} else {
				out = appendU32(out, h.index(r.u32()))
			}
			if r.err != nil {
				return nil
			}
		}
		if r.err != nil {
			return nil
		}
	}
	return out
}

// code puts the entry before each function's first instruction, and the other checks
// where they belong. Branches count from the inside, so none changes.
func (h *hardener) code(r *reader, out []byte) []byte {
	n := r.u32()
	out = appendU32(out, n)
	var body, entry []byte
	put := checks{bytes: h.bulk(4), elements: h.bulk(1)}
	for range n {
		f := reader{data: r.bytes()}
		if r.err != nil {
			return nil
		}
		whole := f.data
		var locals uint64
		f.vector(func() { // groups of one type
			locals += uint64(f.u32())
			f.byte()
		})
		body = append(body[:0], whole[:len(whole)-len(f.data)]...)
		entry = h.entry(entry[:0], frameBytes(locals, len(f.data)))
		put.loop = h.entry(put.loop[:0], frameBytes(0, len(f.data)))
		body = f.renumber(append(body, entry...), h.index, &put)
		if f.err != nil {
			r.fail(f.err)
			return nil
		}
		out = appendU32(out, uint32(len(body)))
		out = append(out, body...)
	}
	return out
}

// frameBytes is about what a function's frame may need at most: its locals, and for
// each few bytes of code a value that is kept.
func frameBytes(locals uint64, code int) int32 {
	return int32(min(64+8*locals+2*uint64(code), budgetBytes))
}

// bulk is: counter -= n >> shift; if counter < 0 { ... } as in entry, where n, which stays,
// is on the stack.
func (h *hardener) bulk(shift byte) (out []byte) {
	value := h.counter + 1
	out = appendU32(append(out, 0x24), value) // global.set
	out = appendU32(append(out, 0x23), h.counter)
	out = appendU32(append(out, 0x23), value)
	out = append(out, 0x41, shift, 0x76, 0x6b) // i32.const, i32.shr_u, i32.sub
	out = appendU32(append(out, 0x24), h.counter)
	out = h.entry(out, 0)
	return appendU32(append(out, 0x23), value)
}

// entry is: if (counter -= frame) < 0 { counter = budget; guard() }.
func (h *hardener) entry(out []byte, frame int32) []byte {
	global := func(op byte) { out = appendU32(append(out, op), h.counter) }
	global(0x23) // global.get
	out = appendS32(append(out, 0x41), frame)
	out = append(out, 0x6b) // i32.sub
	global(0x24)            // global.set
	global(0x23)
	out = append(out, 0x41, 0, 0x48, 0x04, 0x40) // i32.const 0, i32.lt_s, if
	out = appendS32(append(out, 0x41), budgetBytes)
	global(0x24)
	out = appendU32(append(out, 0x10), h.imported) // call
	return append(out, 0x0b)
}
