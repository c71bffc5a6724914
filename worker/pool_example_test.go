package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"paceline/worker"
)

func ExampleRun() {
	pool, err := worker.NewPool()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	sum, err := worker.Run(ctx, pool, func(context.Context) (int, error) {
		sum := 0
		for i := range 1001 {
			sum += i
		}
		return sum, nil
	})
	fmt.Println(sum, err)
	fmt.Println(pool.Close(ctx))
	// Output:
	// 500500 <nil>
	// <nil>
}

func ExampleRun_panic() {
	pool, err := worker.NewPool(worker.PoolWorkers(1, 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = worker.Run(ctx, pool, func(context.Context) (string, error) { panic("no such thing") })
	fmt.Println(err)
	if panicked, ok := errors.AsType[*worker.TaskPanic](err); ok {
		fmt.Println(strings.Contains(string(panicked.Stack), "ExampleRun_panic"))
	}
	again, err := worker.Run(ctx, pool, func(context.Context) (string, error) { return "another worker goes on", nil })
	fmt.Println(again, err)
	fmt.Println(pool.Close(ctx))
	// Output:
	// worker: task panicked: no such thing
	// true
	// another worker goes on <nil>
	// <nil>
}

func ExamplePool_Submit() {
	pool, err := worker.NewPool(
		worker.PoolWorkers(1, 1),
		worker.PoolOnError(func(err error) { fmt.Println("failed:", err) }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, name := range []string{"a", "b", "c"} {
		err := pool.Submit(ctx, func(context.Context) error {
			if name == "b" {
				return errors.New("b is broken")
			}
			fmt.Println("done:", name)
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(pool.Close(ctx)) // waits for all three
	// Output:
	// done: a
	// failed: b is broken
	// done: c
	// <nil>
}

func ExamplePoolWhenFull() {
	pool, err := worker.NewPool(worker.PoolWorkers(0, 1), worker.PoolQueue(1), worker.PoolWhenFull(worker.PoolFail))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	until := make(chan struct{})
	wait := func(context.Context) error { <-until; return nil }
	fmt.Println(pool.Submit(ctx, wait)) // runs
	fmt.Println(pool.Submit(ctx, wait)) // waits in the queue
	fmt.Println(pool.Submit(ctx, wait))
	close(until)
	fmt.Println(pool.Close(ctx))
	// Output:
	// <nil>
	// <nil>
	// worker: pool is full
	// <nil>
}

func ExampleTaskTimeout() {
	pool, err := worker.NewPool()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = worker.Run(ctx, pool, func(ctx context.Context) (int, error) {
		<-ctx.Done() // one that looks at its context frees its worker, too
		return 0, ctx.Err()
	}, worker.TaskTimeout(time.Millisecond))
	fmt.Println(errors.Is(err, worker.ErrTaskTimeout))
	fmt.Println(pool.Close(ctx))
	// Output:
	// true
	// <nil>
}

func ExamplePool_Stats() {
	pool, err := worker.NewPool()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if _, err := worker.Run(ctx, pool, func(context.Context) (int, error) { return 1, nil }); err != nil {
		fmt.Println(err)
	}
	fmt.Println(pool.Close(ctx))
	stats := pool.Stats()
	fmt.Println(stats.Completed, "completed,", stats.Failed, "failed,", stats.Run.Count, "timed")
	// Output:
	// <nil>
	// 1 completed, 0 failed, 1 timed
}
