package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"paceline/internal/app"
)

var ctx = context.Background()

func TestStartAndStop(t *testing.T) {
	in(t, runs(program{stopTakes: 50 * time.Millisecond}), func(w *world) {
		list := w.start(spec("api", instances(2)))
		if len(list) != 2 || list[0].State != app.Online || list[0].PID == 0 || list[1].Index != 1 {
			t.Fatalf("started %+v", list)
		}
		pass(time.Minute)
		list, err := w.Stop(ctx, []int{0, 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range list {
			if st.State != app.Stopped || st.PID != 0 {
				t.Errorf("after the stop: %+v", st)
			}
			if e := st.LastExit; e == nil || !e.Wanted || e.PID == 0 || time.Duration(e.Uptime) != time.Minute+50*time.Millisecond {
				t.Errorf("exit is %+v", e)
			}
		}
		if calls := w.host.said(); !slices.Contains(calls, "SIGINT 0.1 tree") {
			t.Errorf("no SIGINT to the tree in %q", calls)
		}
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Errorf("stop of what is stopped: %v", err)
		}
		if got := w.happened(app.EventStop); got != 2 {
			t.Errorf("%d stop events, want 2", got)
		}
	})
}

func TestFastFailuresEndInErrored(t *testing.T) {
	in(t, runs(program{life: 12 * time.Millisecond, exit: app.Exit{Code: 1}}), func(w *world) {
		w.start(spec("api"))
		pass(time.Second)
		st := w.is(0, app.Errored)
		if want := "16 fast failures in a row, the last: exit code 1 after 12ms"; st.Reason != want {
			t.Errorf("reason %q, want %q", st.Reason, want)
		}
		if st.Restarts != 15 || st.PID != 0 || w.happened(app.EventOverlimit) != 1 || w.happened(app.EventStart) != 16 {
			t.Errorf("%d restarts, %d overlimits, %d starts: %+v",
				st.Restarts, w.happened(app.EventOverlimit), w.happened(app.EventStart), st)
		}
		pass(time.Hour)
		w.is(0, app.Errored)
	})
}

func TestALongLifeForgivesFailures(t *testing.T) {
	short := program{life: 10 * time.Millisecond, exit: app.Exit{Code: 1}}
	long := program{life: time.Second, exit: app.Exit{Code: 1}}
	var programs []program
	for range 15 {
		programs = append(programs, short)
	}
	programs = append(programs, long, short, program{})
	in(t, runsInTurn(programs...), func(w *world) {
		w.start(spec("api"))
		pass(10 * time.Second)
		if st := w.is(0, app.Online); st.Restarts != 17 || st.Unstable != 1 {
			t.Errorf("restarts %d, unstable %d, want 17 and 1", st.Restarts, st.Unstable)
		}
	})
}

// A crash that is not fast is never given up: the count is of failures in a row
// each shorter than min_uptime, not of restarts within a time.
func TestSlowFailuresRestartForEver(t *testing.T) {
	in(t, runs(program{life: time.Second}), func(w *world) {
		w.start(spec("api"))
		pass(100*time.Second + 1)
		if st := w.is(0, app.Online); st.Restarts != 100 {
			t.Errorf("%d restarts, want 100", st.Restarts)
		}
	})
}

func TestBackoffGrowsToItsCeilingAndIsReset(t *testing.T) {
	var starts []time.Time
	p := program{life: time.Second, exit: app.Exit{Code: 1}}
	run := func(Launch) program {
		starts = append(starts, time.Now())
		if len(starts) == 16 {
			p.life = 31 * time.Second
		} else {
			p.life = time.Second
		}
		return p
	}
	in(t, run, func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.ExpBackoff = app.Duration(100 * time.Millisecond) }))
		pass(100 * time.Millisecond)
		pass(5 * time.Minute)
		want := 100 * time.Millisecond
		for i := 1; i < 15; i++ {
			if got := starts[i].Sub(starts[i-1]) - time.Second; got != want {
				t.Errorf("wait %d is %s, want %s", i, got, want)
			}
			want = min(want+want/2, 15*time.Second)
		}
		if got := starts[16].Sub(starts[15]) - 31*time.Second; got != 100*time.Millisecond {
			t.Errorf("the wait after a life of 31 s is %s, want the first", got)
		}
	})
}

func TestRestartDelayAndStopWhileWaiting(t *testing.T) {
	in(t, runs(program{life: time.Second}), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.RestartDelay = app.Duration(5 * time.Second) }))
		pass(2 * time.Second)
		st := w.is(0, app.Waiting)
		if left := time.Until(st.NextRestart); left != 4*time.Second {
			t.Errorf("next restart in %s, want 4s", left)
		}
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if st := w.is(0, app.Stopped); st.Restarts != 0 || !st.NextRestart.IsZero() {
			t.Errorf("after the stop: %+v", st)
		}
	})
}

