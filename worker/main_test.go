package worker_test

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// TestMain fails if a goroutine is left of any test.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leaked are the goroutines of this module that do not end, for as long as a busy
// machine may need to end them.
func leaked() string {
	var left string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		left = ours()
		if left == "" {
			return ""
		}
		<-time.After(10 * time.Millisecond)
	}
	return left
}

func ours() string {
	var all strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&all, 2); err != nil {
		return err.Error()
	}
	var left []string
	for i, one := range strings.Split(all.String(), "\n\n") {
		if i > 0 && strings.Contains(one, "paceline/worker") { // the first is this one
			left = append(left, one)
		}
	}
	return strings.Join(left, "\n\n")
}

// enough is a context for what must happen, however busy the machine is.
func enough(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// pause lets others go on, between two looks at something that tells nobody.
func pause() { <-time.After(time.Millisecond) }
