package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"paceline/internal/app"
	"paceline/internal/probe"
)

// fault is a kind of thing that a program does wrong.
type fault string

// The faults. Each has its remedies.
const (
	neverListens   fault = "never listens"
	forksAway      fault = "forks away"
	bindsLate      fault = "binds late"
	failsAnyway    fault = "fails anyway"
	successorFails fault = "successor fails"
	moves          fault = "moves"
	noHandler      fault = "no stop handler"
	ignoresStop    fault = "ignores the stop signal"
	cutsRequests   fault = "cuts requests"
	dropsKept      fault = "drops kept connections"
	losesOthers    fault = "loses requests"
	epollFirst     fault = "epoll before listen"
	smallBacklog   fault = "small backlog"
)

// faults lists all of them, for tests.
func faults() []fault {
	return []fault{
		neverListens, forksAway, bindsLate, failsAnyway, successorFails, moves, noHandler, ignoresStop,
		cutsRequests, dropsKept, losesOthers, epollFirst, smallBacklog,
	}
}

// finding is one thing that was found.
type finding struct {
	fault fault
	text  string
}

// lateStart is how long a start may take before it is worth a word: the default
// of listen_timeout.
const lateStart = 3 * time.Second

// judge says what the facts mean, the gravest first.
func judge(f *facts) []finding {
	var list []finding
	found := func(kind fault, format string, a ...any) {
		list = append(list, finding{kind, fmt.Sprintf(format, a...)})
	}
	switch {
	case f.ended != nil:
		found(forksAway, "the process that was started ended with %s after %s, before anything listened: it forks away, or is no server",
			f.ended, time.Duration(f.ended.Uptime).Round(time.Millisecond))
		return list
	case !f.listened:
		found(neverListens, "it listened on no TCP address within %s", f.limit)
		return list
	}
	if wanted := min(lateStart, time.Duration(f.spec.ListenTimeout)); wanted > 0 && f.took > wanted {
		found(bindsLate, "it took %s from its start to listening; a reload waits %s for that (--listen-timeout)",
			f.took.Round(10*time.Millisecond), f.spec.ListenTimeout)
	}
	f.judgeReload(found)
	f.judgeStop(found)
	f.judgeLoad(found)
	f.judgeNotes(found)
	return list
}

type adder = func(kind fault, format string, a ...any)

func (f *facts) judgeReload(found adder) {
	if f.reloadFailed != "" {
		found(successorFails, "the reload failed: %s", oneLine(f.reloadFailed))
		return
	}
	before, after := addresses(f.before.Ports), addresses(f.after.Ports)
	gone := slices.DeleteFunc(before, func(a string) bool { return slices.Contains(after, a) })
	if len(gone) > 0 {
		found(moves, "its successor does not listen on %s any more, but on %s", strings.Join(gone, ", "), cmp.Or(strings.Join(after, ", "), "nothing"))
	}
}

func addresses(ports []string) []string {
	var list []string
	for _, s := range tcp(ports) {
		list = append(list, s.Address())
	}
	return list
}

// judgeStop judges by how the old process ended, which counts more than whether
// a handler is installed: the runtimes of Go, Python, Ruby and Node install one
// themselves, only to end the program.
func (f *facts) judgeStop(found adder) {
	if f.spec.ShutdownWithMessage || f.reloadFailed != "" || f.drained() {
		return
	}
	name := f.spec.KillSignal
	if sig, err := app.ParseSignal(name); err == nil {
		name = app.SignalName(sig)
	}
	switch {
	case f.stopped != nil && f.stopped.Signal == "SIGKILL" && name != "SIGKILL" && !f.stopped.OOM:
		found(ignoresStop, "it was still there %s after %s, and was killed", f.spec.KillTimeout, name)
	case f.stopped != nil && f.stopped.Signal == name && f.signal == caughtSignal:
		found(noHandler, "%s ends it: it does not stop by itself (what catches the signal is the language's runtime)", name)
	case f.stopped != nil && f.stopped.Signal == name, f.stopped == nil && f.signal == defaultSignal:
		found(noHandler, "%s ends it at once: it has no handler for its stop signal", name)
	case f.stopped == nil && f.signal == ignoredSignal:
		found(ignoresStop, "it ignores %s, so it ends only when it is killed, %s later", name, f.spec.KillTimeout)
	}
}

// drained tells whether the app itself is stopped in another way than its copy,
// which is on its own: Paceline is the primary of Node's cluster workers, lets
// them disconnect, and has their answers say `Connection: close`.
func (f *facts) drained() bool {
	return f.spec.NodeWorkers()
}

