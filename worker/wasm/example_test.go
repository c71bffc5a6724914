package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"paceline/worker/wasm"
)

// endless is (module (func (export "_start") (loop (br 0)))).
var endless = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // a type: no parameters, no results
	"\x03\x02\x01\x00" + // a function of that type
	"\x07\x0a\x01\x06_start\x00\x00" + // exported
	"\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b") // loop, br 0, end, end

// A guest that never ends is ended when its time is over.
func ExampleModule_Start() {
	ctx := context.Background()
	module, err := wasm.Compile(ctx, endless, wasm.Limits{MemoryBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := module.Start(wasm.Options{Timeout: 50 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Wait(ctx)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	fmt.Println(module.Close(ctx))
	// Output:
	// true
	// <nil>
}

// What runs in a worker can be ended from outside, whatever it does.
func ExampleWorker() {
	ctx := context.Background()
	module, err := wasm.Compile(ctx, endless, wasm.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := module.Start(wasm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Terminate(ctx))
	fmt.Println(w.ExitCode())
	fmt.Println(module.Close(ctx))
	// Output:
	// <nil>
	// 1 true
	// <nil>
}
