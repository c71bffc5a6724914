// Command threads runs the worker_threads program of the course, in JavaScript and
// without Node: its main thread and its two workers are isolates in this process.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"

	"paceline/worker/js"
)

//go:embed threads.js
var script string

func main() {
	if err := run(context.Background(), os.Stdout, os.Stderr); err != nil {
		log.Fatalf("threads: %v", err)
	}
}

func run(ctx context.Context, stdout, stderr io.Writer) error {
	fmt.Fprintf(stdout, "Go, process %d\n", os.Getpid())
	w, err := js.New(script, js.Options{
		Name: "threads.js", Main: true, Context: ctx, Stdout: stdout, Stderr: stderr,
		MemoryBytes: 16 << 20, // for each isolate
	})
	if err != nil {
		return err
	}
	return w.Wait(ctx)
}
