package js

import (
	"testing"
)

// BenchmarkStart is a worker from New to its end.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		w := start(b, "1", Options{})
		if err := w.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is a message to a worker and its answer.
func BenchmarkRoundTrip(b *testing.B) {
	w := start(b, `const { parentPort } = require('worker_threads'); parentPort.on('message', (v) => parentPort.postMessage(v));`, Options{})
	message := map[string]any{"id": 1, "list": []any{1.5, "two", true}, "text": "hello, world"}
	for b.Loop() {
		if err := w.Post(message); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBetweenIsolates is a message from one isolate to another and back.
func BenchmarkBetweenIsolates(b *testing.B) {
	const rounds = 1000
	w := start(b, `
const { Worker, parentPort } = require('worker_threads');
const w = new Worker('const { parentPort } = require("worker_threads"); parentPort.on("message", (v) => parentPort.postMessage(v));', { eval: true });
let left = 0;
w.on('message', (v) => { if (--left > 0) w.postMessage(v); else parentPort.postMessage('done'); });
parentPort.on('message', (n) => { left = n; w.postMessage({ id: 1, list: [1.5, 'two', true], text: 'hello, world' }); });
w.on('online', () => parentPort.postMessage('online'));
`, Options{})
	if _, err := w.Receive(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.Post(rounds); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rounds), "ns/message-pair")
}