// judgeLoad judges by what clients saw.
func (f *facts) judgeLoad(found adder) {
	early, lost := 0, 0
	seen := map[probe.Outcome]int{}
	dropped, closed := 0, 0
	for i := range f.load {
		r := &f.load[i]
		switch r.Outcome {
		case probe.Dropped:
			dropped++
			closed++
		case probe.Closed:
			closed++
		}
		if r.Began.Add(r.Took).Before(f.began) {
			early++
			if r.Outcome.Lost() && r.Outcome != probe.Dropped {
				lost++
			}
			continue
		}
		seen[r.Outcome]++
	}
	if lost > 0 {
		found(failsAnyway, "%d of %s failed before the reload already, so what follows is not of the reload alone", lost, count(early, "request"))
	}
	cut := int64(seen[probe.Reset] + seen[probe.Cut])
	for i := range f.verified {
		cut = max(cut, f.verified[i].Reset)
	}
	if cut > 0 {
		found(cutsRequests, "%s got no whole answer, since the old process ended with them in flight", count(int(cut), "request"))
	}
	if closed > 0 && !f.drained() {
		text := fmt.Sprintf("%s closed without `Connection: close` in the answer before", count(closed, "kept-alive connection"))
		if dropped > 0 {
			text += fmt.Sprintf("; %d had a request on the way, which was lost", dropped)
		} else {
			text += "; a request on the way would have been lost"
		}
		found(dropsKept, "%s", text)
	}
	if n := seen[probe.Refused] + seen[probe.Hung] + seen[probe.Garbled]; n > 0 {
		found(losesOthers, "%s got no answer in the reload or after it: %d refused, %d without an end in time, %d that were not HTTP",
			count(n, "request"), seen[probe.Refused], seen[probe.Hung], seen[probe.Garbled])
	}
}

// judgeNotes looks for what the daemon has noticed.
func (f *facts) judgeNotes(found adder) {
	for _, n := range []struct {
		begin string
		fault fault
	}{
		{app.NoteDaemonized, forksAway},
		{app.NoteEpollFirst, epollFirst},
		{app.NoteSmallBacklog, smallBacklog},
	} {
		notes := slices.Concat(f.before.Notes, f.after.Notes)
		i := slices.IndexFunc(notes, func(note string) bool { return strings.HasPrefix(note, n.begin+":") })
		if i >= 0 {
			found(n.fault, "%s", oneLine(notes[i]))
		}
	}
}

// report prints what was done and what was found.
func (k *check) report(f *facts, list []finding) {
	lang := languageOf(f.spec)
	remedies := remediesFor(f.spec)
	if !k.silent {
		k.summary(f, lang)
	}
	for _, one := range list {
		k.printf("%s %s\n", k.look.paint(red, "✗"), one.text)
		for _, line := range wrap(remedies(one.fault), helpWidth-4) {
			k.printf("    %s\n", line)
		}
	}
	if len(list) == 0 {
		k.say("%s nothing found that would cost a request", k.look.paint(green, "✓"))
	}
}

// summary prints what the check has done, as far as it came.
func (k *check) summary(f *facts, lang language) {
	k.printf("%s (%s)", k.look.paint(bold, f.spec.Name), lang)
	if !f.listened {
		k.printf("\n")
		return
	}
	k.printf(": listened after %s", f.took.Round(10*time.Millisecond))
	if f.reloadFailed == "" {
		k.printf(", reloaded in %s", f.over.Sub(f.began).Round(10*time.Millisecond))
	}
	k.printf("\n")
	if f.noHTTP {
		k.printf("  it does not speak HTTP/1, so no load was sent: requests in flight and kept connections were not tried\n")
		return
	}
	var fresh, kept []probe.Result
	for _, r := range f.load {
		if r.Kept {
			kept = append(kept, r)
		} else {
			fresh = append(fresh, r)
		}
	}
	k.printf("  on new connections   %s\n", outcomes(fresh))
	k.printf("  on kept connections  %s\n", outcomes(kept))
	if f.drained() {
		k.printf("  in cluster mode Paceline stops Node's workers itself, so how the copy ends is not judged\n")
	}
	if typical := median(f.load); typical < quickAnswer {
		k.printf("  %s takes %s, so hardly a request was in flight when the old process ended; --path tries a slow one\n",
			f.target.Path, typical.Round(100*time.Microsecond))
	}
}

// quickAnswer is an answer so quick that a small load has none in flight most of
// the time.
const quickAnswer = 30 * time.Millisecond

// outcomes counts results: "120 answered, 3 dropped".
func outcomes(list []probe.Result) string {
	by := map[probe.Outcome]int{}
	for i := range list {
		by[list[i].Outcome]++
	}
	var parts []string
	for o := probe.Answered; o <= probe.Garbled; o++ {
		if by[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", by[o], o))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// median is how long an answer took in the middle of all.
func median(list []probe.Result) time.Duration {
	var took []time.Duration
	for i := range list {
		if list[i].Outcome == probe.Answered {
			took = append(took, list[i].Took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)/2]
}
