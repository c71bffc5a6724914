package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A bubble of synctest has a clock of its own, ends with an error where all its
// goroutines wait for each other, and waits for all of them at its end: what a pool
// leaves behind fails the test.

func newPool(t *testing.T, opts ...PoolOption) *Pool {
	t.Helper()
	p, err := NewPool(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closePool(t *testing.T, p *Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("close: %v", err)
	}
	if s := p.Stats(); s.Workers != 0 || s.Queued != 0 || s.Running != 0 || s.Blocked != 0 {
		t.Errorf("after Close: %d workers, %d queued, %d running, %d blocked", s.Workers, s.Queued, s.Running, s.Blocked)
	}
}

// hold keeps n workers busy until the returned function is called.
func hold(t *testing.T, p *Pool, n int) (free func()) {
	t.Helper()
	until := make(chan struct{})
	for range n {
		if err := p.Submit(context.Background(), func(context.Context) error { <-until; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	if s := p.Stats(); s.Running != n {
		t.Fatalf("%d running, want %d", s.Running, n)
	}
	return func() { close(until) }
}

func TestPoolRunsEveryTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(1, 3))
		var ran, most, now atomic.Int64
		for range 100 {
			err := p.Submit(t.Context(), func(context.Context) error {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Millisecond)
				now.Add(-1)
				ran.Add(1)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		closePool(t, p)
		if s := p.Stats(); ran.Load() != 100 || s.Completed != 100 || s.Submitted != 100 {
			t.Errorf("%d ran, stats %d of %d, want 100", ran.Load(), s.Completed, s.Submitted)
		}
		if most.Load() > 3 {
			t.Errorf("%d ran at once, want at most 3", most.Load())
		}
		if s := p.Stats(); s.Run.Count != 100 || s.Run.Mean() != time.Millisecond || s.Run.Quantile(0.5) != PoolBound(10) {
			t.Errorf("run times: %d, mean %v, median %v; want 100, 1 ms, %v", s.Run.Count, s.Run.Mean(), s.Run.Quantile(0.5), PoolBound(10))
		}
	})
}

func TestRunReturnsWhatTheTaskReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t)
		defer closePool(t, p)
		if n, err := Run(t.Context(), p, func(context.Context) (int, error) { return 42, nil }); n != 42 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		sorry := errors.New("sorry")
		if n, err := Run(t.Context(), p, func(context.Context) (int, error) { return 1, sorry }); n != 0 || !errors.Is(err, sorry) {
			t.Errorf("got %d, %v; want 0 and the task's error", n, err)
		}
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "value")
		v, err := Run(ctx, p, func(ctx context.Context) (any, error) { return ctx.Value(key{}), nil })
		if v != "value" || err != nil {
			t.Errorf("the task's context: got %v, %v", v, err)
		}
	})
}

func TestPoolBlocksUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolQueue(2))
		defer closePool(t, p)
		free := hold(t, p, 1)
		var order []int
		for i := range 2 {
			p.Submit(t.Context(), func(context.Context) error { order = append(order, i); return nil })
		}
		submitted := make(chan error, 1)
		go func() {
			submitted <- p.Submit(t.Context(), func(context.Context) error { order = append(order, 2); return nil })
		}()
		gone, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		ended := make(chan error, 1)
		go func() {
			ended <- p.Submit(gone, func(context.Context) error { order = append(order, 3); return nil })
		}()
		synctest.Wait()
		if s := p.Stats(); s.Blocked != 2 || s.Queued != 2 {
			t.Errorf("%d blocked, %d queued, want 2 and 2", s.Blocked, s.Queued)
		}
		cancel(left)
		if err := <-ended; !errors.Is(err, left) {
			t.Errorf("a submitter that left: got %v, want its cause", err)
		}
		free()
		if err := <-submitted; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("order %v, want 0, 1, 2", order)
		}
		if s := p.Stats(); s.Refused != 1 {
			t.Errorf("%d refused, want 1", s.Refused)
		}
	})
}

