// Package why explains how an instance has come to be as it is, from what has
// happened to it. It is pure: it looks at nothing but the facts that it is given.
package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/redact"
)

// Facts is what is known of an instance.
type Facts struct {
	Spec     app.Spec
	Status   app.Status
	Events   []app.Event // of its app, in order; of other instances too
	Revision string      // of the code as it is now; see revision.Of
	Memory   []Sample    // in order; may be empty
	Kernel   []string    // what the kernel has logged of the end of its last process
	Now      time.Time
	Location *time.Location // for times in texts; nil: the local one
}

// Sample is its memory at a time; a Bytes below 0 is not known.
type Sample struct {
	At    time.Time
	Bytes int64
}

// goodRun is how long a run must have lasted to count as a good one.
const goodRun = time.Minute

// window is how far back restarts are counted, and how long an instance must have been
// without trouble to be called healthy.
const window = time.Hour

// run is one process of the instance, as the events tell of it.
type run struct {
	gen     uint64
	pid     int
	start   uint64 // number of the event
	started time.Time
	version string
	end     uint64 // 0: it has not ended
	exit    *app.Exit
	failed  bool // it ended, and nobody had asked for it
}

// good reports whether a run says that the app worked then.
func (r *run) good(now time.Time) bool {
	if r.exit == nil {
		return now.Sub(r.started) >= goodRun
	}
	return r.exit.Wanted || time.Duration(r.exit.Uptime) >= goodRun || r.exit.Error == "" && r.exit.Code == 0
}

// story is what is known, sorted.
type story struct {
	Facts
	name    string
	own     []app.Event // of the instance, or of its app as a whole
	runs    []run
	trouble *app.Event // what went wrong last; nil: nothing
	clean   func(string) string
}

// tell sorts the facts.
func tell(f Facts) *story {
	s := &story{Facts: f, name: f.Spec.Name, clean: redact.Of(f.Spec.Env)}
	if s.Location == nil {
		s.Location = time.Local
	}
	for _, e := range f.Events {
		if e.Name == s.name && (e.ID == f.Status.ID || e.ID < 0) {
			s.own = append(s.own, e)
		}
	}
	for i := range s.own {
		e := &s.own[i]
		switch e.Type {
		case app.EventStart:
			s.runs = append(s.runs, run{gen: e.Gen, pid: e.PID, start: e.Seq, started: e.At, version: e.Version})
		case app.EventExit:
			if e.Exit == nil {
				break
			}
			r := s.runOf(e)
			r.end, r.exit = e.Seq, e.Exit
			if r.failed = failure(&f.Spec, e.Exit); r.failed {
				s.trouble = e
			}
		case app.EventOverlimit:
			if s.trouble == nil { // else the exit before it tells more
				s.trouble = e
			}
		case app.EventHang, app.EventReloadFailed, app.EventMemory:
			s.trouble = e
		case app.EventWarning:
			if e.ID >= 0 && (s.trouble == nil || e.At.Sub(s.trouble.At) > window) {
				s.trouble = e
			}
		case app.EventStop:
			if e.Detail == "" { // by command: what went wrong before is over
				s.trouble = nil
			}
		}
	}
	return s
}

// runOf returns the run that an exit ends. Its start may be too long ago to be known, or
// there was none.
func (s *story) runOf(e *app.Event) *run {
	for i, r := range slices.Backward(s.runs) {
		if r.gen == e.Gen && r.end == 0 {
			return &s.runs[i]
		}
	}
	s.runs = append(s.runs, run{gen: e.Gen, pid: e.Exit.PID, start: e.Seq, started: cmp.Or(e.Exit.Started, e.At)})
	return &s.runs[len(s.runs)-1]
}

// failure reports whether an exit is one that should not have been.
func failure(spec *app.Spec, e *app.Exit) bool {
	switch {
	case e.Wanted:
		return false
	case e.Error != "" || e.Signal != "" || e.OOM:
		return true
	case slices.Contains(spec.StopExitCodes, e.Code):
		return false
	case e.Code == 0: // a job, or a script that is done; a server that ends is restarted
		return !spec.NoAutorestart && spec.Job == ""
	}
	return true
}

// Explain says why the instance is as it is.
func Explain(f Facts) api.Why {
	s := tell(f)
	w := api.Why{ID: f.Status.ID, Name: s.name, State: f.Status.State, Now: s.clean(s.now())}
	for i := range s.own {
		e := &s.own[i]
		if f.Now.Sub(e.At) > window || e.ID < 0 {
			continue
		}
		switch {
		case e.Type == app.EventRestart || e.Type == app.EventReload:
			w.Restarts++
		case e.Type == app.EventExit && e.Exit != nil && failure(&f.Spec, e.Exit):
			w.Crashes++
		}
	}
	s.what(&w)
	s.changes(&w)
	w.Memory = s.memory()
	w.Healthy = s.healthy(&w)
	if w.Healthy {
		w.Cause, w.Evidence, w.Stderr, w.Exit, w.What, w.At = "", nil, nil, nil, "", time.Time{}
		w.Changed = nil
	} else {
		w.Next = s.next(&w)
	}
	w.Summary = s.summary(&w)
	return w
}

