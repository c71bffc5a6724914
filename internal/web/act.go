package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"paceline/internal/api"
)

// actTimeout bounds an action: a reload of many slow instances takes its time.
const actTimeout = 30 * time.Minute

// action is what a page may have done to an app that is there, or to one of its
// instances. There is none that starts something new.
type action struct {
	Action    string `json:"action"` // restart, reload, stop, start, flush, scale
	App       string `json:"app"`
	ID        *int   `json:"id,omitempty"`        // of one instance; not for scale
	Instances string `json:"instances,omitempty"` // for scale, as in api.ScaleRequest
}

// act does it. It goes on if the browser leaves meanwhile: half an action would be
// worse.
func (s *server) act(me who, w http.ResponseWriter, r *http.Request) error {
	var q action
	if err := decode(r, &q); err != nil {
		return err
	}
	name, targets, err := s.meant(r.Context(), q.App)
	if err != nil {
		return err
	}
	if q.ID != nil {
		id := strconv.Itoa(*q.ID)
		if !slices.Contains(targets, id) {
			return &api.Error{Code: api.CodeNotFound, Message: strconv.Quote(name) + " has no instance " + id}
		}
		targets = []string{id}
	}
	do, err := s.doing(q, api.TargetsRequest{Targets: targets})
	if err != nil {
		return err
	}
	s.log.Printf("%s %q %v %q: asked for by %s", q.Action, name, targets, q.Instances, me.remote)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTimeout)
	defer cancel()
	if name == AppName && (q.Action == "restart" || q.Action == "reload" || q.Action == "stop") {
		return s.endOneself(ctx, w, len(targets), do)
	}
	reply, err := do(ctx)
	if err != nil {
		return err
	}
	s.send(w, map[string]any{"count": len(reply.Instances), "warnings": reply.Warnings})
	return nil
}

// endOneself does what ends the dashboard's own process. The answer comes first: a
// browser whose connection breaks without one sends the same request again, to the
// successor.
func (s *server) endOneself(ctx context.Context, w http.ResponseWriter, count int, do func(context.Context) (api.ActionReply, error)) error {
	s.send(w, map[string]any{"count": count})
	_ = http.NewResponseController(w).Flush() // an error is the client's, who has left
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := do(ctx); err != nil && ctx.Err() == nil {
			s.log.Printf("what the dashboard was to do with itself: %v", err)
		}
	}()
	select {
	case <-done:
	case <-s.closing: // the daemon goes on without us
		cancel()
		<-done
	}
	return nil
}

// doing finds the call of an action.
func (s *server) doing(q action, targets api.TargetsRequest) (func(context.Context) (api.ActionReply, error), error) {
	plain := map[string]func(context.Context, api.TargetsRequest) (api.ActionReply, error){
		"restart": s.daemon.Restart, "start": s.daemon.Restart, "stop": s.daemon.Stop, "flush": s.daemon.Flush,
		"reload": func(ctx context.Context, t api.TargetsRequest) (api.ActionReply, error) {
			return s.daemon.Reload(ctx, t, nil)
		},
	}
	call := plain[q.Action]
	switch {
	case q.Action == "scale":
		if q.ID != nil || q.App == AppName {
			return nil, invalid("an app is scaled, and not the dashboard's")
		}
		return func(ctx context.Context) (api.ActionReply, error) {
			return s.daemon.Scale(ctx, api.ScaleRequest{App: q.App, Instances: q.Instances})
		}, nil
	case call == nil:
		return nil, invalid("the action is none of restart, reload, stop, start, flush, scale")
	}
	return func(ctx context.Context) (api.ActionReply, error) { return call(ctx, targets) }, nil
}

// line is a line of a log as pages show it.
type line struct {
	ID     int        `json:"i"`
	Stream api.Stream `json:"s"`
	At     int64      `json:"t,omitempty"`
	Text   string     `json:"x"`
	Cut    int        `json:"c,omitempty"` // bytes that are left out at its end
	Name   string     `json:"-"`
}

// maxLine is how much of a line a page gets, in bytes.
const maxLine = 8 << 10

func lineOf(l *api.LogLine) line {
	text := l.Text()
	out := line{ID: l.ID, Name: l.Name, Stream: l.Stream, At: milliseconds(l.At)}
	if len(text) > maxLine {
		text, out.Cut = text[:maxLine], len(text)-maxLine
	}
	out.Text = text // bytes that are not UTF-8 become U+FFFD in JSON
	return out
}

// logsQuery is a page's wish of logs.
type logsQuery struct {
	api.LogsQuery
	name      string
	instances int // of the app
}

// mine leaves out what another app, with a namespace of that name, has written.
func (q *logsQuery) mine(l *api.LogLine) bool { return q.name == "" || l.Name == q.name }

func (s *server) logsQuery(r *http.Request) (*logsQuery, error) {
	v := r.URL.Query()
	name, ids, err := s.meant(r.Context(), v.Get("app"))
	if err != nil {
		return nil, err
	}
	q := &logsQuery{name: name, instances: len(ids), LogsQuery: api.LogsQuery{Targets: []string{name}, Stream: api.Stream(v.Get("stream"))}}
	if id := v.Get("id"); id != "" {
		if !slices.Contains(ids, id) {
			return nil, &api.Error{Code: api.CodeNotFound, Message: strconv.Quote(name) + " has no instance " + strconv.Quote(id)}
		}
		q.Targets = []string{id}
	}
	if q.Stream != "" && !slices.Contains([]api.Stream{api.Out, api.Err, api.All}, q.Stream) {
		return nil, invalid("the stream is none of out, err, all")
	}
	return q, nil
}
