package supervisor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
)

// checked gives a spec checks of the names.
func checked(names ...string) func(*app.Spec) {
	return func(s *app.Spec) {
		s.Health = &app.Health{}
		for _, name := range names {
			c := app.HealthDefaults()
			c.TCP = "127.0.0.1:80"
			switch name {
			case "startup":
				s.Health.Startup = &c
			case "readiness":
				s.Health.Readiness = &c
			case "liveness":
				s.Health.Liveness = &c
			}
		}
	}
}

func TestReadinessComesAndGoes(t *testing.T) {
	in(t, runs(program{says: []saying{
		{time.Second, Checked{Check: "readiness", OK: true}},
		{time.Minute, Checked{Check: "readiness", Why: "status 503"}},
		{2 * time.Minute, Checked{Check: "readiness", OK: true}},
	}}), func(w *world) {
		began := time.Now()
		w.start(spec("api", checked("readiness")))
		if st := w.is(0, app.Online); !st.Ready || time.Since(began) < time.Second {
			t.Errorf("after %s: %+v", time.Since(began), st)
		}
		pass(time.Minute)
		if st := w.is(0, app.Online); st.Ready || st.Reason != "readiness check fails: status 503" {
			t.Errorf("failing: %+v", st)
		}
		pass(time.Minute)
		if st := w.is(0, app.Online); !st.Ready || st.Reason != "" || st.Restarts != 0 {
			t.Errorf("again: %+v", st)
		}
	})
}

func TestLivenessReplaces(t *testing.T) {
	in(t, runsInTurn(program{says: []saying{{time.Minute, Checked{Check: "liveness", Why: "timeout"}}}}, program{}), func(w *world) {
		w.start(spec("api", checked("liveness"), func(s *app.Spec) { s.StopExitCodes = []int{0} }))
		pass(2 * time.Minute)
		if st := w.is(0, app.Online); st.Restarts != 1 || st.Unstable != 0 {
			t.Errorf("now %+v", st)
		}
	})
}

func TestStartupCheckFails(t *testing.T) {
	in(t, runs(program{says: []saying{{10 * time.Second, Checked{Check: "startup", Why: "refused"}}}}), func(w *world) {
		w.start(spec("api", checked("startup"), func(s *app.Spec) { s.MaxRestarts = 2 }))
		pass(time.Minute)
		if st := w.is(0, app.Errored); !strings.Contains(st.Reason, "startup check fails: refused") {
			t.Errorf("reason %q", st.Reason)
		}
	})
}

// TestReloadWaitsForChecks: a successor that does not pass does not take over.
func TestReloadWaitsForChecks(t *testing.T) {
	well := adopted(0, "*:80")
	well.says = append(well.says, saying{time.Second, Checked{Check: "readiness", OK: true}})
	in(t, runsInTurn(well, adopted(0, "*:80"), well), func(w *world) {
		ctx := context.Background()
		w.start(spec("api", checked("readiness")))
		pid := w.one(0).PID
		if _, err := w.Reload(ctx, []int{0}, ReloadOptions{}); !errors.Is(err, ErrReloadFailed) || !strings.Contains(err.Error(), "readiness check has not passed") {
			t.Errorf("reload: %v", err)
		}
		if st := w.is(0, app.Online); st.PID != pid {
			t.Error("the old process is gone")
		}
		if _, err := w.Reload(ctx, []int{0}, ReloadOptions{}); err != nil || w.one(0).PID == pid {
			t.Errorf("second reload: %v", err)
		}
	})
}
