package wasm

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// maxStackBytes is when a guest's stack has overflown: at the engine's next size after
// it, of 5 MiB. So half of that at least can be used. (V8's guests have 1 MB.)
const maxStackBytes = 4 << 20

var errStack = errors.New("stack overflow")

// turn is how long a guest runs while other goroutines wait for a processor. Go's own
// scheduler lets each run for 10 ms, and looks at its timers between two only: with a
// guest on each processor, deadlines would be late by that, and by a multiple with more.
const turn = time.Millisecond

// guard is what a hardened module calls every now and then (see harden.go). It runs on
// the guest's goroutine.
type guard struct {
	stack    reflect.Value // the engine's, as a slice; zero in the interpreter, which counts frames itself
	deadline time.Time     // zero if there is none
	late     bool          // it has been ended at its deadline
	began    time.Time     // the present turn
}

type guardKey struct{}

// watch has the guard look at the stack that calls of f use. It reads a field of the
// engine that is not exported; in a version in which it has another name the test
// that measures a guest's stack fails.
func (g *guard) watch(f api.Function) {
	if v := reflect.ValueOf(f); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if stack := v.Elem().FieldByName("stack"); stack.IsValid() && stack.Type() == reflect.TypeFor[[]byte]() {
			g.stack = stack
		}
	}
}

func (g *guard) check(ctx context.Context) {
	if ctx.Err() != nil {
		panic(sys.NewExitError(sys.ExitCodeContextCanceled))
	}
	now := time.Now()
	if !g.deadline.IsZero() && !now.Before(g.deadline) { // the timer of ctx waits for a processor
		g.late = true
		panic(sys.NewExitError(sys.ExitCodeDeadlineExceeded))
	}
	if now.Sub(g.began) >= turn {
		runtime.Gosched()
		g.began = time.Now()
	}
	if g.stack.IsValid() && g.stack.Len() > maxStackBytes {
		panic(errStack)
	}
}

// instantiateGuard makes the guard's function for modules of r to import.
func instantiateGuard(ctx context.Context, r wazero.Runtime) error {
	_, err := r.NewHostModuleBuilder(guardModule).NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
			if g, ok := ctx.Value(guardKey{}).(*guard); ok {
				g.check(ctx)
			}
		}), nil, nil).Export(guardName).Instantiate(ctx)
	return err
}
