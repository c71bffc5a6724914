package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"paceline/internal/app"
)

// TestMachineUnderAnyMessages plays random messages to the pure part, together
// with a model of the process and the timer that they would have.
func TestMachineUnderAnyMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		var (
			m      machine
			exists bool   // there is a process,
			gen    int    // the last one started
			timer  int    // the generation for which the timer was set; 0: it is off
			fast   int    // fast failures in a row
			told   string // how we came here
		)
		apply := func(msg message) {
			before := m
			var actions []action
			m, actions = next(m, msg, p)
			told += fmt.Sprintf("%T → %s (%s); ", msg, m.phase, m.then)
			timed := m.phase == before.phase
			for _, a := range actions {
				switch a.verb {
				case spawn:
					if exists {
						t.Fatalf("a second process: %s", told)
					}
					gen++
				case forget:
					exists = false
				case ask, kill, drain:
					if !exists {
						t.Fatalf("%s to nobody: %s", a, told)
					}
				case arm:
					timer, timed = gen, true
				case keep:
					timed = true
				}
			}
			if !timed {
				timer = 0
			}
			if m.phase == errored && before.phase != errored && m.then == byRules && !m.trial && before.phase != stuck && !before.given {
				if _, failed := msg.(startFailed); !failed && fast < p.maxRestarts {
					t.Fatalf("given up after %d fast failures of %d: %s", fast, p.maxRestarts, told)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			process := m.phase >= launching && m.phase <= stuck
			if process != exists {
				t.Fatalf("in %s, process %t: %s", m.phase, exists, told)
			}
			switch kind := rapid.IntRange(0, 11).Draw(t, "kind"); {
			case kind == 0:
				apply(start{})
			case kind == 1:
				apply(restart{})
			case kind == 2:
				apply(stop{})
			case kind == 3 && rapid.IntRange(0, 5).Draw(t, "really") == 0:
				apply(rapid.SampledFrom([]message{remove{}, retire{}}).Draw(t, "end"))
			case kind == 4:
				apply(rapid.SampledFrom([]message{
					Online{},
					Ready{},
					Listening{Addr: "x"},
					Drained{},
					reset{},
					Warned{},
					Checked{Check: "startup", OK: true},
					Checked{Check: "readiness", OK: true},
					Checked{Check: "readiness"},
					Checked{Check: "startup"},
					Checked{Check: "liveness"},
				}).Draw(t, "fact"))
			case m.phase == held:
				apply(rapid.SampledFrom([]message{release{}, block{why: "waits", final: true}, block{why: "waits"}}).Draw(t, "depends"))
			case m.phase == spawning && kind < 10:
				exists = true
				apply(started{pid: gen})
			case m.phase == spawning:
				fast++
				apply(startFailed{exit: &app.Exit{Error: "x"}, permanent: kind == 10})
			case timer > 0 && kind < 8:
				if timer != gen {
					t.Fatalf("a timer of process %d fires into %d: %s", timer, gen, told)
				}
				timer = 0
				apply(timeout{})
			case exists:
				life := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "life")
				failedCheck := m.unfit != "" && p.startup && !m.passed
				if life < p.minUptime || failedCheck {
					fast++
				} else {
					fast = 0
				}
				apply(Exited{Exit: app.Exit{Code: kind % 3, Uptime: app.Duration(life)}, Left: kind % 2})
				apply(Gone{})
			}
		}
		// From anywhere, a stop ends: by the process, or by the timer.
		apply(stop{})
		for i := 0; m.phase.alive() && m.phase != stuck; i++ {
			switch {
			case i > 5:
				t.Fatalf("the stop does not end in %s: %s", m.phase, told)
			case m.phase == spawning:
				exists = true
				apply(started{pid: gen})
			case timer == 0:
				t.Fatalf("no timer in %s: %s", m.phase, told)
			default:
				apply(timeout{})
			}
		}
	})
}

