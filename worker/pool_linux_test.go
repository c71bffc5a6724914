package worker

import (
	"context"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPoolLockThreadKeepsTheThread(t *testing.T) {
	p := newPool(t, PoolWorkers(1, 1), PoolLockThread())
	first := 0
	for range 50 {
		tid, err := Run(t.Context(), p, func(context.Context) (int, error) { return unix.Gettid(), nil })
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = tid
		}
		if tid != first {
			t.Errorf("thread %d, then %d", first, tid)
		}
		runtime.Gosched()
	}
	if _, err := Run(t.Context(), p, func(context.Context) (int, error) { panic("away") }); err == nil {
		t.Error("no error of a panic")
	}
	tid, err := Run(t.Context(), p, func(context.Context) (int, error) { return unix.Gettid(), nil })
	if err != nil || tid == first {
		t.Errorf("after a panic: thread %d again (%v), want another", tid, err)
	}
	closePool(t, p)
}

func TestPoolBackgroundGivesWay(t *testing.T) {
	nice := func(context.Context) (int, error) {
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		return 20 - raw, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := nice(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	procs := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		opt PoolOption
		by  int
	}{{PoolBackground(), 10}, {PoolNice(3), 3}} {
		p := newPool(t, c.opt, PoolWorkers(0, 2))
		if n := runtime.GOMAXPROCS(0); n != procs+2 {
			t.Errorf("GOMAXPROCS %d with the pool, want %d", n, procs+2)
		}
		got, err := Run(t.Context(), p, nice)
		if want := min(own+c.by, mostNice); err != nil || got != want {
			t.Errorf("nice value of a worker: %d (%v), want %d", got, err, want)
		}
		if s := p.Stats(); s.Nice != min(c.by, mostNice-own) {
			t.Errorf("stats: nice %d, want %d", s.Nice, c.by)
		}
		closePool(t, p)
		if n := runtime.GOMAXPROCS(0); n != procs {
			t.Errorf("GOMAXPROCS %d after Close, want %d", n, procs)
		}
	}
	if again, err := nice(t.Context()); err != nil || again != own {
		t.Errorf("nice value of this thread: %d (%v), was %d", again, err, own)
	}
}
