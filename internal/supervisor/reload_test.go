package supervisor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paceline/internal/app"
)

// byRelease runs one program for the first generation of each instance and
// another for later ones: the new release.
func byRelease(first, later program) func(Launch) program {
	return func(l Launch) program {
		if l.Gen == 1 {
			return first
		}
		return later
	}
}

// server is a well-behaved worker.
func server() program {
	p := listens(100*time.Millisecond, "*:3000")
	p.drainTakes, p.drainExits = 300*time.Millisecond, true
	return p
}

// reloadAll reloads everything there is.
func (w *world) reloadAll(o ReloadOptions) ([]app.Status, error) {
	w.t.Helper()
	ids, err := w.Resolve([]string{"all"})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Reload(ctx, ids, o)
}

// serving are the generations that run, by id.
func (w *world) serving() map[int]uint64 {
	gens := map[int]uint64{}
	for _, p := range w.host.alive() {
		gens[p.ID] = max(gens[p.ID], p.Gen)
	}
	return gens
}

func TestReloadReplacesOneAfterTheOther(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(3)))
		before := w.List()
		var steps []string
		began := time.Now()
		list, err := w.reloadAll(ReloadOptions{Progress: func(s string) { steps = append(steps, s) }})
		if err != nil {
			t.Fatal(err)
		}
		// The canary's second, two more starts while the one before drains, a drain.
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("reload took %s", took)
		}
		for i, st := range list {
			if st.PID == before[i].PID || !st.Ready || st.Restarts != 1 || st.State != app.Online || st.Draining ||
				!st.CreatedAt.Equal(before[i].CreatedAt) {
				t.Errorf("before %+v\nafter %+v", before[i], st)
			}
			if got := w.host.overlap[i]; got != 2 {
				t.Errorf("instance %d had %d processes at once, want 2", i, got)
			}
		}
		if n := len(w.host.alive()); n != 3 {
			t.Errorf("%d processes, want 3", n)
		}
		calls := w.host.said()
		for _, c := range []string{"drain 0.1", "drain 1.1", "drain 2.1"} {
			if !slices.Contains(calls, c) {
				t.Errorf("no %s in %q", c, calls)
			}
		}
		// The next one starts before the one before has drained, and is retired after.
		if slices.Index(calls, "start 2.2") > slices.Index(calls, "drain 1.1")+1 {
			t.Errorf("calls %q", calls)
		}
		if len(steps) == 0 || w.happened(app.EventReload) != 3 {
			t.Errorf("steps %q, %d reload events", steps, w.happened(app.EventReload))
		}
	})
}