// While tasks are short, submitters are admitted in batches; a long one that follows
// must not leave them outside where there is room.
func TestPoolAdmitsAlthoughShortTasksWereFollowedByALongOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolQueue(64))
		for range 100 {
			if _, err := Run(t.Context(), p, func(context.Context) (int, error) { return 0, nil }); err != nil {
				t.Fatal(err)
			}
		}
		free := hold(t, p, 1)
		until := make(chan struct{})
		for i := range 64 {
			p.Submit(t.Context(), func(context.Context) error {
				if i == 1 {
					<-until
				}
				return nil
			})
		}
		admitted := make(chan error, 1)
		go func() { admitted <- p.Submit(t.Context(), func(context.Context) error { return nil }) }()
		synctest.Wait()
		free()
		if err := <-admitted; err != nil { // with the second task still running
			t.Error(err)
		}
		close(until)
		closePool(t, p)
	})
}

func TestPoolRefusesWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, queue := range []int{0, 3} {
			p := newPool(t, PoolWorkers(0, 2), PoolQueue(queue), PoolWhenFull(PoolFail))
			until := make(chan struct{})
			for i := range 2 + queue { // also those that no worker has taken yet
				if err := p.Submit(t.Context(), func(context.Context) error { <-until; return nil }); err != nil {
					t.Errorf("queue of %d, task %d: %v", queue, i, err)
				}
			}
			if err := p.Submit(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, ErrPoolFull) {
				t.Errorf("queue of %d: got %v, want ErrPoolFull", queue, err)
			}
			if _, err := Run(t.Context(), p, func(context.Context) (int, error) { return 0, nil }); !errors.Is(err, ErrPoolFull) {
				t.Errorf("queue of %d: Run: got %v, want ErrPoolFull", queue, err)
			}
			close(until)
			closePool(t, p)
		}
	})
}

func TestPoolDropsForTheNew(t *testing.T) {
	for _, c := range []struct {
		policy PoolPolicy
		at     []TaskPriority // of three that fill the queue, and the new one
		want   int            // which is dropped
	}{
		{PoolDropOldest, []TaskPriority{0, 0, 0, 0}, 0},
		{PoolDropNewest, []TaskPriority{0, 0, 0, 0}, 2},
		{PoolDropOldest, []TaskPriority{1, 0, 0, 0}, 1},
		{PoolDropOldest, []TaskPriority{0, 0, -1, 0}, 2},
		{PoolDropNewest, []TaskPriority{-1, 0, 0, 0}, 0},
		{PoolDropNewest, []TaskPriority{1, 1, 1, 0}, 3},
		{PoolDropOldest, []TaskPriority{0, 1, 1, -1}, 3},
	} {
		t.Run(fmt.Sprintf("%d %v", c.policy, c.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, PoolWorkers(0, 1), PoolQueue(3), PoolWhenFull(c.policy))
				free := hold(t, p, 1)
				errs := make([]error, 4)
				var wg sync.WaitGroup
				for i, at := range c.at {
					wg.Go(func() {
						_, errs[i] = Run(t.Context(), p, func(context.Context) (int, error) { return i, nil }, TaskAt(at))
					})
					synctest.Wait()
				}
				free()
				wg.Wait()
				for i, err := range errs {
					if got := errors.Is(err, ErrPoolDropped); got != (i == c.want) {
						t.Errorf("task %d: %v; want %d dropped", i, err, c.want)
					}
				}
				closePool(t, p)
			})
		})
	}
}

func TestPoolTakesByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1))
		free := hold(t, p, 1)
		var order []string
		for i, at := range []TaskPriority{TaskLow, TaskNormal, TaskHigh, TaskLow, TaskHigh, 100} {
			p.Submit(t.Context(), func(context.Context) error {
				order = append(order, fmt.Sprint(i))
				return nil
			}, TaskAt(at))
		}
		free()
		closePool(t, p)
		if got := strings.Join(order, " "); got != "2 4 5 1 0 3" {
			t.Errorf("order %s, want 2 4 5 1 0 3", got)
		}
	})
}

func TestRunLeavesTheQueueWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolQueue(1))
		free := hold(t, p, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := Run(ctx, p, func(context.Context) (int, error) { t.Error("it has run"); return 0, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
		if s := p.Stats(); s.Queued != 0 || s.Cancelled != 1 {
			t.Errorf("%d queued, %d cancelled, want 0 and 1", s.Queued, s.Cancelled)
		}
		free()
		closePool(t, p)
	})
}

func TestRunThatLeavesMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolQueue(1))
		free := hold(t, p, 1)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := Run(ctx, p, func(context.Context) (int, error) { return 0, nil })
			left <- err
		}()
		synctest.Wait()
		admitted := make(chan error, 1)
		go func() { admitted <- p.Submit(t.Context(), func(context.Context) error { return nil }) }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the one that left: %v", err)
		}
		if err := <-admitted; err != nil { // the only worker is still busy
			t.Error(err)
		}
		free()
		closePool(t, p)
	})
}

func TestRunReturnsWhileItsTaskGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1))
		defer closePool(t, p)
		begun := time.Now()
		deaf := func(context.Context) (int, error) { time.Sleep(time.Hour); return 1, nil }
		if n, err := Run(t.Context(), p, deaf, TaskTimeout(time.Second)); n != 0 || !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("timeout: got %d, %v", n, err)
		}
		if d := time.Since(begun); d != time.Second {
			t.Errorf("returned after %v, want 1 s", d)
		}
		if s := p.Stats(); s.Running != 1 {
			t.Errorf("%d running, want 1", s.Running)
		}
		hears := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, context.Cause(ctx) }
		if _, err := Run(t.Context(), p, hears, TaskTimeout(time.Minute)); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("one that looks at its context: got %v", err)
		}
		// It waits for the deaf one, and that does not count.
		if d := time.Since(begun); d != time.Hour+time.Minute {
			t.Errorf("ended after %v, want 1 h and 1 min", d)
		}
		synctest.Wait() // Run may return a moment before the worker notes the end
		if s := p.Stats(); s.Failed != 2 {
			t.Errorf("%d failed, want 2", s.Failed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := Run(ctx, p, deaf); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
	})
}

func TestPoolTimeoutIsForTasksWithoutTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolTimeout(time.Second))
		defer closePool(t, p)
		slow := func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(2 * time.Second):
				return 1, nil
			}
		}
		if _, err := Run(t.Context(), p, slow); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("got %v", err)
		}
		if n, err := Run(t.Context(), p, slow, TaskTimeout(0)); n != 1 || err != nil {
			t.Errorf("without: got %d, %v", n, err)
		}
	})
}

func TestPoolShrinksWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(2, 5), PoolIdleTimeout(time.Minute))
		defer closePool(t, p)
		synctest.Wait()
		if s := p.Stats(); s.Workers != 2 {
			t.Errorf("%d workers at first, want 2", s.Workers)
		}
		for range 2 {
			hold(t, p, 5)()
			synctest.Wait()
			if s := p.Stats(); s.Workers != 5 || s.Idle != 5 {
				t.Errorf("%d workers, %d idle, want 5", s.Workers, s.Idle)
			}
			time.Sleep(59 * time.Second)
			if s := p.Stats(); s.Workers != 5 {
				t.Errorf("%d workers after 59 s, want 5", s.Workers)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := p.Stats(); s.Workers != 2 {
				t.Errorf("%d workers after 61 s, want 2", s.Workers)
			}
		}
	})
}

func TestPoolBearsPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []error
		p := newPool(t, PoolWorkers(1, 1), PoolOnError(func(err error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, err)
		}))
		boom := errors.New("boom")
		_, err := Run(t.Context(), p, func(context.Context) (int, error) { panic(boom) })
		var panicked *TaskPanic
		if !errors.As(err, &panicked) || panicked.Value == nil || !errors.Is(err, boom) || !strings.Contains(string(panicked.Stack), "TestPoolBearsPanics") {
			t.Errorf("got %v, want a TaskPanic with its stack", err)
		}
		var nothing any
		_, err = Run(t.Context(), p, func(context.Context) (int, error) { panic(nothing) })
		if !errors.As(err, &panicked) {
			t.Errorf("panic(nil): got %v", err)
		}
		_, err = Run(t.Context(), p, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, TaskTimeout(time.Hour))
		if !errors.Is(err, ErrTaskExit) {
			t.Errorf("Goexit: got %v, want ErrTaskExit", err)
		}
		if err := p.Submit(t.Context(), func(context.Context) error { panic("submitted") }); err != nil {
			t.Error(err)
		}
		if n, err := Run(t.Context(), p, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Errorf("afterwards: got %d, %v", n, err)
		}
		if s := p.Stats(); s.Panicked != 4 || s.Workers != 1 {
			t.Errorf("%d panicked, %d workers, want 4 and 1", s.Panicked, s.Workers)
		}
		closePool(t, p)
		if len(told) != 1 || told[0].Error() != "worker: task panicked: submitted" {
			t.Errorf("told %v, want the one of Submit", told)
		}
	})
}

func TestPoolStopsAfterTooManyPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(1, 1), PoolMaxPanics(2, time.Minute))
		crash := func(context.Context) (int, error) { panic("again") }
		for range 4 { // two in each minute
			Run(t.Context(), p, crash)
			time.Sleep(31 * time.Second)
		}
		if _, err := Run(t.Context(), p, func(context.Context) (int, error) { return 0, nil }); err != nil {
			t.Errorf("within the limit: %v", err)
		}
		waits := make(chan error, 1)
		for range 2 {
			p.Submit(t.Context(), func(context.Context) error { panic("again") })
		}
		go func() {
			_, err := Run(t.Context(), p, func(context.Context) (int, error) { return 0, nil }, TaskAt(TaskLow))
			waits <- err
		}()
		const want = "worker: too many tasks panicked: the pool is stopped after 3 within 1m0s, the last: worker: task panicked: again"
		if err := <-waits; !errors.Is(err, ErrPoolPanics) || err.Error() != want {
			t.Errorf("one that waited: got %v, want %s", err, want)
		}
		if err := p.Submit(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, ErrPoolPanics) {
			t.Errorf("a new one: got %v", err)
		}
		closePool(t, p)
	})
}

func TestPoolPausesAfterTooManyPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolMaxPanics(0, time.Minute), PoolPanicPause(time.Hour), PoolIdleTimeout(time.Second))
		defer closePool(t, p)
		free := hold(t, p, 1)
		p.Submit(t.Context(), func(context.Context) error { panic("once") })
		waits := make(chan time.Duration, 1)
		begun := time.Now()
		p.Submit(t.Context(), func(context.Context) error { waits <- time.Since(begun); return nil })
		free()
		synctest.Wait()
		err := p.Submit(t.Context(), func(context.Context) error { return nil })
		if !errors.Is(err, ErrPoolPanics) || !strings.Contains(err.Error(), "pauses for 1h0m0s") {
			t.Errorf("in the pause: got %v", err)
		}
		if s := p.Stats(); !s.Paused || s.Queued != 1 {
			t.Errorf("paused %v, %d queued, want true and 1", s.Paused, s.Queued)
		}
		if d := <-waits; d != time.Hour {
			t.Errorf("the one that waited ran after %v, want 1 h", d)
		}
		if err := p.Submit(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestPoolCloseInThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 1), PoolMaxPanics(0, time.Minute), PoolPanicPause(time.Hour), PoolIdleTimeout(time.Second))
		free := hold(t, p, 1)
		p.Submit(t.Context(), func(context.Context) error { panic("once") })
		p.Submit(t.Context(), func(context.Context) error { return nil })
		free()
		time.Sleep(time.Minute) // now there is no worker any more
		closePool(t, p)
		if s := p.Stats(); s.Completed != 2 {
			t.Errorf("%d completed, want 2: what waited is run", s.Completed)
		}
	})
}

func TestPoolCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, PoolWorkers(0, 2), PoolQueue(10))
		free := hold(t, p, 2)
		for range 10 {
			p.Submit(t.Context(), func(context.Context) error { return nil })
		}
		blocked := make(chan error, 1)
		go func() { blocked <- p.Submit(t.Context(), func(context.Context) error { return nil }) }()
		synctest.Wait()
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- p.Close(t.Context()) }()
		}
		if err := <-blocked; !errors.Is(err, ErrPoolClosed) {
			t.Errorf("a blocked submitter: got %v, want ErrPoolClosed", err)
		}
		if err := p.Submit(t.Context(), func(context.Context) error { return nil }); !errors.Is(err, ErrPoolClosed) {
			t.Errorf("a new task: got %v, want ErrPoolClosed", err)
		}
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("closed while tasks run: %v", err)
		default:
		}
		free()
		for range 2 {
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
		if s := p.Stats(); s.Completed != 12 {
			t.Errorf("%d completed, want 12", s.Completed)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Errorf("once more: %v", err)
		}
	})
}

func TestPoolCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 10)
		p := newPool(t, PoolWorkers(0, 2), PoolCancel(), PoolOnError(func(err error) { told <- err }))
		p.Submit(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		free := hold2(t, p)
		waits := make(chan error, 1)
		go func() {
			_, err := Run(t.Context(), p, func(context.Context) (int, error) { return 0, nil })
			waits <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 tasks still run and 1 that waited are given up") {
			t.Errorf("got %v", err)
		}
		if err := <-waits; !errors.Is(err, ErrPoolClosed) {
			t.Errorf("one that waited: got %v, want ErrPoolClosed", err)
		}
		if err := <-told; !errors.Is(err, ErrPoolClosed) {
			t.Errorf("one that looks at its context: got %v, want ErrPoolClosed", err)
		}
		free()
		closePool(t, p)
	})
}

// hold2 is hold for one worker beside another that is busy.
func hold2(t *testing.T, p *Pool) (free func()) {
	t.Helper()
	until := make(chan struct{})
	if err := p.Submit(context.Background(), func(context.Context) error { <-until; return nil }); err != nil {
		t.Fatal(err)
	}
	return func() { close(until) }
}

func TestPoolNeverUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		p := newPool(t, PoolWorkers(3, 3))
		if err := p.Submit(ended, func(context.Context) error { t.Error("it has run"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: got %v", err)
		}
		if err := p.Close(ended); err != nil {
			t.Errorf("close with nothing to wait for: %v", err)
		}
		closePool(t, newPool(t))
	})
}

func TestPoolOptionsThatMakeNoSense(t *testing.T) {
	for name, opts := range map[string][]PoolOption{
		"negative":      {PoolWorkers(-1, 2)},
		"less than":     {PoolWorkers(3, 2)},
		"queue":         {PoolQueue(-1)},
		"policy":        {PoolWhenFull(17)},
		"timeout":       {PoolTimeout(-1)},
		"nice":          {PoolNice(20)},
		"nice 0":        {PoolNice(0)},
		"window":        {PoolMaxPanics(1, 0)},
		"pause":         {PoolPanicPause(time.Second)},
		"negativePause": {PoolMaxPanics(1, 1), PoolPanicPause(-1)},
	} {
		if p, err := NewPool(opts...); err == nil {
			t.Errorf("%s: no error", name)
			closePool(t, p)
		}
	}
}

func TestPoolHistogram(t *testing.T) {
	var h PoolHistogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 {
		t.Error("an empty one: not 0")
	}
	for _, c := range []struct {
		d      time.Duration
		bucket int
	}{
		{0, 0},
		{1, 0},
		{time.Microsecond, 0},
		{time.Microsecond + 1, 1},
		{2 * time.Microsecond, 1},
		{2*time.Microsecond + 1, 2},
		{time.Millisecond, 10},
		{time.Second, 20},
		{PoolBound(26), 26},
		{PoolBound(26) + 1, 27},
		{time.Hour, 27},
	} {
		var h PoolHistogram
		h.observe(int64(c.d), 1)
		if h.Buckets[c.bucket] != 1 || c.d > PoolBound(c.bucket) || c.bucket > 0 && c.d <= PoolBound(c.bucket-1) {
			t.Errorf("%v: buckets %v, want it in %d", c.d, h.Buckets, c.bucket)
		}
	}
	h.observe(int64(time.Microsecond), 98)
	h.observe(int64(time.Second), 2)
	if p50, p98, p99 := h.Quantile(0.5), h.Quantile(0.98), h.Quantile(0.99); p50 != time.Microsecond || p98 != time.Microsecond || p99 != PoolBound(20) {
		t.Errorf("quantiles %v, %v, %v", p50, p98, p99)
	}
}

// The figures of the benchmarks rest on it.
func TestPoolAllocatesNothingButTheResult(t *testing.T) {
	p := newPool(t, PoolWorkers(1, 1))
	defer closePool(t, p)
	ran := make(chan struct{})
	task := func(context.Context) error { ran <- struct{}{}; return nil }
	submit := func() {
		if err := p.Submit(context.Background(), task, TaskAt(TaskHigh)); err != nil {
			t.Fatal(err)
		}
		<-ran
	}
	if n := testing.AllocsPerRun(1000, submit); n > 0 {
		t.Errorf("Submit: %v allocations", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx.Done() // is made when it is first asked for
	answer := func(context.Context) (int, error) { return 1, nil }
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := Run(ctx, p, answer); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("Run: %v allocations, want 1", n)
	}
}
