package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"paceline/internal/app"
)

func TestIdsGrowAndStartAnewWhenAllIsGone(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("a", instances(2)))
		w.start(spec("b"))
		if _, err := w.Delete(ctx, []int{2}); err != nil {
			t.Fatal(err)
		}
		if st := w.start(spec("c"))[0]; st.ID != 3 {
			t.Errorf("the next id is %d, want 3", st.ID)
		}
		if _, err := w.Delete(ctx, []int{0, 1, 3}); err != nil {
			t.Fatal(err)
		}
		if len(w.List()) != 0 || len(w.host.records) != 0 || len(w.host.specs) != 0 {
			t.Errorf("left: %v %v %v", w.List(), w.host.records, w.host.specs)
		}
		if st := w.start(spec("d"))[0]; st.ID != 0 {
			t.Errorf("the id after all is gone is %d, want 0", st.ID)
		}
		if got := w.happened(app.EventDelete); got != 4 {
			t.Errorf("%d delete events, want 4", got)
		}
	})
}

func TestStartOfANameThatExists(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("api", instances(3)))
		if _, err := w.Start(ctx, []app.Spec{spec("web"), spec("api")}); !errors.Is(err, ErrExists) || len(w.List()) != 3 {
			t.Errorf("got %v with %d instances, want ErrExists and nothing started", err, len(w.List()))
		}
		if _, err := w.Stop(ctx, []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		list := w.start(spec("api", instances(2), func(s *app.Spec) { s.Exec = "/bin/api2" }))
		if len(list) != 2 || list[1].ID != 1 || list[1].State != app.Online {
			t.Errorf("started %+v", list)
		}
		synctest.Wait()
		if len(w.List()) != 2 || w.host.alive()[0].Spec.Exec != "/bin/api2" {
			t.Errorf("now %+v", w.List())
		}
	})
}

func TestStartRefusesNonsense(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		for _, specs := range [][]app.Spec{{{}}, {spec("a"), spec("a")}, {spec("a", instances(0))}} {
			if _, err := w.Start(ctx, specs); !errors.Is(err, app.ErrInvalid) {
				t.Errorf("%+v: got %v, want ErrInvalid", specs, err)
			}
		}
		if len(w.List()) != 0 {
			t.Errorf("started %+v", w.List())
		}
	})
}

func TestLaunchesAreBounded(t *testing.T) {
	in(t, runs(program{startTakes: time.Second}), func(w *world) {
		began := time.Now()
		w.start(spec("api", instances(32)))
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("32 starts of a second took %s, want 4s", took)
		}
		if w.host.mostAtOnce != maxLaunches {
			t.Errorf("%d at once, want %d", w.host.mostAtOnce, maxLaunches)
		}
	})
}

func TestScale(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(2)), spec("web", cluster(1)))
		list, err := w.Scale(ctx, "api", 4)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(list); !slices.Equal(got, []int{0, 1, 3, 4}) || list[3].Index != 3 || !list[3].Ready {
			t.Fatalf("scaled to %+v", list)
		}
		if _, err := w.Scale(ctx, "api", 4); !errors.Is(err, ErrUnchanged) || !strings.Contains(err.Error(), "already 4 instances") {
			t.Errorf("the same again: %v", err)
		}
		// Of those that go, requests are finished; the highest index goes first.
		if list, err = w.Scale(ctx, "api", 1); err != nil || !slices.Equal(ids(list), []int{0}) {
			t.Fatalf("scaled down to %+v, %v", list, err)
		}
		if calls := w.host.said(); !slices.Contains(calls, "drain 4.1") || !slices.Contains(calls, "drain 1.1") {
			t.Errorf("calls %q", calls)
		}
		if got := w.Apps()[0].Instances; got != 1 {
			t.Errorf("the spec says %d instances", got)
		}
		// Indexes are used again, ids are not.
		if list, err = w.Scale(ctx, "api", 2); err != nil || list[1].ID != 5 || list[1].Index != 1 {
			t.Errorf("scaled up to %+v, %v", list, err)
		}
		for name, n := range map[string]int{"nope": 3, "api": 0, "web": app.MaxInstances + 1} {
			if _, err := w.Scale(ctx, name, n); !errors.Is(err, ErrNotFound) && !errors.Is(err, app.ErrInvalid) {
				t.Errorf("scale %s %d: %v", name, n, err)
			}
		}
	})
}

