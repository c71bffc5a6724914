package jseval

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"modernc.org/quickjs"

	"paceline/internal/jsengine"
	"paceline/internal/nodelib"
)

// scripts are the internal scripts, boot.js and one for each builtin module that
// nodelib does not have, and the same in the engine's own code: to compile boot.js
// takes 4 ms, to read it 0.3. That code is good for one version of the engine. `make
// scripts` writes it, and a test holds that it is what the present engine makes of the
// present scripts.
//
//go:embed node/*.js node/*.bin
var scripts embed.FS

// engine evaluates one config, in the child.
type engine struct {
	request
	vm       *quickjs.VM
	raw      *jsengine.Engine
	resolver resolver
	modules  map[string]bool // .js files that are ES modules by their text
	sources  map[string]source
	send     func(answer)
	logged   int
	began    time.Time
	outcome  *answer // the value or the error, once there is one
}

// source is a file of the user's as the engine has it: with something before its
// text, in the first line.
type source struct {
	text   string
	before int // columns
}

// exit is what process.exit panics with: the engine then runs no catch or finally.
type exit struct{ code, stack string }

// newEngine is an engine for one config. What it prints goes to send.
func newEngine(req request, send func(answer)) *engine {
	return &engine{
		request: req, send: send, began: time.Now(),
		modules: map[string]bool{}, sources: map[string]source{},
	}
}

// evaluate returns the last line of the answer.
func (e *engine) evaluate() (last answer) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exit:
			last = answer{Error: e.at(p.stack, fmt.Sprintf("it calls process.exit(%s): a config file exports its value and returns", p.code))}
		default: // ours or the engine's; the child ends, and with it whatever is broken
			last = answer{Error: &Error{File: e.label(e.File), Message: oneLine(fmt.Sprintf("the JavaScript engine failed: %v", p))}}
			_, _ = os.Stderr.Write(debug.Stack())
		}
	}()
	if err := e.run(); err != nil {
		return answer{Error: e.fromGo(err)}
	}
	return *e.outcome
}

func (e *engine) run() error {
	text, err := e.entry()
	if err != nil {
		return err
	}
	if e.vm, err = quickjs.NewVM(); err != nil {
		return fmt.Errorf("start the JavaScript engine: %w", err)
	}
	// The child does not close it: the process ends.
	e.vm.SetMemoryLimit(uintptr(e.MemoryBytes))
	e.vm.SetGCThreshold(16 << 20) // a usual config never needs the collector
	if e.raw, err = jsengine.Of(e.vm); err != nil {
		return err
	}
	if err := e.vm.RegisterHostFunc("__paceline_host", e.host); err != nil {
		return fmt.Errorf("set up the JavaScript engine: %w", err)
	}
	e.vm.SetModuleLoader(e.load, e.normalize)
	if ok, err := e.internal("boot"); err != nil || !ok {
		return fmt.Errorf("set up the JavaScript engine: boot.js fails: %w", errors.Join(err, e.slotError()))
	}
	kind := map[Kind]string{CommonJS: "commonjs", Module: "module", Expression: "expression"}[e.Kind]
	if err := e.within(func() error { _, err := e.vm.Call("__paceline.start", kind, e.File, text); return err }); err != nil {
		return err
	}
	for e.outcome == nil {
		if err := e.turn(); err != nil {
			return err
		}
	}
	return nil
}

// turn runs what is ready, and waits for the next timer.
func (e *engine) turn() error {
	if err := e.within(func() error { _, err := e.vm.ExecutePendingJobs(); return err }); err != nil || e.outcome != nil {
		return err
	}
	var wait any
	if err := e.within(func() (err error) { wait, err = e.vm.Call("__paceline.tick"); return err }); err != nil || e.outcome != nil {
		return err
	}
	var ms float64
	switch n := wait.(type) {
	case int:
		ms = float64(n)
	case float64:
		ms = n
	}
	if ms < 0 {
		return &Error{File: e.File, Message: "its value is a promise that nothing will ever settle"}
	}
	left := time.Until(e.began.Add(e.Interrupt))
	if d := time.Duration(ms * float64(time.Millisecond)); d < left {
		<-time.After(d) // nothing else can happen meanwhile but SIGKILL
		return nil
	}
	return e.tooLong("")
}

// within is a call into the engine that ends when the time is over.
func (e *engine) within(call func() error) error {
	left := time.Until(e.began.Add(e.Interrupt))
	if left <= 0 {
		return e.tooLong("")
	}
	if err := e.vm.SetEvalTimeout(left); err != nil {
		return fmt.Errorf("limit the time: %w", err)
	}
	err := call()
	if err != nil && time.Until(e.began.Add(e.Interrupt)) <= 0 {
		if js, ok := errors.AsType[*quickjs.Error](err); ok {
			return e.tooLong(js.Stack)
		}
	}
	return err
}

