package ecosystem

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// shape is what a field may hold, for its decoder, the schema and the docs.
type shape string

// The shapes of fields.
const (
	shapeText     shape = "text"
	shapeBool     shape = "true or false"
	shapeNumber   shape = "number"
	shapeCount    shape = `number or "max"`
	shapeDuration shape = "duration" // a number of milliseconds, or "1.6s"
	shapeSize     shape = "size"     // bytes, or "300M"
	shapeWords    shape = "list or text"
	shapeNumbers  shape = "list of numbers"
	shapeEnv      shape = "object"
	shapeSwitch   shape = "true, false, list or text"
	shapeLog      shape = "true, false or text"
	shapeHooks    shape = "list of objects, or one"
	shapeDepends  shape = "list, text or object"
	shapeObject   shape = "object of its own" // described in the docs by hand
	shapeAny      shape = "anything"
)

// field is one key of an app in an app file. The table of them is what the
// decoder, the JSON Schema and docs/app-file.md are made of.
type field struct {
	name    string
	aliases []string // PM2's other names; every name is also taken in camelCase
	group   string   // its heading in the docs
	shape   shape
	flag    string   // the option of the command line that is the same, with its dashes
	words   []string // the only texts that it may be, if they are few
	def     string   // what holds without it, for people
	doc     string
	// set puts the value into the draft; nil: the key is taken and has no effect.
	set func(d *draft, v value) error
	// note says why it has no effect.
	note string
}

// fields lists them in the order of the docs.
func fields() []field {
	return slices.Concat(programFields(), environmentFields(), instanceFields(), restartFields(), stopFields(),
		logFields(), relationFields(), otherFields(), idleFields())
}

var camel = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[A-Z]`) })

// snake turns maxMemoryRestart into max_memory_restart.
func snake(key string) string {
	return camel().ReplaceAllStringFunc(key, func(s string) string { return "_" + strings.ToLower(s) })
}

// fieldIndex finds fields by every name that they have.
type fieldIndex struct {
	list []field
	at   map[string]int
	flag map[string]int
}

func newFieldIndex() *fieldIndex {
	x := &fieldIndex{list: fields(), at: map[string]int{}, flag: map[string]int{}}
	for i, f := range x.list {
		for _, name := range append([]string{f.name}, f.aliases...) {
			x.at[name] = i
			if s := snake(name); s != name {
				if _, taken := x.at[s]; !taken {
					x.at[s] = i
				}
			}
		}
		if f.flag != "" {
			x.flag[f.flag] = i
		}
	}
	return x
}

// find returns the number of the field that key names, -1 if none.
func (x *fieldIndex) find(key string) int {
	if i, ok := x.at[key]; ok {
		return i
	}
	if i, ok := x.at[snake(key)]; ok {
		return i
	}
	return -1
}

// rank tells which of two names of one field holds: the main one first.
func (f *field) rank(key string) int {
	if key == f.name || snake(key) == f.name {
		return -1
	}
	return slices.Index(f.aliases, key)
}

// near returns the name of a field that key may be a slip of, "" if none.
func (x *fieldIndex) near(key string) string {
	var names []string
	for _, f := range x.list {
		names = append(append(names, f.name), f.aliases...)
	}
	return Nearest(snake(key), names)
}

// Nearest returns that of names that word may be a slip of, "" if none is near.
func Nearest(word string, names []string) string {
	best, distance := "", min(3, len(word)) // two letters wrong at most, and not all of them
	for _, name := range names {
		d := edits(strings.ToLower(word), strings.ToLower(name))
		if len(word) > 2 && strings.HasPrefix(name, word) {
			d = 1
		}
		if d < distance {
			best, distance = name, d
		}
	}
	return best
}

// edits counts the letters to insert, delete or change that make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// wrongKind is the error of a value that is something else than wanted.
func wrongKind(wanted string, v value) error {
	got := v.kind.String()
	if v.kind == boolean || v.kind == number {
		got = v.text
	}
	if v.kind == text {
		got = fmt.Sprintf("%q", cmp.Or(v.text, ""))
	}
	return fmt.Errorf("want %s, not %s", wanted, got)
}
