package adopt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// call is a call that was stopped.
type call struct {
	ID   uint64    `json:"id"`
	TID  int       `json:"tid"`
	NR   int       `json:"nr"`
	Args [6]uint64 `json:"args"`

	pid int // of the process; 0 if it could not be told
}

// note is what a server leaves to the next one. Answered calls may be in it: the kernel
// knows which are.
type note struct {
	Version int `json:"version"`
	// Last is the highest id that was received, 0 if none was. The kernel counts
	// ids up, so what was received after this note was saved comes after it.
	Last  uint64 `json:"last"`
	Calls []call `json:"calls"`
}

const noteVersion = 1

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
	case len(n.Calls) > maxCalls || slices.ContainsFunc(n.Calls, func(c call) bool { return c.TID <= 0 }):
		return note{}, errors.New("read the last server's note: malformed")
	}
	return n, nil
}
