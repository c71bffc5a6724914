package watch

import (
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
)

const errNoWatches = syscall.ENOSPC

func TestRemedy(t *testing.T) {
	for err, want := range map[error]string{
		fmt.Errorf("add: %w", syscall.ENOSPC):  "max_user_watches",
		&instanceError{syscall.EMFILE}:         "max_user_instances",
		fmt.Errorf("open: %w", syscall.EACCES): "",
	} {
		if got := remedy(err); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("remedy of %v: %q, want %q", err, got, want)
		}
	}
}

func TestOverflowLooksAtEverythingAgain(t *testing.T) {
	b := newBench(t, Options{})
	b.mkdir("app/x")
	b.watch(Rule{})
	// What happened while the kernel dropped events: no event tells of the folder.
	l := newLoop(b.w, Options{Log: slog.New(slog.DiscardHandler)})
	l.sync(map[string]Rule{"api": {Paths: []string{b.app}, Base: b.app}})
	defer l.notify.Close()
	b.remove("app/x")
	b.mkdir("app/new/deep")
	l.fault(fsnotify.ErrEventOverflow)
	if l.folders[b.path("app/x")] != nil || l.folders[b.path("app/new/deep")] == nil {
		t.Errorf("watched after the overflow: %v", l.folders)
	}
	if len(l.subjects["api"].changed) == 0 {
		t.Error("the app does not count as changed")
	}
}
