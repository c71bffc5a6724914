package js

import (
	"context"
	"os"
	"testing"
	"time"
)

const course = `
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
if (isMainThread) {
  console.log('main, process ' + process.pid);
  for (const list of [[1, 4, 2, 0], [6, 4, 5, 2]]) {
    const w = new Worker(__filename, { workerData: list });
    w.on('message', (sorted) => console.log('sorted', sorted));
    w.on('exit', (code) => console.log('exit', code));
  }
} else {
  console.log('worker, process ' + process.pid);
  parentPort.postMessage(workerData.sort());
}
`

func TestTry(t *testing.T) {
	began := time.Now()
	w, err := New(course, Options{Main: true, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	t.Log(w.Wait(ctx), time.Since(began))
}
