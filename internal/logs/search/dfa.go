package search

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// pcs is a set of instructions.
type pcs struct {
	list []uint32
	at   []uint32 // where in list an instruction is, if it is there
}

func newPCs(n int) pcs { return pcs{at: make([]uint32, n)} }

func (s *pcs) clear() { s.list = s.list[:0] }

// add returns false if pc is there already.
func (s *pcs) add(pc uint32) bool {
	if at := s.at[pc]; int(at) < len(s.list) && s.list[at] == pc {
		return false
	}
	s.at[pc] = uint32(len(s.list))
	s.list = append(s.list, pc)
	return true
}

// follow adds pc, and all that is reached from there without a rune, to s. What is true
// of the place is in flags: conditions that are not met stay in s, as they may be
// elsewhere. It reports whether the program has a match there.
func (a *automaton) follow(s *pcs, pc uint32, flags syntax.EmptyOp, stack []uint32) ([]uint32, bool) {
	stack = append(stack[:0], pc)
	for len(stack) > 0 {
		pc = stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !s.add(pc) {
			continue
		}
		switch inst := &a.prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, inst.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^flags == 0 {
				stack = append(stack, inst.Out)
			}
		case syntax.InstMatch:
			return stack, true
		}
	}
	return stack, false
}

// The first numbers of states are answers.
const (
	unmade   = 0 // not known yet, or the byte needs a closer look
	matched  = 1 // the line has a match
	hopeless = 2 // it can have none
	answers  = 3
)

const (
	maxStates  = 4096
	maxEntries = 1 << 18 // of the table of transitions, and of the sets of instructions
	// leastUse is for how many bytes of text a state must serve, on average, to be worth it.
	leastUse = 32
)

// dfa looks for matches of an automaton by a table, which it makes as it goes: one step
// for a byte, whatever the expression. One goroutine at a time may use it.
type dfa struct {
	*automaton
	stride uint32
	table  []uint32 // by state and class; a state is the place of its row
	ends   []uint8  // by row: whether a line that ends there matches; unmade, matched or hopeless
	sets   []span   // by row
	pool   []uint32 // of all sets
	known  map[string]uint32
	begin  uint32 // the state where a line begins

	read    int  // bytes read since the table was emptied
	useless bool // the expression has too many states

	work, next pcs
	stack      []uint32
	key        []byte
}

// span is the instructions of a state, and where it is.
type span struct {
	from, to int
	prev     place
}

func newDFA(a *automaton) *dfa {
	if a == nil {
		return nil
	}
	d := &dfa{automaton: a, stride: max(uint32(len(a.samples)), answers), work: newPCs(len(a.prog.Inst)), next: newPCs(len(a.prog.Inst))}
	d.forget()
	return d
}

// forget forgets all states.
func (d *dfa) forget() {
	d.table = append(d.table[:0], make([]uint32, d.stride)...) // the row of answers
	d.ends, d.sets, d.pool = append(d.ends[:0], 0), append(d.sets[:0], span{}), d.pool[:0]
	d.known = map[string]uint32{}
	d.read = 0
	d.begin = d.state(nil, atBegin)
}

// state returns the state of a set of instructions, which it sorts.
func (d *dfa) state(set []uint32, prev place) uint32 {
	slices.Sort(set)
	d.key = append(d.key[:0], byte(prev))
	for _, pc := range set {
		d.key = binary.LittleEndian.AppendUint32(d.key, pc)
	}
	if s, ok := d.known[string(d.key)]; ok {
		return s
	}
	s := uint32(len(d.table))
	d.known[string(d.key)] = s
	d.table = append(d.table, make([]uint32, d.stride)...)
	from := len(d.pool)
	d.pool = append(d.pool, set...)
	d.ends = append(d.ends, unmade)
	d.sets = append(d.sets, span{from, len(d.pool), prev})
	return s
}

