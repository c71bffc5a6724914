package wasm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

const (
	pageBytes = 64 << 10 // of WebAssembly
	maxPages  = 1 << 16

	// DefaultMemoryBytes is Limits.MemoryBytes where it is zero.
	DefaultMemoryBytes = 64 << 20
)

// Limits are those of each worker of a Module. The zero value has the defaults.
type Limits struct {
	// MemoryBytes is the most that the linear memory of one worker may have, rounded
	// down to pages of 64 KiB. Zero means DefaultMemoryBytes; at most 4 GiB. A module
	// that needs more than this to begin with is refused by Compile; growth past it
	// fails inside the guest, which goes on.
	MemoryBytes int64
}

// Module is a compiled program, from which any number of workers start. It may be
// used concurrently.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

// Compile compiles a WASI command: a module of WebAssembly 2.0 that imports functions
// of wasi_snapshot_preview1 alone and exports _start, which is what GOOS=wasip1 and
// the wasm32-wasi targets of other compilers make. It takes seconds for a program of
// some megabytes, and its code stays in memory until Close. ctx is for the call alone.
//
// Errors: what in the binary is not such a module, or beyond the limits, and a limit
// that makes no sense.
func Compile(ctx context.Context, binary []byte, limits Limits) (*Module, error) {
	return compileWith(ctx, wazero.NewRuntimeConfig(), binary, limits)
}

// compileWith compiles by the engine that config has chosen.
func compileWith(ctx context.Context, config wazero.RuntimeConfig, binary []byte, limits Limits) (m *Module, err error) {
	if limits.MemoryBytes == 0 {
		limits.MemoryBytes = DefaultMemoryBytes
	}
	pages := limits.MemoryBytes / pageBytes
	if pages < 1 || pages > maxPages {
		return nil, fmt.Errorf("compile WebAssembly: a memory limit of %d bytes is not between 64 KiB and 4 GiB", limits.MemoryBytes)
	}
	hardened, err := harden(binary)
	if err != nil {
		return nil, fmt.Errorf("compile WebAssembly: %w", err)
	}
	defer func() { // the compiler has met something it did not think of
		if p := recover(); p != nil {
			m, err = nil, fmt.Errorf("compile WebAssembly: the compiler failed: %v", p)
		}
	}()
	r := wazero.NewRuntimeWithConfig(ctx, config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(uint32(pages)).
		WithDebugInfoEnabled(false)) // the guard ends guests, not WithCloseOnContextDone
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, fmt.Errorf("set up WASI: %w", err)
	}
	if err := instantiateGuard(ctx, r); err != nil {
		return nil, fmt.Errorf("set up WebAssembly: %w", err)
	}
	compiled, err := r.CompileModule(ctx, hardened)
	if err != nil {
		return nil, fmt.Errorf("compile WebAssembly: %w", err)
	}
	return &Module{runtime: r, compiled: compiled}, nil
}

// Close frees the compiled code. All workers of the module must have ended. It can be
// called again. An error is one of the engine's, and not to be expected.
func (m *Module) Close(ctx context.Context) error {
	if err := m.runtime.Close(ctx); err != nil {
		return fmt.Errorf("close a WebAssembly module: %w", err)
	}
	return nil
}

// process is what a guest has of the outside.
type process struct {
	args           []string
	env            []string
	files          fs.FS
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the life of one instance: it returns its exit code, the trap that ended it,
// or if ctx was done before it ended, why.
func (m *Module) run(ctx context.Context, p process) (code int, err error) {
	config := wazero.NewModuleConfig().
		WithName("").         // else there could be one instance alone
		WithStartFunctions(). // it is called with its guard
		WithArgs(p.args...).
		WithStdin(p.stdin).WithStdout(p.stdout).WithStderr(p.stderr).
		WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().
		WithOsyield(runtime.Gosched).
		WithNanosleep(func(ns int64) {
			t := time.NewTimer(time.Duration(ns))
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		})
	for _, entry := range p.env {
		key, value := split(entry)
		config = config.WithEnv(key, value)
	}
	if p.files != nil {
		config = config.WithFSConfig(wazero.NewFSConfig().WithFSMount(p.files, "/"))
	}
	g := &guard{began: time.Now()}
	g.deadline, _ = ctx.Deadline()
	ctx = context.WithValue(ctx, guardKey{}, g)
	instance, err := m.runtime.InstantiateModule(
		experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocate)), m.compiled, config)
	if err == nil {
		start := instance.ExportedFunction("_start")
		g.watch(start)
		_, err = start.Call(ctx)
		err = errors.Join(err, instance.Close(context.WithoutCancel(ctx)))
	}
	if g.late {
		<-ctx.Done() // at any moment
	}
	if ctx.Err() != nil {
		// Whatever the guest made of it: a sleep that was cut short, an input that ended.
		return 0, context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*sys.ExitError](err); ok {
		return int(exit.ExitCode()), nil
	}
	if err != nil {
		return 0, fmt.Errorf("the guest trapped: %w", err)
	}
	return 0, nil
}

func split(entry string) (key, value string) {
	for i := range entry {
		if entry[i] == '=' && i > 0 {
			return entry[:i], entry[i+1:]
		}
	}
	return entry, ""
}
