package supervisor

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paceline/internal/app"
)

// after runs f with a world whose supervisor has just been replaced.
func after(t *testing.T, run func(Launch) program, first, then func(w *world), change func(*Saved, map[int][]byte, map[string][]byte)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(run))
		first(w)
		next, err := w.restarted(change)
		defer next.end()
		if err != nil {
			t.Errorf("restore: %v", err)
		}
		then(next)
	})
}

// stateFile and keeper each can be lost.
func noState(s *Saved, _ map[int][]byte, _ map[string][]byte) { *s = Saved{} }

func noKeeper(_ *Saved, records map[int][]byte, specs map[string][]byte) {
	clear(records)
	clear(specs)
}

func TestRestoreKnowsEverything(t *testing.T) {
	for name, change := range map[string]func(*Saved, map[int][]byte, map[string][]byte){
		"from both": nil, "without the state file": noState, "without the keeper's records": noKeeper,
	} {
		t.Run(name, func(t *testing.T) {
			var before []app.Status
			after(t, runs(server()), func(w *world) {
				w.start(spec("api", cluster(2)), spec("job"), spec("web", cluster(1)))
				w.host.die(w.host.process(0), app.Exit{Code: 3})
				pass(time.Minute)
				if _, err := w.Stop(ctx, []int{2}); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
				before = w.List()
			}, func(w *world) {
				now := w.List()
				if len(now) != len(before) {
					t.Fatalf("now %+v", now)
				}
				for i, st := range now {
					b := before[i]
					if st.PID != b.PID || st.State != b.State || st.Ready != b.Ready || st.Restarts != b.Restarts ||
						st.Unstable != b.Unstable || !slices.Equal(st.Ports, b.Ports) || st.Gen != b.Gen ||
						!st.StartedAt.Equal(b.StartedAt) || !st.CreatedAt.Equal(b.CreatedAt) || st.Index != b.Index ||
						(st.LastExit == nil) != (b.LastExit == nil) {
						t.Errorf("before %+v\nnow    %+v", b, st)
					}
				}
				if calls := w.host.said(); slices.ContainsFunc(calls[slices.IndexFunc(calls, isAdopt):], func(c string) bool { return !isAdopt(c) }) {
					t.Errorf("something was done to the processes: %q", calls)
				}
				// Life goes on.
				w.host.die(w.host.process(1), app.Exit{Code: 1})
				pass(time.Second)
				if st := w.is(1, app.Online); st.Restarts != 1 || st.Gen != 2 {
					t.Errorf("after a crash %+v", st)
				}
				if _, err := w.reloadAll(ReloadOptions{}); err != nil {
					t.Error(err)
				}
				if st := w.start(spec("new"))[0]; st.ID != 4 {
					t.Errorf("the next id is %d, want 4", st.ID)
				}
			}, change)
		})
	}
}

func isAdopt(call string) bool { return strings.HasPrefix(call, "adopt ") }

func TestRestoreLearnsOfExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(runs(program{})))
		w.start(spec("crashed"), spec("done", func(s *app.Spec) { s.StopExitCodes = []int{0} }), spec("left"))
		pass(time.Minute)
		w.Close()
		w.host.die(w.host.process(0), app.Exit{Code: 1, Stderr: []string{"oh"}})
		w.host.die(w.host.process(1), app.Exit{Code: 0})
		w.host.process(2).program.left = 2
		w.host.die(w.host.process(2), app.Exit{Code: 5})
		pass(time.Minute)
		next, err := w.restarted(nil)
		defer next.end()
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := next.is(0, app.Online); st.Gen != 2 || st.Restarts != 1 || st.LastExit.Code != 1 ||
			time.Duration(st.LastExit.Uptime) != time.Minute || st.LastExit.Wanted {
			t.Errorf("crashed: %+v %+v", st, st.LastExit)
		}
		if st := next.is(1, app.Stopped); st.Restarts != 0 {
			t.Errorf("done: %+v", st)
		}
		if st := next.is(2, app.Online); st.Gen != 2 || !slices.Contains(next.host.said(), "SIGKILL 2.1 tree") {
			t.Errorf("left: %+v, %q", st, next.host.said())
		}
	})
}

func TestRestoreAfterAReboot(t *testing.T) {
	failing := func(l Launch) program {
		if l.Spec.Name == "bad" {
			return program{life: time.Millisecond, exit: app.Exit{Code: 1}}
		}
		return program{}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(failing))
		w.start(spec("api", instances(2)), spec("bad"), spec("off"))
		pass(time.Minute)
		if _, err := w.Stop(ctx, []int{3}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		next := newWorld(t, newFakeHost(failing)) // everything but the state file is gone
		defer next.end()
		if err := next.Restore(w.saved, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next.is(0, app.Online)
		next.is(1, app.Online)
		if st := next.is(2, app.Errored); !strings.HasPrefix(st.Reason, "16 fast failures") {
			t.Errorf("bad: %+v", st)
		}
		next.is(3, app.Stopped)
		if len(next.host.specs) != 3 || len(next.host.records) != 4 {
			t.Errorf("the keeper has %d specs and %d records", len(next.host.specs), len(next.host.records))
		}
	})
}

