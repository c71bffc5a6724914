package wasm

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkStart is a worker of a small module, from Start to its end.
func BenchmarkStart(b *testing.B) {
	m := compile(b, handmade{pages: 1}.bytes(), Limits{})
	for b.Loop() {
		w, err := m.Start(Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStartGo is the same with a program of Go, whose runtime starts as well.
func BenchmarkStartGo(b *testing.B) {
	m, err := echo()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w, err := m.Start(Options{Args: []string{"echo", "none"}})
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoundTrip is a message to a program of Go and its answer.
func BenchmarkRoundTrip(b *testing.B) {
	w := startEcho(b, Options{Args: []string{"echo", "sort"}})
	for b.Loop() {
		if err := w.Post([]int{6, 4, 5, 2}); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeadline is how long after its deadline a guest that never ends has ended.
func BenchmarkDeadline(b *testing.B) {
	for name, binary := range map[string][]byte{"loop": endless(), "recursion": recursive(), "bottomless": bottomless()} {
		b.Run(name, func(b *testing.B) {
			m := compile(b, binary, Limits{})
			var late, worst time.Duration
			n := 0
			for b.Loop() {
				const limit = 20 * time.Millisecond
				ctx, cancel := context.WithTimeout(b.Context(), limit)
				deadline, _ := ctx.Deadline()
				if _, err := m.run(ctx, process{}); err == nil {
					b.Fatal("it ended")
				}
				after := max(0, time.Since(deadline))
				cancel()
				late, worst, n = late+after, max(worst, after), n+1
			}
			b.ReportMetric(float64((late / time.Duration(n)).Microseconds()), "µs-late")
			b.ReportMetric(float64(worst.Microseconds()), "µs-late-worst")
		})
	}
}

// BenchmarkCrowd is how long after their deadlines guests that never end have ended, with
// several for each processor.
func BenchmarkCrowd(b *testing.B) {
	m := compile(b, endless(), Limits{})
	for _, each := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(each, " each"), func(b *testing.B) {
			var all []time.Duration
			for b.Loop() {
				late := make([]time.Duration, each*runtime.GOMAXPROCS(0))
				var guests sync.WaitGroup
				for i := range late {
					guests.Go(func() {
						ctx, cancel := context.WithTimeout(b.Context(), 100*time.Millisecond)
						defer cancel()
						deadline, _ := ctx.Deadline()
						if _, err := m.run(ctx, process{}); err == nil {
							b.Error("it ended")
						}
						late[i] = max(0, time.Since(deadline))
					})
				}
				guests.Wait()
				all = append(all, late...)
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "µs-late")
			b.ReportMetric(float64(all[len(all)-1].Microseconds()), "µs-late-worst")
		})
	}
}
