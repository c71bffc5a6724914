package adopt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// request is a call that was stopped, as the kernel tells of it.
type request struct {
	ID   uint64    `json:"id"`
	TID  int       `json:"tid"`
	NR   int       `json:"nr"`
	Args [6]uint64 `json:"args"`
}

// call is a request in hand. From being queued on it belongs to the goroutine of its
// process.
type call struct {
	request
	pid     int  // of the process; 0 if it could not be told
	decided bool // the handler was asked, and what it said was done
}

// same reports whether a thread does the same call again.
func (c *call) same(d *call) bool {
	return c.TID == d.TID && c.pid == d.pid && c.NR == d.NR && c.Args == d.Args
}

// note is what a server leaves to the next one. Answered calls may be in it: the kernel
// knows which are.
type note struct {
	Version int `json:"version"`
	// Last is the highest id that was received, 0 if none was. The kernel counts
	// ids up, so what was received after this note was saved comes after it.
	Last  uint64    `json:"last"`
	Calls []request `json:"calls"`
}

const noteVersion = 1

// maxCalls is how many calls are in hand at once. Others wait in the kernel.
const maxCalls = 1024

func (n *note) encode() []byte {
	n.Version = noteVersion
	b, _ := json.Marshal(n) // numbers only
	return b
}

func decodeNote(b []byte) (n note, err error) {
	if b == nil {
		return note{}, nil
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return note{}, fmt.Errorf("read the last server's note: %w", err)
	}
	switch {
	case n.Version != noteVersion:
		return note{}, fmt.Errorf("read the last server's note: version %d is not known", n.Version)
	case len(n.Calls) > maxCalls || slices.ContainsFunc(n.Calls, func(r request) bool { return r.TID <= 0 }):
		return note{}, errors.New("read the last server's note: malformed")
	}
	return n, nil
}
