package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// poolScript is a pool, and what happens to it.
type poolScript struct {
	min, max, queue int
	policy          PoolPolicy
	cancel          bool
	maxPanics       int
	pause, idle     time.Duration
	tasks           []scriptTask
	close           time.Duration // when
	patience        time.Duration // how long Close waits
}

type scriptTask struct {
	at, cancel, length, timeout time.Duration // cancel and timeout: 0 is never
	priority                    TaskPriority
	run, deaf                   bool // by Run rather than Submit; does not look at its context
	end                         taskEnd
	fails                       bool
}

func drawScript(t *rapid.T) poolScript {
	ms := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	s := poolScript{
		min:       rapid.IntRange(0, 2).Draw(t, "min"),
		queue:     rapid.IntRange(0, 4).Draw(t, "queue"),
		policy:    PoolPolicy(rapid.IntRange(0, int(PoolDropNewest)).Draw(t, "policy")),
		cancel:    rapid.Bool().Draw(t, "cancel"),
		maxPanics: rapid.IntRange(-1, 2).Draw(t, "maxPanics"),
		idle:      ms("idle", 5),
		close:     ms("close", 30),
		patience:  ms("patience", 40),
	}
	s.max = max(s.min, 1) + rapid.IntRange(0, 2).Draw(t, "more")
	if s.maxPanics >= 0 {
		s.pause = ms("pause", 5)
	}
	s.tasks = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) scriptTask {
		return scriptTask{
			at: ms("at", 20), cancel: ms("until", 20), length: ms("length", 6), timeout: ms("timeout", 4),
			priority: TaskPriority(rapid.IntRange(-1, 1).Draw(t, "priority")),
			run:      rapid.Bool().Draw(t, "run"), deaf: rapid.Bool().Draw(t, "deaf"), fails: rapid.Bool().Draw(t, "fails"),
			end: taskEnd(rapid.SampledFrom([]int{1, 1, 1, 1, 0, 2}).Draw(t, "end")),
		}
	}), 1, 30).Draw(t, "tasks")
	return s
}

