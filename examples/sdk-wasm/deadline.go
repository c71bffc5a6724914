// Command deadline runs a guest that never ends in a WebAssembly worker, and ends it
// when its time is over.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"paceline/worker/wasm"
)

// endless is (module (func (export "_start") (loop (br 0)))): for (;;) {}. A real
// guest is a program built with GOOS=wasip1 GOARCH=wasm.
var endless = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // a type: no parameters, no results
	"\x03\x02\x01\x00" + // a function of that type
	"\x07\x0a\x01\x06_start\x00\x00" + // exported
	"\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b") // loop, br 0, end, end

func main() {
	if err := run(context.Background(), os.Stdout, 500*time.Millisecond); err != nil {
		log.Fatalf("deadline: %v", err)
	}
}

func run(ctx context.Context, out io.Writer, limit time.Duration) (err error) {
	module, err := wasm.Compile(ctx, endless, wasm.Limits{MemoryBytes: 1 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, module.Close(ctx)) }()

	began := time.Now()
	w, err := module.Start(wasm.Options{Timeout: limit})
	if err != nil {
		return err
	}
	err = w.Wait(ctx)
	if _, ok := errors.AsType[*wasm.TimeoutError](err); !ok {
		return fmt.Errorf("the guest was not ended: %w", err)
	}
	fmt.Fprintf(out, "%v\n%v after its deadline\n", err, (time.Since(began) - limit).Round(100*time.Microsecond))
	return nil
}
