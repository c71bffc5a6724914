package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

func dependsOn(name string, c app.Condition) func(*app.Spec) {
	return func(s *app.Spec) { s.DependsOn = append(s.DependsOn, app.Dependency{App: name, Condition: c}) }
}

// byName runs a program for each app.
func byName(programs map[string]program) func(Launch) program {
	return func(l Launch) program { return programs[l.Spec.Name] }
}

func TestDependsOnReady(t *testing.T) {
	in(t, byName(map[string]program{"db": listens(time.Second, "*:5432")}), func(w *world) {
		w.start(spec("web", dependsOn("db", app.DependReady)), spec("db", cluster(2)))
		web, db := w.one(0), w.one(1)
		if web.State != app.Online || !web.StartedAt.After(db.StartedAt.Add(time.Second-1)) {
			t.Errorf("web is %s, started %s after db", web.State, web.StartedAt.Sub(db.StartedAt))
		}
		// A crash of web does not wait for anybody.
		w.host.die(w.host.process(0), app.Exit{Code: 1})
		pass(10 * time.Millisecond)
		w.is(0, app.Online)
	})
}

func TestDependsOnWithoutSign(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("queue"), spec("web", dependsOn("queue", app.DependReady)), spec("log", dependsOn("queue", app.DependStarted)))
		queue, web, log := w.one(0), w.one(1), w.one(2)
		if d := web.StartedAt.Sub(queue.StartedAt); d < 3*time.Second {
			t.Errorf("web was started %s after an app that may still have been about to listen", d)
		}
		if d := log.StartedAt.Sub(queue.StartedAt); d > time.Second {
			t.Errorf("log was started %s after what it need not wait for", d)
		}
	})
}

func TestDependsOnCompleted(t *testing.T) {
	job := func(s *app.Spec) { s.NoAutorestart = true }
	for name, c := range map[string]struct {
		exit app.Exit
		want app.State
		why  string
	}{
		"well":  {app.Exit{}, app.Online, ""},
		"badly": {app.Exit{Code: 3}, app.Waiting, "waits for migrate to complete, which is stopped (exit code 3 after 2s)"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, byName(map[string]program{"migrate": {life: 2 * time.Second, exit: c.exit}}), func(w *world) {
				_, err := w.Start(context.Background(), []app.Spec{spec("migrate", job), spec("web", dependsOn("migrate", app.DependCompleted))})
				if st := w.one(1); st.State != c.want || st.Reason != c.why {
					t.Errorf("web is %s (%s)", st.State, st.Reason)
				}
				if failed := errors.Is(err, ErrStartFailed); failed != (c.why != "") {
					t.Errorf("start: %v", err)
				}
			})
		})
	}
}

func TestDependsOnMissing(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		ctx := context.Background()
		_, err := w.Start(ctx, []app.Spec{spec("web", dependsOn("db", app.DependStarted)), spec("edge", dependsOn("web", app.DependStarted))})
		if !errors.Is(err, ErrStartFailed) || !strings.Contains(err.Error(), "waits for db, which is not there") {
			t.Errorf("start: %v", err)
		}
		if st := w.one(1); st.Reason != "waits for web, which waits for db, which is not there" {
			t.Errorf("edge: %s (%s)", st.State, st.Reason)
		}
		w.start(spec("db"))
		pass(time.Millisecond)
		w.is(0, app.Online)
		w.is(1, app.Online)
		// What was held can be stopped, and started again.
		if _, err := w.Delete(ctx, []int{2}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Restart(ctx, []int{1}); err != nil { // running: no wait
			t.Fatal(err)
		}
		if _, err := w.Stop(ctx, []int{0, 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Restart(ctx, []int{1}); !errors.Is(err, ErrStartFailed) {
			t.Errorf("restart: %v", err)
		}
		w.is(1, app.Waiting)
		if _, err := w.Stop(ctx, []int{1}); err != nil {
			t.Fatal(err)
		}
		w.is(1, app.Stopped)
	})
}

// TestRestoreInOrder: what comes back after a reboot comes in the order of depends_on.
func TestRestoreInOrder(t *testing.T) {
	after(t, byName(map[string]program{"db": listens(time.Second, "*:5432")}), func(w *world) {
		w.start(spec("web", dependsOn("db", app.DependReady)), spec("db", cluster(1)))
		w.Close()
		w.host.mu.Lock()
		defer w.host.mu.Unlock()
		clear(w.host.processes)
		clear(w.host.overlap)
	}, func(w *world) {
		pass(5 * time.Second)
		web, db := w.one(0), w.one(1)
		if web.State != app.Online || web.StartedAt.Before(db.StartedAt.Add(time.Second)) {
			t.Errorf("web is %s, started %s after db", web.State, web.StartedAt.Sub(db.StartedAt))
		}
	}, nil)
}

func TestSlowRetry(t *testing.T) {
	in(t, runsInTurn(
		program{life: time.Millisecond, exit: app.Exit{Code: 1}}, program{life: time.Millisecond, exit: app.Exit{Code: 1}},
		program{life: time.Millisecond, exit: app.Exit{Code: 1}}, program{},
	), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.MaxRestarts = 2 }))
		pass(time.Second)
		w.is(0, app.Errored)
		if st := w.one(0); st.NextRestart.IsZero() {
			t.Error("nobody is told when it is tried again")
		}
		pass(app.SlowRetry + time.Second)
		w.is(0, app.Errored) // once more, and no more than once
		if n := w.happened(app.EventOverlimit); n != 1 {
			t.Errorf("given up %d times", n)
		}
		pass(app.SlowRetry)
		w.is(0, app.Online)
	})
}
