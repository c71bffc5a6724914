package search

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// MaxPattern is the length of the longest pattern, in bytes.
const MaxPattern = 4096

// Pattern is a regular expression in RE2's syntax that lines are held against. It is
// read-only: goroutines may share it.
type Pattern struct {
	re      *regexp.Regexp
	auto    *automaton // the same; nil if it is too large
	needles []needle   // one of them is in every match; none: not known
	plain   bool       // the only needle is the whole pattern
	invert  bool
}

// needle is a text that is looked for before the regular expression is asked.
type needle struct {
	text []byte // in lower case, if fold is set
	fold bool   // ASCII letters in any case
}

// maxNeedles is how many texts are worth looking for one by one.
const maxNeedles = 8

// Compile reads a pattern. With invert the lines that do not match are wanted.
// Errors are one line and name the pattern.
func Compile(expr string, ignoreCase, invert bool) (*Pattern, error) {
	if len(expr) > MaxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes, more than %d", len(expr), MaxPattern)
	}
	flags := syntax.Perl
	full := expr
	if ignoreCase {
		flags |= syntax.FoldCase
		full = "(?i)" + expr
	}
	tree, err := syntax.Parse(expr, flags)
	var re *regexp.Regexp
	if err == nil {
		re, err = regexp.Compile(full)
	}
	if err != nil {
		return nil, fmt.Errorf("the pattern %q is no regular expression: %w", expr, reason(err))
	}
	tree = tree.Simplify()
	p := &Pattern{re: re, auto: newAutomaton(tree), invert: invert}
	if invert {
		return p, nil
	}
	p.needles = needlesOf(tree)
	p.plain = len(p.needles) == 1 && !bytes.ContainsAny(p.needles[0].text, "\r\n") && tree.Op == syntax.OpLiteral && tree.Flags&syntax.FoldCase == 0 &&
		len(p.needles[0].text) == len(string(tree.Rune))
	return p, nil
}

// reason is what a syntax error says about the pattern, without the pattern.
func reason(err error) error {
	if e, ok := err.(*syntax.Error); ok { //nolint:errorlint // it is returned as it is
		return fmt.Errorf("%s: `%s`", e.Code, e.Expr)
	}
	return err
}