func ids(list []app.Status) []int {
	var ids []int
	for _, st := range list {
		ids = append(ids, st.ID)
	}
	return ids
}

func TestResolve(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		if _, err := w.Resolve([]string{"all"}); !errors.Is(err, ErrNotFound) {
			t.Errorf("all of nothing: %v", err)
		}
		w.start(
			spec("api", instances(2)),
			spec("web", func(s *app.Spec) { s.Namespace = "front" }),
			spec("front", func(s *app.Spec) { s.Namespace = "back" }),
			spec("api-2"),
		)
		for target, want := range map[string][]int{
			"all": {0, 1, 2, 3, 4}, "api": {0, 1}, "2": {2}, "/^api/": {0, 1, 4}, "/eb|nt/": {2, 3},
			"front": {3}, "back": {3}, "default": {0, 1, 4}, "/bin/web": {2}, "/bin/../bin/web": {2},
		} {
			if got, err := w.Resolve([]string{target}); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %v, %v; want %v", target, got, err, want)
			}
		}
		if got, err := w.Resolve([]string{"4", "api", "0", "api"}); err != nil || !slices.Equal(got, []int{0, 1, 4}) {
			t.Errorf("several: got %v, %v", got, err)
		}
		for target, want := range map[string]error{
			"nope": ErrNotFound, "9": ErrNotFound, "-1": ErrNotFound, "/x/": ErrNotFound, "/(/": ErrTarget,
			"": ErrNotFound, "/": ErrNotFound, "99999999999999999999": ErrNotFound,
		} {
			if _, err := w.Resolve([]string{"api", target}); !errors.Is(err, want) || !strings.Contains(err.Error(), target) {
				t.Errorf("%q: got %v, want %v naming it", target, err, want)
			}
		}
		if _, err := w.Resolve(nil); !errors.Is(err, ErrTarget) {
			t.Errorf("no target: %v", err)
		}
		if _, err := w.Stop(ctx, []int{0, 77}); !errors.Is(err, ErrNotFound) || w.one(0).State != app.Online {
			t.Errorf("an id that is not there: %v, and instance 0 is %s", err, w.one(0).State)
		}
	})
}

func TestNothingChangesIfItCannotBeSaved(t *testing.T) {
	full := errors.New("no space left on device")
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(2)), spec("web"))
		if _, err := w.Stop(ctx, []int{2}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		before, calls := w.List(), w.host.said()
		w.mu.Lock()
		w.saveErr = full
		w.mu.Unlock()
		for name, do := range map[string]func() error{
			"start":       func() error { _, err := w.Start(ctx, []app.Spec{spec("new"), spec("new2")}); return err },
			"start again": func() error { _, err := w.Start(ctx, []app.Spec{spec("web", instances(3))}); return err },
			"stop":        func() error { _, err := w.Stop(ctx, []int{0, 1}); return err },
			"delete":      func() error { _, err := w.Delete(ctx, []int{0}); return err },
			"restart":     func() error { _, err := w.Restart(ctx, []int{2}); return err },
			"scale up":    func() error { _, err := w.Scale(ctx, "api", 3); return err },
			"scale down":  func() error { _, err := w.Scale(ctx, "api", 1); return err },
			"update":      func() error { return w.Update(ctx, []app.Spec{spec("web")}) },
			"reload": func() error {
				_, err := w.Reload(ctx, []int{0}, ReloadOptions{Specs: []app.Spec{spec("api")}})
				return err
			},
		} {
			if err := do(); !errors.Is(err, ErrSave) || !errors.Is(err, full) {
				t.Errorf("%s: got %v, want ErrSave and its cause", name, err)
			}
			pass(time.Minute)
			if diff := gocmp.Diff(before, w.List()); diff != "" {
				t.Errorf("%s has changed something:\n%s", name, diff)
			}
			if got := w.host.said(); !slices.Equal(got, calls) {
				t.Errorf("%s has done %q", name, got[len(calls):])
			}
		}
		w.mu.Lock()
		w.saveErr = nil
		w.mu.Unlock()
		if st := w.start(spec("new"))[0]; st.ID != 3 {
			t.Errorf("the next id is %d, want 3", st.ID)
		}
		if _, err := w.Delete(ctx, []int{0}); err != nil {
			t.Error(err)
		}
		if list, err := w.Scale(ctx, "api", 2); err != nil || list[1].Index != 0 {
			t.Errorf("scale: %+v, %v", list, err)
		}
	})
}