// play returns what went wrong. A deadlock ends the bubble with a panic that shows all goroutines.
func (s poolScript) play(t *testing.T) (wrong []string) {
	var mu sync.Mutex // guards wrong
	say := func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, fmt.Sprintf(format, a...))
	}
	opts := []PoolOption{PoolWorkers(s.min, s.max), PoolQueue(s.queue), PoolWhenFull(s.policy), PoolIdleTimeout(s.idle)}
	if s.cancel {
		opts = append(opts, PoolCancel())
	}
	if s.maxPanics >= 0 {
		opts = append(opts, PoolMaxPanics(s.maxPanics, 10*time.Millisecond), PoolPanicPause(s.pause))
	}
	var told atomic.Int64
	p, err := NewPool(append(opts, PoolOnError(func(error) { told.Add(1) }))...)
	if err != nil {
		return []string{err.Error()}
	}
	var begun, now, runsDone, refused, submits atomic.Int64
	var wg sync.WaitGroup
	for i, c := range s.tasks {
		wg.Go(func() {
			time.Sleep(c.at)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if c.cancel > 0 {
				stop := time.AfterFunc(c.cancel, cancel)
				defer stop.Stop()
			}
			ran := make(chan struct{}, 2)
			body := func(ctx context.Context) error {
				ran <- struct{}{}
				begun.Add(1)
				if n := now.Add(1); n > int64(s.max) {
					say("%d run at once", n)
				}
				defer now.Add(-1)
				if c.deaf {
					time.Sleep(c.length)
				} else {
					select {
					case <-ctx.Done():
					case <-time.After(c.length):
					}
				}
				switch {
				case c.end == taskPanicked:
					panic("as the script says")
				case c.end == taskExited:
					runtime.Goexit()
				case c.fails:
					return errors.New("as the script says")
				}
				return nil
			}
			if !c.run {
				submits.Add(1)
				if err := p.Submit(ctx, body, TaskAt(c.priority), TaskTimeout(c.timeout)); err != nil {
					refused.Add(1)
					if len(ran) > 0 {
						say("task %d has run, though Submit said %v", i, err)
					}
				}
				<-time.After(200 * time.Millisecond) // its context must not end earlier than the script says
				return
			}
			runsDone.Add(1)
			v, err := Run(ctx, p, func(ctx context.Context) (int, error) { return i + 1, body(ctx) }, TaskAt(c.priority), TaskTimeout(c.timeout))
			switch {
			case err == nil && (v != i+1 || c.fails || c.end != taskReturned || len(ran) != 1):
				say("task %d: %d and no error, ran %d times", i, v, len(ran))
			case err != nil && v != 0:
				say("task %d: %d and %v", i, v, err)
			case (errors.Is(err, ErrPoolFull) || errors.Is(err, ErrPoolDropped) || errors.Is(err, ErrPoolClosed) && !s.cancel && c.timeout == 0) && len(ran) > 0:
				say("task %d has run, though Run said %v", i, err)
			}
			if len(ran) > 1 {
				say("task %d ran %d times", i, len(ran))
			}
		})
	}
	time.Sleep(s.close)
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	first := p.Close(ctx)
	if err := p.Close(context.Background()); err != nil {
		say("the second Close: %v", err)
	}
	wg.Wait()
	st := p.Stats()
	if st.Workers+st.Queued+st.Running+st.Blocked != 0 {
		say("left: %d workers, %d queued, %d running, %d blocked", st.Workers, st.Queued, st.Running, st.Blocked)
	}
	if int64(st.Completed+st.Failed+st.Panicked) != begun.Load() {
		say("%d completed, %d failed, %d panicked; %d had begun", st.Completed, st.Failed, st.Panicked, begun.Load())
	}
	if n := int(st.Submitted + st.Refused); n != len(s.tasks) {
		say("%d submitted and %d refused of %d", st.Submitted, st.Refused, len(s.tasks))
	}
	if first == nil && s.policy < PoolDropOldest && s.maxPanics < 0 && told.Load() > submits.Load()-refused.Load() {
		say("told %d errors of %d tasks", told.Load(), submits.Load()-refused.Load())
	}
	return wrong
}

// Whatever is cancelled when: nothing hangs, nothing runs twice or at all if it was
// refused, the counts add up, and Close leaves no goroutine.
func TestPoolPropertyNothingHangsOrIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScript(rt)
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = s.play(t) })
		for _, w := range wrong {
			rt.Error(w)
		}
	})
}

// The same with real threads, and tasks so short that they meet.
func TestPoolPropertyUnderContention(t *testing.T) {
	for _, policy := range []PoolPolicy{PoolBlock, PoolFail, PoolDropOldest, PoolDropNewest} {
		p := newPool(t, PoolWorkers(0, 3), PoolQueue(4), PoolWhenFull(policy), PoolIdleTimeout(time.Microsecond))
		var begun atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			var wg sync.WaitGroup
			for seed := range uint64(8) {
				wg.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(policy)))
					for range 1500 {
						ctx, cancel := context.WithCancel(context.Background())
						body := func(context.Context) (int, error) { begun.Add(1); return 1, nil }
						switch random.IntN(4) {
						case 0:
							cancel()
						case 1:
							go cancel()
						}
						if random.IntN(3) == 0 {
							p.Submit(ctx, func(ctx context.Context) error { _, err := body(ctx); return err })
						} else if n, err := Run(ctx, p, body, TaskAt(TaskPriority(random.IntN(3)-1))); (n == 1) != (err == nil) {
							t.Errorf("Run: %d, %v", n, err)
						}
						cancel()
					}
				})
			}
			wg.Wait()
		}()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			stack := make([]byte, 1<<20)
			t.Fatalf("policy %d hangs; %+v\n%s", policy, p.Stats(), stack[:runtime.Stack(stack, true)])
		}
		closePool(t, p)
		if s := p.Stats(); int64(s.Completed) != begun.Load() || s.Submitted+s.Refused != 8*1500 {
			t.Errorf("policy %d: %d completed, %d had begun; %d submitted, %d refused of %d", policy, s.Completed, begun.Load(), s.Submitted, s.Refused, 8*1500)
		}
	}
}