// healthy reports whether nothing is the matter, and nothing was for a while.
func (s *story) healthy(w *api.Why) bool {
	st := &s.Status
	if st.Reason != "" || w.Crashes > 0 || slices.ContainsFunc(st.Checks, func(c app.Checked) bool { return !c.OK }) {
		return false
	}
	if s.trouble != nil && s.Now.Sub(s.trouble.At) < window {
		return false
	}
	return st.State == app.Online
}

// summary says it in one line.
func (s *story) summary(w *api.Why) string {
	label := fmt.Sprintf("%s (%d)", s.name, s.Status.ID)
	switch {
	case w.Healthy:
		return fmt.Sprintf("%s is well: %s, %s in the last hour", label, w.Now, plural(w.Restarts, "restart"))
	case w.What == "" || s.trouble == nil:
		return fmt.Sprintf("%s is %s", label, w.Now)
	case s.Status.State == app.Online:
		return fmt.Sprintf("%s runs again: %s", label, w.What)
	}
	return fmt.Sprintf("%s is %s: %s", label, s.Status.State, w.What)
}

// now says what the state is, and why.
func (s *story) now() string {
	st := &s.Status
	var parts []string
	add := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	switch st.State {
	case app.Online:
		add("online for %s", span(s.Now.Sub(st.StartedAt)))
		if len(st.Ports) > 0 {
			parts[0] += ", on " + strings.Join(st.Ports, ", ")
		}
	case app.Launching:
		add("launching for %s", span(s.Now.Sub(st.StartedAt)))
	case app.Waiting:
		add("waiting")
		if !st.NextRestart.IsZero() {
			parts[0] += fmt.Sprintf(" until %s, the next start%s", s.clock(st.NextRestart), delay(&s.Spec))
		}
	case app.Errored:
		add("errored: given up")
		switch {
		case !st.NextRestart.IsZero():
			add("tried once more at %s", s.clock(st.NextRestart))
		case s.Spec.NoRetry:
			add("not tried again, as retry is off")
		}
	case app.Stopped:
		add("stopped%s", s.stopped())
	default:
		add("%s", st.State)
	}
	if st.Reason != "" {
		add("%s", st.Reason)
	}
	if st.State == app.Online && !st.Ready && st.Reason == "" && s.Spec.Health != nil {
		add("not ready yet")
	}
	for _, c := range st.Checks {
		if !c.OK {
			add("its %s check fails since %s: %s", c.Name, s.clock(c.At), c.Why)
		}
	}
	if st.Draining {
		add("an older process still finishes its requests")
	}
	return strings.Join(parts, "; ")
}

// delay says which rule makes it wait.
func delay(spec *app.Spec) string {
	switch {
	case spec.ExpBackoff > 0:
		return " (exp_backoff_restart_delay)"
	case spec.RestartDelay > 0:
		return fmt.Sprintf(" (restart_delay %s)", spec.RestartDelay)
	}
	return ""
}

// stopped says since when and by whom.
func (s *story) stopped() string {
	for i, e := range slices.Backward(s.own) {
		if e.Type != app.EventStop {
			continue
		}
		if e.Detail != "" {
			return fmt.Sprintf(" since %s: it ended with %s, which no restart follows%s", s.clock(e.At), e.Detail, noRestart(&s.Spec))
		}
		text := " by command since " + s.clock(e.At)
		for _, c := range slices.Backward(s.own[:i]) {
			if c.Type == app.EventCommand && (c.Detail == "stop" || c.Detail == "kill") {
				return text + ", by " + c.By
			}
			if c.Type == app.EventStart {
				break
			}
		}
		return text
	}
	switch {
	case s.Spec.Job != "":
		return ": a job, run at its times"
	case s.Spec.NoAutostart:
		return ": it is not to start by itself (autostart is off)"
	}
	return ""
}

func noRestart(spec *app.Spec) string {
	switch {
	case spec.Job != "":
		return " (it is a job)"
	case spec.NoAutorestart:
		return " (autorestart is off)"
	case len(spec.StopExitCodes) > 0:
		return " (stop_exit_codes)"
	}
	return ""
}

// clock is a time of day, with the date unless that is today's.
func (s *story) clock(t time.Time) string {
	t, now := t.In(s.Location), s.Now.In(s.Location)
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// span is a duration as people say it. The clock may have been set back meanwhile.
func span(d time.Duration) string {
	switch d = max(0, d); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func plural(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
