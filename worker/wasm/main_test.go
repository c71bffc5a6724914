package wasm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

// patience is how long something may take that must happen: a machine may be busy.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if guest := os.Getenv("PACELINE_TEST_RSS"); guest != "" {
		if err := rss(guest); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

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

// echoLimit is the memory of testdata/echo.
const echoLimit = 32 << 20

// echo is testdata/echo, built and compiled once: it takes seconds.
var echo = sync.OnceValues(func() (*Module, error) {
	dir, err := os.MkdirTemp("", "paceline-wasm-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "echo.wasm")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "./testdata/echo")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest: %w\n%s", err, out)
	}
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := wazero.NewRuntimeConfig()
	if race { // in which the compiler needs half a minute
		config = wazero.NewRuntimeConfigInterpreter()
	}
	return compileWith(context.Background(), config, binary, Limits{MemoryBytes: echoLimit})
})

func startEcho(t testing.TB, o Options) *Worker {
	t.Helper()
	m, err := echo()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, m, o)
}

func start(t testing.TB, m *Module, o Options) *Worker {
	t.Helper()
	w, err := m.Start(o)
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
