package keeper

import (
	"bytes"
	"hash/fnv"
	"strconv"
)

// marker is what the environment of the processes of a home's keeper holds, up to
// their key.
func marker(home string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(home)) // never fails
	return markerName + strconv.FormatUint(hash.Sum64(), 16) + ":"
}

// KeyIn finds the key of the process that an environment, as in /proc/PID/environ,
// was given to. It is inherited: a descendant that has left its session still has
// it, unless it has cleared its environment.
func KeyIn(environ []byte, home string) (key string, ok bool) {
	prefix := []byte(marker(home))
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if rest, found := bytes.CutPrefix(entry, prefix); found {
			return string(rest), true
		}
	}
	return "", false
}