func TestRestoreInTheMiddleOfThings(t *testing.T) {
	slow := server()
	slow.stopTakes = time.Second
	begin := func(f func(w *world)) func(w *world) {
		return func(w *world) {
			w.start(spec("api", cluster(2)))
			pass(time.Minute)
			go f(w)
			pass(50 * time.Millisecond)
		}
	}
	for name, test := range map[string]struct {
		first func(w *world)
		check func(t *testing.T, w *world)
	}{
		"a stop": {
			begin(func(w *world) { w.Stop(ctx, []int{0}) }),
			func(t *testing.T, w *world) { w.is(0, app.Stopped); w.is(1, app.Online) },
		},
		"a delete": {
			begin(func(w *world) { w.Delete(ctx, []int{0}) }),
			func(t *testing.T, w *world) {
				if got := ids(w.List()); !slices.Equal(got, []int{1}) {
					t.Errorf("left %v", got)
				}
			},
		},
		"a restart": {
			begin(func(w *world) { w.Restart(ctx, []int{0}) }),
			func(t *testing.T, w *world) {
				if st := w.is(0, app.Online); st.Restarts != 1 || st.Gen != 2 {
					t.Errorf("status %+v", st)
				}
			},
		},
		"a reload, successor on trial": {
			begin(func(w *world) { w.reloadAll(ReloadOptions{}) }),
			func(t *testing.T, w *world) {
				if st := w.is(0, app.Online); st.Gen != 1 || st.Restarts != 0 || !st.Ready {
					t.Errorf("status %+v", st)
				}
			},
		},
		"a reload, old one draining": {
			func(w *world) {
				begin(func(w *world) { w.reloadAll(ReloadOptions{}) })(w)
				pass(1100 * time.Millisecond)
				if !w.one(0).Draining {
					w.t.Error("not draining")
				}
			},
			func(t *testing.T, w *world) {
				if st := w.is(0, app.Online); st.Gen != 2 || st.Restarts != 1 || !st.Ready || st.Draining {
					t.Errorf("status %+v", st)
				}
			},
		},
		"a wait": {
			func(w *world) {
				w.start(spec("api", cluster(2), func(s *app.Spec) { s.RestartDelay = app.Duration(4 * time.Second) }))
				pass(time.Minute)
				w.host.die(w.host.process(0), app.Exit{Code: 1})
				pass(time.Second)
			},
			func(t *testing.T, w *world) {
				if st := w.is(0, app.Online); st.Restarts != 1 || time.Since(st.StartedAt) != 7*time.Second {
					t.Errorf("status %+v", st)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			after(t, runs(slow), test.first, func(w *world) {
				pass(10 * time.Second)
				test.check(t, w)
				byID := map[int]int{}
				for _, p := range w.host.alive() {
					if byID[p.ID]++; byID[p.ID] > 1 {
						t.Errorf("several processes of instance %d: %q", p.ID, w.host.said())
					}
				}
			}, nil)
		})
	}
}

// What a command was doing is done once, also when its process has ended by the
// time the next daemon looks.
func TestRestoreAfterTheCommandHadItsWay(t *testing.T) {
	slow := server()
	slow.stopTakes = time.Minute
	patient := func(s *app.Spec) { s.KillTimeout = app.Duration(time.Hour) }
	for name, test := range map[string]struct {
		do   func(w *world)
		want app.State // "": it is no more
	}{
		"stop":    {func(w *world) { w.Stop(ctx, []int{0}) }, app.Stopped},
		"restart": {func(w *world) { w.Restart(ctx, []int{0}) }, app.Online},
		"delete":  {func(w *world) { w.Delete(ctx, []int{0}) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, newFakeHost(runs(slow)))
				w.start(spec("api", cluster(1), patient), spec("other"))
				pass(time.Minute)
				go test.do(w)
				pass(time.Second)
				w.Close()
				w.host.die(w.host.process(0), app.Exit{Code: 0})
				next, err := w.restarted(nil)
				defer next.end()
				if err != nil {
					t.Error(err)
				}
				pass(10 * time.Second)
				starts := 0
				for _, call := range next.host.said() {
					if strings.HasPrefix(call, "start 0.") {
						starts++
					}
				}
				switch test.want {
				case "":
					if got := ids(next.List()); !slices.Equal(got, []int{1}) || starts != 1 {
						t.Errorf("left %v after %d starts", got, starts)
					}
				case app.Online:
					if st := next.is(0, app.Online); st.Restarts != 1 || starts != 2 {
						t.Errorf("%d starts: %+v", starts, st)
					}
				default:
					if st := next.is(0, test.want); st.Restarts != 0 || starts != 1 || !st.LastExit.Wanted {
						t.Errorf("%d starts: %+v", starts, st)
					}
				}
			})
		})
	}
}

func TestRestoreOfNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(runs(program{})))
		w.start(spec("api"), spec("web"), spec("lost"))
		pass(time.Second)
		next, err := w.restarted(func(s *Saved, records map[int][]byte, specs map[string][]byte) {
			s.Apps = slices.DeleteFunc(s.Apps, func(a SavedApp) bool { return a.Spec.Name == "lost" })
			s.Apps = append(s.Apps, s.Apps[0], SavedApp{Spec: spec("twice"), Instances: []SavedInstance{{ID: 1}}})
			records[0] = []byte("{torn")
			delete(specs, "lost")
			records[9] = []byte("{}")
		})
		defer next.end()
		if err == nil {
			t.Fatal("no error")
		}
		for _, want := range []string{
			`app "api": named twice`, "instance 0 of api: read record", "instance 1 of twice: the id is taken",
			`instance 2: its app "lost" is not known`, "instance 9: its record names no app",
			"instance 2: nothing is known of its process, which is ended",
		} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
		pass(10 * time.Second)
		next.is(0, app.Online)
		next.is(1, app.Online)
		if got := ids(next.List()); !slices.Equal(got, []int{0, 1}) {
			t.Errorf("ids %v", got)
		}
		if n := len(next.host.alive()); n != 2 {
			t.Errorf("%d processes, want 2: %q", n, next.host.said())
		}
		if st := next.start(spec("new"))[0]; st.ID <= 2 {
			t.Errorf("the next id is %d", st.ID)
		}
	})
}
