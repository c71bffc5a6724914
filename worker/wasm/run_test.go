package wasm

import (
	"context"
	"testing"
	"time"
)

func compile(t testing.TB, binary []byte, limits Limits) *Module {
	t.Helper()
	m, err := Compile(t.Context(), binary, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestTry(t *testing.T) {
	for name, b := range map[string][]byte{"endless": endless(), "recursive": recursive(), "bottomless": bottomless(), "greedy": greedy()} {
		m := compile(t, b, Limits{MemoryBytes: 8 << 20})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		code, err := m.run(ctx, process{})
		t.Log(name, code, err, time.Since(began))
		cancel()
	}
}