// needlesOf returns texts of which every match has one; none if there are no such, or
// too many.
func needlesOf(re *syntax.Regexp) []needle {
	switch re.Op {
	case syntax.OpLiteral:
		if n, ok := needleOf(re); ok {
			return []needle{n}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needlesOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needlesOf(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []needle
		for _, sub := range re.Sub {
			if found := needlesOf(sub); worth(found) > worth(best) {
				best = found
			}
		}
		return best
	case syntax.OpAlternate:
		var all []needle
		for _, sub := range re.Sub {
			found := needlesOf(sub)
			if len(found) == 0 || len(all)+len(found) > maxNeedles {
				return nil
			}
			all = append(all, found...)
		}
		return all
	}
	return nil
}

// worth says how much is won by looking for needles: the length of the shortest,
// less if there are several.
func worth(list []needle) int {
	if len(list) == 0 {
		return 0
	}
	shortest := slices.MinFunc(list, func(a, b needle) int { return len(a.text) - len(b.text) })
	return 16*len(shortest.text) - len(list)
}

// needleOf returns the text of a literal, or the longest part of it whose letters have
// two forms only: in Unicode k and s have a third one.
func needleOf(re *syntax.Regexp) (needle, bool) {
	if re.Flags&syntax.FoldCase == 0 {
		text := string(re.Rune)
		return needle{text: []byte(text)}, text != "" && utf8.ValidString(text) && !slices.Contains(re.Rune, utf8.RuneError)
	}
	var best, run []byte
	for _, r := range re.Rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		if r >= utf8.RuneSelf || r == 'k' || r == 's' {
			run = nil
			continue
		}
		if run = append(run, byte(r)); len(run) > len(best) {
			best = run
		}
	}
	return needle{text: best, fold: true}, len(best) > 0
}

// index returns where the needle is in b, or -1.
func (n needle) index(b []byte) int {
	if !n.fold {
		return bytes.Index(b, n.text)
	}
	return indexFold(b, n.text)
}

// indexFold is bytes.Index for ASCII letters in any case; text is in lower case. It
// looks for the two forms of the rarest letter.
func indexFold(b, text []byte) int {
	at := rarest(text)
	lower := text[at]
	upper := lower
	if 'a' <= lower && lower <= 'z' {
		upper -= 'a' - 'A'
	}
	nextLower, nextUpper := -1, -1
	for from := at; from < len(b); {
		if nextLower < from {
			nextLower = indexFrom(b, lower, from)
		}
		if nextUpper < from {
			nextUpper = indexFrom(b, upper, from)
		}
		hit := min(nextLower, nextUpper)
		if hit == len(b) {
			return -1
		}
		start := hit - at
		if start+len(text) <= len(b) && equalFold(b[start:start+len(text)], text) {
			return start
		}
		from = hit + 1
	}
	return -1
}

// indexFrom returns where c is in b at or after from, len(b) if it is not.
func indexFrom(b []byte, c byte, from int) int {
	if i := bytes.IndexByte(b[from:], c); i >= 0 {
		return from + i
	}
	return len(b)
}

// equalFold compares with a text in lower case.
func equalFold(b, lower []byte) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// frequent are the letters of log lines, the most frequent first.
const frequent = " etaoinsrhldcum0123456789pgfwyb.:-/\",=_vxjqz[]{}"

// rarest returns where the rarest letter of a text is.
func rarest(text []byte) int {
	best, rank := 0, -1
	for i, c := range text {
		r := bytes.IndexByte([]byte(frequent), c)
		if r < 0 {
			return i
		}
		if r > rank {
			best, rank = i, r
		}
	}
	return best
}

// Match reports whether a line is wanted.
func (p *Pattern) Match(line []byte) bool { return p == nil || p.re.Match(line) != p.invert }

// finder looks for lines in a block. It remembers where each needle comes next.
type finder struct {
	*Pattern
	dfa  *dfa  // nil: the pattern has none
	next []int // of each needle in the block: at or after the place last asked for
	// tried lines with a needle have been looked at since the place first in the block.
	tried, first int
	dense        bool // so many lines of the block have a needle that looking for them costs more than it saves
}

// Needles are dense if denseTries lines with one come within denseBytes.
const (
	denseTries = 16
	denseBytes = denseTries * 512
)

// newFinder returns a finder that uses d, as others of the same goroutine may.
func newFinder(p *Pattern, d *dfa) *finder {
	f := &finder{Pattern: p, dfa: d}
	if p != nil {
		f.next = make([]int, len(p.needles))
	}
	f.reset()
	return f
}

// reset is called when the block has changed.
func (f *finder) reset() {
	f.tried, f.dense = 0, false
	for i := range f.next {
		f.next[i] = -1
	}
}

// line returns the first line of block that is wanted at or after at, where a line
// begins: its beginning and its end, without the newline; or -1. The block ends with a
// line's end.
func (f *finder) line(block []byte, at int) (from, to int) {
	for at < len(block) {
		from = at
		if f.Pattern == nil {
			return from, indexFrom(block, '\n', at)
		}
		if len(f.needles) > 0 && !f.dense {
			hit := f.hit(block, at)
			if hit < 0 {
				return -1, -1
			}
			from += bytes.LastIndexByte(block[at:hit], '\n') + 1
			at = hit
			f.weigh(from)
		}
		var found bool
		if found, to = f.holds(block, from, at); found != f.invert {
			return from, to
		}
		at = to + 1
	}
	return -1, -1
}

// weigh counts the lines with a needle.
func (f *finder) weigh(from int) {
	if f.tried == 0 {
		f.first = from
	}
	if f.tried++; f.tried < denseTries {
		return
	}
	f.dense = from-f.first < denseBytes && !f.plain && f.dfa != nil && !f.dfa.useless
	f.tried = 0
}

// holds reports whether the line that begins at from, and has a needle at at if there
// are any, matches, and where it ends.
func (f *finder) holds(block []byte, from, at int) (found bool, to int) {
	if f.plain {
		return true, indexFrom(block, '\n', at)
	}
	if f.dfa != nil {
		if found, to, ok := f.dfa.line(block, from); ok {
			return found, indexFrom(block, '\n', to)
		}
	}
	to = indexFrom(block, '\n', at)
	return f.re.Match(bytes.TrimSuffix(block[from:to], []byte{'\r'})), to
}

// hit returns where the first needle is at or after at.
func (f *finder) hit(block []byte, at int) int {
	if len(f.needles) == 1 {
		if i := f.needles[0].index(block[at:]); i >= 0 {
			return at + i
		}
		return -1
	}
	first := len(block)
	for i := range f.needles {
		if f.next[i] < at {
			f.next[i] = len(block)
			if n := f.needles[i].index(block[at:]); n >= 0 {
				f.next[i] = at + n
			}
		}
		first = min(first, f.next[i])
	}
	if first == len(block) {
		return -1
	}
	return first
}
