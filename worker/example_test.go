package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"paceline/worker"
	"paceline/worker/clone"
)

// Two workers sort, each its own copy.
func Example() {
	ctx := context.Background()
	sorter := func(ctx context.Context, self *worker.Self) error {
		numbers, ok := self.Data().([]int)
		if !ok {
			return fmt.Errorf("data is a %T", self.Data())
		}
		slices.Sort(numbers)
		return self.Send(ctx, numbers)
	}
	for _, numbers := range [][]int{{1, 4, 2, 0}, {6, 4, 5, 2}} {
		w, err := worker.New(sorter, worker.WithData(numbers))
		if err != nil {
			fmt.Println(err)
			return
		}
		sorted, err := worker.Receive[[]int](ctx, w)
		fmt.Println(numbers, sorted, err)
		fmt.Println(w.Wait(ctx))
	}
	// Output:
	// [1 4 2 0] [0 1 2 4] <nil>
	// <nil>
	// [6 4 5 2] [2 4 5 6] <nil>
	// <nil>
}

// A panic is the end of its worker.
func ExampleWorker_Events() {
	ctx := context.Background()
	w, err := worker.New(func(context.Context, *worker.Self) error { panic("oh") })
	if err != nil {
		fmt.Println(err)
		return
	}
	for e := range w.Events(ctx) {
		fmt.Println(e.Type, e.Err, e.Code)
	}
	// Output:
	// online <nil> 0
	// error panic: oh 0
	// exit <nil> 1
}

// A worker that watches its context ends when it is told to.
func ExampleWorker_Terminate() {
	ctx := context.Background()
	w, err := worker.New(func(ctx context.Context, _ *worker.Self) error {
		<-ctx.Done()
		return ctx.Err()
	}, worker.WithGrace(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Terminate(ctx))
	fmt.Println(errors.Is(w.Wait(ctx), worker.ErrTerminated))
	// Output:
	// <nil>
	// true
}

// Bytes go to the worker without a copy.
func ExamplePort_Post_transfer() {
	ctx := context.Background()
	w, err := worker.New(func(ctx context.Context, self *worker.Self) error {
		b, err := worker.Receive[*clone.ArrayBuffer](ctx, self)
		if err != nil {
			return err
		}
		return self.Send(ctx, b.Len())
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := clone.NewArrayBuffer(make([]byte, 1<<20))
	fmt.Println(w.Post(b, b), b.Detached(), b.Len())
	fmt.Println(w.Receive(ctx))
	fmt.Println(w.Wait(ctx))
	// Output:
	// <nil> true 0
	// 1048576 <nil>
	// <nil>
}

// A worker wakes who waits for a number in memory that both have.
func ExampleAtomics_Wait() {
	ctx := context.Background()
	shared := worker.NewSharedBuffer(4)
	w, err := worker.New(func(_ context.Context, self *worker.Self) error {
		b, ok := self.Data().(*worker.SharedBuffer)
		if !ok {
			return fmt.Errorf("data is a %T", self.Data())
		}
		b.Int32().Store(0, 42)
		b.Int32().Notify(0, 1)
		return nil
	}, worker.WithData(shared))
	if err != nil {
		fmt.Println(err)
		return
	}
	numbers := shared.Int32()
	for numbers.Load(0) == 0 {
		numbers.Wait(ctx, 0, 0) // not-equal, if the worker was faster
	}
	fmt.Println(numbers.Load(0), w.Wait(ctx))
	// Output: 42 <nil>
}

func ExampleBroadcastChannel() {
	ctx := context.Background()
	one, two := worker.NewBroadcastChannel("news"), worker.NewBroadcastChannel("news")
	fmt.Println(one.Post("hello"))
	fmt.Println(two.Receive(ctx))
	fmt.Println(one.Close(), two.Close())
	// Output:
	// <nil>
	// hello <nil>
	// <nil> <nil>
}