func TestReloadShowsThatTheOldOneDrains(t *testing.T) {
	p := server()
	p.drainTakes = 3 * time.Second
	in(t, runs(p), func(w *world) {
		w.start(spec("api", cluster(1)))
		done := make(chan error)
		go func() { _, err := w.reloadAll(ReloadOptions{}); done <- err }()
		pass(1500 * time.Millisecond)
		if st := w.is(0, app.Online); !st.Draining || st.Gen != 2 {
			t.Errorf("while draining: %+v", st)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if st := w.is(0, app.Online); st.Draining {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// A connection that never ends may not keep the old release for ever.
func TestReloadBoundsTheDrain(t *testing.T) {
	old := server()
	old.drainTakes, old.drainExits, old.stopTakes = time.Hour, false, -1
	in(t, byRelease(old, server()), func(w *world) {
		w.start(spec("api", cluster(1)))
		began := time.Now()
		if _, err := w.reloadAll(ReloadOptions{}); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(began), time.Second+drainLimit+1600*time.Millisecond; took != want {
			t.Errorf("reload took %s, want %s", took, want)
		}
		if got := w.host.said(); !slices.Equal(got[3:], []string{"drain 0.1", "SIGINT 0.1 tree", "SIGKILL 0.1 tree"}) {
			t.Errorf("calls %q", got)
		}
	})
}

func TestReloadInParallel(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(9)))
		began := time.Now()
		if _, err := w.reloadAll(ReloadOptions{Parallel: 4}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("reload took %s", took)
		}
		for id, gen := range w.serving() {
			if gen != 2 {
				t.Errorf("instance %d runs generation %d", id, gen)
			}
		}
	})
}

func TestBadReleaseLeavesTheOldOneServing(t *testing.T) {
	dies := program{online: -1, life: 12 * time.Millisecond, exit: app.Exit{
		Code: 1, Stderr: []string{"Error: no database", "", "    at main.js:3"},
	}}
	diesLater := server()
	diesLater.life, diesLater.exit = 600*time.Millisecond, app.Exit{Code: -1, Signal: "SIGSEGV"}
	mute := server()
	mute.says = nil
	for name, test := range map[string]struct {
		program program
		change  func(*app.Spec)
		want    string
	}{
		"dies at start": {dies, nil, "exit code 1 after 12ms: Error: no database | at main.js:3"},
		"dies soon":     {diesLater, nil, "killed by SIGSEGV after 600ms"},
		"hangs":         {program{online: -1}, nil, "the new process is not ready within 3s: it has not come up"},
		"ignores stop":  {program{online: -1, stopTakes: -1}, nil, "the new process is not ready within 3s: it has not come up"},
		"does not listen": {
			mute, nil, "the new process is not ready within 3s: it listens on nothing instead of *:3000",
		},
		"other port": {
			listens(time.Millisecond, "*:4000"), nil,
			"the new process is not ready within 3s: it listens on another address (*:4000 instead of *:3000)",
		},
		"never says ready": {
			server(), func(s *app.Spec) { s.WaitReady = true },
			"the new process is not ready within 3s: no 'ready' message",
		},
		"cannot be started": {
			program{startErr: errors.New("exec /bin/api: input/output error")}, nil, "exec /bin/api: input/output error",
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := server()
			old.says = append(old.says, saying{time.Millisecond, Ready{}})
			in(t, byRelease(old, test.program), func(w *world) {
				s := spec("api", cluster(2))
				if test.change != nil {
					test.change(&s)
				}
				w.start(s)
				pass(time.Second)
				before := w.host.alive()
				list, err := w.reloadAll(ReloadOptions{})
				want := "reload api: instance 0 (id 0): " + test.want + "; the old processes keep serving"
				if !errors.Is(err, ErrReloadFailed) || err.Error() != want {
					t.Fatalf("got error %q\nwant      %q", err, want)
				}
				if after := w.host.alive(); !slices.Equal(before, after) {
					t.Errorf("processes %v, want %v", after, before)
				}
				if st := list[0]; st.Gen != 1 || st.State != app.Online || !st.Ready || st.Restarts != 0 {
					t.Errorf("status %+v", st)
				}
				// It is over: the next reload is not refused, and a crash restarts.
				w.host.die(w.host.process(0), app.Exit{Code: 1})
				synctest.Wait()
				if st := w.one(0); st.Gen < 3 {
					t.Errorf("after a crash: %+v", st)
				}
			})
		})
	}
}

// A release can be good for the first instance and bad for a later one.
func TestReloadThatFailsLater(t *testing.T) {
	run := func(l Launch) program {
		if l.Index == 2 && l.Gen > 1 && l.Spec.Args == nil == (l.Spec.Exec == "/bin/api") && l.Gen < 3 {
			return program{online: -1, life: time.Millisecond, exit: app.Exit{Code: 7}}
		}
		return server()
	}
	t.Run("same spec", func(t *testing.T) {
		in(t, run, func(w *world) {
			w.start(spec("api", cluster(4)))
			_, err := w.reloadAll(ReloadOptions{})
			want := "reload api: instance 2 (id 2): exit code 7 after 1ms; " +
				"instances 0, 1 already replaced, the others keep their old processes"
			if err == nil || err.Error() != want {
				t.Fatalf("got error %q\nwant      %q", err, want)
			}
			pass(time.Minute)
			if got := w.serving(); got[0] != 2 || got[1] != 2 || got[2] != 1 || got[3] != 1 || len(w.host.alive()) != 4 {
				t.Errorf("generations %v", got)
			}
		})
	})
	t.Run("new spec is put back", func(t *testing.T) {
		in(t, run, func(w *world) {
			w.start(spec("api", cluster(4)))
			next := spec("api", cluster(4), func(s *app.Spec) { s.Exec, s.Args = "/bin/api2", []string{"x"} })
			_, err := w.reloadAll(ReloadOptions{Specs: []app.Spec{next}})
			want := "reload api: instance 2 (id 2): exit code 7 after 1ms; instances 0, 1 put back"
			if err == nil || err.Error() != want {
				t.Fatalf("got error %q\nwant      %q", err, want)
			}
			pass(time.Minute)
			for _, p := range w.host.alive() {
				if p.Spec.Exec != "/bin/api" {
					t.Errorf("%v runs %s", p.Ref, p.Spec.Exec)
				}
			}
			if n := len(w.host.alive()); n != 4 {
				t.Errorf("%d processes", n)
			}
			if got := w.Apps()[0].Exec; got != "/bin/api" {
				t.Errorf("the app is %s", got)
			}
			if got := w.file().Apps[0].Spec.Exec; got != "/bin/api" {
				t.Errorf("saved is %s", got)
			}
		})
	})
}

