package js

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"modernc.org/quickjs"

	"paceline/internal/nodelib"
)

// host is the one function that the internal scripts have of Go: the name of an
// operation and its arguments.
func (i *isolate) host(args []any) (any, error) {
	v, err := i.operate(arguments(args))
	if _, ok := errors.AsType[*codeError](err); err != nil && !ok {
		err = &codeError{"ERR_WORKER_UNSUPPORTED_OPERATION", err.Error()}
	}
	return v, err
}

// arguments come from JavaScript, so each may be anything or missing.
type arguments []any

func (a arguments) text(i int) string {
	if i < len(a) {
		s, _ := a[i].(string)
		return s
	}
	return ""
}

func (a arguments) int(i int) int {
	if i < len(a) {
		return int(number(a[i]))
	}
	return 0
}

func (i *isolate) operate(a arguments) (any, error) {
	p := i.program
	switch op := a.text(0); op {
	case "now":
		return float64(time.Since(i.began)) / float64(time.Millisecond), nil
	case "write":
		p.write(a.int(1), a.text(2))
		return nil, nil
	case "info":
		text, err := json.Marshal(i.info(i.parentPort()))
		return string(text), err
	case "fatal":
		i.fatal(a)
		return nil, nil
	case "exit":
		panic(exit{a.int(1)})
	case "jobs":
		_, err := i.vm.ExecutePendingJobs()
		return nil, err
	case "memory":
		return i.memory, nil
	case "builtin":
		return i.internal(a.text(1))
	case "compile":
		return i.engine.Eval(a.text(1), a.text(2))
	case "source":
		return i.source(a.text(1))
	case "resolve":
		return p.resolve(a.text(1), a.text(2))
	case "encode":
		return nodelib.Encode(a.text(1), a.text(2))
	case "decode":
		return nodelib.Decode(a.text(1), a.text(2))
	default:
		return i.talk(op, a)
	}
}

// fatal is an error that nothing in the program has caught.
func (i *isolate) fatal(a arguments) {
	if i.failure != nil {
		return
	}
	i.failure = &Error{Name: a.text(1), Message: a.text(2), Stack: a.text(3), Code: a.text(4)}
	if b, err := i.engine.Bytes(); err == nil {
		i.thrown = b
	}
	i.explain()
}

// talk is what worker_threads has.
func (i *isolate) talk(op string, a arguments) (any, error) {
	p := i.program
	switch op {
	case "post", "spawn":
		payload, err := i.engine.Bytes()
		if err != nil {
			return nil, err
		}
		moved, err := i.detach(a.text(1))
		if err != nil {
			return nil, err
		}
		m := message{payload: payload, ports: moved}
		var v any
		if op == "spawn" {
			v, err = i.spawn(m, a.text(2))
		} else if from := i.port(a.int(2)); from != nil {
			err = p.post(from, m)
		}
		if err != nil {
			i.restore(moved)
		}
		return v, err
	case "terminate":
		p.mu.Lock()
		w := i.workers[a.int(1)]
		p.mu.Unlock()
		if w != nil {
			w.end()
		}
		return nil, nil
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	switch op {
	case "channel":
		if len(i.ports) >= maxPorts {
			return nil, &codeError{"ERR_WORKER_OUT_OF_MEMORY", fmt.Sprintf("there are %d open ports: close some", len(i.ports))}
		}
		one, other := &endpoint{}, &endpoint{}
		one.peer, other.peer = other, one
		return fmt.Sprintf("%d %d", i.adopt(one), i.adopt(other)), nil
	case "broadcast":
		if len(i.ports) >= maxPorts {
			return nil, &codeError{"ERR_WORKER_OUT_OF_MEMORY", fmt.Sprintf("there are %d open ports: close some", len(i.ports))}
		}
		e := &endpoint{channel: a.text(1)}
		p.channels[e.channel] = append(p.channels[e.channel], e)
		return i.adopt(e), nil
	}
	e := i.ports[a.int(1)]
	switch op {
	case "start":
		if e != nil {
			e.start()
		}
		return nil, nil
	case "close":
		if e != nil {
			p.close(e)
		}
		return nil, nil
	case "take":
		if e == nil {
			return nil, nil
		}
		m, ok := p.take(e)
		if !ok {
			return nil, nil
		}
		return i.receive(m), i.engine.SetBytes(m.payload)
	}
	return nil, fmt.Errorf("no operation %q", op)
}

// maxPorts is how many ports an isolate may have open.
const maxPorts = 10_000

func (i *isolate) port(id int) *endpoint {
	i.program.mu.Lock()
	defer i.program.mu.Unlock()
	return i.ports[id]
}

// parentPort is the number of the port to the parent, 0 for none: it is the first.
func (i *isolate) parentPort() int {
	if i.port(1) != nil {
		return 1
	}
	return 0
}

// detach takes ports out of the isolate.
func (i *isolate) detach(ids string) ([]*endpoint, error) {
	i.program.mu.Lock()
	defer i.program.mu.Unlock()
	var list []*endpoint
	for id := range strings.FieldsSeq(ids) {
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, err
		}
		if e := i.ports[n]; e != nil {
			delete(i.ports, n)
			e.owner = nil // with started as it was, should it come back
			list = append(list, e)
		}
	}
	return list, nil
}

