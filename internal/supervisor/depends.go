package supervisor

import (
	"fmt"
	"time"

	"paceline/internal/app"
)

// releaseHeld looks at the instances that wait for other apps: those whose apps are
// up go on, the others learn what they wait for. It returns when to look again
// without news, nil if that is not needed.
func (r *registry) releaseHeld() (again <-chan time.Time) {
	var soonest time.Duration
	for _, g := range r.list.Load().apps {
		depends := g.spec.Load().DependsOn
		if len(depends) == 0 {
			continue
		}
		verdict := met{}
		for _, d := range depends {
			if verdict = r.meets(d); verdict.why != "" || verdict.open {
				break
			}
		}
		if verdict.open {
			continue
		}
		waits := false
		for _, sl := range g.staying() {
			in := sl.current.Load()
			switch {
			case !in.held.Load():
				continue
			case verdict.why == "":
				in.box.put(release{})
			case in.blocked.Load() != verdict.final || in.status.Load().Reason != verdict.why:
				in.box.put(block{why: verdict.why, final: verdict.final})
			}
			waits = verdict.why != ""
		}
		if waits && verdict.within > 0 && (soonest == 0 || verdict.within < soonest) {
			soonest = verdict.within
		}
	}
	if soonest == 0 {
		return nil
	}
	return time.After(soonest)
}

// met says how an app stands to what another one expects of it.
type met struct {
	why    string        // what is missing; "" if nothing is
	final  bool          // it will not come by itself
	within time.Duration // it will come with time alone, after this; 0 if not
	open   bool          // something is on its way that decides it; it is looked at again then
}

// meets looks at one dependency.
func (r *registry) meets(d app.Dependency) met {
	missing := func(final bool, format string, a ...any) met {
		return met{why: "waits for " + d.App + fmt.Sprintf(format, a...), final: final}
	}
	g := r.apps[d.App]
	if g == nil {
		return missing(true, ", which is not there")
	}
	spec := g.spec.Load()
	for _, sl := range g.staying() {
		in := sl.current.Load()
		quiet := in.box.quiet() // before its status: what is on its way may change it
		st := in.status.Load()
		switch {
		case !quiet && st.PID == 0:
			return met{open: true}
		case d.Condition == app.DependCompleted:
			switch e := st.LastExit; {
			case st.State == app.Stopped && e != nil && e.Code == 0 && !e.Wanted:
			case st.State == app.Stopped && e == nil:
				return missing(true, " to complete, which has not run")
			case st.State == app.Stopped || st.State == app.Errored:
				return missing(true, " to complete, which is %s (%s)", st.State, ending(st.LastExit))
			default:
				return missing(false, " to complete")
			}
		case st.State == app.Stopped || st.State == app.Errored:
			return missing(true, ", which is %s", st.State)
		case in.blocked.Load():
			return missing(true, ", which %s", st.Reason)
		case st.PID == 0:
			return missing(false, " to start")
		case d.Condition == app.DependStarted:
		case st.State != app.Online:
			return missing(false, " to be online")
		case st.Ready:
		case policyOf(spec).shows():
			return missing(false, " to be ready")
		default:
			// It may be about to listen, or be a program that never does.
			if left := time.Duration(spec.ListenTimeout) - time.Since(st.StartedAt); left > 0 {
				m := missing(false, " to be ready")
				m.within = left
				return m
			}
		}
	}
	return met{}
}
