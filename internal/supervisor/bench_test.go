package supervisor

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"paceline/internal/app"
)

// instantHost starts and ends processes without any work, so that what is
// measured is the supervisor's own.
type instantHost struct {
	mu    sync.Mutex // guards sinks
	sinks map[Ref]func(Fact)
	begun chan Ref // gets each start, if not nil
}

func newInstantHost() *instantHost { return &instantHost{sinks: map[Ref]func(Fact){}} }

func (h *instantHost) Start(l Launch, sink func(Fact)) (int, time.Time, error) {
	h.mu.Lock()
	h.sinks[l.Ref] = sink
	h.mu.Unlock()
	if h.begun != nil {
		h.begun <- l.Ref
	}
	return 1 + l.ID, time.Now(), nil
}

func (h *instantHost) Adopt(Launch, func(Fact)) (int, time.Time, error) {
	return 0, time.Time{}, ErrNoProcess
}

func (h *instantHost) Signal(r Ref, _ syscall.Signal, _ bool) error {
	h.end(r, app.Exit{})
	return nil
}

func (h *instantHost) end(r Ref, exit app.Exit) {
	h.mu.Lock()
	sink := h.sinks[r]
	h.mu.Unlock()
	exit.At = time.Now()
	sink(Exited{Exit: exit})
	sink(Gone{})
}

func (h *instantHost) Message(Ref, []byte) error { return ErrNoProcess }
func (h *instantHost) Drain(Ref) bool            { return false }
func (h *instantHost) Promote(Ref)               {}
func (h *instantHost) Rotate(Ref, bool)          {}
func (h *instantHost) Examine(Ref, string, bool) {}
func (h *instantHost) Together(string) bool      { return false }
func (h *instantHost) Save(int, []byte)          {}
func (h *instantHost) SaveSpec(string, []byte)   {}

func (h *instantHost) Forget(r Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sinks, r)
}

// Start and delete 500 instances; what one of them takes in memory.
func BenchmarkStartAndDelete500(b *testing.B) {
	s := New(Options{Host: newInstantHost()})
	defer s.Close()
	memory := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	use, first := int64(0), true
	for b.Loop() {
		b.StopTimer()
		before := memory()
		b.StartTimer()
		if _, err := s.Start(ctx, []app.Spec{spec("api", instances(500))}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if first {
			use, first = memory()-before, false
		}
		b.StartTimer()
		ids, err := s.Resolve([]string{"all"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Delete(ctx, ids); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(use)/500, "bytes/instance")
}

// From the news of an exit to the host's Start of the next process.
func BenchmarkCrashToStart(b *testing.B) {
	h := newInstantHost()
	h.begun = make(chan Ref, 1)
	s := New(Options{Host: h})
	defer s.Close()
	go func() {
		if _, err := s.Start(ctx, []app.Spec{spec("api", func(s *app.Spec) { s.MinUptime = 0 })}); err != nil {
			b.Error(err)
		}
	}()
	ref := <-h.begun
	for b.Loop() {
		for s.one(0).PID == 0 { // until Start has been taken in
			runtime.Gosched()
		}
		h.end(ref, app.Exit{Code: 1})
		ref = <-h.begun
	}
}

// one is the status of an id, for the benchmark's polling.
func (s *Supervisor) one(id int) app.Status {
	for _, st := range s.List() {
		if st.ID == id {
			return st
		}
	}
	return app.Status{}
}

func BenchmarkList500(b *testing.B) {
	s := New(Options{Host: newInstantHost()})
	defer s.Close()
	if _, err := s.Start(ctx, []app.Spec{spec("api", instances(500))}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.List()
	}
}
