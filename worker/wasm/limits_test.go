package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"paceline/worker"
)

func TestEveryGuestEndsAtItsDeadline(t *testing.T) {
	binaries := map[string][]byte{"endless loop": endless(), "recursion without a loop": recursive()}
	for name, binary := range binaries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, compile(t, binary, Limits{}), Options{Timeout: 50 * time.Millisecond})
			outOfTime(t, w)
		})
	}
	t.Run("a Go program", func(t *testing.T) {
		t.Parallel()
		outOfTime(t, startEcho(t, Options{Args: []string{"echo", "spin"}, Timeout: 100 * time.Millisecond}))
	})
}

// Guests that take every processor, and more of them than there are processors, all end: none
// waits for a timer that finds no processor, nor for others that have none.
func TestDeadlinesHoldWithAGuestOnEachProcessor(t *testing.T) {
	for name, binary := range map[string][]byte{"endless": endless(), "recursive": recursive(), "filling": filling()} {
		t.Run(name, func(t *testing.T) {
			m := compile(t, binary, Limits{})
			endless := start(t, m, Options{}) // no deadline ends this one
			var list []*Worker
			for i := range 4 * runtime.GOMAXPROCS(0) {
				list = append(list, start(t, m, Options{Timeout: time.Duration(50+i) * time.Millisecond}))
			}
			for _, w := range list {
				outOfTime(t, w)
			}
			if err := endless.Terminate(patient(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func outOfTime(t *testing.T, w *Worker) {
	t.Helper()
	err := w.Wait(patient(t))
	if _, ok := errors.AsType[*TimeoutError](err); !ok || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v; want a *TimeoutError", err)
	}
	if e, err := w.Once(patient(t), worker.EventError); err != nil || !errors.Is(e.Err, context.DeadlineExceeded) {
		t.Errorf("event %v, %v; want an error event with the deadline", e, err)
	}
	if code, ended := w.ExitCode(); code != 1 || !ended {
		t.Errorf("exit code %d, %v; want 1, true", code, ended)
	}
}

func TestTerminateEndsAnyGuest(t *testing.T) {
	for name, binary := range map[string][]byte{"endless": endless(), "recursive": recursive()} {
		t.Run(name, func(t *testing.T) {
			w := start(t, compile(t, binary, Limits{}), Options{})
			if _, err := w.Once(patient(t), worker.EventOnline); err != nil {
				t.Fatal(err)
			}
			if err := w.Terminate(patient(t)); err != nil {
				t.Fatal(err)
			}
			for e := range w.Events(patient(t)) {
				if e.Type == worker.EventError {
					t.Errorf("an error event, %v, of a worker that was terminated", e.Err)
				}
			}
			if err := w.Wait(patient(t)); !errors.Is(err, worker.ErrTerminated) {
				t.Errorf("Wait: %v; want ErrTerminated", err)
			}
		})
	}
}

func TestContextEndsAGuest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := start(t, compile(t, endless(), Limits{}), Options{Context: ctx})
	cancel()
	if err := w.Wait(patient(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v; want context.Canceled", err)
	}
	for _, what := range []string{"sleep", "wait", "flood"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			w := startEcho(t, Options{Args: []string{"echo", what}, Context: ctx})
			if _, err := w.Receive(patient(t)); err != nil { // it is at it
				t.Error(err)
			}
			cancel()
			if err := w.Wait(patient(t)); !errors.Is(err, context.Canceled) {
				t.Errorf("Wait: %v; want context.Canceled", err)
			}
		})
	}
}

func TestGrowthPastTheLimitFailsInside(t *testing.T) {
	for _, pages := range []int{1, 16, 1000} {
		// The half page beyond is none.
		w := start(t, compile(t, greedy(), Limits{MemoryBytes: int64(pages)*pageBytes + pageBytes/2}), Options{})
		exits(t, w, pages)
	}
	if _, err := Compile(t.Context(), handmade{pages: 17}.bytes(), Limits{MemoryBytes: 16 * pageBytes}); err == nil {
		t.Error("a module that needs 17 pages compiles with a limit of 16")
	}
	w := start(t, compile(t, handmade{pages: 1, maxPages: 1 << 16, exit: true, start: body{code: code(
		constant(15), opMemoryGrow, 0, constant(1), opMemoryGrow, 0, opSub, opCall, 0)}}.bytes(), Limits{MemoryBytes: 16 * pageBytes}), Options{})
	exits(t, w, 2) // 1 - -1: its own maximum is beyond, and the limit holds
	w = startEcho(t, Options{Args: []string{"echo", "memory"}})
	exits(t, w, 2)
	if tail := w.StderrTail(); tail == "" {
		t.Error("a Go program that is out of memory says nothing")
	}
}

func TestTablesAreBounded(t *testing.T) {
	exits(t, start(t, compile(t, tabular(), Limits{}), Options{}), maxTableElements/1000)
	if _, err := Compile(t.Context(), handmade{table: maxTableElements + 1}.bytes(), Limits{}); err == nil || !strings.Contains(err.Error(), "tables have") {
		t.Errorf("a table that is too large: %v", err)
	}
}

func exits(t *testing.T, w *Worker, code int) {
	t.Helper()
	_ = w.Wait(patient(t))
	if got, ended := w.ExitCode(); got != code || !ended {
		t.Errorf("exit code %d, ended %v; want %d (%v)", got, ended, code, w.Wait(patient(t)))
	}
}

// The most memory that a process has in RAM, while a guest in it takes all it can.
func TestHostStaysWithinLimit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the high-water mark of a process is in Linux's /proc alone")
	}
	slack := 20 << 20
	if race { // which needs memory of its own for each byte of Go's heap
		slack *= 3
	}
	for guest, least := range map[string]int{"greedy": rssLimit - 1<<20, "bottomless": 4 << 20} {
		cmd := exec.CommandContext(patient(t), os.Args[0])
		cmd.Env = append(os.Environ(), "PACELINE_TEST_RSS="+guest)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var before, after int
		if _, err := fmt.Sscan(string(out), &before, &after); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		t.Logf("%s: %d MiB before, %d MiB after; %s", guest, before>>20, after>>20, out)
		most := slack // of the stack, which is no memory of the guest's
		if guest == "greedy" {
			most += rssLimit
		}
		if grown := after - before; grown > most || grown < least {
			t.Errorf("%s: the host grew by %d bytes; want %d to %d", guest, grown, least, most)
		}
	}
}

func TestTrapHasTheNamesOfFunctions(t *testing.T) {
	names := "\x04name\x01\x06\x01\x00\x03dig" // function 0
	binary := append(bottomless(), sectionCustom, byte(len(names)))
	w := start(t, compile(t, append(binary, names...), Limits{}), Options{})
	if err := w.Wait(patient(t)); err == nil || !strings.Contains(err.Error(), ".dig()") {
		t.Errorf("it ends with %v; want a stack of dig", err)
	}
}

func TestTrapIsAnErrorOfTheWorker(t *testing.T) {
	for name, one := range map[string]struct {
		module handmade
		want   string
	}{
		"unreachable": {handmade{start: body{code: code(opUnreachable)}}, "unreachable"},
		"bottomless":  {handmade{start: body{code: code(opCall, 0)}}, "stack overflow"},
		"outside":     {handmade{pages: 1, start: body{code: code(constant(pageBytes), constant(0), constant(1), opMisc, miscMemoryFill, 0)}}, "out of bounds"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, compile(t, one.module.bytes(), Limits{}), Options{})
			e, err := w.Once(patient(t), worker.EventError)
			if err != nil || !strings.Contains(e.Err.Error(), one.want) {
				t.Errorf("event %v, %v; want an error with %q", e.Err, err, one.want)
			}
		})
	}
}
