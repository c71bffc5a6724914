package supervisor

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paceline/internal/app"
)

func TestSignalReachesTheProcessesAlone(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("api", instances(2)))
		w.start(spec("down"))
		if _, err := w.Stop(ctx, []int{2}); err != nil {
			t.Fatal(err)
		}
		signals := func() (list []string) {
			for _, call := range w.host.said() {
				if strings.HasPrefix(call, "SIGUSR2") {
					list = append(list, call)
				}
			}
			return list
		}
		if list, err := w.Signal([]int{0, 1}, syscall.SIGUSR2); err != nil || len(list) != 2 {
			t.Errorf("got %v, %v", list, err)
		}
		if got := signals(); !slices.Equal(got, []string{"SIGUSR2 0.1 leader", "SIGUSR2 1.1 leader"}) {
			t.Errorf("the host was asked %q", got)
		}
		_, err := w.Signal([]int{0, 2}, syscall.SIGUSR2)
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "down (2) is stopped") || len(signals()) != 2 {
			t.Errorf("one is stopped: %v, and the host was asked %q", err, signals())
		}
		if _, err := w.Signal([]int{9}, syscall.SIGUSR2); !errors.Is(err, ErrNotFound) {
			t.Errorf("no such instance: %v", err)
		}
	})
}

func TestASignalThatEndsAProcessIsAnExit(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("api"))
		if _, err := w.Signal([]int{0}, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pass(0)
		if st := w.is(0, app.Online); st.Restarts != 1 || st.LastExit == nil || st.LastExit.Signal != "SIGKILL" {
			t.Errorf("it is %+v", st)
		}
	})
}
