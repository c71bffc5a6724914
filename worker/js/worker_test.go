package js

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"paceline/worker"
	"paceline/worker/clone"
)

const echo = `const { parentPort } = require('worker_threads');
parentPort.on('message', (v) => parentPort.postMessage(v));`

func TestMessagesWithGo(t *testing.T) {
	w := start(t, `
const { parentPort, workerData, isMainThread, threadId } = require('worker_threads');
parentPort.postMessage({ isMainThread, threadId, list: workerData.list.sort(), when: workerData.when instanceof Date });
parentPort.on('message', (v) => parentPort.postMessage(v));
parentPort.on('close', () => console.log('no more'));
`, Options{Data: map[string]any{"list": []int{3, 1, 2}, "when": time.Now()}, Stdout: &buffer{}})
	type hello struct {
		Main   bool  `json:"isMainThread"`
		Thread int   `json:"threadId"`
		List   []int `json:"list"`
		When   bool  `json:"when"`
	}
	got, err := worker.Receive[hello](patient(t), w)
	if err != nil || got.Main || got.Thread != 1 || len(got.List) != 3 || got.List[0] != 1 || !got.When {
		t.Errorf("it says %+v, %v", got, err)
	}

	large, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	when := time.UnixMilli(1_700_000_000_123)
	for _, v := range []any{
		nil,
		clone.Undefined{},
		true, 1.5, "h\u00e9llo \u20ac \U0001f600", large,
		[]byte{0, 255},
		[]float64{1.5},
		[]any{1.0, []any{}},
		map[string]any{"a": map[string]any{"b": nil}},
		when,
	} {
		if err := w.Post(v); err != nil {
			t.Fatal(err)
		}
		back, err := w.Receive(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		want, err := clone.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := clone.Marshal(back); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%#v came back as %#v (%v)", v, back, err)
		}
	}
	if err := w.Post(func() {}); err == nil {
		t.Error("a function was posted")
	}
	w.CloseInput()
	if err := w.Wait(patient(t)); err != nil {
		t.Error(err)
	}
	if _, err := w.Receive(patient(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("Receive after the end: %v; want ErrClosed", err)
	}
}

func TestEveryMessageArrivesInOrder(t *testing.T) {
	n := 2000
	if race {
		n = 200
	}
	w := start(t, echo, Options{})
	go func() {
		for i := range n {
			if err := w.Send(patient(t), i); err != nil {
				t.Errorf("Send: %v", err)
				return
			}
		}
	}()
	for i := range n {
		if v, err := w.Receive(patient(t)); err != nil || v != float64(i) {
			t.Fatalf("message %d is %v, %v", i, v, err)
		}
	}
}

func TestUncaughtErrorIsAnEvent(t *testing.T) {
	for script, want := range map[string]Error{
		"function f() { null.x }\nf()":                             {Name: "TypeError", Message: "cannot read property 'x' of null", Stack: "/worker.js:1"},
		"setTimeout(() => { throw new RangeError('late') }, 1)":    {Name: "RangeError", Message: "late", Stack: "/worker.js"},
		"Promise.reject(new Error('no'))":                          {Name: "Error", Message: "no"},
		"throw { not: 'an error' }":                                {Name: "Error", Message: "Uncaught { not: 'an error' }"},
		"let = ":                                                   {Name: "SyntaxError"},
		"require('fs')":                                            {Name: "Error", Code: "MODULE_NOT_FOUND"},
		"import x from './none.js'":                                {},
		"throw Object.assign(new Error('coded'), { code: 'E_X' })": {Name: "Error", Message: "coded", Code: "E_X"},
	} {
		w := start(t, script, Options{})
		e, err := w.Once(patient(t), worker.EventError)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got, ok := errors.AsType[*Error](e.Err)
		if !ok || want.Name != "" && got.Name != want.Name || want.Message != "" && got.Message != want.Message ||
			got.Code != want.Code || !strings.Contains(got.Stack, want.Stack) {
			t.Errorf("%s: event %#v; want %#v", script, e.Err, want)
		}
		if code, _ := w.ExitCode(); code != 1 {
			if _, err := w.Once(patient(t), worker.EventExit); err != nil {
				t.Error(err)
			}
			if code, _ := w.ExitCode(); code != 1 {
				t.Errorf("%s: exit code %d; want 1", script, code)
			}
		}
	}
}

func TestExitCode(t *testing.T) {
	for script, want := range map[string]int{"process.exit(7)": 7, "process.exitCode = 3": 3, "1": 0, "process.on('exit', () => { process.exitCode = 9 })": 9} {
		w := start(t, script, Options{Main: true})
		_ = w.Wait(patient(t))
		if code, ended := w.ExitCode(); code != want || !ended {
			t.Errorf("%s: exit code %d, %v; want %d", script, code, ended, want)
		}
	}
}

func TestMemoryLimitIsHard(t *testing.T) {
	const limit = 4 << 20
	for _, script := range []string{
		"const a = []; for (;;) a.push(new Array(1000).fill(1))",
		"const a = []; for (;;) a.push('x'.repeat(1e5) + a.length)",
		"const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))",
		"const a = []; for (;;) a.push(new SharedArrayBuffer(1 << 20))",
		"const m = new Map(); for (let i = 0; ; i++) m.set(i, {})",
	} {
		w := start(t, script, Options{MemoryBytes: limit})
		e, err := w.Once(patient(t), worker.EventError)
		if err != nil {
			t.Errorf("%s: %v", script, err)
		}
		if got, ok := errors.AsType[*Error](e.Err); !ok || got.Code != "ERR_WORKER_OUT_OF_MEMORY" {
			t.Errorf("%s: %v; want ERR_WORKER_OUT_OF_MEMORY", script, e.Err)
		}
	}
	// One that catches it goes on, within the limit; and its neighbours are untouched.
	w := start(t, `
const { Worker, parentPort } = require('worker_threads');
let caught = 0;
try { (() => { const a = []; for (;;) a.push(new ArrayBuffer(1 << 20)); })(); } catch { caught = 'caught'; }
const w = new Worker('const a = []; for (;;) a.push(new ArrayBuffer(1 << 20))', { eval: true, resourceLimits: { maxOldGenerationSizeMb: 2 } });
w.on('error', (e) => parentPort.postMessage([caught, e.code]));
`, Options{MemoryBytes: limit})
	v, err := worker.Receive[[]string](patient(t), w)
	if err != nil || v[0] != "caught" || v[1] != "ERR_WORKER_OUT_OF_MEMORY" {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestTimeoutAndTerminateEndLoops(t *testing.T) {
	for _, script := range []string{
		"for (;;) {}", "for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }", "Promise.resolve().then(function again() { return Promise.resolve().then(again) })", "setInterval(() => {}, 1)",
		"require('worker_threads').parentPort.on('message', () => {})", "/(a+)+$/.test('a'.repeat(50) + 'b')",
		"new (require('worker_threads').Worker)('for (;;) {}', { eval: true })",
	} {
		w := start(t, script, Options{Timeout: 50 * time.Millisecond})
		if err := w.Wait(patient(t)); !isTimeout(err) {
			t.Errorf("%s: %v; want a *TimeoutError", script, err)
		}
		w = start(t, script, Options{})
		if err := w.Terminate(patient(t)); err != nil {
			t.Errorf("%s: Terminate: %v", script, err)
		}
		if err := w.Wait(patient(t)); !errors.Is(err, worker.ErrTerminated) {
			t.Errorf("%s: %v; want ErrTerminated", script, err)
		}
	}
}

func isTimeout(err error) bool {
	_, ok := errors.AsType[*TimeoutError](err)
	return ok && errors.Is(err, context.DeadlineExceeded)
}

func TestDeepRecursionIsAnError(t *testing.T) {
	scripts := []string{
		"(function f() { f() })()", "(function f() { return [1].map(f) })()", "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; structuredClone(o)",
		"JSON.parse('['.repeat(1e6))", "new Function('('.repeat(1e6))", "let x = { toString() { return `${x}` } }; `${x}`",
	}
	if race { // it makes the engine some thirty times slower
		scripts = scripts[:1]
	}
	for _, script := range scripts {
		w := start(t, script, Options{})
		e, err := w.Once(patient(t), worker.EventError)
		if _, ok := errors.AsType[*Error](e.Err); !ok {
			t.Errorf("%s: %v, %v; want an *Error", script, e.Err, err)
		}
	}
}

func TestQueuesAreBounded(t *testing.T) {
	const limit = 128 << 10
	for name, script := range map[string]string{
		"to Go":             `send = (v) => parentPort.postMessage(v)`,
		"to an isolate":     `const w = new Worker('for (;;) {}', { eval: true }); send = (v) => w.postMessage(v)`,
		"to nobody":         `const c = new MessageChannel(); send = (v) => c.port1.postMessage(v)`,
		"to several":        `const a = new BroadcastChannel('x'), b = new BroadcastChannel('x'); send = (v) => a.postMessage(v)`,
		"to many, in small": `const list = Array.from({ length: 100 }, () => new MessageChannel()); let n = 0; send = () => list[n++ % 100].port1.postMessage(1)`,
	} {
		t.Run(name, func(t *testing.T) {
			var out buffer
			w := start(t, `
const { Worker, parentPort, MessageChannel, BroadcastChannel } = require('worker_threads');
let send;
`+script+`
try { for (;;) send(new Uint8Array(10000)); } catch (e) { console.log(e.code); process.exit(0); }`, Options{QueueBytes: limit, Stdout: &out})
			if err := w.Wait(patient(t)); err != nil {
				t.Error(err)
			}
			if got := string(out.bytes()); got != "ERR_WORKER_QUEUE_FULL\n" {
				t.Errorf("it ends with %q", got)
			}
		})
	}
	w := start(t, "for (;;) {}", Options{QueueBytes: limit})
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		err = w.Post(make([]byte, 10_000))
	}
	if !errors.Is(err, worker.ErrQueueFull) {
		t.Errorf("posts without end: %v; want ErrQueueFull", err)
	}
}

func TestWorkersAreBounded(t *testing.T) {
	w := start(t, `
const { Worker, parentPort } = require('worker_threads');
let n = 0;
try { for (;;) { new Worker('setInterval(() => {}, 1000)', { eval: true }); n++; } } catch (e) { parentPort.postMessage([n, e.code]); }
process.exit(0);
`, Options{MaxWorkers: 3})
	v, err := w.Receive(patient(t))
	if list, _ := v.([]any); err != nil || len(list) != 2 || list[0] != 3.0 || list[1] != "ERR_WORKER_INIT_FAILED" {
		t.Errorf("got %v, %v", v, err)
	}
	if err := w.Wait(patient(t)); err != nil { // and they end with it
		t.Error(err)
	}
}

func TestIsolatesAreIsolated(t *testing.T) {
	w := start(t, `
const { Worker, parentPort } = require('worker_threads');
globalThis.secret = 1;
Array.prototype.mark = 1;
process.env.SET = 'here';
const list = { n: 1 };
const w = new Worker('const { parentPort, workerData } = require("worker_threads"); workerData.n++; ' +
  'parentPort.postMessage([typeof secret, typeof [].mark, process.env.SET, process.env.PATH, typeof __paceline_host, typeof __paceline_bridge])', { eval: true, workerData: list });
w.on('message', (v) => parentPort.postMessage([...v, list.n]));
`, Options{})
	v, err := w.Receive(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"undefined", "undefined", "here", clone.Undefined{}, "undefined", "undefined", 1.0}
	list, _ := v.([]any)
	for i := range want {
		if i >= len(list) || list[i] != want[i] {
			t.Fatalf("got %v; want %v", list, want)
		}
	}
}

func TestFiles(t *testing.T) {
	files := fstest.MapFS{
		"lib/sum.js":    {Data: []byte("module.exports = (a, b) => a + b;")},
		"lib/data.json": {Data: []byte(`{"a": 1}`)},
		"worker.mjs":    {Data: []byte("import { parentPort } from 'node:worker_threads'; import sum from './lib/sum.js'; parentPort.postMessage(sum(1, 2));")},
	}
	var out buffer
	w := start(t, `
import { Worker } from 'worker_threads';
import data from './lib/data.json' with { type: 'json' };
const w = new Worker('./worker.mjs');
w.on('message', (v) => console.log(v, data.a, process.argv.slice(2), process.env.A));
for (const bad of ['../../etc/passwd', '/etc/passwd', './nothing']) {
  try { await import(bad); } catch (e) { console.log(e.message.includes('Cannot find module')); }
}
`, Options{Name: "main.mjs", Main: true, FS: files, Stdout: &out, Args: []string{"x"}, Env: []string{"A=b"}})
	if err := w.Wait(patient(t)); err != nil {
		t.Fatal(err)
	}
	if got := string(out.bytes()); strings.Count(got, "true\n") != 3 || !strings.Contains(got, "3 1 [ 'x' ] b\n") {
		t.Errorf("it prints %s", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{MemoryBytes: 1000}, {Timeout: -1}, {QueueBytes: -1}, {Main: true, Data: 1}, {Data: func() {}}} {
		if _, err := New("1", o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
