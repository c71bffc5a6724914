package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// what says what went wrong last, and who did it.
func (s *story) what(w *api.Why) {
	t := s.trouble
	if t == nil {
		s.failing(w)
		return
	}
	w.At = t.At
	switch t.Type {
	case app.EventExit:
		exit := *t.Exit
		for _, line := range exit.Stderr {
			w.Stderr = append(w.Stderr, s.clean(line))
		}
		exit.Stderr, exit.Error = w.Stderr, s.clean(exit.Error)
		w.Exit = &exit
		w.What = exit.String()
		if exit.Uptime >= app.Duration(time.Millisecond) {
			w.What += " after " + span(time.Duration(exit.Uptime))
		}
		w.Cause = s.cause(t)
		w.Evidence = s.evidence(t)
	case app.EventHang:
		w.What = "it hung: " + s.clean(t.Detail)
		w.Cause = "the program itself: it ran, but did not answer"
	case app.EventReloadFailed:
		w.What = "a reload failed: " + s.clean(t.Detail)
		w.Cause = "the new processes; " + s.asked(t, "reload")
	case app.EventMemory:
		w.What = s.clean(t.Detail)
		w.Cause = fmt.Sprintf("Paceline, as its max_memory_restart is %s", size(s.Spec.MaxMemoryBytes))
	default:
		w.What = s.clean(t.Detail)
	}
}

// failing tells of what has not led to an event that is known.
func (s *story) failing(w *api.Why) {
	if exit := s.Status.LastExit; exit != nil && failure(&s.Spec, exit) && s.Status.State != app.Stopped {
		e := app.Event{Type: app.EventExit, At: exit.At, ID: s.Status.ID, Name: s.name, PID: exit.PID, Exit: exit}
		s.trouble = &e // of before the history begins
		s.what(w)
	}
}

// cause says who or what ended a process.
func (s *story) cause(t *app.Event) string {
	exit := t.Exit
	switch {
	case exit.OOM:
		return "the kernel, for want of memory"
	case exit.Error != "" && exit.Uptime == 0:
		return "it could not be started"
	case exit.Error != "":
		return "the program itself, as it could not have its address"
	case exit.Signal == "":
		switch {
		case exit.Code == 127:
			return "the program itself: 127 is a shell's word for a command that is not found"
		case exit.Code == 126:
			return "the program itself: 126 is a shell's word for a file that cannot be executed"
		case exit.Code > 128 && exit.Code < 160:
			return fmt.Sprintf("the program itself: %d is 128 + %d, a shell's word for a child that a signal ended", exit.Code, exit.Code-128)
		}
		return "the program itself"
	}
	if by := s.sent(t); by != "" {
		return by
	}
	switch exit.Signal {
	case "SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGTRAP":
		return "the program itself: a fault in native code, or an abort of its own"
	case "SIGSYS":
		return "the kernel: a seccomp filter forbids a call of the program's"
	case "SIGXCPU", "SIGXFSZ":
		return "the kernel: a resource limit (ulimit)"
	case "SIGPIPE":
		return "the program itself: it wrote to a pipe or socket whose reader had gone"
	}
	return exit.Signal + " from outside; Paceline has not sent it, and the kernel does not say who has"
}

// sent says who had Paceline send the signal that ended a process, "" if nobody.
func (s *story) sent(t *app.Event) string {
	for _, e := range slices.Backward(s.own) {
		if e.Seq >= t.Seq || t.Seq == 0 {
			continue
		}
		if e.Type == app.EventStart && e.Gen == t.Gen {
			return ""
		}
		if e.Type == app.EventCommand && e.Detail == "signal "+t.Exit.Signal {
			return "Paceline, as " + e.By + " asked it to send " + t.Exit.Signal
		}
	}
	return ""
}

// asked says who has asked for what.
func (s *story) asked(t *app.Event, what string) string {
	for _, e := range slices.Backward(s.own) {
		if e.Seq < t.Seq && e.Type == app.EventCommand && e.Detail == what {
			return what + " by " + e.By
		}
	}
	return what + " by a rule of the app"
}

// evidence collects what speaks for a cause.
func (s *story) evidence(t *app.Event) (list []string) {
	exit := t.Exit
	if exit.OOM {
		list = append(list, "the kernel's counter of processes killed for memory (oom_kill) grew when it died")
	}
	for _, line := range s.Kernel {
		list = append(list, "the kernel's log: "+line)
	}
	if l := s.Spec.Limits; l != nil && l.MemoryBytes > 0 && (exit.OOM || exit.Signal == "SIGKILL") {
		list = append(list, "limits.memory of the app is "+size(l.MemoryBytes))
	}
	if exit.Signal == "SIGKILL" && !exit.OOM && len(s.Kernel) == 0 && strings.Contains(s.cause(t), "outside") {
		list = append(list, "the kernel has counted no process killed for memory meanwhile")
	}
	return list
}

// memory tells how memory has developed, "" if nothing is known.
func (s *story) memory() string {
	known := slices.DeleteFunc(slices.Clone(s.Memory), func(m Sample) bool { return m.Bytes < 0 })
	if len(known) == 0 {
		return ""
	}
	first, last := known[0], known[len(known)-1]
	top := slices.MaxFunc(known, func(a, b Sample) int { return int(min(max(a.Bytes-b.Bytes, -1), 1)) })
	over := last.At.Sub(first.At)
	if over < time.Second {
		return size(last.Bytes) + " of memory"
	}
	text := fmt.Sprintf("memory %s to %s within %s, at most %s", size(first.Bytes), size(last.Bytes), span(over), size(top.Bytes))
	if grown := float64(last.Bytes) / float64(max(first.Bytes, 1)); grown >= 1.5 && last.Bytes-first.Bytes > 16<<20 {
		text += ": it grows"
	}
	return text
}

// changes says what is different since the last good run.
func (s *story) changes(w *api.Why) {
	if len(s.runs) == 0 {
		return
	}
	latest := s.runs[len(s.runs)-1]
	var good *run
	for i, r := range slices.Backward(s.runs) {
		if r.good(s.Now) {
			good = &s.runs[i]
			break
		}
	}
	since := uint64(0)
	version := s.runs[0].version
	if good != nil {
		since, version = good.start, good.version
		w.LastGood = s.Now
		if good.exit != nil {
			w.LastGood = good.exit.At
		}
	}
	if version != latest.version && latest.version != "" && version != "" {
		w.Changed = append(w.Changed, fmt.Sprintf("version: %s -> %s", version, latest.version))
	}
	if s.Revision != "" && latest.version != "" && s.Revision != latest.version {
		w.Changed = append(w.Changed, fmt.Sprintf("version on the disk, which does not run yet: %s", s.Revision))
	}
	for i := range s.own {
		e := &s.own[i]
		if e.Type != app.EventConfig || e.Seq <= since {
			continue
		}
		by := ""
		for _, c := range slices.Backward(s.own[:i]) {
			if c.Type == app.EventCommand {
				by = ", by " + c.By
				break
			}
		}
		w.Changed = append(w.Changed, fmt.Sprintf("configuration at %s: %s%s", s.clock(e.At), e.Detail, by))
	}
	if len(w.Changed) > maxChanges {
		w.Changed = w.Changed[len(w.Changed)-maxChanges:]
	}
}

// maxChanges is how many changes one screen has room for.
const maxChanges = 6

// size writes bytes as lists do.
func size(bytes int64) string {
	f := float64(bytes)
	for _, unit := range []string{"b", "kb", "mb", "gb"} {
		if f < 1024 || unit == "gb" {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + unit
		}
		f /= 1024
	}
	return ""
}
