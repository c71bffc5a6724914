package worker_test

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"paceline/worker"

	"pgregory.net/rapid"
)

func TestSharedBufferIsShared(t *testing.T) {
	buffer := worker.NewSharedBuffer(16)
	numbers := buffer.Int32()
	w := start(t, func(_ context.Context, self *worker.Self) error {
		data := self.Data().(map[string]any)
		data["buffer"].(*worker.SharedBuffer).Int32().Store(1, 5)
		data["numbers"].(*worker.Atomics[int32]).Add(1, 2)
		return nil
	}, worker.WithData(map[string]any{"buffer": buffer, "numbers": numbers}))
	ended(t, w)
	if got := numbers.Load(1); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
	if got := binary.NativeEndian.Uint32(buffer.Bytes()[4:]); got != 7 {
		t.Errorf("the bytes say %d", got)
	}
	if buffer.Len() != 16 || numbers.Len() != 4 || buffer.Int64().Len() != 2 || worker.NewSharedBuffer(7).Int64().Len() != 0 || worker.NewSharedBuffer(0).Bytes() != nil {
		t.Error("a length is wrong")
	}
	if numbers.Buffer() != buffer {
		t.Error("it is a view of another buffer")
	}
}

// Each operation does what it would on a plain number.
func TestAtomicsProperties(t *testing.T) {
	check := func(t *rapid.T, cells func() (load func(int) int64, do func(op string, i int, a, b int64) int64, model []int64, wrap func(int64) int64)) {
		load, do, model, wrap := cells()
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			i := rapid.IntRange(0, len(model)-1).Draw(t, "index")
			a, b := wrap(rapid.Int64().Draw(t, "a")), wrap(rapid.Int64().Draw(t, "b"))
			if rapid.Bool().Draw(t, "as it is") {
				a = model[i]
			}
			op := rapid.SampledFrom([]string{"store", "add", "sub", "and", "or", "xor", "exchange", "compare"}).Draw(t, "op")
			was, want := model[i], model[i]
			switch op {
			case "store", "exchange":
				model[i] = a
			case "add":
				model[i] = wrap(was + a)
			case "sub":
				model[i] = wrap(was - a)
			case "and":
				model[i] = was & a
			case "or":
				model[i] = was | a
			case "xor":
				model[i] = was ^ a
			case "compare":
				if was == a {
					model[i] = b
				}
			}
			if got := do(op, i, a, b); op != "store" && got != want {
				t.Fatalf("%s(%d, %d, %d) returned %d, want %d", op, i, a, b, got, want)
			}
			for i := range model {
				if got := load(i); got != model[i] {
					t.Fatalf("after %s(%d, %d): [%d] is %d, want %d", op, a, b, i, got, model[i])
				}
			}
		}
	}
	t.Run("32", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			check(t, func() (func(int) int64, func(string, int, int64, int64) int64, []int64, func(int64) int64) {
				a := worker.NewSharedBuffer(16).Int32()
				return func(i int) int64 { return int64(a.Load(i)) }, func(op string, i int, x, y int64) int64 { return int64(operate(a, op, i, int32(x), int32(y))) },
					make([]int64, a.Len()), func(v int64) int64 { return int64(int32(v)) }
			})
		})
	})
	t.Run("64", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			check(t, func() (func(int) int64, func(string, int, int64, int64) int64, []int64, func(int64) int64) {
				a := worker.NewSharedBuffer(16).Int64()
				return a.Load, func(op string, i int, x, y int64) int64 { return operate(a, op, i, x, y) },
					make([]int64, a.Len()), func(v int64) int64 { return v }
			})
		})
	})
}

func operate[T int32 | int64](a *worker.Atomics[T], op string, i int, x, y T) T {
	switch op {
	case "store":
		a.Store(i, x)
		return x
	case "add":
		return a.Add(i, x)
	case "sub":
		return a.Sub(i, x)
	case "and":
		return a.And(i, x)
	case "or":
		return a.Or(i, x)
	case "xor":
		return a.Xor(i, x)
	case "exchange":
		return a.Exchange(i, x)
	}
	return a.CompareExchange(i, x, y)
}

func TestAtomicsTogether(t *testing.T) {
	a := worker.NewSharedBuffer(32).Int64()
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 1000 {
				a.Add(0, 1)
				a.Xor(1, math.MaxInt64)
				a.Or(2, 1<<g)
				for {
					was := a.Load(3)
					if a.CompareExchange(3, was, was+int64(i)) == was {
						break
					}
				}
			}
		})
	}
	group.Wait()
	for i, want := range []int64{8000, 0, 255, 8 * 999 * 500} {
		if got := a.Load(i); got != want {
			t.Errorf("[%d] is %d, want %d", i, got, want)
		}
	}
}

