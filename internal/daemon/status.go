package daemon

import (
	"encoding/json"
	"fmt"
	"maps"

	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/supervisor"
)

// complete adds to a status what the supervisor does not know: figures, files,
// and how connections are dealt.
func (h *host) complete(s *app.Status, spec *app.Spec) {
	h.figures(s, spec)
	f := filesOf(h.home, spec, s.ID)
	s.OutFile, s.ErrFile, s.LogFile = f.out, f.err, f.both
	if s.PID != 0 {
		s.Notes = h.notes(s, spec)
	}
	if p := h.leader(s.PID); s.PID != 0 && p != nil {
		r := p.report()
		s.Metrics, s.Actions = r.Metrics(), r.Actions()
	}
}

// figures is the part of complete that api.Brief leaves in.
func (h *host) figures(s *app.Status, spec *app.Spec) {
	if s.PID != 0 {
		s.CPU, s.MemoryBytes = h.stats.Get(s.ID)
	}
	h.mu.Lock()
	c := h.clusters[s.Name]
	h.mu.Unlock()
	if c != nil && (s.Mode == app.Cluster || len(spec.Sockets) > 0 && spec.Instances > 1) {
		if policy, mechanism, reason := c.dealing(); mechanism != "" { // else nothing is shared yet
			s.Balance, s.Mechanism, s.BalanceReason = policy, mechanism, reason
			s.OutOfRotation, _ = c.standsAside(keyOf(supervisor.Ref{ID: s.ID, Gen: s.Gen}))
		}
	}
}

// notes says what is special about how a process is run, for people.
func (h *host) notes(s *app.Status, spec *app.Spec) (notes []string) {
	notes = h.remarksOn(s.PID)
	if note := h.adoption.note(spec); note != "" {
		notes = append(notes, note)
	}
	h.mu.Lock()
	hanged := h.hanged[s.ID]
	h.mu.Unlock()
	if hanged != "" {
		notes = append(notes, hanged)
	}
	if note := h.asideNote(s, spec); note != "" {
		notes = append(notes, note)
	}
	if spec.Wrapper != "" && s.Mode == app.Cluster {
		notes = append(notes, fmt.Sprintf(
			"%s keeps Node's channel to itself, so that cluster.isWorker is false; what it listens on is shared all the same", spec.Wrapper))
	}
	return notes
}

// settle drops what an earlier daemon left and nobody took up: the processes are
// the supervisor's, the rest belongs to none of them.
func (h *host) settle() {
	h.resumeOrphans()
	h.resumePrints()
	h.mu.Lock()
	clusters := maps.Clone(h.clusters)
	h.mu.Unlock()
	for _, c := range clusters {
		c.resume(func(key string) bool { return h.find(key) != nil })
	}
	h.sweepCgroups()
	names, err := h.kept.rest()
	if err != nil {
		h.log.Debug("close what was left", "error", err)
	}
	if len(names) == 0 {
		return
	}
	h.log.Info("drop what an earlier daemon left", "names", names)
	if err := h.keeper.Drop(names...); err != nil {
		h.log.Error("drop what was left", "error", err)
	}
}

// resumeOrphans goes on with log pipes whose process is forgotten already: what
// it wrote last, or what a child of it still writes.
func (h *host) resumeOrphans() {
	for name, e := range h.kept.pipes() {
		var targets []logs.FileSpec
		if err := json.Unmarshal(e.Note, &targets); err != nil {
			h.log.Error("read log pipe's note", "name", name, "error", err)
		}
		if _, err := h.pump.Add(logs.StreamSpec{
			Name: name, Pipe: e.File, Files: targets, Done: func() { h.note(name, nil) },
		}); err != nil {
			h.log.Error("take up log", "name", name, "error", err)
		}
	}
}

// asideNote says why a copy that is not ready gets connections all the same; "" if it
// gets none, or is ready.
func (h *host) asideNote(s *app.Status, spec *app.Spec) string {
	h.mu.Lock()
	c := h.clusters[s.Name]
	h.mu.Unlock()
	if c == nil || spec.Instances < 2 || s.State != app.Online {
		return ""
	}
	out, would := c.standsAside(keyOf(supervisor.Ref{ID: s.ID, Gen: s.Gen}))
	switch {
	case out || !would:
		return ""
	case s.Mechanism == mechanismShared:
		return "it is not ready and gets connections all the same: all copies take them from one queue"
	}
	return "it is not ready and gets connections all the same: no copy is ready"
}
