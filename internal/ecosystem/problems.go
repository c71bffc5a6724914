package ecosystem

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Problem is one thing that is wrong in an app file.
type Problem struct {
	Line    int    // from 1; 0 is unknown
	App     string // its name, or "app 3" for the third of the file; "" is none
	Field   string // the key; "" is none
	Message string // one line
}

// Problems are all that is wrong with the apps of a file. Nothing of it is started.
type Problems struct {
	File string // as the user gave it
	List []Problem
}

// Error is one line: the first problem, and how many there are.
func (p *Problems) Error() string {
	text := p.Line(0)
	if more := len(p.List) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more; `pace validate` lists all)", more)
	}
	return text
}

// Line writes one of them: "apps.yaml:12: api: instances: want ...".
func (p *Problems) Line(i int) string {
	x := p.List[i]
	text := p.File
	if x.Line > 0 {
		text += fmt.Sprintf(":%d", x.Line)
	}
	parts := slices.DeleteFunc([]string{text, x.App, x.Field, x.Message}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

var flagWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`--[a-z][a-z-]*|-[ix]\b`) })

// inFile rewrites an error of FromArgs, which speaks of options, for an app file,
// and returns the field that it is about.
func (x *fieldIndex) inFile(message string) (field, text string) {
	text = flagWord().ReplaceAllStringFunc(message, func(flag string) string {
		switch flag {
		case "-i":
			flag = "--instances"
		case "-x":
			flag = "--execute-command"
		case "--node-args":
			flag = "--interpreter-args"
		}
		i, ok := x.flag[flag]
		if !ok {
			return flag
		}
		if field == "" {
			field = x.list[i].name
		}
		return x.list[i].name
	})
	if rest, ok := strings.CutPrefix(text, field+" "); ok && field != "" {
		return field, rest
	}
	if rest, ok := strings.CutPrefix(text, field+": "); ok && field != "" {
		return field, rest
	}
	return field, text
}
