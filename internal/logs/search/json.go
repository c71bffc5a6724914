package search

import "bytes"

// maxMembers bounds how many members of an object are looked at.
const maxMembers = 64

// maxJSON bounds how much of a line is.
const maxJSON = 64 << 10

// member is one of an object's members at its top level. The value of a text is
// without its quotes, with its escapes.
type member struct {
	name, value []byte
	text        bool
}

// members calls yield with the members of the object that a line is, until it returns
// false. It looks only as far as is needed to tell them apart; what comes after
// something that is no JSON is left out.
func members(line []byte, yield func(member) bool) {
	b := line[min(1, len(line)):min(len(line), maxJSON)]
	for range maxMembers {
		b = bytes.TrimLeft(b, " \t,")
		if len(b) == 0 || b[0] != '"' {
			return
		}
		end := endOfText(b)
		if end < 0 {
			return
		}
		m := member{name: b[1:end]}
		b = bytes.TrimLeft(b[end+1:], " \t")
		if len(b) == 0 || b[0] != ':' {
			return
		}
		b = bytes.TrimLeft(b[1:], " \t")
		if len(b) == 0 {
			return
		}
		switch b[0] {
		case '"':
			if end = endOfText(b); end < 0 {
				m.value, m.text, b = b[1:], true, nil // cut off
			} else {
				m.value, m.text, b = b[1:end], true, b[end+1:]
			}
		case '{', '[':
			n := endOfNested(b)
			if n < 0 {
				return
			}
			m.value, b = b[:n], b[n:]
		default:
			n := bytes.IndexAny(b, ",} \t\r\n")
			if n < 0 {
				n = len(b)
			}
			m.value, b = b[:n], b[n:]
		}
		if !yield(m) {
			return
		}
	}
}

// endOfText returns where the closing quote of the text at the beginning of b is, or -1.
func endOfText(b []byte) int {
	for at := 1; at < len(b); {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return -1
		}
		n += at
		slashes := 0
		for i := n - 1; i > 0 && b[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			return n
		}
		at = n + 1
	}
	return -1
}

// endOfNested returns the length of the object or array at the beginning of b, or -1.
func endOfNested(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := endOfText(b[i:])
			if n < 0 {
				return -1
			}
			i += n
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// fromJSON reads the time of an object.
func (c *clock) fromJSON(line []byte) (at int64, ok bool) {
	members(line, func(m member) bool {
		switch string(m.name) {
		case "time", "timestamp", "@timestamp", "ts", "t":
			at, ok = c.value(m.value)
		}
		return !ok
	})
	return at, ok
}
