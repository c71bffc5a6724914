package js

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// patience is how long something may take that must happen: a machine may be busy.
const patience = 60 * time.Second

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func start(t testing.TB, script string, o Options) *Worker {
	t.Helper()
	w, err := New(script, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Terminate(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// buffer is what a program has printed.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}
