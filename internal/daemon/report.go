package daemon

import (
	"errors"
	"sync"
	"sync/atomic"

	"paceline/internal/app"
	"paceline/internal/axm"
)

// reports is what a process tells of itself. Messages come from the goroutine of its
// channel, the only writer; readers see a whole report.
type reports struct {
	now    atomic.Pointer[axm.Report]
	warned bool // of what is not kept; owned by the channel's goroutine

	mu    sync.Mutex                       // guards calls
	calls map[string][]chan<- axm.Returned // by action, in the order of the calls
}

// report returns what the process has told so far.
func (p *process) report() axm.Report {
	if r := p.reports.now.Load(); r != nil {
		return *r
	}
	return axm.Report{}
}

// reported takes in a message that the app has sent. It tells whether others may want
// to hear of it: figures come every second, and are read by those who want them.
func (h *host) reported(p *process, message []byte) (news bool) {
	m := axm.Parse(message)
	switch m.Kind {
	case axm.Other:
		return true
	case axm.Reply:
		if r, ok := m.Returned(); ok {
			p.reports.answer(r)
		}
		return true
	}
	next, err := p.report().Add(m)
	if err != nil && !p.reports.warned {
		p.reports.warned = true
		h.log.Warn("read what an app reports", "app", p.Spec.Name, "id", p.ID, "error", err)
	}
	p.reports.now.Store(&next)
	if m.Kind != axm.Monitor {
		h.note(reportName(p.key), next.Encode())
	}
	return false
}

// resumeReport takes up what the process told an earlier daemon.
func (h *host) resumeReport(p *process) {
	entry, ok := h.kept.entry(reportName(p.key))
	if !ok {
		return
	}
	r, err := axm.Decode(entry.Note)
	if err != nil {
		h.log.Warn("take up report", "process", p.key, "error", err)
	}
	p.reports.now.Store(&r)
}

// call notes that somebody waits for an action's next reply; drop ends that. The
// replies bear no more than the action's name, so they go to the callers in turn.
func (r *reports) call(action string) (reply <-chan axm.Returned, drop func()) {
	ch := make(chan axm.Returned, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[string][]chan<- axm.Returned{}
	}
	r.calls[action] = append(r.calls[action], ch)
	return ch, func() { r.forget(action, ch) }
}

func (r *reports) forget(action string, ch chan<- axm.Returned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.calls[action]
	for i, other := range waiting {
		if other == ch {
			r.calls[action] = append(waiting[:i:i], waiting[i+1:]...)
			break
		}
	}
	if len(r.calls[action]) == 0 {
		delete(r.calls, action)
	}
}

// answer gives a reply to who has waited longest.
func (r *reports) answer(reply axm.Returned) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.calls[reply.Action]
	if len(waiting) == 0 {
		return
	}
	waiting[0] <- reply // has room for it
	r.calls[reply.Action] = waiting[1:]
}

// Why an action has no reply.
var (
	errEnded  = errors.New("it ended before it replied")
	errNoCall = errors.New("it cannot be reached on its channel")
)

// reportsOf returns what the processes of instances have told, nil if that is nothing.
func (h *host) reportsOf(list []app.Status) []app.AXM {
	raw, told := make([]app.AXM, len(list)), false
	for i, s := range list {
		var r axm.Report
		if p := h.leader(s.PID); s.PID != 0 && p != nil {
			r = p.report()
		}
		raw[i], told = r.Raw(), told || !r.Empty()
	}
	if !told {
		return nil
	}
	return raw
}