func TestWantedStateIsSavedBeforeActing(t *testing.T) {
	in(t, runs(program{stopTakes: time.Second}), func(w *world) {
		w.start(spec("api", instances(2)))
		done := make(chan struct{})
		go func() { defer close(done); w.Stop(ctx, []int{1}) }()
		pass(500 * time.Millisecond)
		w.is(1, app.Stopping)
		r, err := decodeRecord(w.file().Apps[0].Instances[1].Record)
		if err != nil || r.Wanted != wantStopped {
			t.Errorf("saved while stopping: %+v, %v", r, err)
		}
		<-done
		go func() { w.Delete(ctx, []int{0}) }()
		pass(500 * time.Millisecond)
		if got := w.file().Apps[0].Instances; len(got) != 1 || got[0].ID != 1 {
			t.Errorf("saved while deleting: %+v", got)
		}
		pass(time.Second)
	})
}

func TestCountersAreSavedALittleLater(t *testing.T) {
	in(t, runs(program{life: 100 * time.Millisecond}), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.MinUptime = 0 }))
		pass(10 * time.Second)
		// One at the start, then at most one a second in spite of ten restarts.
		if w.saves < 5 || w.saves > 12 {
			t.Errorf("%d saves in 10 s", w.saves)
		}
		w.mu.Lock()
		w.saveErr = errors.New("no space left on device")
		w.mu.Unlock()
		pass(time.Minute)
		w.mu.Lock()
		w.saveErr = nil
		warned := 0
		for _, e := range w.events {
			if e.Type == app.EventWarning {
				warned++
			}
		}
		w.mu.Unlock()
		if warned != 1 {
			t.Errorf("warned %d times of a full disk, want once", warned)
		}
		pass(11 * time.Second)
		r, err := decodeRecord(w.file().Apps[0].Instances[0].Record)
		if err != nil || r.Restarts < 600 {
			t.Errorf("saved %+v, %v", r, err)
		}
	})
}

func TestUpdateIsForTheNextProcess(t *testing.T) {
	in(t, runs(program{}), func(w *world) {
		w.start(spec("api", instances(2)))
		if err := w.Update(ctx, []app.Spec{spec("api", instances(9), func(s *app.Spec) { s.Exec = "/bin/new" })}); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if n := len(w.host.said()); n != 2 {
			t.Errorf("an update did something: %q", w.host.said())
		}
		if _, err := w.Restart(ctx, []int{1}); err != nil {
			t.Fatal(err)
		}
		if got := w.host.process(1).Spec; got.Exec != "/bin/new" || got.Instances != 2 {
			t.Errorf("restarted with %+v", got)
		}
		if err := w.Update(ctx, []app.Spec{spec("nope")}); !errors.Is(err, ErrNotFound) {
			t.Errorf("update of nothing: %v", err)
		}
	})
}

// The caller may go away; what it has begun goes on.
func TestCommandsGoOnWithoutTheirCaller(t *testing.T) {
	in(t, runs(program{startTakes: time.Second, stopTakes: time.Second}), func(w *world) {
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := w.Start(short, []app.Spec{spec("api")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("start: %v", err)
		}
		pass(2 * time.Second)
		w.is(0, app.Online)
		short, cancel = context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		if _, err := w.Delete(short, []int{0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("delete: %v", err)
		}
		pass(2 * time.Second)
		if len(w.List()) != 0 {
			t.Errorf("left: %+v", w.List())
		}
	})
}

func TestRestartOvertakesAStop(t *testing.T) {
	in(t, runs(program{stopTakes: time.Second}), func(w *world) {
		w.start(spec("api"))
		stopDone := make(chan error)
		go func() { _, err := w.Stop(ctx, []int{0}); stopDone <- err }()
		pass(100 * time.Millisecond)
		if _, err := w.Restart(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Online)
		if err := <-stopDone; err != nil {
			t.Errorf("the stop: %v", err)
		}
		if got := w.host.overlap[0]; got != 1 {
			t.Errorf("%d processes at once", got)
		}
	})
}
