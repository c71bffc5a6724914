// Package nodewire is what both ends of Node's IPC channel share: which lines are
// internal, and how texts in them are read and written.
package nodewire

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Internal returns the members of an object whose cmd starts with NODE_ and is longer
// (the rule of Node's lib/internal/child_process.js), else nil. They refer to nothing of
// line.
func Internal(line []byte) map[string]json.RawMessage {
	// JSON.stringify never escapes letters, so that other lines, which may be
	// megabytes, need not be taken apart.
	if !bytes.Contains(line, []byte(`"NODE_`)) {
		return nil
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil {
		return nil
	}
	if cmd := Text(members["cmd"]); !strings.HasPrefix(cmd, "NODE_") || len(cmd) == len("NODE_") {
		return nil
	}
	return members
}

// Text returns the string that a member is, "" if it is none.
func Text(member json.RawMessage) string {
	var s string
	if json.Unmarshal(member, &s) != nil {
		return ""
	}
	return s
}

// Quote returns s as a JSON string.
func Quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot happen: a string always marshals
	}
	return b
}
