package supervisor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

// plainServer is an unmodified program whose socket was adopted.
func plainServer() program {
	p := adopted(100*time.Millisecond, "*:3000")
	p.drainTakes, p.stopTakes = 300*time.Millisecond, 10*time.Millisecond
	return p
}

func TestReloadOfAdoptedProgramsOverlaps(t *testing.T) {
	for name, change := range map[string]func(*app.Spec){
		"single instance": instances(1),
		"three instances": func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 3 },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, runs(plainServer()), func(w *world) {
				w.start(spec("api", change))
				pass(time.Second) // nobody waits for a program to listen: it may be no server
				if _, err := w.reloadAll(ReloadOptions{}); err != nil {
					t.Fatal(err)
				}
				calls := w.host.said()
				for id, most := range w.host.overlap {
					if most != 2 {
						t.Errorf("instance %d had %d processes at once, want 2", id, most)
					}
				}
				promoted, drained := slices.Index(calls, "promote 0.2"), slices.Index(calls, "drain 0.1")
				if promoted < 0 || drained < promoted {
					t.Errorf("promoted at %d, drained at %d: %q", promoted, drained, calls)
				}
				if slices.Index(calls, "SIGINT 0.1 tree") < drained {
					t.Errorf("stop signal before the drain: %q", calls)
				}
				for _, p := range w.host.alive() {
					if p.Gen != 2 || !p.Trial {
						t.Errorf("%v, on trial %v, serves after the reload", p.Ref, p.Trial)
					}
				}
			})
		})
	}
}

func TestReloadOfWhatListensOnNothingRestarts(t *testing.T) {
	in(t, runs(program{stopTakes: 10 * time.Millisecond}), func(w *world) {
		w.start(spec("worker"))
		if _, err := w.reloadAll(ReloadOptions{}); err != nil {
			t.Fatal(err)
		}
		if most := w.host.overlap[0]; most != 1 {
			t.Errorf("%d processes at once, want 1: two of a queue's workers need not go together", most)
		}
		if slices.ContainsFunc(w.host.said(), func(c string) bool { return strings.HasPrefix(c, "promote") }) {
			t.Errorf("promoted without a trial: %q", w.host.said())
		}
	})
}

// What listened on a shared port before the daemon died overlaps afterwards too.
func TestRestartedDaemonKnowsSharedPorts(t *testing.T) {
	in(t, runs(plainServer()), func(first *world) {
		first.start(spec("api"))
		pass(time.Second)
		w, err := first.restarted(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.end()
		if _, err := w.reloadAll(ReloadOptions{}); err != nil {
			t.Fatal(err)
		}
		if most := w.host.overlap[0]; most != 2 {
			t.Errorf("%d processes at once, want 2", most)
		}
	})
}

func together(p program) program { p.together = true; return p }

func TestReloadTogetherSwitchesOnce(t *testing.T) {
	in(t, runs(together(plainServer())), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 3 }))
		pass(time.Second)
		// One is named, all are replaced: they take connections from one queue.
		if _, err := w.Reload(ctx, []int{1}, ReloadOptions{}); err != nil {
			t.Fatal(err)
		}
		calls := w.host.said()
		first := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "promote") })
		for id := range 3 {
			started := slices.Index(calls, "start "+string(rune('0'+id))+".2")
			if started < 0 || started > first {
				t.Errorf("instance %d's successor starts after the first takes over: %q", id, calls)
			}
		}
		drained := slices.IndexFunc(calls, func(c string) bool { return strings.HasPrefix(c, "drain") })
		if drained < first {
			t.Errorf("drained before anybody takes over: %q", calls)
		}
		if got := w.serving(); got[0] != 2 || got[1] != 2 || got[2] != 2 {
			t.Errorf("generations %v serve", got)
		}
	})
}

func TestReloadTogetherLeavesAllOnFailure(t *testing.T) {
	bad := together(program{life: 50 * time.Millisecond, exit: app.Exit{Code: 1}})
	run := func(l Launch) program {
		if l.Gen > 1 && l.Index == 1 {
			return bad
		}
		return together(plainServer())
	}
	in(t, run, func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.Mode, s.Instances = app.Cluster, 3 }))
		pass(time.Second)
		_, err := w.reloadAll(ReloadOptions{})
		if !errors.Is(err, ErrReloadFailed) || !strings.Contains(err.Error(), "the old processes keep serving") {
			t.Fatalf("error %v", err)
		}
		pass(10 * time.Second)
		if got := w.host.alive(); len(got) != 3 {
			t.Errorf("%d processes, want the 3 old ones", len(got))
		}
		for _, p := range w.host.alive() {
			if p.Gen != 1 {
				t.Errorf("%v serves", p.Ref)
			}
		}
		if slices.ContainsFunc(w.host.said(), func(c string) bool { return strings.HasPrefix(c, "promote") }) {
			t.Errorf("promoted in spite of the failure: %q", w.host.said())
		}
	})
}