func drawPolicy(t *rapid.T) policy {
	return policy{
		autorestart:   rapid.Bool().Draw(t, "autorestart"),
		maxRestarts:   rapid.IntRange(0, 3).Draw(t, "max_restarts"),
		minUptime:     rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "min_uptime"),
		restartDelay:  rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "restart_delay"),
		backoff:       rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "backoff"),
		stopCodes:     rapid.SampledFrom([][]int{nil, {0}}).Draw(t, "stop_exit_codes"),
		killTimeout:   rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "kill_timeout"),
		listenTimeout: time.Second,
		await:         rapid.SampledFrom([]awaited{nothing, aMessage, aListen}).Draw(t, "await"),
		reports:       rapid.Bool().Draw(t, "reports"),
		startup:       rapid.Bool().Draw(t, "startup"),
		readiness:     rapid.Bool().Draw(t, "readiness"),
		depends:       rapid.Bool().Draw(t, "depends"),
		retries:       rapid.Bool().Draw(t, "retries"),
		job:           rapid.Bool().Draw(t, "job"),
	}
}

// deed is one step of a random story.
type deed struct {
	kind  int
	ids   []int
	n     int
	async bool
	wait  time.Duration
}

// TestAnyStory plays random commands, crashes and daemon deaths to a whole
// supervisor whose processes behave in random ways.
func TestAnyStory(t *testing.T) {
	durations := []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 4 * time.Second, time.Minute}
	duration := rapid.SampledFrom(durations)
	aProgram := rapid.Custom(func(t *rapid.T) program {
		p := program{
			startTakes: rapid.SampledFrom(durations[:4]).Draw(t, "startTakes"),
			online:     rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, -1}).Draw(t, "online"),
			life:       duration.Draw(t, "life"),
			exit:       app.Exit{Code: rapid.IntRange(0, 2).Draw(t, "code")},
			left:       rapid.IntRange(0, 1).Draw(t, "left"),
			stopTakes:  rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Minute, -1}).Draw(t, "stopTakes"),
			drainTakes: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, -1}).Draw(t, "drainTakes"),
			drainExits: rapid.Bool().Draw(t, "drainExits"),
			echoes:     rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second}).Draw(t, "echoes"),
		}
		if rapid.Bool().Draw(t, "listens") {
			p.says = []saying{{duration.Draw(t, "after"), Listening{Addr: "*:3000"}}}
		}
		switch rapid.IntRange(0, 19).Draw(t, "rare") {
		case 0:
			p.startErr = syscall.ENOENT
		case 1:
			p.startErr = syscall.EAGAIN
		}
		return p
	})
	aDeed := rapid.Custom(func(t *rapid.T) deed {
		return deed{
			kind:  rapid.IntRange(0, 11).Draw(t, "kind"),
			ids:   rapid.SliceOfN(rapid.IntRange(0, 4), 1, 3).Draw(t, "ids"),
			n:     rapid.IntRange(1, 4).Draw(t, "n"),
			async: rapid.Bool().Draw(t, "async"),
			wait:  duration.Draw(t, "wait"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		programs := rapid.SliceOfN(aProgram, 1, 6).Draw(rt, "programs")
		deeds := rapid.SliceOfN(aDeed, 1, 15).Draw(rt, "deeds")
		var complaints []string
		synctest.Test(t, func(t *testing.T) { complaints = play(t, programs, deeds) })
		for _, c := range complaints {
			rt.Error(c)
		}
	})
}

// play plays a story and returns what went wrong.
func play(t *testing.T, programs []program, deeds []deed) (complaints []string) {
	h := newFakeHost(func(l Launch) program { return programs[(l.ID+int(l.Gen))%len(programs)] })
	w := newWorld(t, h)
	complain := func(format string, a ...any) { complaints = append(complaints, fmt.Sprintf(format, a...)) }
	var wg sync.WaitGroup
	overlapping := map[int]bool{} // instances that a reload may have doubled
	alone := true                 // no two commands have been under way at a time
	for _, d := range deeds {
		asked := w // a deed is for the supervisor of its time
		do := func() {
			w, err := asked, error(nil)
			switch d.kind {
			case 0, 1:
				_, err = w.Start(ctx, []app.Spec{spec("api", cluster(d.n))})
			case 2:
				_, err = w.Start(ctx, []app.Spec{spec("job", instances(d.n))})
			case 3:
				_, err = w.Stop(ctx, d.ids)
			case 4:
				_, err = w.Restart(ctx, d.ids)
			case 5:
				_, err = w.Delete(ctx, d.ids)
			case 6:
				_, err = w.Scale(ctx, "api", d.n)
			case 7, 8:
				_, err = w.Reload(ctx, d.ids, ReloadOptions{Parallel: d.n})
			case 9:
				next := spec("api", cluster(1), func(s *app.Spec) { s.Args = []string{fmt.Sprint(d.n)} })
				_, err = w.Reload(ctx, d.ids, ReloadOptions{Specs: []app.Spec{next}})
			}
			for _, p := range h.alive() {
				if (d.kind == 3 || d.kind == 5) && err == nil && alone && slices.Contains(d.ids, p.ID) {
					complain("%v outlives deed %+v: %q", p.Ref, d, h.said())
				}
			}
			for _, known := range []error{
				nil, ErrNotFound, ErrExists, ErrUnchanged, ErrReloading, ErrReloadFailed, ErrStartFailed, ErrClosed,
			} {
				if errors.Is(err, known) {
					return
				}
			}
			complain("deed %+v: %v", d, err)
		}
		for _, id := range d.ids {
			overlapping[id] = overlapping[id] || d.kind >= 7
		}
		switch {
		case d.kind == 10:
			for _, p := range h.alive() {
				if p.ID == d.ids[0] {
					h.die(p, app.Exit{Code: -1, Signal: "SIGSEGV"})
				}
			}
		case d.kind == 11:
			w = w.replaced(complain)
		case d.async:
			alone = false
			wg.Go(do)
		default:
			do()
		}
		pass(d.wait)
		complaints = append(complaints, judge(w, alone)...)
	}
	wg.Wait()
	h.mu.Lock()
	overlap := maps.Clone(h.overlap)
	h.mu.Unlock()
	for id, n := range overlap {
		if n > 1 && !overlapping[id] {
			complain("instance %d had %d processes at once: %q", id, n, h.said())
		}
	}
	// Whatever has happened: all can be deleted, and nothing is left.
	if all, err := w.Resolve([]string{"all"}); err == nil {
		if _, err := w.Delete(context.Background(), all); err != nil {
			complain("delete all: %v", err)
		}
	}
	synctest.Wait()
	if list, alive := w.List(), h.alive(); len(list) > 0 || len(alive) > 0 {
		complain("left: %+v %v %q", list, alive, h.said())
	}
	if list, err := w.Start(ctx, []app.Spec{spec("last", instances(1), func(s *app.Spec) { s.MaxRestarts = 1000 })}); err == nil && list[0].ID != 0 {
		complain("the first id after all is gone is %d", list[0].ID)
	}
	if _, err := w.Delete(ctx, []int{0}); err != nil {
		complain("delete the last: %v", err)
	}
	w.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.processes) > 0 || len(h.records) > 0 || len(h.specs) > 0 {
		complain("not forgotten: %v %v %v %q", h.processes, h.records, h.specs, h.calls)
	}
	return append(complaints, h.violations...)
}

// replaced is the world after the daemon's death.
func (w *world) replaced(complain func(string, ...any)) *world {
	next, err := w.restarted(nil)
	if err != nil {
		complain("restore: %v", err)
	}
	return next
}

// judge says what may not be while nothing moves.
func judge(w *world, alone bool) (complaints []string) {
	gens, number := map[Ref]bool{}, map[int]int{}
	for _, p := range w.host.alive() {
		gens[p.Ref] = true
		number[p.ID]++
	}
	for _, st := range w.List() {
		if alone && number[st.ID] > 1 && !st.Draining {
			complaints = append(complaints, fmt.Sprintf("%+v has %d processes: %q", st, number[st.ID], w.host.said()))
		}
		runs := gens[Ref{st.ID, st.Gen}]
		switch st.State {
		case app.Stopped, app.Errored, app.Waiting:
			if runs {
				complaints = append(complaints, fmt.Sprintf("%+v is alive", st))
			}
		case app.Online, app.Stopping:
			if !runs {
				complaints = append(complaints, fmt.Sprintf("%+v is dead: %q", st, w.host.said()))
			}
		}
	}
	return complaints
}
