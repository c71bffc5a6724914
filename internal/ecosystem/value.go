package ecosystem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// kind is what a value of an app file is.
type kind int

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// String says what it is in an error.
func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "a text", "a list", "an object"}[k]
}

// value is what an app file says, whatever its format.
type value struct {
	kind    kind
	text    string // a scalar as it is written, a text without its quotes
	items   []value
	members []member
	line    int // in the file, from 1; 0 is unknown
}

// member is one key of an object. A later one of the same key replaces an earlier.
type member struct {
	key   string
	value value
	line  int
}

// get returns the member of that key.
func (v *value) get(key string) (value, bool) {
	for _, m := range slices.Backward(v.members) {
		if m.key == key {
			return m.value, true
		}
	}
	return value{}, false
}

// empty tells what stands for "not given": nothing, "", 0 and false. PM2 lets an
// alias go before a main name with such a value.
func (v *value) empty() bool {
	switch v.kind {
	case null:
		return true
	case boolean:
		return v.text == "false"
	case number:
		n, err := strconv.ParseFloat(v.text, 64)
		return err == nil && n == 0
	case text:
		return v.text == ""
	}
	return false
}

// Bounds of an app file, far above what anybody writes.
const (
	maxDepth  = 64      // objects and lists in each other
	maxValues = 500_000 // in all, those that YAML's aliases repeat included
)

var (
	errDepth  = fmt.Errorf("lists and objects stand in each other more than %d deep", maxDepth)
	errValues = fmt.Errorf("holds more than %d values", maxValues)
)

// budget counts what has been read.
type budget struct{ values int }

func (b *budget) take(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	if b.values++; b.values > maxValues {
		return errValues
	}
	return nil
}

// appendJSON writes v as JSON, its members in their order.
func (v *value) appendJSON(out []byte) []byte {
	switch v.kind {
	case null:
		return append(out, "null"...)
	case boolean:
		return append(out, v.text...)
	case number:
		if json.Valid([]byte(v.text)) {
			return append(out, v.text...)
		}
		return appendText(out, v.text) // 0x1F, .inf and the like
	case text:
		return appendText(out, v.text)
	case list:
		out = append(out, '[')
		for i := range v.items {
			if i > 0 {
				out = append(out, ',')
			}
			out = v.items[i].appendJSON(out)
		}
		return append(out, ']')
	}
	out = append(out, '{')
	for i := range v.members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, v.members[i].key), ':')
		out = v.members[i].value.appendJSON(out)
	}
	return append(out, '}')
}

// appendText writes a JSON string without turning <, > and & into escapes.
func appendText(out []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("ecosystem: encode a text: %v", err))
	}
	return append(out, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// syntaxError is what keeps a text from being read.
type syntaxError struct {
	line, column int // from 1; 0 is unknown
	message      string
}

func (e *syntaxError) Error() string { return place(e.line, e.column) + e.message }

// place is what stands before a message: "3:14: ", "3: " or "".
func place(line, column int) string {
	switch {
	case line == 0:
		return ""
	case column == 0:
		return fmt.Sprintf("%d: ", line)
	}
	return fmt.Sprintf("%d:%d: ", line, column)
}

// errEmptyFile is a file without a word in it.
var errEmptyFile = errors.New("is empty; `pace init` writes a sample")