func TestReloadToANewSpec(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(2)))
		next := spec("api", cluster(7), func(s *app.Spec) { s.Exec = "/bin/api2" })
		if _, err := w.reloadAll(ReloadOptions{Specs: []app.Spec{next}}); err != nil {
			t.Fatal(err)
		}
		for _, p := range w.host.alive() {
			if p.Spec.Exec != "/bin/api2" {
				t.Errorf("%v runs %s", p.Ref, p.Spec.Exec)
			}
		}
		if got := w.Apps()[0]; got.Exec != "/bin/api2" || got.Instances != 2 {
			t.Errorf("the app is %+v", got)
		}
		if got := w.file().Apps[0].Spec.Exec; got != "/bin/api2" {
			t.Errorf("saved is %s", got)
		}
	})
}

// What has taken over has to last until the others have been replaced as well.
func TestReloadWatchesWhatItHasReplaced(t *testing.T) {
	frail := server()
	frail.life, frail.exit = 1250*time.Millisecond, app.Exit{Code: 9}
	run := func(l Launch) program {
		if l.Index == 0 && l.Gen == 2 {
			return frail
		}
		return server()
	}
	in(t, run, func(w *world) {
		w.start(spec("api", cluster(8)))
		_, err := w.reloadAll(ReloadOptions{})
		if err == nil || !strings.Contains(err.Error(), "instance 0 (id 0): the new process ended after it had taken over: exit code 9 after 1.3s") {
			t.Fatalf("got error %q", err)
		}
		if n := len(w.serving()); n != 8 {
			t.Errorf("%d instances run", n)
		}
	})
}

func TestReloadOfForkModeRestarts(t *testing.T) {
	t.Run("good", func(t *testing.T) {
		in(t, runs(program{}), func(w *world) {
			w.start(spec("api", instances(3)))
			began := time.Now()
			if _, err := w.reloadAll(ReloadOptions{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("reload took %s, want the canary's second", took)
			}
			for id, gen := range w.serving() {
				if gen != 2 || w.host.overlap[id] != 1 {
					t.Errorf("instance %d: generation %d, %d at once", id, gen, w.host.overlap[id])
				}
			}
		})
	})
	t.Run("bad", func(t *testing.T) {
		bad := program{life: 20 * time.Millisecond, exit: app.Exit{Code: 2}}
		in(t, byRelease(program{}, bad), func(w *world) {
			w.start(spec("api", instances(2)))
			_, err := w.reloadAll(ReloadOptions{})
			want := "reload api: instance 0 (id 0): exit code 2 after 20ms; " +
				"instance 0 already replaced, the others keep their old processes"
			if err == nil || err.Error() != want {
				t.Errorf("got error %q\nwant      %q", err, want)
			}
			if got := w.serving(); got[1] != 1 {
				t.Errorf("generations %v", got)
			}
		})
	})
	t.Run("bad spec is put back", func(t *testing.T) {
		run := func(l Launch) program {
			if l.Spec.Exec == "/bin/bad" {
				return program{life: 20 * time.Millisecond, exit: app.Exit{Code: 2}}
			}
			return program{}
		}
		in(t, run, func(w *world) {
			w.start(spec("api", instances(2)))
			_, err := w.reloadAll(ReloadOptions{Specs: []app.Spec{spec("api", func(s *app.Spec) { s.Exec = "/bin/bad" })}})
			if err == nil || !strings.HasSuffix(err.Error(), "; instance 0 put back") {
				t.Errorf("got error %q", err)
			}
			pass(time.Minute)
			for _, p := range w.host.alive() {
				if p.Spec.Exec != "/bin/api" {
					t.Errorf("%v runs %s", p.Ref, p.Spec.Exec)
				}
			}
		})
	})
}

func TestReloadStartsWhatIsStopped(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(2)))
		if _, err := w.Stop(ctx, []int{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.reloadAll(ReloadOptions{}); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Online)
		w.is(1, app.Online)
	})
}

