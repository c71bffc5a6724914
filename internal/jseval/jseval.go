// Package jseval evaluates a JavaScript config file in a child process that can
// be killed.
//
// There is no Node in it: the engine is QuickJS, around which internal scripts
// (node/*.js, compiled by `make scripts`) build as much of Node as config files use: CommonJS and ES modules,
// process, path, os, url, util and reading through fs. What reaches outside
// (child_process, net, writing files) is there by name and says, when it is used,
// that a config file cannot do it.
//
// The child is this program under the hidden role [Role]. It gets a request on
// stdin and answers in JSON lines on stdout: what the config printed, then one
// value or one error. Its limits: wall-clock time (SIGKILL at the end), memory of
// the engine and of the process, the size of every file of code, of the value and
// of what is printed. It never outlives its caller.
package jseval

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Role is the argument under which this program is the child: see [Main].
const Role = "__eval"

// Kind says how a text becomes a value.
type Kind int

// The kinds.
const (
	// CommonJS: the value is module.exports. A .js file in which only import or
	// export is in the way is taken as a Module, as Node does.
	CommonJS Kind = iota
	// Module is an ES module: the value is the default export, or an object of all
	// exports where there is none.
	Module
	// Expression: the whole text is one expression, such as JSON with comments. It
	// has process, console and the other globals, but no require.
	Expression
)

// KindOf tells the kind of a file by its name and, for .js, by the "type" of the
// nearest package.json.
func KindOf(file string) Kind {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".mjs":
		return Module
	case ".json":
		return Expression
	case ".js":
		if packageType(filepath.Dir(file)) == "module" {
			return Module
		}
	}
	return CommonJS
}

// Source is what to evaluate.
type Source struct {
	File    string   // absolute; "" or "-" for a text from stdin
	Text    []byte   // nil: what File holds
	Kind    Kind     // see KindOf
	Dir     string   // the process.cwd() that it sees, absolute; "" is that of this process
	Environ []string // the process.env that it sees, as os.Environ returns it
}

// Options are the limits and the surroundings. Zero values are the defaults.
type Options struct {
	Exe         string        // the program that knows Role; "" is this program
	Timeout     time.Duration // wall-clock, until SIGKILL; 10 s. A tenth earlier the engine is interrupted, which tells the line
	MemoryBytes int64         // of the engine; 256 MiB. The process gets as much again and 512 MiB for Go's own needs
	MaxFile     int64         // bytes of one file of code; 4 MiB. Data read through fs may have 16 times as much
	Log         io.Writer     // where console.log goes, at most 64 KiB of it; nil: nowhere
}

const (
	defaultTimeout = 10 * time.Second
	defaultMemory  = 256 << 20
	defaultMaxFile = 4 << 20
	maxValue       = 8 << 20  // bytes of the value as JSON
	maxLog         = 64 << 10 // bytes of console output
)

func (o Options) withDefaults() (Options, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = defaultMemory
	}
	if o.MaxFile <= 0 {
		o.MaxFile = defaultMaxFile
	}
	if o.Exe == "" {
		exe, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find own program: %w", err)
		}
		o.Exe = exe
	}
	return o, nil
}

// Error is what is wrong with a config file: its syntax, what it throws, a limit.
type Error struct {
	File    string `json:"file"`             // the one it happened in: the config or what it requires; "stdin" for a text without a file
	Line    int    `json:"line,omitempty"`   // from 1; 0 is unknown
	Column  int    `json:"column,omitempty"` // from 1; 0 is unknown
	Message string `json:"message"`          // one line
}

// Error is one line: file:line:column: message.
func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Message)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// request is what the child gets, one line of JSON on its stdin.
type request struct {
	File        string        `json:"file"` // absolute; a made-up name for a text from stdin
	Text        *string       `json:"text,omitempty"`
	Kind        Kind          `json:"kind"`
	Dir         string        `json:"dir"`
	Environ     []string      `json:"environ"`
	Exe         string        `json:"exe"`
	Interrupt   time.Duration `json:"interrupt"`
	Timeout     time.Duration `json:"timeout"`
	MemoryBytes int64         `json:"memory"`
	MaxFile     int64         `json:"max_file"`
}

// answer is one line of JSON on the child's stdout: exactly one field is set.
type answer struct {
	Log   string          `json:"log,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
	Error *Error          `json:"error,omitempty"`
}
