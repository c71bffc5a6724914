package logs

import (
	"os"
	"syscall"
)

// nodeOf returns the node of a file that was looked at.
func nodeOf(info os.FileInfo) (node, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return node{}, false
	}
	return node{st.Dev, st.Ino}, true
}
