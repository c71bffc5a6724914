package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paceline/worker"
	"paceline/worker/clone"

	"pgregory.net/rapid"
)

func start(t testing.TB, fn worker.Func, opts ...worker.Option) *worker.Worker {
	t.Helper()
	// A busy machine may need long to end a worker.
	w, err := worker.New(fn, append([]worker.Option{worker.WithGrace(time.Minute)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ended waits for the end of a worker and returns its code and why.
func ended(t testing.TB, w *worker.Worker) (int, error) {
	t.Helper()
	err := w.Wait(enough(t))
	code, ok := w.ExitCode()
	if !ok {
		t.Fatalf("worker has not ended: %v", err)
	}
	var exit *worker.ExitError
	if (code != 0) != errors.As(err, &exit) || exit != nil && exit.Code != code {
		t.Errorf("code %d, but Wait says %v", code, err)
	}
	if exit == nil {
		return code, nil
	}
	return code, exit.Err
}

func events(t testing.TB, w *worker.Worker) []worker.EventType {
	t.Helper()
	var list []worker.EventType
	for e := range w.Events(enough(t)) {
		if e.Worker != w.ID() || e.Time.IsZero() {
			t.Errorf("event %+v of worker %d", e, w.ID())
		}
		list = append(list, e.Type)
	}
	return list
}

func TestDataAndMessages(t *testing.T) {
	type job struct{ Numbers []int }
	data := &job{[]int{3, 1, 2}}
	w := start(t, func(ctx context.Context, self *worker.Self) error {
		j := self.Data().(*job)
		slices.Sort(j.Numbers)
		if err := self.Post(j.Numbers); err != nil {
			return err
		}
		for v, err := range self.Messages(ctx) {
			if err != nil {
				return err
			}
			if v == "end" {
				return nil
			}
			if err := self.Send(ctx, fmt.Sprint("echo ", v)); err != nil {
				return err
			}
		}
		return nil
	}, worker.WithData(data), worker.WithName("sorter"))
	if got := receive[[]int](t, w); !slices.Equal(got, []int{1, 2, 3}) || data.Numbers[0] != 3 {
		t.Errorf("got %v, and here is %v", got, data.Numbers)
	}
	post(t, w, 5)
	if got := receive[string](t, w); got != "echo 5" {
		t.Errorf("got %q", got)
	}
	if err := w.Send(enough(t), "end"); err != nil {
		t.Fatal(err)
	}
	if code, err := ended(t, w); code != 0 {
		t.Errorf("code %d: %v", code, err)
	}
	if got := events(t, w); !slices.Equal(got, []worker.EventType{worker.EventOnline, worker.EventExit}) {
		t.Errorf("events: %v", got)
	}
	if err := w.Post(1); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("posting to it after its end: %v", err)
	}
	if w.Name() != "sorter" {
		t.Errorf("name: %q", w.Name())
	}
}

func TestMessagesAreThereAfterTheEnd(t *testing.T) {
	w := start(t, func(_ context.Context, self *worker.Self) error { return self.Post("last words") })
	ended(t, w)
	if got := receive[string](t, w); got != "last words" {
		t.Errorf("got %q", got)
	}
	if _, err := w.Receive(enough(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeCopiedStartsNothing(t *testing.T) {
	buffer := clone.NewArrayBuffer([]byte("x"))
	fn := func(context.Context, *worker.Self) error { return errors.New("has run") }
	_, err := worker.New(fn, worker.WithData([]any{buffer, func() {}}, buffer))
	if want := "start worker: copy its data: value[1]: func() cannot be cloned"; err == nil || err.Error() != want || buffer.Detached() {
		t.Errorf("got %v, detached: %v", err, buffer.Detached())
	}
	if _, err := worker.New(nil); err == nil {
		t.Error("a worker without a function")
	}
	if _, err := worker.New(fn, worker.WithQueue(0)); err == nil {
		t.Error("a worker without a queue")
	}
}

// A port and bytes go in with the data, and bytes come back, none of them copied.
func TestTransferBothWays(t *testing.T) {
	bytes := []byte("bytes")
	buffer := clone.NewArrayBuffer(bytes)
	near, far := worker.NewMessageChannel()
	w := start(t, func(ctx context.Context, self *worker.Self) error {
		data := self.Data().([]any)
		buffer, port := data[0].(*clone.ArrayBuffer), data[1].(*worker.Port)
		copy(buffer.Bytes(), "BYTES")
		return port.Send(ctx, buffer, buffer)
	}, worker.WithData([]any{buffer, far}, buffer, far))
	if !buffer.Detached() {
		t.Error("the sender still has the bytes")
	}
	back := receive[*clone.ArrayBuffer](t, near)
	if &back.Bytes()[0] != &bytes[0] || string(bytes) != "BYTES" {
		t.Errorf("the bytes have been copied: %s", back.Bytes())
	}
	ended(t, w)
}

func TestPanicIsAnEventOfTheWorker(t *testing.T) {
	for name, fn := range map[string]worker.Func{
		"in the function": func(context.Context, *worker.Self) error { panic(io.ErrUnexpectedEOF) },
		"in a goroutine": func(ctx context.Context, self *worker.Self) error {
			self.Go(ctx, func(context.Context) error { panic(io.ErrUnexpectedEOF) })
			<-ctx.Done() // the panic ends the others
			return ctx.Err()
		},
		"by the runtime": func(context.Context, *worker.Self) error {
			var m map[string]int
			fill(m)
			return nil
		},
	} {
		w := start(t, fn)
		code, err := ended(t, w)
		var p *worker.PanicError
		if code != 1 || !errors.As(err, &p) || !strings.Contains(string(p.Stack), "worker_test.go") {
			t.Errorf("%s: code %d, %v", name, code, err)
			continue
		}
		if name != "by the runtime" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the panic's value is lost: %v", name, err)
		}
		e, err := w.Once(enough(t), worker.EventError)
		if !errors.As(e.Err, &p) {
			t.Errorf("%s: event %+v, %v", name, e, err)
		}
		if got := events(t, w); !slices.Equal(got, []worker.EventType{worker.EventOnline, worker.EventError, worker.EventExit}) {
			t.Errorf("%s: events: %v", name, got)
		}
	}
}

func fill(m map[string]int) { m["x"]++ }

func TestErrorAndExitCodes(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		fn   worker.Func
		code int
		err  error
	}{
		"nil":   {func(context.Context, *worker.Self) error { return nil }, 0, nil},
		"error": {func(context.Context, *worker.Self) error { return broken }, 1, broken},
		"exit": {func(_ context.Context, self *worker.Self) error {
			self.Exit(7)
			return nil
		}, 7, nil},
		"exit 0 with others": {func(ctx context.Context, self *worker.Self) error {
			self.Go(ctx, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
			self.Exit(0)
			return nil
		}, 0, nil},
		"exit of another": {func(ctx context.Context, self *worker.Self) error {
			self.Go(ctx, func(context.Context) error {
				self.Exit(3)
				return nil
			})
			<-ctx.Done()
			return nil
		}, 3, nil},
		"goexit": {func(context.Context, *worker.Self) error {
			runtime.Goexit()
			return nil
		}, 0, nil},
		"end of a context within": {func(ctx context.Context, self *worker.Self) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx.Err()
		}, 1, context.Canceled},
		"error of a goroutine": {func(ctx context.Context, self *worker.Self) error {
			self.Go(ctx, func(context.Context) error { return broken })
			return nil
		}, 1, broken},
	} {
		w := start(t, c.fn)
		code, err := ended(t, w)
		if code != c.code || c.code != 0 && c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: code %d, %v, want %d, %v", name, code, err, c.code, c.err)
		}
		if got := slices.Contains(events(t, w), worker.EventError); got != (c.err != nil) {
			t.Errorf("%s: error event: %v", name, got)
		}
	}
}

func TestWaitsForItsGoroutines(t *testing.T) {
	release, done := make(chan struct{}), make(chan struct{})
	w := start(t, func(ctx context.Context, self *worker.Self) error {
		self.Go(ctx, func(context.Context) error {
			<-release
			close(done)
			return nil
		})
		return nil
	})
	if _, ok := w.ExitCode(); ok {
		t.Error("ended before its goroutine")
	}
	close(release)
	ended(t, w)
	select {
	case <-done:
	default:
		t.Error("ended before its goroutine")
	}
}

func TestTerminate(t *testing.T) {
	w := start(t, func(ctx context.Context, self *worker.Self) error {
		_, err := self.Receive(ctx)
		return err
	})
	if err := w.Terminate(enough(t)); err != nil {
		t.Fatal(err)
	}
	code, err := ended(t, w)
	if code != 1 || !errors.Is(err, worker.ErrTerminated) || !errors.Is(err, context.Canceled) {
		t.Errorf("code %d, %v", code, err)
	}
	if got := events(t, w); slices.Contains(got, worker.EventError) {
		t.Errorf("events: %v", got)
	}
	if err := w.Terminate(enough(t)); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestStuckWorkerIsSaidToBe(t *testing.T) {
	release := make(chan struct{})
	w := start(t, func(context.Context, *worker.Self) error {
		waitsForNobody(release)
		return nil
	}, worker.WithGrace(time.Millisecond), worker.WithName("deaf"))
	if _, err := w.Once(enough(t), worker.EventOnline); err != nil {
		t.Fatal(err)
	}
	// It may take a moment from its first event to where it waits.
	var stuck *worker.StuckError
	for {
		err := w.Terminate(enough(t))
		if !errors.As(err, &stuck) || stuck.Grace != time.Millisecond || !strings.Contains(err.Error(), "(deaf)") {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(string(stuck.Stack), "waitsForNobody") {
			break
		}
		if enough(t).Err() != nil {
			t.Fatalf("its stack is not told: %s", stuck.Stack)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if code, err := ended(t, w); code != 0 {
		t.Errorf("code %d, %v", code, err)
	}
}

func waitsForNobody(release chan struct{}) { <-release }

func TestContextsAndIdentity(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	if !worker.IsMainThread(ctx) || worker.ThreadID(ctx) != 0 || worker.FromContext(ctx) != nil {
		t.Error("this is a worker")
	}
	if err := worker.SetEnvironmentData(ctx, "key", []string{"main"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := worker.SetEnvironmentData(context.Background(), "key", nil); err != nil {
			t.Error(err)
		}
	})
	seen := make(chan []any, 2)
	w := start(t, func(ctx context.Context, self *worker.Self) error {
		child, err := worker.New(func(ctx context.Context, self *worker.Self) error {
			seen <- []any{self.ID(), worker.EnvironmentData(ctx, "key")}
			<-ctx.Done()
			return context.Cause(ctx)
		}, worker.WithContext(ctx))
		if err != nil {
			return err
		}
		if err := worker.SetEnvironmentData(ctx, "key", "of the worker"); err != nil {
			return err
		}
		if worker.IsMainThread(ctx) || worker.ThreadID(ctx) != self.ID() || worker.FromContext(ctx) != self {
			return errors.New("its context is not its own")
		}
		seen <- []any{self.ID(), worker.EnvironmentData(ctx, "key"), child.ID()}
		if err := child.Wait(context.WithoutCancel(ctx)); !errors.Is(err, io.EOF) {
			return fmt.Errorf("the child ended with %w", err)
		}
		return context.Cause(ctx)
	}, worker.WithContext(ctx))
	ids := map[int]bool{}
	for range 2 {
		got := <-seen
		ids[got[0].(int)] = true
		if len(got) == 3 && (got[1] != "of the worker" || got[2] == got[0]) {
			t.Errorf("worker: %v", got)
		}
		if len(got) == 2 && !slices.Equal(got[1].([]string), []string{"main"}) {
			t.Errorf("child: %v", got)
		}
	}
	if !ids[w.ID()] || len(ids) != 2 {
		t.Errorf("ids: %v, the worker's is %d", ids, w.ID())
	}
	if got, ok := worker.EnvironmentData(ctx, "key").([]string); !ok || got[0] != "main" {
		t.Errorf("what the worker has set is seen here: %v", got)
	}
	cancel(io.EOF)
	if code, err := ended(t, w); code != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestWaitAll(t *testing.T) {
	until := func(ctx context.Context, _ *worker.Self) error {
		<-ctx.Done()
		return nil
	}
	aside, waited := start(t, until), start(t, until)
	aside.Unref()
	all := make(chan error, 1)
	go func() { all <- worker.WaitAll(enough(t)) }()
	waited.Unref()
	waited.Ref()
	select {
	case err := <-all:
		t.Fatalf("WaitAll has not waited: %v", err)
	default:
	}
	if err := waited.Terminate(enough(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-all; err != nil {
		t.Fatal(err)
	}
	if _, ok := aside.ExitCode(); ok {
		t.Error("the one set aside has ended")
	}
	if err := aside.Terminate(enough(t)); err != nil {
		t.Fatal(err)
	}
}

func TestEventsForThoseWhoComeLate(t *testing.T) {
	w := start(t, func(_ context.Context, self *worker.Self) error {
		for range 100 {
			if err := self.Post("no number"); err != nil {
				return err
			}
		}
		return nil
	})
	for range 100 {
		if _, err := worker.Receive[int](enough(t), w); err == nil {
			t.Fatal("a text is a number")
		}
	}
	ended(t, w)
	count := map[worker.EventType]int{}
	for range 2 {
		clear(count)
		for _, e := range events(t, w) {
			count[e]++
		}
	}
	if count[worker.EventOnline] != 1 || count[worker.EventExit] != 1 || count[worker.EventMessageError] > 64 {
		t.Errorf("got %v", count)
	}
	if _, err := w.Once(enough(t), worker.EventError); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Whatever workers do and whoever terminates them, each ends once, and its events
// begin with online and end with exit.
func TestLifeProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kinds := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 8).Draw(rt, "workers")
		kills := rapid.SliceOfN(rapid.IntRange(0, len(kinds)-1), 0, 6).Draw(rt, "terminate")
		locked := rapid.Bool().Draw(rt, "locked")
		var list []*worker.Worker
		for _, kind := range kinds {
			var opts []worker.Option
			if locked {
				opts = append(opts, worker.WithLockedThread())
			}
			list = append(list, start(t, func(ctx context.Context, self *worker.Self) error {
				switch kind {
				case 0:
					return nil
				case 1:
					panic("at once")
				case 2:
					self.Go(ctx, func(context.Context) error { panic("there") })
				case 3:
					self.Exit(9)
				case 4:
					for i := 0; ; i++ {
						if err := self.Send(ctx, i); err != nil {
							return err
						}
					}
				}
				<-ctx.Done()
				return ctx.Err()
			}, opts...))
		}
		var group sync.WaitGroup
		for _, k := range kills {
			group.Go(func() {
				if err := list[k].Terminate(enough(t)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for i, w := range list {
			if err := w.Terminate(enough(t)); err != nil {
				t.Error(err)
			}
			code, err := ended(t, w)
			if kinds[i] == 0 && code != 0 && !errors.Is(err, context.Canceled) || kinds[i] == 3 && code != 9 {
				rt.Errorf("worker %d of kind %d: code %d, %v", i, kinds[i], code, err)
			}
			got := events(t, w)
			if got[0] != worker.EventOnline || got[len(got)-1] != worker.EventExit || len(got) > 3 {
				rt.Errorf("worker %d of kind %d: events %v", i, kinds[i], got)
			}
			for v, err := range w.Messages(enough(t)) {
				if _, ok := v.(int); err != nil || !ok {
					rt.Errorf("message %v, %v", v, err)
				}
			}
		}
	})
}

// Whoever sees the exit event finds the worker ended.
func TestExitEventIsTheEnd(t *testing.T) {
	for code := range 200 {
		w := start(t, func(_ context.Context, self *worker.Self) error {
			self.Exit(code)
			return nil
		})
		e, err := w.Once(t.Context(), worker.EventExit)
		if got, ok := w.ExitCode(); err != nil || e.Code != code || got != code || !ok {
			t.Fatalf("event %v, %v; then exit code %d, %v; want %d", e, err, got, ok, code)
		}
	}
}

func TestUsage(t *testing.T) {
	ready, release := make(chan struct{}), make(chan struct{})
	w := start(t, func(context.Context, *worker.Self) error {
		burnt.Store(burn())
		close(ready)
		<-release
		return nil
	}, worker.WithLockedThread())
	<-ready
	running, err := w.Usage()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || running.CPU <= 0 {
		t.Errorf("while it runs: %+v, %v", running, err)
	}
	close(release)
	ended(t, w)
	final, err := w.Usage()
	// The kernel's two clocks may differ by a tick.
	if err != nil || final.CPU < running.CPU-20*time.Millisecond || final.User+final.System != final.CPU {
		t.Errorf("at its end: %+v, %v, before: %+v", final, err, running)
	}
	w = start(t, func(context.Context, *worker.Self) error { return nil })
	if _, err := w.Usage(); !errors.Is(err, worker.ErrNotLocked) {
		t.Errorf("without a thread: %v", err)
	}
	ended(t, w)
}

var burnt atomic.Int64 // so that the work is not left out

func burn() int64 {
	n := int64(1)
	for i := range int64(5_000_000) {
		n += i * n
	}
	return n
}

// A SDK must not bring modules with it that its user has not asked for.
func TestStandardLibraryOnly(t *testing.T) {
	// go list reads the sources itself, so a cached result would not see a change of
	// theirs but for this.
	for _, dir := range []string{".", "clone"} {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if strings.HasSuffix(f.Name(), ".go") {
				if _, err := os.ReadFile(dir + "/" + f.Name()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if path != "paceline/worker" && path != "paceline/worker/clone" && !strings.HasPrefix(path, "golang.org/x/sys/") {
			t.Errorf("imports %s", path)
		}
	}
}
