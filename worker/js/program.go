package js

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"paceline/worker"
	"paceline/worker/engine"
)

// program is a worker's isolates, and the ports between them.
type program struct {
	options Options
	guest   *engine.Guest
	file    string // the script's name
	script  string

	writing sync.Mutex // held for each line that is written

	mu       sync.Mutex // guards what follows, and all endpoints and inboxes
	threads  int        // the last thread's number
	isolates int        // that run
	bytes    int        // of messages that wait
	channels map[string][]*endpoint
}

// endpoint is one end of a channel, or a member of a broadcast channel. It belongs to
// an isolate, to nobody while it is in a message, or to Go.
type endpoint struct {
	peer    *endpoint // nil for a broadcast channel
	channel string    // the broadcast channel's name
	owner   *isolate
	id      int  // within the owner
	outside bool // it is Go's
	started bool // its messages are delivered
	closed  bool
	left    bool // its peer has closed, or gone with its isolate
	queue   []message
	taken   chan struct{} // told after each message that is taken, unless it is nil
}

// message is a value in V8's form, and the ports that go with it.
type message struct {
	payload []byte
	ports   []*endpoint
}

// overhead is what a message costs beside its bytes.
const overhead = 128

// codeError is thrown in JavaScript as an error with that code.
type codeError struct{ code, text string }

func (e *codeError) Error() string { return e.code + ": " + e.text }

