package supervisor

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

// saw reports whether an event that holds f has happened.
func (w *world) saw(f func(app.Event) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.events, f)
}

func TestFilesChanged(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		ctx := context.Background()
		watched := func(s *app.Spec) { s.Watch = &app.Watch{} }
		w.start(spec("api", instances(2), watched), spec("web"))
		if err := w.FilesChanged(ctx, "api", "/src/a.js"); err != nil {
			t.Fatal(err)
		}
		if a, b, other := w.one(0), w.one(1), w.one(2); a.Restarts != 1 || b.Restarts != 1 || other.Restarts != 0 {
			t.Errorf("restarts %d %d, of the other app %d", a.Restarts, b.Restarts, other.Restarts)
		}
		if !w.saw(func(e app.Event) bool { return e.Type == app.EventRestart && e.Detail == "changed: /src/a.js" }) {
			t.Error("no event names the file")
		}
		// A stop switches the watch off, and what is stopped is not started by it.
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		if s := w.Apps()[0]; s.Watching() || s.Watch == nil {
			t.Errorf("after a stop: watch %+v", s.Watch)
		}
		if err := w.FilesChanged(ctx, "api", "x"); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Stopped)
		if err := w.Watch(ctx, "api", true); err != nil || !w.Apps()[0].Watching() || !w.file().Apps[0].Spec.Watching() {
			t.Errorf("watch on again: %v, %+v", err, w.Apps()[0].Watch)
		}
	})
}

func TestCron(t *testing.T) {
	in(t, runs(listens(0, "*:80")), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", cluster(2)), spec("worker"), spec("idle"))
		if _, err := w.Stop(ctx, []int{3}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"api", "worker", "idle", "gone"} {
			if err := w.Cron(ctx, name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := w.happened(app.EventReload); n != 2 {
			t.Errorf("%d workers were reloaded, want 2", n)
		}
		if st := w.one(2); st.Restarts != 1 {
			t.Errorf("the worker has %d restarts", st.Restarts)
		}
		w.is(3, app.Stopped)
	})
}

func TestOverMemory(t *testing.T) {
	in(t, runs(listens(0, "*:80")), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", cluster(2)))
		st := w.one(0)
		if err := w.OverMemory(ctx, 0, st.Gen+1, 300<<20); err != nil || w.happened(app.EventReload) != 0 {
			t.Errorf("another process was measured: %v", err)
		}
		if err := w.OverMemory(ctx, 0, st.Gen, 300<<20); err != nil {
			t.Fatal(err)
		}
		if w.one(0).Gen == st.Gen || w.one(0).Restarts != 1 || w.one(1).Restarts != 0 {
			t.Errorf("now %+v", w.List())
		}
		if !w.saw(func(e app.Event) bool { return strings.Contains(e.Detail, "uses 300 MB") }) {
			t.Error("nobody is told why")
		}
	})
}

func TestJob(t *testing.T) {
	in(t, runs(program{life: time.Minute, exit: app.Exit{Code: 4}}), func(w *world) {
		ctx := context.Background()
		w.start(spec("backup", func(s *app.Spec) { s.Job = "0 3 * * *" }), spec("lazy", func(s *app.Spec) { s.NoAutostart = true }))
		w.is(0, app.Stopped)
		w.is(1, app.Stopped)
		if w.happened(app.EventStart) != 0 {
			t.Error("something was started")
		}
		if err := w.RunJob(ctx, "backup"); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Online)
		if err := w.RunJob(ctx, "backup"); err != nil || w.happened(app.EventStart) != 1 {
			t.Errorf("a second run beside the first: %v", err)
		}
		pass(2 * time.Minute)
		st := w.is(0, app.Stopped)
		if st.LastExit == nil || st.LastExit.Code != 4 || st.Restarts != 0 {
			t.Errorf("after the run: %+v", st)
		}
		// A start by hand runs it now.
		if _, err := w.Restart(ctx, []int{0, 1}); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Online)
		w.is(1, app.Online)
	})
}

// TestRestingSurvives: what was only listed is so after a restart of the daemon.
func TestRestingSurvives(t *testing.T) {
	after(t, runs(program{}), func(w *world) {
		w.start(spec("lazy", func(s *app.Spec) { s.NoAutostart = true }))
	}, func(w *world) {
		pass(time.Second)
		w.is(0, app.Stopped)
	}, nil)
}
