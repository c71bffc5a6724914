// Command sort is the worker_threads program of the course, in Go: two
// workers sort a list each, in one process, and the main thread goes on meanwhile.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"

	"paceline/worker"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatalf("sort: %v", err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "main thread: %v, process %d\n", worker.IsMainThread(ctx), os.Getpid())
	var workers []*worker.Worker
	for _, numbers := range [][]int{{1, 4, 2, 0}, {6, 4, 5, 2}} {
		w, err := worker.New(sorted, worker.WithContext(ctx), worker.WithData(numbers))
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		text, err := worker.Receive[string](ctx, w)
		if err != nil {
			return err
		}
		if err := w.Wait(ctx); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, text); err != nil {
			return err
		}
	}
	return nil
}

// sorted is what each worker does with its data, a copy of the list.
func sorted(ctx context.Context, self *worker.Self) error {
	numbers, ok := self.Data().([]int)
	if !ok {
		return fmt.Errorf("data is a %T, not a list of numbers", self.Data())
	}
	slices.Sort(numbers)
	return self.Send(ctx, fmt.Sprintf("worker: main thread: %v, process %d, sorted %v",
		worker.IsMainThread(ctx), os.Getpid(), numbers))
}
