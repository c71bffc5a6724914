package search

import (
	"encoding/binary"
	"math"
	"regexp/syntax"
	"slices"
	"sort"
	"unicode"
	"unicode/utf8"
)

// automaton is a regular expression as a program of package regexp/syntax, and a number
// for each set of runes between which it makes no difference. It is read-only:
// goroutines may share it. A dfa runs it.
type automaton struct {
	prog     *syntax.Prog
	anchored bool // a match begins where the line does
	words    bool // it asks for the boundaries of words

	samples []rune         // a rune of each class; class 0 is none
	classes [0x800]uint16  // of the runes that take two bytes at most
	bounds  []rune         // where runs of one class begin, ascending from 0
	runs    []uint16       // the class of each run
	bytes   [1 << 8]uint16 // the class of each byte that is a rune; 0: look closer
}

const (
	// maxProgram and maxRuns bound the work of a state: beyond them a pattern is left to
	// package regexp.
	maxProgram = 10_000
	maxRuns    = 1 << 20 // runs of runes, times the sets that tell them apart
)

// newAutomaton returns nil for an expression that is too large.
func newAutomaton(tree *syntax.Regexp) *automaton {
	prog, err := syntax.Compile(tree)
	if err != nil || len(prog.Inst) > maxProgram {
		return nil
	}
	a := &automaton{prog: prog, anchored: prog.StartCond()&(syntax.EmptyBeginText|syntax.EmptyBeginLine) != 0}
	sets := a.runeSets()
	a.bounds = boundsOf(sets)
	if a.words {
		a.bounds = append(a.bounds, '0', '9'+1, 'A', 'Z'+1, '_', '_'+1, 'a', 'z'+1)
	}
	slices.Sort(a.bounds)
	a.bounds = slices.Compact(a.bounds)
	if len(a.bounds) > math.MaxUint16 || len(a.bounds)*(len(sets)+1) > maxRuns {
		return nil
	}
	a.number(sets)
	for r := range rune(len(a.classes)) {
		a.classes[r] = a.find(r)
	}
	copy(a.bytes[:utf8.RuneSelf], a.classes[:])
	a.bytes['\n'], a.bytes['\r'] = 0, 0 // where a line may end
	return a
}

// runeSets returns an instruction for each set of runes that the program knows, and
// notes what else it asks for.
func (a *automaton) runeSets() []*syntax.Inst {
	var sets []*syntax.Inst
	known := map[string]bool{}
	for i := range a.prog.Inst {
		inst := &a.prog.Inst[i]
		if inst.Op == syntax.InstEmptyWidth {
			a.words = a.words || syntax.EmptyOp(inst.Arg)&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
		}
		if !readsRune(inst) {
			continue
		}
		key := []byte{byte(inst.Op), byte(inst.Arg)}
		for _, r := range inst.Rune {
			key = binary.AppendVarint(key, int64(r))
		}
		if !known[string(key)] {
			known[string(key)] = true
			sets = append(sets, inst)
		}
	}
	return sets
}

// readsRune reports whether an instruction goes on with a rune.
func readsRune(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// boundsOf returns where sets begin and end, in no order.
func boundsOf(sets []*syntax.Inst) []rune {
	bounds := []rune{0}
	one := func(from, to rune) { bounds = append(bounds, from, to+1) }
	for _, inst := range sets {
		switch {
		case inst.Op == syntax.InstRuneAny:
		case inst.Op == syntax.InstRuneAnyNotNL:
			one('\n', '\n')
		case len(inst.Rune) == 1:
			one(inst.Rune[0], inst.Rune[0])
			for r := unicode.SimpleFold(inst.Rune[0]); r != inst.Rune[0]; r = unicode.SimpleFold(r) {
				one(r, r)
			}
		default:
			for i := 0; i+1 < len(inst.Rune); i += 2 {
				one(inst.Rune[i], inst.Rune[i+1])
			}
		}
	}
	return bounds
}

// number gives the same class to runs of runes that no set tells apart.
func (a *automaton) number(sets []*syntax.Inst) {
	a.samples = []rune{-1}
	known := map[string]uint16{}
	mark := make([]byte, len(sets)/8+1)
	for _, r := range a.bounds {
		clear(mark)
		for i, inst := range sets {
			if inst.MatchRune(r) {
				mark[i/8] |= 1 << (i % 8)
			}
		}
		if a.words && syntax.IsWordChar(r) {
			mark[len(sets)/8] |= 1 << (len(sets) % 8)
		}
		class, ok := known[string(mark)]
		if !ok {
			class = uint16(len(a.samples))
			known[string(mark)] = class
			a.samples = append(a.samples, r)
		}
		a.runs = append(a.runs, class)
	}
}

// find returns the class of a rune.
func (a *automaton) find(r rune) uint16 {
	i := sort.Search(len(a.bounds), func(i int) bool { return a.bounds[i] > r })
	return a.runs[i-1]
}

// class returns the class of a rune.
func (a *automaton) class(r rune) uint16 {
	if int(r) < len(a.classes) {
		return a.classes[r]
	}
	return a.find(r)
}

// place is what comes before a place in a line.
type place uint32

const (
	atBegin place = iota
	afterWord
	afterOther
)

// conditions returns what is true of a place after prev and before r, -1 at the end.
func (a *automaton) conditions(prev place, r rune) syntax.EmptyOp {
	before := rune(' ')
	switch prev {
	case atBegin:
		before = -1
	case afterWord:
		before = 'a'
	}
	return syntax.EmptyOpContext(before, r)
}

// after is where a place is after r.
func (a *automaton) after(r rune) place {
	if a.words && syntax.IsWordChar(r) {
		return afterWord
	}
	return afterOther
}
