package logs

import (
	"bytes"
	"encoding/binary"
)

// node identifies a file whatever its name, as long as it exists.
type node struct{ dev, ino uint64 }

// nodeExtra begins the field of a gzip header in which the original's node is kept,
// so that a follower that has read the original knows which one that was.
var nodeExtra = []byte{'P', 'n', 16, 0} // two letters and the length, as RFC 1952 wants

func (n node) extra() []byte {
	b := bytes.Clone(nodeExtra)
	b = binary.LittleEndian.AppendUint64(b, n.dev)
	return binary.LittleEndian.AppendUint64(b, n.ino)
}

// nodeFromExtra is the inverse of extra.
func nodeFromExtra(b []byte) (node, bool) {
	rest, ok := bytes.CutPrefix(b, nodeExtra)
	if !ok || len(rest) != 16 {
		return node{}, false
	}
	return node{binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])}, true
}