func (e *engine) tooLong(stack string) error { return e.at(stack, tooLong(e.Timeout)) }

func tooLong(limit time.Duration) string {
	return fmt.Sprintf("not done after %v, which is the limit for a config file: is there an endless loop?", limit)
}

// entry is the text of the config itself.
func (e *engine) entry() (string, error) {
	if e.Text != nil {
		e.sources[e.File] = source{text: *e.Text}
		return *e.Text, nil
	}
	if real, err := filepath.EvalSymlinks(e.File); err == nil { // as Node's __filename
		e.File = real
	}
	return e.source(e.File)
}

// source reads a file of code.
func (e *engine) source(file string) (string, error) {
	if s, ok := e.sources[file]; ok {
		return s.text, nil
	}
	b, err := readFile(file, e.MaxFile)
	if err != nil {
		return "", nodeError(err, "open")
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	if strings.HasPrefix(text, "#!") {
		text = "//" + text[2:]
	}
	e.sources[file] = source{text: text}
	return text, nil
}

// internal runs an internal script; its last value, or an exception, is on the bridge.
func (e *engine) internal(name string) (ok bool, err error) {
	text, code, err := internalScript(name)
	if err != nil {
		return false, err
	}
	if len(code) > 0 {
		if ok, err := e.raw.Run(code); !errors.Is(err, jsengine.ErrForeign) {
			return ok, err
		}
	}
	return e.raw.Eval("node:"+name, text)
}

// internalScript is a script's text, and its code if there is any.
func internalScript(name string) (text string, code []byte, err error) {
	if nodelib.Has(name) {
		return nodelib.Script(name)
	}
	b, err := scripts.ReadFile("node/" + name + ".js")
	if err != nil {
		return "", nil, fmt.Errorf("read the internal script %s: %w", name, err)
	}
	code, err = scripts.ReadFile("node/" + name + ".bin")
	if err != nil {
		return "", nil, fmt.Errorf("read the internal script %s: %w", name, err)
	}
	return string(b), code, nil
}

// What stands before a text, in its first line.
const (
	beforeFunction   = "(function (exports, require, module, __filename, __dirname) { "
	beforeExpression = "("
	beforeModule     = "__paceline.meta(import.meta,%s);"
)

// compile leaves a function or an expression's value on the bridge; false means that what is there is an exception.
func (e *engine) compile(file, text, kind string) (bool, error) {
	switch kind {
	case "function":
		e.sources[file] = source{text, len(beforeFunction)}
		text = beforeFunction + text + "\n})"
	case "expression":
		text = strings.TrimPrefix(text, "\ufeff")
		e.sources[file] = source{text, len(beforeExpression)}
		text = beforeExpression + text + "\n)"
	}
	return e.raw.Eval(file, text)
}

// normalize gives the module that base imports as spec the name under which load
// will be asked for it: a path for an ES module, otherwise "format:file".
func (e *engine) normalize(vm *quickjs.VM, base, spec string) (string, error) {
	if strings.HasPrefix(base, "node:") { // import() in boot.js: found already
		return spec, nil
	}
	at, err := e.find(base, spec, true)
	if err != nil {
		known := nodeError(err, "open")
		line, column := e.mention(base, spec)
		n, err := vm.Call("__paceline.missing", known.code, known.message, base, line, column, "")
		return fmt.Sprintf("error:%v", n), err
	}
	switch at.Format {
	case formatESM, formatBuiltin:
		return at.File, nil
	}
	return at.Format + ":" + at.File, nil
}

// load returns the text of a module that normalize has named.
func (e *engine) load(vm *quickjs.VM, name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		text, err := e.source(name)
		if err != nil {
			return e.broken(vm, name, err)
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return "", err
		}
		before := fmt.Sprintf(beforeModule, quoted)
		e.sources[name] = source{text, len([]rune(before))}
		return before + text, nil
	}
	format, file, _ := strings.Cut(name, ":")
	switch format {
	case "error":
		return fmt.Sprintf("throw __paceline.error(%s)", file), nil
	case "node":
		format, file = formatBuiltin, name
	}
	text, err := vm.Call("__paceline.synthetic", format, file)
	if err != nil {
		return "", err
	}
	s, _ := text.(string)
	return s, nil
}

// broken is the text of a module that cannot be read.
func (e *engine) broken(vm *quickjs.VM, name string, err error) (string, error) {
	known := nodeError(err, "open")
	n, err := vm.Call("__paceline.missing", known.code, known.message, name, 0, 0, name)
	return fmt.Sprintf("throw __paceline.error(%v)", n), err
}

func (e *engine) find(from, spec string, esm bool) (located, error) {
	if e.resolver.builtins == nil {
		if err := e.listBuiltins(); err != nil {
			return located{}, err
		}
	}
	at, err := e.resolver.resolve(from, spec, esm)
	if e.modules[at.File] {
		at.Format = formatESM
	}
	return at, err
}
