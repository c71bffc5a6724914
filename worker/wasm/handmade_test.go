package wasm

import "slices"

// handmade is a module written by hand: one function, _start, and what it needs.
type handmade struct {
	pages    uint32 // of memory to begin with; none: no memory
	maxPages uint32
	exit     bool   // imports proc_exit, as function 0
	table    uint32 // elements of a table without a maximum; none: no table
	others   []body // functions before _start
	start    body
}

type body struct {
	params, results int // i32 all
	locals          int // i32 all
	code            []byte
}

// Instructions.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opCall        = 0x10
	opLocalGet    = 0x20
	opLocalTee    = 0x22
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opConst       = 0x41
	opNe          = 0x47
	opSub         = 0x6b
	opMul         = 0x6c
	opDivU        = 0x6e
	opRefNull     = 0xd0
	opMisc        = 0xfc

	miscMemoryFill = 11
	miscTableGrow  = 15
	miscTableSize  = 16

	void    = 0x40
	i32     = 0x7f
	funcref = 0x70
)

func (h handmade) bytes() []byte {
	out := append([]byte{}, magic...)
	section := func(id byte, parts ...[]byte) {
		var content []byte
		for _, p := range parts {
			content = append(content, p...)
		}
		out = appendU32(append(out, id), uint32(len(content)))
		out = append(out, content...)
	}
	name := func(s string) []byte { return append(appendU32(nil, uint32(len(s))), s...) }
	functions := append(slices.Clip(h.others), h.start)

	types := appendU32(nil, uint32(len(functions)+1))
	types = append(types, 0x60, 1, i32, 0) // of proc_exit
	indices := appendU32(nil, uint32(len(functions)))
	code := appendU32(nil, uint32(len(functions)))
	for i, f := range functions {
		types = appendU32(append(types, 0x60), uint32(f.params))
		for range f.params {
			types = append(types, i32)
		}
		types = appendU32(types, uint32(f.results))
		for range f.results {
			types = append(types, i32)
		}
		indices = appendU32(indices, uint32(i+1))
		var b []byte
		if f.locals > 0 {
			b = append(appendU32(append(b, 1), uint32(f.locals)), i32)
		} else {
			b = append(b, 0)
		}
		b = append(append(b, f.code...), opEnd)
		code = append(appendU32(code, uint32(len(b))), b...)
	}
	start := uint32(len(functions) - 1)
	section(1, types)
	if h.exit {
		section(sectionImport, []byte{1}, name(wasiModule), name("proc_exit"), []byte{0, 0})
		start++
	}
	section(3, indices)
	if h.table > 0 {
		section(sectionTable, []byte{1, 0x70, 0}, appendU32(nil, h.table))
	}
	if h.pages > 0 {
		if h.maxPages > 0 {
			section(sectionMemory, []byte{1, 1}, appendU32(nil, h.pages), appendU32(nil, h.maxPages))
		} else {
			section(sectionMemory, []byte{1, 0}, appendU32(nil, h.pages))
		}
	}
	section(sectionExport, []byte{1}, name("_start"), []byte{0}, appendU32(nil, start))
	section(sectionCode, code)
	return out
}

// constant is i32.const n.
func constant(n int32) []byte { return appendS32([]byte{opConst}, n) }

func code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case []byte:
			out = append(out, p...)
		}
	}
	return out
}

// endless is a loop that never ends.
func endless() []byte {
	return handmade{start: body{code: code(opLoop, void, opBr, 0, opEnd)}}.bytes()
}

// filling fills megabytes of memory, which is one instruction, as often as it can.
func filling() []byte {
	const pages = 128
	return handmade{pages: pages, start: body{code: code(opLoop, void,
		constant(0), constant(1), constant(pages*pageBytes), opMisc, miscMemoryFill, 0,
		opBr, 0, opEnd)}}.bytes()
}

// recursive runs for years without a loop: f(n) calls f(n-1) twice, from 60 on.
func recursive() []byte {
	return handmade{
		others: []body{{params: 1, code: code(
			opLocalGet, 0, opIf, void,
			opLocalGet, 0, constant(1), opSub, opCall, 0,
			opLocalGet, 0, constant(1), opSub, opCall, 0,
			opEnd)}},
		start: body{code: code(constant(60), opCall, 0)},
	}.bytes()
}

// bottomless calls itself without end.
func bottomless() []byte {
	return handmade{start: body{code: code(opCall, 0)}}.bytes()
}

// greedy grows its memory a page at a time until it may not, writes all of each page,
// and exits with how many pages it has.
func greedy() []byte {
	return handmade{exit: true, pages: 1, start: body{locals: 1, code: code(
		opLoop, void,
		constant(1), opMemoryGrow, 0, opLocalTee, 0, constant(-1), opNe, opIf, void,
		opLocalGet, 0, constant(pageBytes), opMul, constant(1), constant(pageBytes), opMisc, miscMemoryFill, 0,
		opBr, 1, opEnd, opEnd,
		opMemorySize, 0, opCall, 0)}}.bytes()
}

// tabular grows its table until it may not, and exits with how many thousands of
// elements it has.
func tabular() []byte {
	return handmade{exit: true, table: 10, start: body{code: code(
		opLoop, void,
		opRefNull, funcref, constant(1000), opMisc, miscTableGrow, 0, constant(-1), opNe, opBrIf, 0, opEnd,
		opMisc, miscTableSize, 0, constant(1000), opDivU, opCall, 0)}}.bytes()
}
