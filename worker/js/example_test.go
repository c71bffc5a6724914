package js_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"paceline/worker"
	"paceline/worker/js"
)

// A worker sorts what it is given, as the course's worker does.
func ExampleNew() {
	ctx := context.Background()
	w, err := js.New(`
const { parentPort, workerData } = require('worker_threads');
parentPort.postMessage(workerData.sort());
`, js.Options{Data: []int{6, 4, 5, 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	sorted, err := worker.Receive[[]int](ctx, w)
	fmt.Println(sorted, err, w.Wait(ctx))
	// Output: [2 4 5 6] <nil> <nil>
}

// A program with a main thread of its own and workers that it starts itself.
func ExampleOptions_main() {
	w, err := js.New(`
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (isMainThread) {
  const w = new Worker(__filename, { workerData: [1, 4, 2, 0] });
  w.on('message', (sorted) => console.log(sorted));
} else {
  parentPort.postMessage(workerData.sort());
}
`, js.Options{Main: true, Stdout: os.Stdout})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Wait(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: [ 0, 1, 2, 4 ]
}

// An error that the script does not catch is the worker's, with its stack.
func ExampleError() {
	w, err := js.New(`JSON.parse('{')`, js.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Wait(context.Background())
	if js, ok := errors.AsType[*js.Error](err); ok {
		fmt.Println(js.Name, js.Stack != "")
	}
	// Output: SyntaxError true
}

// A script that takes all memory it can get, and one that does not end.
func ExampleOptions_limits() {
	for script, o := range map[string]js.Options{
		"const all = []; for (;;) all.push(new ArrayBuffer(1e6))": {MemoryBytes: 8 << 20},
		"for (;;) {}": {Timeout: 50 * time.Millisecond},
	} {
		w, err := js.New(script, o)
		if err != nil {
			fmt.Println(err)
			return
		}
		err = w.Wait(context.Background())
		if failed, ok := errors.AsType[*js.Error](err); ok {
			fmt.Println(failed.Code)
		} else {
			fmt.Println(errors.Is(err, context.DeadlineExceeded))
		}
	}
	// Unordered output:
	// ERR_WORKER_OUT_OF_MEMORY
	// true
}
