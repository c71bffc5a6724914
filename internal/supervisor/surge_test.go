package supervisor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

func replacing(s *app.Spec) { s.OnHang = app.HangReplace }

// inOrder checks that these calls were made, one after the other.
func inOrder(t *testing.T, calls []string, want ...string) {
	t.Helper()
	at := -1
	for _, call := range want {
		i := slices.Index(calls[at+1:], call)
		if i < 0 {
			t.Fatalf("no %q at its place in %q", call, calls)
		}
		at += 1 + i
	}
}

// A process that hangs leaves the rotation, a successor comes up, and it is looked at
// before it is ended.
func TestHungIsReplacedBySurge(t *testing.T) {
	for name, fact := range map[string]Fact{
		"queue": Hung{Why: "accepts nothing"}, "liveness": Checked{Check: "liveness", Why: "no answer within 2s", Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			bad := plainServer()
			bad.says = append(bad.says, saying{time.Minute, fact})
			in(t, runsInTurn(bad, plainServer()), func(w *world) {
				w.start(spec("api", replacing))
				pass(2 * time.Minute)
				inOrder(t, w.host.said(), "rotate 0.1 false", "start 0.2", "promote 0.2", "drain 0.1", "examine 0.1 true", "SIGINT 0.1 tree")
				if st := w.is(0, app.Online); st.Restarts != 1 || st.Gen != 2 || w.happened(app.EventHang) != 1 {
					t.Errorf("now %+v, %d hangs", st, w.happened(app.EventHang))
				}
			})
		})
	}
}

// Nothing is done to it unless the app says so.
func TestHungIsReported(t *testing.T) {
	bad := plainServer()
	bad.says = append(bad.says, saying{time.Minute, Hung{Why: "accepts nothing"}})
	in(t, runs(bad), func(w *world) {
		w.start(spec("api"))
		pass(90 * time.Second)
		calls := w.host.said()
		inOrder(t, calls, "examine 0.1 false")
		if st := w.is(0, app.Online); st.Restarts != 0 || st.Gen != 1 || w.happened(app.EventHang) != 1 {
			t.Errorf("now %+v, %d hangs", st, w.happened(app.EventHang))
		}
	})
}

// A liveness check that fails with an answer ends the process as any reload does. Where
// no successor comes up the restart rules follow; so they do where all copies take from
// one queue.
func TestUnfitIsReplaced(t *testing.T) {
	unfit := plainServer()
	unfit.says = append(unfit.says, saying{time.Minute, Checked{Check: "liveness", Why: "status 500"}})
	broken := program{life: 10 * time.Millisecond, exit: app.Exit{Code: 1}}
	t.Run("surge", func(t *testing.T) {
		in(t, runsInTurn(unfit, plainServer()), func(w *world) {
			w.start(spec("api", checked("liveness")))
			pass(2 * time.Minute)
			calls := w.host.said()
			inOrder(t, calls, "rotate 0.1 false", "start 0.2", "promote 0.2", "drain 0.1", "SIGINT 0.1 tree")
			if strings.Contains(strings.Join(calls, " "), "examine") {
				t.Errorf("one that answers is examined: %q", calls)
			}
		})
	})
	t.Run("no successor", func(t *testing.T) {
		in(t, runsInTurn(unfit, broken, plainServer()), func(w *world) {
			w.start(spec("api", checked("liveness")))
			pass(2 * time.Minute)
			inOrder(t, w.host.said(), "rotate 0.1 false", "start 0.2", "SIGINT 0.1 tree", "start 0.3")
			w.is(0, app.Online)
		})
	})
	t.Run("together", func(t *testing.T) {
		in(t, func(l Launch) program {
			if l.ID == 0 && l.Gen == 1 {
				return together(unfit)
			}
			return together(plainServer())
		}, func(w *world) {
			w.start(spec("api", checked("liveness"), func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 2 }))
			pass(2 * time.Minute)
			inOrder(t, w.host.said(), "rotate 0.1 false", "SIGINT 0.1 tree", "start 0.2")
			if st := w.is(1, app.Online); st.Gen != 1 {
				t.Errorf("the other copy was replaced as well: %+v", st)
			}
		})
	})
}

// What the checks say decides about the rotation, from the start.
func TestReadinessRotates(t *testing.T) {
	in(t, runs(program{says: []saying{
		{time.Second, Checked{Check: "readiness", OK: true}},
		{time.Minute, Checked{Check: "readiness", Why: "status 503"}},
		{2 * time.Minute, Checked{Check: "readiness", OK: true}},
	}}), func(w *world) {
		w.start(spec("api", checked("readiness")))
		pass(3 * time.Minute)
		var told []string
		for _, call := range w.host.said() {
			if strings.HasPrefix(call, "rotate") {
				told = append(told, call)
			}
		}
		if want := []string{"rotate 0.1 true", "rotate 0.1 false", "rotate 0.1 true"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
