package monit

import (
	"fmt"
	"strconv"
	"strings"

	"paceline/internal/app"
)

// infoPane draws what is known of the selection.
func (m *Model) infoPane(w, h int) []string {
	r := m.row()
	if r == nil {
		return m.fill([]string{m.rule(w, onInfo, "information", "")}, w, h)
	}
	all := m.infoLines(r, w)
	m.info = max(0, min(m.info, len(all)-(h-1)))
	more := ""
	if len(all) > h-1 {
		more = fmt.Sprintf("%d/%d", min(m.info+h-1, len(all)), len(all))
	}
	out := []string{m.rule(w, onInfo, m.called(r), more)}
	return m.fill(append(out, all[m.info:]...), w, h)
}

// facts gathers lines of a name and a value.
type facts struct {
	m     *Model
	w     int
	names int // width of the names
	lines []string
}

func (f *facts) add(name, value string) { f.styled(plain, name, value) }

func (f *facts) styled(s style, name, value string) {
	if value == "" {
		return
	}
	for i, part := range filled(clean(value), max(f.w-f.names-2, 4)) {
		c := f.m.canvas(f.w)
		if i > 0 {
			name, part = "", strings.TrimLeft(part, " ")
		}
		c.put(dim, " "+left(name, f.names)+" ")
		c.put(s, part)
		f.lines = append(f.lines, c.line())
	}
}

func (f *facts) head(text string) {
	c := f.m.canvas(f.w)
	c.put(bold, " "+text)
	f.lines = append(f.lines, c.line())
}

// infoLines says all about a row. Of an app with several instances, what concerns
// one process is that of the first.
func (m *Model) infoLines(r *row, w int) []string {
	f := &facts{m: m, w: w, names: 9}
	brief, full := r.members[0], m.detailOf(r)
	if brief.Reason != "" {
		f.styled(yellow, "note", brief.Reason)
	}
	if t := m.trailOf(r); t != nil {
		room := max(w-f.names-2-8, 1)
		f.styled(cyan, "cpu", t.cpu.chart(min(room, kept), 5)+" "+right(percent(r.sum.cpu), 7))
		f.styled(magenta, "memory", t.memory.chart(min(room, kept), 1<<20)+" "+right(size(r.sum.memory), 7))
	}
	f.metrics(full)
	f.status(r, brief)
	if full != nil {
		f.process(full, r)
	}
	if m.detailOf(r) != nil {
		f.spec(&m.detail.Spec)
	}
	return f.lines
}

// metrics are those that the app reports of itself.
func (f *facts) metrics(s *app.Status) {
	if s == nil || len(s.Metrics) == 0 {
		return
	}
	f.head("metrics")
	names := f.names
	for _, v := range s.Metrics {
		f.names = max(f.names, min(width(clean(v.Name)), f.w/2))
	}
	for _, v := range s.Metrics {
		f.add(clean(v.Name), strings.TrimSpace(v.Value+" "+v.Unit))
	}
	f.names = names
	f.head("process")
}

// status is what the list knows.
func (f *facts) status(r *row, s *app.Status) {
	if r.id == ofApp {
		f.add("online", fmt.Sprintf("%d of %d", r.sum.online, len(r.members)))
	} else {
		f.styled(stateStyle(s.State), "state", string(s.State))
		if s.PID != 0 {
			f.add("pid", strconv.Itoa(s.PID))
		}
	}
	restarts := strconv.Itoa(r.sum.restarts)
	if s.Unstable > 0 {
		restarts += fmt.Sprintf(", %d fast failures", s.Unstable)
	}
	f.add("restarts", restarts)
	if r.sum.hasPID && !r.sum.started.IsZero() {
		f.add("up", span(f.m.now.Sub(r.sum.started)))
	}
	if !s.NextRestart.IsZero() {
		f.add("again in", span(s.NextRestart.Sub(f.m.now)))
	}
	if e := s.LastExit; e != nil && !e.Wanted {
		f.add("last exit", fmt.Sprintf("%s, %s ago", e, span(f.m.now.Sub(e.At))))
	}
	f.add("ports", strings.Join(s.Ports, ", "))
	if r.sum.hasQueue {
		f.add("queue", count(r.sum.queue, "connection"))
	}
	if s.Draining {
		f.add("draining", "an older process finishes its requests")
	}
	mode := string(s.Mode)
	if s.Balance != "" {
		mode += ", " + string(s.Balance)
	}
	f.add("mode", mode)
}

// process is what only the detailed status tells.
func (f *facts) process(s *app.Status, r *row) {
	f.add("dealt by", s.Mechanism)
	if r.id != ofApp {
		f.add("start", strconv.FormatUint(s.Gen, 10))
	}
	for _, c := range s.Checks {
		if c.OK {
			f.styled(green, c.Name, "passes")
		} else {
			f.styled(red, c.Name, "fails: "+c.Why)
		}
	}
	for _, n := range s.Notes {
		f.add("note", n)
	}
	f.add("actions", strings.Join(s.Actions, ", "))
}

// spec is how the app is configured.
func (f *facts) spec(s *app.Spec) {
	f.head("app")
	if s.Namespace != "" && s.Namespace != "default" {
		f.add("namespace", s.Namespace)
	}
	f.add("script", s.Exec)
	f.add("args", strings.Join(s.Args, " "))
	f.add("run by", strings.TrimSpace(s.Interpreter+" "+strings.Join(s.InterpreterArgs, " ")))
	f.add("folder", s.Cwd)
	f.add("from", s.Source)
	if s.User != nil {
		f.add("user", s.User.Name)
	}
	if s.Watch != nil {
		f.add("watch", "yes")
	}
	f.add("cron", s.CronRestart)
	f.add("job", s.Job)
	if s.MaxMemoryBytes > 0 {
		f.add("at most", size(float64(s.MaxMemoryBytes)))
	}
	f.add("out", s.OutFile)
	f.add("error", s.ErrFile)
}
