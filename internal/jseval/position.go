package jseval

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"modernc.org/quickjs"

	"paceline/internal/jsengine"
)

// thrown is what boot.js tells of an exception.
type thrown struct {
	Name    string  `json:"name"`
	Message string  `json:"message"`
	Stack   string  `json:"stack"`
	File    string  `json:"file"`
	Line    float64 `json:"line"`
	Column  float64 `json:"column"`
	Cause   string  `json:"cause"`
}

// failure makes the Error of an exception: where the text is wrong, or where in the
// user's files it was thrown.
func (e *engine) failure(t thrown) *Error {
	text := t.Message
	if t.Name != "" && t.Name != "Error" {
		text = strings.TrimSuffix(t.Name+": "+t.Message, ": ")
	}
	if text == "" {
		text = "it throws an Error without a message"
	}
	switch {
	case strings.Contains(t.Message, "out of memory"):
		text = outOfMemory(e.MemoryBytes)
	case strings.Contains(t.Message, "stack overflow"):
		text = "it calls itself without end (stack overflow)"
	}
	if t.Cause != "" {
		text += " (" + t.Cause + ")"
	}
	if s, ours := e.sources[t.File]; ours && t.Line >= 1 {
		return e.correct(&Error{File: t.File, Line: int(t.Line), Column: int(t.Column), Message: text}, s)
	}
	return e.at(t.Stack, text)
}

func outOfMemory(limit int64) string {
	return fmt.Sprintf("it needs more than %s of memory, which is the limit for a config file", sizeText(limit))
}

// fromGo is failure for what came back through Go.
func (e *engine) fromGo(err error) *Error {
	var done *Error
	var js *quickjs.Error
	switch {
	case errors.As(err, &done):
		done.File = e.label(done.File)
		return done
	case errors.As(err, &js):
		return e.failure(thrown{Name: js.Name, Message: js.Message, Stack: js.Stack, File: js.FileName, Line: float64(js.LineNumber), Column: float64(js.ColumnNumber)})
	}
	var known *codeError
	if errors.As(err, &known) && known.path == e.File {
		return &Error{File: e.label(e.File), Message: strings.TrimSuffix(oneLine(known.message), ", open '"+e.File+"'")}
	}
	return &Error{File: e.label(e.File), Message: strings.TrimPrefix(oneLine(err.Error()), e.File+": ")}
}

// slotError is the exception on the bridge, for boot.js alone.
func (e *engine) slotError() error {
	v, err := e.vm.Eval("String("+jsengine.Bridge+".value) + "+jsengine.Bridge+".value.stack", quickjs.EvalGlobal)
	return errors.Join(err, fmt.Errorf("%v", v))
}

// at is an Error whose place is the first frame of a stack that is in one of the
// user's files; without one it is about the config as a whole.
func (e *engine) at(stack, message string) *Error {
	for line := range strings.Lines(stack) {
		if pos, s, ok := e.frame(strings.TrimSpace(line)); ok {
			pos.Message = message
			return e.correct(&pos, s)
		}
	}
	return &Error{File: e.label(e.File), Message: oneLine(message)}
}

// frame reads "at f (/a/b.js:3:9)" or "at /a/b.js:3:9".
func (e *engine) frame(line string) (Error, source, bool) {
	line = strings.TrimSuffix(line, ")")
	rest, column, ok := cutNumber(line)
	if !ok {
		return Error{}, source{}, false
	}
	name, number, ok := cutNumber(rest)
	if !ok { // a line alone
		name, number, column = rest, column, 0
	}
	// A path may hold spaces and brackets: the known file that the text ends with.
	for file, s := range e.sources {
		if name == file || strings.HasSuffix(name, "("+file) || strings.HasSuffix(name, "at "+file) {
			return Error{File: file, Line: number, Column: column}, s, true
		}
	}
	return Error{}, source{}, false
}

func cutNumber(s string) (rest string, n int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, 0, false
	}
	n, err := strconv.Atoi(s[i+1:])
	return s[:i], n, err == nil
}

// correct takes off what the engine had before the text, and keeps the place
// inside of the text.
func (e *engine) correct(pos *Error, s source) *Error {
	if pos.Line == 1 && pos.Column > 0 {
		pos.Column = max(1, pos.Column-s.before)
	}
	// An end that is missed is found in what stands behind the text.
	if n := strings.Count(strings.TrimSuffix(s.text, "\n"), "\n") + 1; pos.Line > n {
		pos.Line, pos.Column = n, 0
	}
	pos.File = e.label(pos.File)
	pos.Message = oneLine(pos.Message)
	return pos
}

// label is what the user calls a file.
func (e *engine) label(file string) string {
	if filepath.Base(file) == stdinName {
		return "stdin"
	}
	return file
}

// mention finds the place of an import by the text, as the engine does not say it.
func (e *engine) mention(file, spec string) (line, column int) {
	text := e.sources[file].text
	for _, q := range []string{"'", `"`, "`"} {
		i := strings.Index(text, q+spec+q)
		if i < 0 {
			continue
		}
		line = strings.Count(text[:i], "\n") + 1
		column = i - strings.LastIndexByte(text[:i], '\n')
		if line == 1 {
			column += e.sources[file].before
		}
		return line, column
	}
	return 0, 0
}

// jsonPlace says where and why a JSON text is wrong; fields of an error for boot.js.
func jsonPlace(file, text string) map[string]any {
	place := map[string]any{"fileName": file}
	var wrong *json.SyntaxError
	if err := json.Unmarshal([]byte(text), new(any)); errors.As(err, &wrong) {
		head := text[:max(0, min(int(wrong.Offset)-1, len(text)))]
		place["message"] = "not JSON: " + wrong.Error()
		place["lineNumber"] = strings.Count(head, "\n") + 1
		place["columnNumber"] = len(head) - strings.LastIndexByte(head, '\n')
	}
	return place
}

const maxMessage = 600 // bytes

// oneLine makes one line of a message, of a length that a terminal bears.
func oneLine(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "?")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}
