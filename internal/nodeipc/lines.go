package nodeipc

import "bytes"

// maxLineBytes bounds what a worker can make us hold: a longer line is dropped, with a warning.
const maxLineBytes = 16 << 20

// assembler cuts what is peeked from a channel into lines. Bytes stay in the socket until their
// line has been acted on; only a line that is longer than may stay there (swallow) is put
// together in memory.
type assembler struct {
	head     []byte // consumed part of the first line
	skipping bool   // the first line is too long, or its start was lost: drop it
}

// next returns the first line in buf without its newline, and how many bytes of buf it spans.
// n is 0 if there is no newline in buf. dropped: it was skipped, and line is nil.
// The line is valid until buf is reused.
func (a *assembler) next(buf []byte) (line []byte, n int, dropped bool) {
	i := bytes.IndexByte(buf, '\n')
	switch {
	case i < 0:
		return nil, 0, false
	case a.skipping || len(a.head)+i > maxLineBytes:
		return nil, i + 1, true
	case len(a.head) > 0:
		return append(a.head, buf[:i]...), i + 1, false
	}
	return buf[:i], i + 1, false
}

// taken says that the line that next returned has been acted on.
func (a *assembler) taken() {
	a.head, a.skipping = nil, false
}

// swallow takes a start or middle of a line that is about to be consumed from the socket.
func (a *assembler) swallow(part []byte) {
	if a.skipping || len(a.head)+len(part) > maxLineBytes {
		a.head, a.skipping = nil, true
		return
	}
	a.head = append(a.head, part...)
}

// partial reports whether part of the first line has been swallowed.
func (a *assembler) partial() bool { return a.skipping || len(a.head) > 0 }
