package logs

import "bytes"

// appendStamped appends block to dst with stamp before each line; mid says that
// block begins within a line.
func appendStamped(dst, block []byte, stamp string, mid bool) []byte {
	for len(block) > 0 {
		if !mid {
			dst = append(dst, stamp...)
		}
		end := bytes.IndexByte(block, '\n') + 1
		if mid = end == 0; mid {
			end = len(block)
		}
		dst = append(dst, block[:end]...)
		block = block[end:]
	}
	return dst
}

// stampedEnd returns how long the part of a text with stamps of width bytes is that
// holds its first raw bytes; mid says that the text begins within a line. A stamp with
// nothing after it does not count.
func stampedEnd(stamped []byte, raw, width int, mid bool) int {
	end := 0
	for raw > 0 && end < len(stamped) {
		start := end
		if !mid {
			start = min(end+width, len(stamped))
		}
		n := bytes.IndexByte(stamped[start:], '\n') + 1
		if mid = n == 0; mid {
			n = len(stamped) - start
		}
		if n == 0 {
			break
		}
		if n > raw {
			n, mid = raw, true
		}
		raw -= n
		end = start + n
	}
	return end
}

// rawBytes returns how many bytes of a text with stamps of width bytes the program
// wrote.
func rawBytes(stamped []byte, width int, mid bool) int {
	raw := 0
	for len(stamped) > 0 {
		if !mid {
			stamped = stamped[min(width, len(stamped)):]
		}
		end := bytes.IndexByte(stamped, '\n') + 1
		if mid = end == 0; mid {
			end = len(stamped)
		}
		raw += end
		stamped = stamped[end:]
	}
	return raw
}

// wholeLines returns the length of the lines of block that fit into limit bytes
// together, each with extra bytes for its prefix; mid says that the first one
// has none.
func wholeLines(block []byte, limit int64, extra int, mid bool) int {
	if extra == 0 {
		if limit < int64(len(block)) {
			block = block[:max(limit, 0)]
		}
		return bytes.LastIndexByte(block, '\n') + 1
	}
	taken := 0
	for taken < len(block) {
		n := bytes.IndexByte(block[taken:], '\n') + 1
		if n == 0 {
			break
		}
		cost := int64(n)
		if !mid {
			cost += int64(extra)
		}
		if cost > limit {
			break
		}
		limit -= cost
		taken += n
		mid = false
	}
	return taken
}

// stampedBytes returns the length of block with a prefix of extra bytes before
// each line; mid says that the first one has none.
func stampedBytes(block []byte, extra int, mid bool) int64 {
	n := int64(len(block))
	if extra == 0 || n == 0 {
		return n
	}
	lines := int64(bytes.Count(block, []byte{'\n'}))
	if block[len(block)-1] != '\n' {
		lines++
	}
	if mid {
		lines--
	}
	return n + lines*int64(extra)
}
