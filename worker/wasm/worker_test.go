package wasm

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"paceline/worker"
	"paceline/worker/engine"
)

func TestMessages(t *testing.T) {
	w := startEcho(t, Options{Args: []string{"echo", "sort"}})
	for _, list := range [][]int{{1, 4, 2, 0}, {6, 4, 5, 2}, {}} {
		if err := w.Post(list); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][]int{{0, 1, 2, 4}, {2, 4, 5, 6}, {}} {
		got, err := worker.Receive[[]int](patient(t), w)
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	}
	w.CloseInput()
	if err := w.Wait(patient(t)); err != nil {
		t.Error(err)
	}
	if _, err := w.Receive(patient(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("Receive after the end: %v; want ErrClosed", err)
	}
	if err := w.Post(1); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("Post after the end: %v; want ErrClosed", err)
	}
	if err := w.Post(func() {}); err == nil {
		t.Error("a function was posted as JSON")
	}
}

func TestMessagesInV8sForm(t *testing.T) {
	w := startEcho(t, Options{Args: []string{"echo", "v8"}, Encoding: V8})
	when := time.UnixMilli(1_700_000_000_000)
	large, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	sent := map[string]any{"when": when, "large": large, "bytes": []byte{1, 2}}
	if err := w.Post(sent); err != nil {
		t.Fatal(err)
	}
	v, err := w.Receive(patient(t))
	if err != nil {
		t.Fatalf("%v; %s", err, w.StderrTail())
	}
	got, _ := v.(map[string]any)
	if at, _ := got["when"].(time.Time); !at.Equal(when) || got["seen"] != true || !bytes.Equal(got["bytes"].([]byte), []byte{1, 2}) ||
		got["large"].(*big.Int).Cmp(large) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestGuestHasWhatItIsGiven(t *testing.T) {
	type seen struct {
		Args   []string `json:"args"`
		Env    []string `json:"env"`
		Files  []string `json:"files"`
		Text   string   `json:"text"`
		Listed bool     `json:"listed"`
		Read   bool     `json:"read"`
		Wrote  bool     `json:"wrote"`
	}
	w := startEcho(t, Options{Args: []string{"echo", "environment"}})
	got, err := worker.Receive[seen](patient(t), w)
	if err != nil || len(got.Env) != 0 || got.Listed || got.Read || got.Wrote {
		t.Errorf("given nothing it has %+v, %v", got, err)
	}

	var stderr recorder
	w = startEcho(t, Options{
		Args: []string{"echo", "environment", "ü"}, Env: []string{"A=1", "B=x=y"}, Stderr: &stderr,
		FS: fstest.MapFS{"greeting.txt": {Data: []byte("hello")}},
	})
	got, err = worker.Receive[seen](patient(t), w)
	want := seen{
		Args: []string{"echo", "environment", "ü"}, Env: []string{"A=1", "B=x=y"}, Files: []string{"greeting.txt"},
		Text: "hello", Listed: true, Read: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it has %+v, %v; want %+v", got, err, want)
	}
	if err := w.Wait(patient(t)); err != nil {
		t.Error(err)
	}
	if want := []string{"3 arguments\n", "[\"A=1\" \"B=x=y\"]\n"}; !reflect.DeepEqual(stderr.writes(), want) {
		t.Errorf("standard error %q; want %q", stderr.writes(), want)
	}
}

func TestExitCodeAndPanic(t *testing.T) {
	w := startEcho(t, Options{Args: []string{"echo", "exit"}})
	exits(t, w, 7)
	for e := range w.Events(patient(t)) {
		if e.Type == worker.EventError {
			t.Errorf("an exit code is an error event: %v", e.Err)
		}
	}
	w = startEcho(t, Options{Args: []string{"echo", "panic"}})
	exits(t, w, 2)
	if !strings.Contains(w.StderrTail(), "panic: so it is") {
		t.Errorf("its last words: %q", w.StderrTail())
	}
}

func TestOutputThatIsNoMessage(t *testing.T) {
	w := startEcho(t, Options{Args: []string{"echo", "text"}})
	e, err := w.Once(patient(t), worker.EventError)
	if err != nil || !strings.Contains(e.Err.Error(), "its output is no message") {
		t.Errorf("event %v, %v", e.Err, err)
	}
	exits(t, w, 1)
}

func TestQueuesAreBounded(t *testing.T) {
	const limit = 20 << 10
	w := startEcho(t, Options{Args: []string{"echo", "flood"}, QueueBytes: limit})
	for range 20 { // the guest waits for room, and loses nothing
		if v, err := w.Receive(patient(t)); err != nil || len(v.(string)) != (2<<10+2)/3*4 {
			t.Fatalf("%.40v, %v", v, err)
		}
	}
	if err := w.Post(strings.Repeat("x", limit)); !isSize(err) {
		t.Errorf("a message larger than its queue: %v; want a *SizeError", err)
	}
	var err error
	for i := 0; i < 1000 && err == nil; i++ { // it reads none
		err = w.Post(strings.Repeat("x", 1<<10))
	}
	if !errors.Is(err, worker.ErrQueueFull) {
		t.Errorf("posts without end: %v; want ErrQueueFull", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Send(ctx, strings.Repeat("x", 1<<10)); !errors.Is(err, context.Canceled) {
		t.Errorf("Send to a full queue: %v; want context.Canceled", err)
	}
}

func isSize(err error) bool { _, ok := errors.AsType[*engine.SizeError](err); return ok }

func TestManyWorkersOfOneModule(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			w := startEcho(t, Options{Args: []string{"echo", "sort"}})
			for n := range 3 {
				if err := w.Post([]int{i, n, -1}); err != nil {
					t.Error(err)
				}
				got, err := worker.Receive[[]int](patient(t), w)
				if err != nil || len(got) != 3 || got[0] != -1 || got[1]+got[2] != i+n {
					t.Errorf("worker %d: got %v, %v", i, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestOptionsAreChecked(t *testing.T) {
	m := compile(t, endless(), Limits{})
	if _, err := m.Start(Options{Timeout: -1}); err == nil {
		t.Error("a negative timeout is taken")
	}
	if _, err := m.Start(Options{QueueBytes: -1}); err == nil {
		t.Error("a negative queue is taken")
	}
	for _, n := range []int64{-1, 1, 5 << 30} {
		if _, err := Compile(t.Context(), endless(), Limits{MemoryBytes: n}); err == nil {
			t.Errorf("a memory limit of %d is taken", n)
		}
	}
}

// recorder is a Writer that keeps each Write.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, string(b))
	return len(b), nil
}

func (r *recorder) writes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}