func TestSecondReloadIsRefused(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(2)), spec("web", cluster(1)))
		done := make(chan error)
		go func() { _, err := w.Reload(ctx, []int{0}, ReloadOptions{}); done <- err }()
		pass(50 * time.Millisecond)
		_, err := w.Reload(ctx, []int{2, 1}, ReloadOptions{})
		if !errors.Is(err, ErrReloading) || err.Error() != "reload api: a reload is under way" {
			t.Errorf("got %v, want ErrReloading naming the app", err)
		}
		if err := <-done; err != nil {
			t.Errorf("the first failed: %v", err)
		}
		if got := w.serving(); got[2] != 1 {
			t.Error("the refused reload has touched the other app")
		}
		if _, err := w.Reload(ctx, []int{1, 2}, ReloadOptions{}); err != nil {
			t.Errorf("a later one: %v", err)
		}
	})
}

func TestCommandsCancelAReload(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(w *world) error
		left int
	}{
		"stop":    {func(w *world) error { _, err := w.Stop(ctx, []int{0, 1, 2}); return err }, 0},
		"delete":  {func(w *world) error { _, err := w.Delete(ctx, []int{0, 1, 2}); return err }, 0},
		"restart": {func(w *world) error { _, err := w.Restart(ctx, []int{2}); return err }, 3},
		"scale":   {func(w *world) error { _, err := w.Scale(ctx, "api", 2); return err }, 2},
	} {
		for _, at := range []time.Duration{0, 50 * time.Millisecond, 500 * time.Millisecond, 1050 * time.Millisecond, 1150 * time.Millisecond} {
			t.Run(name+" after "+at.String(), func(t *testing.T) {
				in(t, runs(server()), func(w *world) {
					w.start(spec("api", cluster(3)))
					done := make(chan error)
					go func() { _, err := w.reloadAll(ReloadOptions{}); done <- err }()
					pass(at)
					if err := test.do(w); err != nil {
						t.Fatal(err)
					}
					err := <-done
					if !errors.Is(err, ErrReloadFailed) || !strings.Contains(err.Error(), "reload api: cancelled by a "+name) {
						t.Errorf("the reload returned %v", err)
					}
					pass(10 * time.Second)
					if n := len(w.host.alive()); n != test.left {
						t.Errorf("%d processes, want %d: %v", n, test.left, w.host.said())
					}
				})
			})
		}
	}
}

// The old process can crash while its successor starts.
func TestOldProcessDiesDuringTheReload(t *testing.T) {
	in(t, runs(server()), func(w *world) {
		w.start(spec("api", cluster(1)))
		done := make(chan error)
		go func() { _, err := w.reloadAll(ReloadOptions{}); done <- err }()
		pass(50 * time.Millisecond)
		w.host.die(w.host.process(0), app.Exit{Code: 1})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if n := len(w.host.alive()); n != 1 {
			t.Errorf("%d processes, want 1: %v", n, w.host.said())
		}
		if st := w.is(0, app.Online); st.Gen != 2 || st.Restarts != 2 {
			t.Errorf("status %+v", st)
		}
	})
}

func TestCloseDuringAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(runs(server())))
		w.start(spec("api", cluster(2)))
		done := make(chan error)
		go func() { _, err := w.reloadAll(ReloadOptions{}); done <- err }()
		pass(500 * time.Millisecond)
		w.end()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if n := len(w.host.alive()); n != 3 {
			t.Errorf("%d processes, want the two and the successor", n)
		}
	})
}
