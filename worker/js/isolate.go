package js

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"modernc.org/quickjs"

	"paceline/internal/jsengine"
	"paceline/internal/nodelib"
	"paceline/worker/clone"
)

//go:embed node/*.js
var scripts embed.FS

// isolate is one JavaScript engine and the goroutine it lives on.
type isolate struct {
	program      *program
	parent       *isolate // nil for the first
	thread       int
	name         string
	main         bool // isMainThread
	memory       int64
	argv         []string
	env          [][2]string
	text         string // of the script, if it is no file
	startupPorts string // numbers of the ports in what the parent gives it
	ctx          context.Context
	end          context.CancelFunc
	began        time.Time

	vm       *quickjs.VM
	engine   *jsengine.Engine
	dispatch *quickjs.Value
	failure  *Error
	thrown   []byte // the failure as the program threw it, in V8's form
	children sync.WaitGroup

	// guarded by program.mu
	ports   map[int]*endpoint
	nextID  int
	workers map[int]*isolate
	inbox   []event
	ready   chan struct{} // told when the inbox is no longer empty
	gone    bool
}

type eventKind int

const (
	eventMessage eventKind = iota
	eventClosed
	eventOnline
	eventError
	eventExit
)

// event is what an isolate's loop has to deal with.
type event struct {
	kind   eventKind
	port   *endpoint // of a message, or that has been closed
	thread int       // of a worker
	code   int       // its exit code
	error  []byte    // its error
	label  string    // the error's code
}

// push adds an event. The caller has the program's lock.
func (i *isolate) push(e event) {
	if i.gone {
		return
	}
	i.inbox = append(i.inbox, e)
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// adopt makes an endpoint the isolate's. The caller has the program's lock.
func (i *isolate) adopt(e *endpoint) int {
	i.nextID++
	e.owner, e.id, e.started = i, i.nextID, false
	i.ports[e.id] = e
	return e.id
}

// exit is what process.exit panics with: the engine then runs no catch or finally.
type exit struct{ code int }

// run is the isolate's life: from an engine of its own to its exit code. startup is
// what the parent gives it, nil for nothing.
func (i *isolate) run(file string, startup *message) (code int) {
	defer i.leave()
	defer i.children.Wait()
	defer i.end()
	broken := false // a panic has gone through the engine
	defer func() {
		if i.vm == nil {
			return
		}
		if i.engine != nil && !broken {
			if i.dispatch != nil {
				i.dispatch.Free()
			}
			i.engine.Close()
		}
		if err := i.vm.Close(); err != nil && i.failure == nil {
			i.failure, code = &Error{Name: "Error", Message: fmt.Sprintf("close the JavaScript engine: %v", err)}, 1
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exit:
			code = p.code
		default: // ours or the engine's: this isolate is lost, and no other
			broken, code = true, 1
			i.failure = &Error{Name: "Error", Message: oneLine(fmt.Sprintf("the JavaScript engine failed: %v", p)), Stack: string(debug.Stack())}
		}
	}()
	// A fault in the engine's memory is a panic, not the end of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if err := i.boot(); err != nil {
		i.fail(err)
		return 1
	}
	stop := make(chan struct{})
	defer close(stop)
	defer context.AfterFunc(i.ctx, func() { i.interrupt(stop) })()
	code, err := i.loop(file, startup)
	switch {
	case i.ctx.Err() != nil:
		return 1
	case err != nil:
		i.fail(err)
	}
	if i.failure != nil {
		return 1
	}
	return code
}