func TestRestartWhileWaitingStartsAtOnce(t *testing.T) {
	in(t, runsInTurn(program{life: time.Second}, program{}), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.RestartDelay = app.Duration(time.Hour) }))
		pass(2 * time.Second)
		if _, err := w.Restart(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		w.is(0, app.Online)
		pass(2 * time.Hour)
		if n := len(w.host.alive()); n != 1 {
			t.Errorf("%d processes, want 1", n)
		}
	})
}

// Pebble's fault: the timer of an earlier stop killed a later process in the
// middle of its own, slower stop.
func TestKillTimeoutIsPerStop(t *testing.T) {
	quick, slow := program{stopTakes: time.Second}, program{stopTakes: 4 * time.Second}
	in(t, runsInTurn(quick, slow), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.KillTimeout = app.Duration(6 * time.Second) }))
		for range 2 {
			if _, err := w.Stop(ctx, []int{0}); err != nil {
				t.Fatal(err)
			}
			if e := w.is(0, app.Stopped).LastExit; e.Signal != "" {
				t.Fatalf("the stop ended with %s", e)
			}
			if _, err := w.Restart(ctx, []int{0}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStopKillsWhatIgnoresIt(t *testing.T) {
	in(t, runs(program{stopTakes: -1}), func(w *world) {
		w.start(spec("api"))
		began := time.Now()
		list, err := w.Stop(ctx, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 1600*time.Millisecond {
			t.Errorf("stop took %s, want 1.6s", took)
		}
		if e := list[0].LastExit; e.Signal != "SIGKILL" || !e.Wanted {
			t.Errorf("exit is %+v", e)
		}
	})
}

func TestKillTimeoutZeroKillsAtOnce(t *testing.T) {
	in(t, runs(program{stopTakes: -1}), func(w *world) {
		w.start(spec("api", func(s *app.Spec) { s.KillTimeout = 0 }))
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		if got := w.host.said(); !slices.Equal(got, []string{"start 0.1", "SIGKILL 0.1 tree"}) {
			t.Errorf("calls %q", got)
		}
	})
}

func TestUnkillableProcessIsErroredAndNeverDoubled(t *testing.T) {
	in(t, runs(program{stopTakes: -1, unkillable: true}), func(w *world) {
		w.start(spec("api"))
		_, err := w.Stop(ctx, []int{0})
		if !errors.Is(err, ErrUnkillable) || !strings.Contains(err.Error(), "stop api (id 0)") {
			t.Fatalf("got error %v, want ErrUnkillable with the name", err)
		}
		st := w.is(0, app.Errored)
		if st.PID == 0 || st.Reason != "still there 2s after SIGKILL" {
			t.Errorf("status %+v", st)
		}
		if _, err := w.Restart(ctx, []int{0}); !errors.Is(err, ErrStartFailed) {
			t.Errorf("restart: got %v, want ErrStartFailed", err)
		}
		if n := len(w.host.alive()); n != 1 {
			t.Fatalf("%d processes, want the one", n)
		}
		p := w.host.alive()[0]
		p.unkillable = false
		w.host.die(p, app.Exit{Code: 0})
		synctest.Wait()
		if st := w.is(0, app.Errored); st.PID != 0 {
			t.Errorf("after it has gone at last: %+v", st)
		}
	})
}

func TestLeftoversAreKilledBeforeTheRestart(t *testing.T) {
	in(t, runsInTurn(program{life: 2 * time.Second, left: 3}, program{}), func(w *world) {
		w.start(spec("api"))
		pass(3 * time.Second)
		w.is(0, app.Online)
		want := []string{"start 0.1", "SIGKILL 0.1 tree", "start 0.2"}
		if got := w.host.said(); !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

func TestExitCodesThatMeanDone(t *testing.T) {
	for name, test := range map[string]struct {
		exit app.Exit
		want app.State
	}{
		"its code":       {app.Exit{Code: 3}, app.Stopped},
		"another code":   {app.Exit{Code: 1}, app.Online},
		"a signal":       {app.Exit{Code: -1, Signal: "SIGKILL"}, app.Online},
		"and 0 is fine":  {app.Exit{Code: 0}, app.Stopped},
		"a signal alone": {app.Exit{Code: 0, Signal: "SIGSEGV"}, app.Online},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, runsInTurn(program{life: 2 * time.Second, exit: test.exit}, program{}), func(w *world) {
				w.start(spec("api", func(s *app.Spec) { s.StopExitCodes = []int{0, 3} }))
				pass(3 * time.Second)
				w.is(0, test.want)
			})
		})
	}
}

func TestNoAutorestart(t *testing.T) {
	in(t, runs(program{life: 2 * time.Second, exit: app.Exit{Code: 1}}), func(w *world) {
		w.start(spec("job", func(s *app.Spec) { s.NoAutorestart = true }))
		pass(time.Minute)
		if st := w.is(0, app.Stopped); st.LastExit.Code != 1 || st.LastExit.Wanted {
			t.Errorf("exit %+v", st.LastExit)
		}
	})
}

func TestStartFailure(t *testing.T) {
	missing := program{startErr: &wrapped{"exec /bin/api", syscall.ENOENT}}
	busy := program{startErr: &wrapped{"exec /bin/api", syscall.ETXTBSY}}
	t.Run("for good", func(t *testing.T) {
		in(t, runs(missing), func(w *world) {
			list, err := w.Start(ctx, []app.Spec{spec("api", instances(2))})
			want := "start api (id 0): exec /bin/api: no such file or directory (and 1 instance more)"
			if !errors.Is(err, ErrStartFailed) || err.Error() != want {
				t.Fatalf("got error %q, want %q", err, want)
			}
			if len(list) != 2 || list[0].State != app.Errored || list[0].Reason == "" || list[0].LastExit.Error == "" {
				t.Errorf("list %+v", list)
			}
		})
	})
	t.Run("passing", func(t *testing.T) {
		in(t, runsInTurn(busy, busy, program{}), func(w *world) {
			w.start(spec("api"))
			pass(time.Second)
			if st := w.is(0, app.Online); st.Restarts != 2 {
				t.Errorf("%d restarts, want 2", st.Restarts)
			}
		})
	})
	t.Run("later", func(t *testing.T) { // a program that is being replaced on disk
		in(t, runsInTurn(program{life: 2 * time.Second}, missing, missing, program{}), func(w *world) {
			w.start(spec("api"))
			pass(2*time.Second + 50*time.Millisecond)
			w.is(0, app.Waiting)
			pass(time.Second)
			w.is(0, app.Online)
		})
	})
	t.Run("stop meanwhile", func(t *testing.T) {
		in(t, runs(program{startTakes: 20 * time.Second}), func(w *world) {
			begun := make(chan error)
			go func() {
				_, err := w.Start(ctx, []app.Spec{spec("api")})
				begun <- err
			}()
			pass(time.Second)
			w.is(0, app.Launching)
			if _, err := w.Stop(ctx, []int{0}); err != nil {
				t.Fatal(err)
			}
			w.is(0, app.Stopped)
			if err := <-begun; err != nil {
				t.Errorf("the start returned %v", err)
			}
			if n := len(w.host.alive()); n != 0 {
				t.Errorf("%d processes after the stop", n)
			}
		})
	})
}

type wrapped struct {
	what string
	error
}

func (w *wrapped) Error() string { return w.what + ": " + w.error.Error() }
func (w *wrapped) Unwrap() error { return w.error }

func TestWaitReady(t *testing.T) {
	waits := func(s *app.Spec) { s.WaitReady = true }
	t.Run("start waits for it", func(t *testing.T) {
		in(t, runs(program{says: []saying{{time.Second, Ready{}}}}), func(w *world) {
			began := time.Now()
			if st := w.start(spec("api", waits))[0]; !st.Ready || st.State != app.Online {
				t.Errorf("started %+v", st)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("start took %s, want 1s", took)
			}
		})
	})
	t.Run("but not for ever", func(t *testing.T) {
		in(t, runs(program{says: []saying{{10 * time.Second, Ready{}}}}), func(w *world) {
			began := time.Now()
			st := w.start(spec("api", waits))[0]
			if want := "not ready within 3s: no 'ready' message"; st.Reason != want || st.Ready || st.State != app.Online {
				t.Errorf("started %+v, want the reason %q", st, want)
			}
			if took := time.Since(began); took != 3*time.Second {
				t.Errorf("start took %s, want 3s", took)
			}
			pass(10 * time.Second)
			if st := w.one(0); !st.Ready || st.Reason != "" {
				t.Errorf("later %+v, want it ready without a reason", st)
			}
		})
	})
	t.Run("it dies first", func(t *testing.T) {
		in(t, runs(program{life: 20 * time.Millisecond, exit: app.Exit{Code: 1}}), func(w *world) {
			_, err := w.Start(ctx, []app.Spec{spec("api", waits)})
			if !errors.Is(err, ErrStartFailed) || !strings.Contains(err.Error(), "16 fast failures in a row") {
				t.Errorf("got error %v", err)
			}
		})
	})
	t.Run("it keeps dying slowly", func(t *testing.T) {
		in(t, runs(program{life: 2 * time.Second, exit: app.Exit{Code: 1}}), func(w *world) {
			began := time.Now()
			w.start(spec("api", waits))
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("start took %s", took)
			}
		})
	})
}

func TestClusterWorkerIsReadyWhenItListens(t *testing.T) {
	in(t, runs(listens(200*time.Millisecond, "*:3000")), func(w *world) {
		began := time.Now()
		done := make(chan []app.Status)
		go func() { done <- w.start(spec("api", cluster(2))) }()
		pass(50 * time.Millisecond)
		w.is(0, app.Launching)
		pass(100 * time.Millisecond)
		if st := w.is(0, app.Online); st.Ready {
			t.Error("ready before it listens")
		}
		list := <-done
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("start took %s, want 200ms", took)
		}
		if st := list[1]; !st.Ready || !slices.Equal(st.Ports, []string{"*:3000"}) {
			t.Errorf("started %+v", st)
		}
	})
}

func TestClusterWorkerThatDoesNotComeUp(t *testing.T) {
	in(t, runs(program{online: -1}), func(w *world) {
		st := w.start(spec("api", cluster(1)))[0]
		if want := "not ready within 3s: it has not come up"; st.Reason != want || st.State != app.Launching {
			t.Errorf("started %+v, want reason %q", st, want)
		}
	})
}

func TestShutdownWithMessage(t *testing.T) {
	byMessage := func(s *app.Spec) { s.ShutdownWithMessage = true }
	in(t, runs(program{}), func(w *world) {
		w.start(spec("api", byMessage))
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		if got := w.host.said(); !slices.Equal(got, []string{"start 0.1", `message 0.1 "shutdown"`}) {
			t.Errorf("calls %q", got)
		}
	})
	in(t, runs(program{noChannel: true}), func(w *world) {
		w.start(spec("api", byMessage, func(s *app.Spec) { s.NoTreekill = true; s.KillSignal = "SIGTERM" }))
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		if got := w.host.said(); !slices.Equal(got, []string{"start 0.1", "SIGTERM 0.1 leader"}) {
			t.Errorf("calls %q", got)
		}
	})
}

func TestRestartCounts(t *testing.T) {
	in(t, runs(program{stopTakes: 10 * time.Millisecond}), func(w *world) {
		w.start(spec("api"))
		before := w.one(0)
		list, err := w.Restart(ctx, []int{0})
		if err != nil {
			t.Fatal(err)
		}
		if st := list[0]; st.Restarts != 1 || st.PID == before.PID || st.State != app.Online || st.Unstable != 0 || !st.LastExit.Wanted {
			t.Errorf("restarted %+v", st)
		}
		if _, err := w.Stop(ctx, []int{0}); err != nil {
			t.Fatal(err)
		}
		list, err = w.Restart(ctx, []int{0})
		if err != nil || list[0].Restarts != 1 { // PM2 does not count a start of what is stopped
			t.Errorf("started again %+v, %v", list, err)
		}
		if list, err = w.Reset(ctx, []int{0}); err != nil || list[0].Restarts != 0 {
			t.Errorf("reset %+v, %v", list, err)
		}
	})
}

func TestWarningsAndMessages(t *testing.T) {
	in(t, runs(program{says: []saying{
		{time.Second, Warned{"npm swallows the channel"}},
		{time.Second, Messaged{[]byte(`{"a":1}`)}},
	}}), func(w *world) {
		w.start(spec("api"))
		pass(2 * time.Second)
		if st := w.one(0); st.Reason != "npm swallows the channel" {
			t.Errorf("status %+v", st)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.IndexFunc(w.events, func(e app.Event) bool { return e.Type == app.EventMessage })
		if i < 0 || string(w.events[i].Data) != `{"a":1}` {
			t.Errorf("events %+v", w.events)
		}
	})
}

// TestCloseLeavesProcesses also shows that nothing waits for a start that hangs.
func TestCloseLeavesProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newFakeHost(runs(program{})))
		w.start(spec("api", instances(3)))
		w.end()
		if n := len(w.host.alive()); n != 3 {
			t.Errorf("%d processes, want 3", n)
		}
		if _, err := w.Stop(ctx, []int{0}); !errors.Is(err, ErrClosed) {
			t.Errorf("stop after close: %v", err)
		}
	})
}