// post sends a message from one endpoint to its other end.
func (p *program) post(from *endpoint, m message) error {
	p.mu.Lock()
	peer := from.peer
	if peer != nil && peer.outside {
		p.mu.Unlock()
		if len(m.ports) > 0 {
			return &codeError{"ERR_WORKER_UNSUPPORTED_OPERATION", "a MessagePort cannot be sent to the Go program"}
		}
		switch err := p.guest.Post(m.payload); {
		case errors.Is(err, worker.ErrQueueFull):
			return queueFull(p.options.QueueBytes)
		case err != nil && !errors.Is(err, worker.ErrClosed):
			return &codeError{"ERR_WORKER_OUT_OF_MEMORY", err.Error()}
		}
		return nil
	}
	defer p.mu.Unlock()
	if peer != nil {
		return p.enqueue(peer, m)
	}
	for _, other := range p.channels[from.channel] {
		if other != from {
			if err := p.enqueue(other, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func queueFull(limit int) error {
	return &codeError{"ERR_WORKER_QUEUE_FULL", fmt.Sprintf("the message was not sent: more than %d bytes wait for their receivers", limit)}
}

// enqueue gives an endpoint a message. The caller has the lock.
func (p *program) enqueue(to *endpoint, m message) error {
	size := len(m.payload) + overhead
	switch {
	case to.closed:
		for _, moved := range m.ports {
			p.close(moved)
		}
		return nil
	case p.bytes+size > p.options.QueueBytes:
		return queueFull(p.options.QueueBytes)
	}
	p.bytes += size
	to.queue = append(to.queue, m)
	if to.owner != nil && to.started {
		to.owner.push(event{kind: eventMessage, port: to})
	}
	return nil
}

// take removes an endpoint's first message. The caller has the lock.
func (p *program) take(from *endpoint) (message, bool) {
	if len(from.queue) == 0 {
		return message{}, false
	}
	m := from.queue[0]
	from.queue[0] = message{}
	from.queue = from.queue[1:]
	p.bytes -= len(m.payload) + overhead
	if from.taken != nil {
		select {
		case from.taken <- struct{}{}:
		default:
		}
	}
	return m, true
}

// close ends an endpoint. Its peer still gets what is on its way, and then is told.
// The caller has the lock.
func (p *program) close(e *endpoint) {
	if e.closed {
		return
	}
	e.closed = true
	if e.owner != nil {
		delete(e.owner.ports, e.id)
		e.owner = nil
	}
	for m, ok := p.take(e); ok; m, ok = p.take(e) {
		for _, moved := range m.ports {
			p.close(moved)
		}
	}
	if e.peer == nil {
		list := p.channels[e.channel]
		for i, other := range list {
			if other == e {
				p.channels[e.channel] = append(list[:i:i], list[i+1:]...)
			}
		}
		if len(p.channels[e.channel]) == 0 {
			delete(p.channels, e.channel)
		}
		return
	}
	e.peer.left = true
	if e.peer.owner != nil && e.peer.started {
		e.peer.owner.push(event{kind: eventClosed, port: e.peer})
	}
}

// start has an endpoint's messages delivered. The caller has the lock.
func (e *endpoint) start() {
	if e.started || e.owner == nil {
		return
	}
	e.started = true
	for range e.queue {
		e.owner.push(event{kind: eventMessage, port: e})
	}
	if e.left {
		e.owner.push(event{kind: eventClosed, port: e})
	}
}

// pump brings the messages of Go to the first isolate's parentPort.
func (p *program) pump(ctx context.Context, to *endpoint) {
	const most = 64 // that wait there; the others wait in the worker's queue
	for {
		payload, err := p.guest.Receive(ctx)
		p.mu.Lock()
		if err != nil {
			p.close(to.peer)
			p.mu.Unlock()
			return
		}
		for len(to.queue) >= most || p.bytes+len(payload)+overhead > p.options.QueueBytes && len(to.queue) > 0 {
			p.mu.Unlock()
			select {
			case <-to.taken:
			case <-ctx.Done():
				return
			}
			p.mu.Lock()
		}
		// What Go sends is bounded already, so that it does not fail for others' bytes.
		p.bytes -= len(payload) + overhead
		_ = p.enqueue(to, message{payload: payload})
		p.bytes += len(payload) + overhead
		p.mu.Unlock()
	}
}

// --- files ---

const maxSource = 16 << 20

// source reads a file of code.
func (p *program) source(name string) (string, error) {
	if name == p.file {
		return plain(p.script), nil
	}
	if p.options.FS == nil {
		return "", notFound(name)
	}
	f, err := p.options.FS.Open(strings.TrimPrefix(name, "/"))
	if err != nil {
		return "", notFound(name)
	}
	defer func() { _ = f.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	switch {
	case err != nil:
		return "", &codeError{"ERR_WORKER_PATH", fmt.Sprintf("read %s: %v", name, err)}
	case len(text) > maxSource:
		return "", &codeError{"ERR_WORKER_PATH", fmt.Sprintf("%s is larger than %d bytes", name, maxSource)}
	}
	return plain(string(text)), nil
}

// plain is a text without what may stand before it.
func plain(text string) string {
	text = strings.TrimPrefix(text, "\ufeff")
	if strings.HasPrefix(text, "#!") {
		text = "//" + text[2:]
	}
	return text
}

func notFound(name string) error {
	return &codeError{"MODULE_NOT_FOUND", fmt.Sprintf("Cannot find module '%s'", name)}
}

// resolve is the file that a module means by spec.
func (p *program) resolve(from, spec string) (string, error) {
	if !strings.HasPrefix(spec, "/") && !strings.HasPrefix(spec, "./") && !strings.HasPrefix(spec, "../") && spec != "." && spec != ".." {
		return "", &codeError{"MODULE_NOT_FOUND", fmt.Sprintf("Cannot find module '%s': there are some of Node's own modules, and files by their paths", spec)}
	}
	name := spec
	if !strings.HasPrefix(spec, "/") {
		name = path.Join(path.Dir(from), spec)
	}
	name = path.Clean(name)
	for _, end := range []string{"", ".js", ".mjs", ".cjs", ".json", "/index.js", "/index.mjs"} {
		if p.isFile(name + end) {
			return name + end, nil
		}
	}
	return "", notFound(spec)
}

func (p *program) isFile(name string) bool {
	if name == p.file {
		return true
	}
	if p.options.FS == nil {
		return false
	}
	info, err := fs.Stat(p.options.FS, strings.TrimPrefix(name, "/"))
	return err == nil && info.Mode().IsRegular()
}

// write prints whole lines, one isolate at a time.
func (p *program) write(fd int, text string) {
	to := p.options.Stdout
	if fd == 2 {
		to = p.options.Stderr
	}
	if to == nil {
		return
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	_, _ = io.WriteString(to, text) // as Node: console.log tells nobody
}