// interrupt ends the JavaScript that runs, and what begins until the loop has seen
// that its time is over: the engine forgets an interrupt at the start of a call.
func (i *isolate) interrupt(stop <-chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		i.vm.Interrupt()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// fail keeps the first failure, as an error of JavaScript.
func (i *isolate) fail(err error) {
	if i.failure != nil {
		return
	}
	i.failure = &Error{Name: "Error", Message: oneLine(err.Error())}
	if js, ok := errors.AsType[*quickjs.Error](err); ok {
		i.failure = &Error{Name: js.Name, Message: js.Message, Stack: js.Stack}
		if js.Name == "" {
			i.failure.Name, i.failure.Message = "Error", js.Error()
		}
	}
	i.explain()
}

// explain gives the failure that is the memory limit Node's code and words. Where
// there is no memory for an error either the engine throws null, which no program
// does.
func (i *isolate) explain() {
	if strings.HasPrefix(i.failure.Message, "out of memory") || i.failure.Message == "Uncaught null" {
		*i.failure = Error{
			Name: "Error", Code: "ERR_WORKER_OUT_OF_MEMORY", Stack: i.failure.Stack,
			Message: fmt.Sprintf("Worker terminated due to reaching memory limit: JS heap out of memory (%d bytes)", i.memory),
		}
		i.thrown = nil
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// boot makes the engine and runs boot.js.
func (i *isolate) boot() (err error) {
	if i.vm, err = quickjs.NewVM(); err != nil {
		return fmt.Errorf("start the JavaScript engine: %w", err)
	}
	if i.engine, err = jsengine.Of(i.vm); err != nil {
		return err
	}
	i.vm.SetMemoryLimit(uintptr(i.memory))
	if err := i.vm.RegisterHostFunc("__paceline_host", i.host); err != nil {
		return fmt.Errorf("set up the JavaScript engine: %w", err)
	}
	i.vm.SetModuleLoader(i.load, i.normalize)
	ok, err := i.internal("boot")
	if err == nil && !ok {
		v, _ := i.vm.Eval("String("+jsengine.Bridge+".value)+'\\n'+"+jsengine.Bridge+".value.stack", quickjs.EvalGlobal)
		err = fmt.Errorf("boot.js fails: %v", v)
	}
	if err != nil {
		return fmt.Errorf("set up the JavaScript engine: %w", err)
	}
	dispatch, err := i.vm.EvalValue("(() => { const d = globalThis.__paceline_dispatch; delete globalThis.__paceline_dispatch; return d; })()", quickjs.EvalGlobal)
	if err != nil {
		return fmt.Errorf("set up the JavaScript engine: %w", err)
	}
	i.dispatch = &dispatch
	return i.engine.TrackRejections()
}

// compiled has the code of the internal scripts, by name: to compile their texts is most
// of what an isolate costs.
var compiled sync.Map

// internal runs an internal script, whose value is left on the bridge.
func (i *isolate) internal(name string) (ok bool, err error) {
	var text string
	code, found := compiled.Load(name)
	if !found {
		var known []byte
		if text, known, err = script(name); err != nil {
			return false, err
		}
		if known == nil {
			if known, err = i.engine.Compile("node:"+name, text); err != nil {
				return false, err
			}
		}
		code, _ = compiled.LoadOrStore(name, known)
	}
	b, _ := code.([]byte)
	ok, err = i.engine.Run(b)
	if errors.Is(err, jsengine.ErrForeign) { // nodelib's, on an architecture with other code
		if text, _, err = script(name); err != nil {
			return false, err
		}
		return i.engine.Eval("node:"+name, text)
	}
	return ok, err
}

// script is an internal script, and its code if it is one of nodelib's.
func script(name string) (text string, code []byte, err error) {
	if nodelib.Has(name) {
		return nodelib.Script(name)
	}
	b, err := scripts.ReadFile("node/" + name + ".js")
	if err != nil {
		return "", nil, fmt.Errorf("read the internal script %s: %w", name, err)
	}
	return string(b), nil, nil
}

// builtins are the modules that there are as files.
var builtins = []string{"assert", "buffer", "clone", "events", "path", "querystring", "url", "util", "worker_threads"}

// turn calls into JavaScript once, and then runs the promises that are ready.
func (i *isolate) turn(args ...any) (any, error) {
	if i.ctx.Err() != nil {
		return nil, context.Cause(i.ctx)
	}
	v, err := i.dispatch.Call(quickjs.UndefinedValue, args...)
	for err == nil && i.failure == nil && i.ctx.Err() == nil {
		var more any
		if _, err = i.vm.ExecutePendingJobs(); err != nil {
			break
		}
		if more, err = i.dispatch.Call(quickjs.UndefinedValue, "settle"); more != true {
			break
		}
	}
	return v, err
}

// loop is the isolate's event loop. It ends with the exit code.
func (i *isolate) loop(file string, startup *message) (int, error) {
	var moved any // null: there is no parent
	if startup != nil {
		moved = i.startupPorts
		if err := i.engine.SetBytes(startup.payload); err != nil {
			return 0, err
		}
	}
	if _, err := i.turn("main", file, moved); err != nil {
		return 0, err
	}
	for i.failure == nil && i.ctx.Err() == nil {
		if err := i.deliver(); err != nil || i.failure != nil {
			return 0, err
		}
		wait, err := i.turn("tick")
		if err != nil || i.failure != nil {
			return 0, err
		}
		ms := number(wait)
		if ms == 0 {
			continue
		}
		if ms == -2 && !i.pending() {
			v, err := i.turn("exit", 0)
			return int(number(v)), err
		}
		i.sleep(ms)
	}
	return 0, nil
}

// pending reports whether there is something to deliver.
func (i *isolate) pending() bool {
	i.program.mu.Lock()
	defer i.program.mu.Unlock()
	return len(i.inbox) > 0
}

// sleep waits for an event, for so many milliseconds if they are not negative.
func (i *isolate) sleep(ms float64) {
	var due <-chan time.Time
	if ms >= 0 {
		t := time.NewTimer(time.Duration(ms * float64(time.Millisecond)))
		defer t.Stop()
		due = t.C
	}
	if i.pending() {
		return
	}
	select {
	case <-i.ready:
	case <-due:
	case <-i.ctx.Done():
	}
}

func number(v any) float64 {
	switch n := v.(type) {
	case int:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

// deliver passes on the first event.
func (i *isolate) deliver() error {
	p := i.program
	p.mu.Lock()
	if len(i.inbox) == 0 {
		p.mu.Unlock()
		return nil
	}
	e := i.inbox[0]
	i.inbox[0] = event{}
	i.inbox = i.inbox[1:]
	switch e.kind {
	case eventMessage:
		if e.port.owner != i {
			p.mu.Unlock()
			return nil // it has gone elsewhere, with its messages
		}
		m, ok := p.take(e.port)
		moved := i.receive(m)
		id := e.port.id
		p.mu.Unlock()
		if !ok {
			return nil // receiveMessageOnPort was quicker
		}
		if err := i.engine.SetBytes(m.payload); err != nil {
			return err
		}
		_, err := i.turn("message", id, moved)
		return err
	case eventClosed:
		id, mine := e.port.id, e.port.owner == i
		if mine {
			p.close(e.port)
		}
		p.mu.Unlock()
		if !mine {
			return nil
		}
		_, err := i.turn("closed", id)
		return err
	}
	p.mu.Unlock()
	if e.error != nil {
		if err := i.engine.SetBytes(e.error); err != nil {
			return err
		}
	}
	switch e.kind {
	case eventOnline:
		_, err := i.turn("worker", e.thread, "online", 0)
		return err
	case eventError:
		_, err := i.turn("worker", e.thread, "error", e.label)
		return err
	}
	_, err := i.turn("worker", e.thread, "exit", e.code)
	return err
}

// receive makes the ports of a message the isolate's: their numbers. The caller has
// the program's lock.
func (i *isolate) receive(m message) string {
	var ids []string
	for _, e := range m.ports {
		ids = append(ids, fmt.Sprint(i.adopt(e)))
	}
	return strings.Join(ids, " ")
}

// leave gives up what the isolate has, and tells its parent.
func (i *isolate) leave() {
	p := i.program
	p.mu.Lock()
	defer p.mu.Unlock()
	i.gone, i.inbox = true, nil
	for _, e := range i.ports {
		p.close(e)
	}
	p.isolates--
}

// failed is the failure for the parent, in V8's form.
func (i *isolate) failed() ([]byte, error) {
	if i.thrown != nil {
		return i.thrown, nil
	}
	e := i.failure
	return clone.Marshal(&clone.ErrorValue{Name: e.Name, Message: e.Message, Stack: e.head() + e.Stack})
}

// info is what boot.js asks for first.
func (i *isolate) info(port int) map[string]any {
	platform := runtime.GOOS
	if platform == "windows" {
		platform = "win32"
	}
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	env := i.env
	if env == nil {
		env = [][2]string{}
	}
	return map[string]any{
		"main": i.main, "thread": i.thread, "name": i.name, "port": port, "memory": i.memory, "dir": "/",
		"argv": i.argv, "env": env, "pid": os.Getpid(), "ppid": os.Getppid(), "platform": platform, "arch": arch,
		"node": nodeVersion, "quickjs": quickjs.Version(), "cpus": runtime.GOMAXPROCS(0), "modules": builtins,
	}
}

// nodeVersion is the Node whose behaviour is the model; process.version.
const nodeVersion = "22.12.0"