// full reports whether there is no room for one more state.
func (d *dfa) full() bool {
	return len(d.sets) >= maxStates || len(d.table)+int(d.stride) > maxEntries || len(d.pool)+len(d.prog.Inst) > maxEntries
}

// reach puts into work what the program may do in a state before r, -1 at the end. It
// reports whether it has a match.
func (d *dfa) reach(s uint32, r rune) bool {
	from := d.sets[s/d.stride]
	flags := d.conditions(from.prev, r)
	d.work.clear()
	found := false
	for _, pc := range d.pool[from.from:from.to] {
		if d.stack, found = d.follow(&d.work, pc, flags, d.stack); found {
			return true
		}
	}
	if from.prev == atBegin || !d.anchored {
		d.stack, found = d.follow(&d.work, uint32(d.prog.Start), flags, d.stack)
	}
	return found
}

// step makes the transition from a state by a class. The table may have been emptied.
func (d *dfa) step(s uint32, class uint16) uint32 {
	r := d.samples[class]
	to := uint32(matched)
	if !d.reach(s, r) {
		d.next.clear()
		found := false
		for _, pc := range d.work.list {
			if inst := &d.prog.Inst[pc]; readsRune(inst) && inst.MatchRune(r) {
				d.stack, found = d.follow(&d.next, inst.Out, 0, d.stack)
			}
			if found {
				break
			}
		}
		switch {
		case found:
		case len(d.next.list) == 0 && d.anchored:
			to = hopeless
		default:
			if d.full() {
				d.useless = d.read < leastUse*len(d.sets)
				d.forget()
				return d.state(d.keep(), d.after(r))
			}
			to = d.state(d.keep(), d.after(r))
		}
	}
	d.table[s+uint32(class)] = to
	return to
}

// keep returns the instructions of next that a rune or a condition leads on from.
func (d *dfa) keep() []uint32 {
	return slices.DeleteFunc(d.next.list, func(pc uint32) bool {
		inst := &d.prog.Inst[pc]
		return !readsRune(inst) && inst.Op != syntax.InstEmptyWidth
	})
}

// endsIn reports whether a line that ends in a state matches.
func (d *dfa) endsIn(s uint32) bool {
	end := &d.ends[s/d.stride]
	if *end == unmade {
		*end = hopeless
		if d.reach(s, -1) {
			*end = matched
		}
	}
	return *end == matched
}

// line reports whether the line of block that begins at at has a match, and how far it
// has been read: at most to its end, which is a newline, maybe with a carriage return
// before it, or the end of block. With ok false the expression has too many states.
func (d *dfa) line(block []byte, at int) (found bool, to int, ok bool) {
	if d.useless {
		return false, at, false
	}
	s, i, table := d.begin, at, d.table
	for i < len(block) {
		c := block[i]
		next := table[s+uint32(d.bytes[c])]
		if next >= answers {
			s = next
			i++
			continue
		}
		if c == '\n' || c == '\r' && (i+1 == len(block) || block[i+1] == '\n') {
			break
		}
		var class uint16
		size := 1
		switch {
		case c < utf8.RuneSelf:
			class = d.classes[c]
		case 0xc2 <= c && c <= 0xdf && i+1 < len(block) && block[i+1]&0xc0 == 0x80: // a rune of two bytes
			class, size = d.classes[uint32(c&0x1f)<<6|uint32(block[i+1]&0x3f)], 2
		default:
			var r rune
			r, size = utf8.DecodeRune(block[i:])
			class = d.class(r)
		}
		if next = table[s+uint32(class)]; next == unmade {
			d.read += i - at // for step, which may begin anew
			at = i
			next = d.step(s, class)
			table = d.table
			if d.useless {
				return false, i, false
			}
		}
		i += size
		if next < answers {
			d.read += i - at
			return next == matched, i, true
		}
		s = next
	}
	d.read += i - at
	return d.endsIn(s), i, true
}