func TestWaitAndNotify(t *testing.T) {
	buffer := worker.NewSharedBuffer(16)
	a, wide := buffer.Int32(), buffer.Int64()
	if got := a.Wait(enough(t), 0, 1); got != worker.WaitNotEqual {
		t.Errorf("got %q", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := a.Wait(gone, 0, 0); got != worker.WaitTimedOut {
		t.Errorf("got %q", got)
	}
	if n := a.Notify(0, -1); n != 0 {
		t.Errorf("%d woken, nobody waits", n)
	}

	// Three wait, one at a time is woken, the first first.
	order := make(chan int, 3)
	var group sync.WaitGroup
	for i := range 3 {
		waiting := buffer.Waiting(8)
		group.Go(func() {
			if got := a.Wait(enough(t), 2, 0); got != worker.WaitOK {
				t.Errorf("got %q", got)
			}
			order <- i
		})
		for buffer.Waiting(8) == waiting && enough(t).Err() == nil {
			pause()
		}
	}
	if n := a.Notify(1, -1); n != 0 {
		t.Errorf("%d woken at another place", n)
	}
	for want := range 2 {
		if n := a.Notify(2, 1); n != 1 {
			t.Errorf("%d woken, want 1", n)
		}
		if got := <-order; got != want {
			t.Errorf("%d has been woken, want %d", got, want)
		}
	}
	// The same memory, seen as wider numbers.
	if n := wide.Notify(1, -1); n != 1 {
		t.Errorf("%d woken, want 1", n)
	}
	group.Wait()
	if buffer.Waiting(8) != 0 {
		t.Error("somebody is left")
	}
}

// A queue of one place made of Wait and Notify loses no wake-up, whoever is slow.
func TestNoWakeUpIsLost(t *testing.T) {
	a := worker.NewSharedBuffer(8).Int32()
	const rounds = 2000
	turn := func(mine, next int32) {
		for range rounds {
			for a.Load(0) != mine {
				if a.Wait(enough(t), 0, next) == worker.WaitTimedOut {
					t.Error("waited for ever")
					return
				}
			}
			a.Store(0, next)
			a.Notify(0, 1)
		}
	}
	var group sync.WaitGroup
	group.Go(func() { turn(0, 1) })
	group.Go(func() { turn(1, 0) })
	group.Wait()
}

// However waiting, waking and giving up fall together, each wake-up that Notify
// counts is had by one who waits, and nobody is left.
func TestWakeUpProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		patient := rapid.IntRange(0, 6).Draw(rt, "who wait")
		hasty := rapid.IntRange(0, 6).Draw(rt, "who give up")
		counts := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 6).Draw(rt, "notify")
		buffer := worker.NewSharedBuffer(8)
		a := buffer.Int32()
		results := make(chan worker.WaitResult, patient+hasty)
		ctx, giveUp := context.WithCancel(enough(t))
		var group sync.WaitGroup
		for range patient {
			group.Go(func() { results <- a.Wait(enough(t), 0, 0) })
		}
		for range hasty {
			group.Go(func() { results <- a.Wait(ctx, 0, 0) })
		}
		var woken atomic.Int64
		var waking sync.WaitGroup
		for _, n := range counts {
			waking.Go(func() { woken.Add(int64(a.Notify(0, n))) })
		}
		giveUp()
		waking.Wait()
		done := make(chan struct{})
		go func() {
			defer close(done)
			group.Wait()
		}()
		// Those who come to wait only now are woken as well.
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
				woken.Add(int64(a.Notify(0, -1)))
				pause()
			}
		}
		close(results)
		var ok, other int64
		for r := range results {
			switch r {
			case worker.WaitOK:
				ok++
			case worker.WaitTimedOut:
				other++
			default:
				rt.Fatalf("somebody got %q", r)
			}
		}
		if ok != woken.Load() || ok < int64(patient) || buffer.Waiting(0) != 0 {
			rt.Fatalf("%d woken, Notify counted %d, %d gave up, %d are left", ok, woken.Load(), other, buffer.Waiting(0))
		}
	})
}

func TestIndexBeyondTheEndPanics(t *testing.T) {
	a := worker.NewSharedBuffer(8).Int32()
	for name, f := range map[string]func(){
		"load":   func() { a.Load(2) },
		"store":  func() { a.Store(-1, 0) },
		"wait":   func() { a.Wait(t.Context(), 2, 0) },
		"notify": func() { a.Notify(2, 0) },
		"length": func() { worker.NewSharedBuffer(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if a.Notify(0, -1) != 0 {
		t.Error("the lock is held")
	}
}