// restore undoes detach: the message was not sent.
func (i *isolate) restore(list []*endpoint) {
	i.program.mu.Lock()
	defer i.program.mu.Unlock()
	for _, e := range list {
		e.owner = i
		i.ports[e.id] = e
	}
}

// spawn starts a worker of this isolate's: its thread and the port to it.
func (i *isolate) spawn(startup message, text string) (any, error) {
	var o struct {
		File, Name string
		Text       *string
		MemoryMb   float64
		Argv, Env  []string
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return nil, err
	}
	p := i.program
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isolates >= p.options.MaxWorkers+1 {
		return nil, &codeError{"ERR_WORKER_INIT_FAILED", fmt.Sprintf("there are %d workers already (MaxWorkers)", p.options.MaxWorkers)}
	}
	p.threads++
	w := &isolate{
		program: p, parent: i, thread: p.threads, name: o.Name, memory: i.memory, env: pairs(o.Env), began: time.Now(),
		ports: map[int]*endpoint{}, workers: map[int]*isolate{}, ready: make(chan struct{}, 1),
	}
	if limit := o.MemoryMb * (1 << 20); limit > 0 && limit < float64(i.memory) {
		w.memory = int64(limit)
	}
	file := fmt.Sprintf("/[worker eval %d].js", w.thread)
	if o.Text != nil && len(*o.Text) > p.options.QueueBytes {
		return nil, queueFull(p.options.QueueBytes)
	}
	if o.Text != nil {
		w.text = *o.Text
	} else {
		file = o.File
		if !strings.HasPrefix(file, "/") {
			file = path.Join("/", file) // of process.cwd(), as Node
		}
	}
	w.argv = append([]string{file}, o.Argv...)
	own, parents := &endpoint{}, &endpoint{}
	own.peer, parents.peer = parents, own
	w.adopt(own)
	w.startupPorts = w.receive(startup)
	port := i.adopt(parents)
	parents.started = true // from the first: its messages come before the worker's exit
	w.ctx, w.end = context.WithCancel(i.ctx)
	i.workers[w.thread] = w
	p.isolates++
	i.children.Go(func() { w.live(file, &startup) })
	return fmt.Sprintf("%d %d", w.thread, port), nil
}

// live is the life of a worker that an isolate has started, as that one sees it.
func (i *isolate) live(file string, startup *message) {
	tell := func(e event) {
		i.program.mu.Lock()
		defer i.program.mu.Unlock()
		e.thread = i.thread
		if e.kind == eventExit {
			delete(i.parent.workers, i.thread)
		}
		i.parent.push(e)
	}
	tell(event{kind: eventOnline})
	code := i.run(file, startup)
	if i.failure != nil {
		b, err := i.failed()
		if err != nil {
			b = nil // the parent says that it cannot be shown
		}
		tell(event{kind: eventError, error: b, label: i.failure.Code})
	}
	tell(event{kind: eventExit, code: code})
}

func pairs(env []string) [][2]string {
	list := [][2]string{}
	for _, entry := range env {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			list = append(list, [2]string{key, value})
		}
	}
	return list
}

// source is the text of a file, or of the isolate's own script.
func (i *isolate) source(name string) (string, error) {
	if i.text != "" && name == i.argv[0] {
		return i.text, nil
	}
	return i.program.source(name)
}

// normalize gives the module that base imports as spec the name under which load
// will be asked for it.
func (i *isolate) normalize(_ *quickjs.VM, base, spec string) (string, error) {
	name := strings.TrimPrefix(spec, "node:")
	known, err := i.vm.Call("__paceline.isBuiltin", name)
	if err != nil {
		return "", err
	}
	if known == true {
		return "node:" + name, nil
	}
	if file, ok := strings.CutPrefix(spec, "file://"); ok {
		spec = file
	}
	return i.program.resolve(base, spec)
}

// load returns the text of a module that normalize has named.
func (i *isolate) load(vm *quickjs.VM, name string) (string, error) {
	if !strings.HasPrefix(name, "node:") {
		text, err := i.source(name)
		if err != nil {
			return "", err
		}
		module, err := vm.Call("__paceline.isModule", name, text)
		if err != nil {
			return "", err
		}
		if module == true {
			quoted, err := json.Marshal(name)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("__paceline.meta(import.meta,%s);", quoted) + text, nil
		}
	}
	text, err := vm.Call("__paceline.synthetic", name)
	if err != nil {
		return "", err
	}
	s, _ := text.(string)
	return s, nil
}
