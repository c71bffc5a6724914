package monit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"paceline/internal/api"
	"paceline/internal/app"
)

// What is asked of the daemon is bounded, so that one that hangs is told of.
const (
	patience  = 5 * time.Second
	oldLines  = 200 // log lines of each stream to begin with
	mostLines = 800 // and of all streams together
	together  = 80 * time.Millisecond
)

// daemon is the backend of a real daemon.
type daemon struct {
	ctx   context.Context
	first *api.Client // starts a daemon if there is none; for the first request
	later *api.Client
	send  func(tea.Msg)

	mu      sync.Mutex // guards what follows
	begun   bool
	stream  int
	cancel  context.CancelFunc // of the stream that is followed; may be nil
	noPorts bool               // the daemon is too old to tell of them
}

// client is the one for the next request: only the first one starts a daemon.
func (d *daemon) client() *api.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.begun {
		return d.first
	}
	return d.later
}

func (d *daemon) poll(q query) tea.Cmd {
	return func() tea.Msg {
		client := d.client()
		wait := patience
		if client == d.first { // which may have to start a daemon
			wait = time.Minute
		}
		ctx, cancel := context.WithTimeout(d.ctx, wait)
		defer cancel()
		s := snapshot{query: q}
		s.list, s.err = client.Instances(ctx, api.InstancesQuery{Brief: true})
		if s.err != nil {
			return s
		}
		d.mu.Lock()
		d.begun = true
		ports := !d.noPorts && anyPort(s.list)
		d.mu.Unlock()
		client, s.at = d.later, time.Now()
		if ports {
			var err error
			if s.ports, err = client.Ports(ctx, api.PortsQuery{}); isUnsupported(err) {
				d.mu.Lock()
				d.noPorts = true
				d.mu.Unlock()
			}
		}
		if q.detail >= 0 {
			// One that is gone by now, or a daemon that ends, is for the next poll to tell.
			if list, err := client.Apps(ctx, api.AppsQuery{Targets: []string{strconv.Itoa(q.detail)}}); err == nil && len(list) == 1 {
				s.detail = &list[0]
			}
		}
		if q.history && len(s.list) > 0 {
			h, err := client.History(ctx, api.HistoryQuery{
				Series: []string{"cpu", "memory"}, Since: s.at.Add(-kept * time.Second), Step: app.Duration(time.Second),
			})
			if err == nil {
				s.history = &h
			}
			s.old = isUnsupported(err)
		}
		return s
	}
}

func anyPort(list []app.Status) bool {
	for i := range list {
		if len(list[i].Ports) > 0 {
			return true
		}
	}
	return false
}

func isUnsupported(err error) bool {
	e, ok := errors.AsType[*api.Error](err)
	return ok && e.Code == api.CodeUnsupported
}

func (d *daemon) events() tea.Cmd {
	return func() tea.Msg {
		err := d.later.Events(d.ctx, api.EventsQuery{Follow: true}, api.Handler[app.Event]{
			Begun: func() { d.send(eventsBegin{}) },
			Value: func(e app.Event) error {
				if e.Type != app.EventMessage { // there may be thousands, and they change nothing
					d.send(e)
				}
				return nil
			},
		})
		if err == nil { // the daemon has ended in good order
			err = api.ErrLost
		}
		if d.ctx.Err() != nil {
			err = nil
		}
		return eventsEnd{err}
	}
}

func (d *daemon) follow(stream int, targets []string) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithCancel(d.ctx)
		defer cancel()
		d.mu.Lock()
		if stream < d.stream { // a later one was faster
			d.mu.Unlock()
			return nil
		}
		if d.cancel != nil {
			d.cancel()
		}
		d.stream, d.cancel = stream, cancel
		d.mu.Unlock()

		b := &batch{stream: stream, first: true, send: d.send}
		q := api.LogsQuery{Targets: targets, Lines: max(5, min(oldLines, mostLines/max(len(targets), 1))), Follow: true}
		err := d.later.Logs(ctx, q, api.Handler[api.LogLine]{
			Begun: func() { b.arm() },
			Value: func(l api.LogLine) error {
				b.add(logLine{id: l.ID, stream: l.Stream, text: clean(l.Text()), at: l.At})
				return nil
			},
		})
		b.end()
		return linesEnd{stream, err}
	}
}

// batch gathers the lines of a moment, since each message has the screen drawn.
type batch struct {
	stream int
	send   func(tea.Msg)

	mu      sync.Mutex // guards what follows
	first   bool       // nothing was sent yet
	list    []logLine
	skipped int
	timer   *time.Timer // runs while there is something to send
	over    bool
}

// add takes a line. If the Model does not keep up, the oldest ones go.
func (b *batch) add(l logLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.list = append(b.list, l); len(b.list) > 2*keptLines {
		b.skipped += len(b.list) - keptLines
		b.list = append([]logLine(nil), b.list[len(b.list)-keptLines:]...)
	}
	b.armed()
}

// arm has even an empty first batch sent, which says that there are no lines.
func (b *batch) arm() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed()
}

func (b *batch) armed() {
	if b.timer == nil && !b.over {
		b.timer = time.AfterFunc(together, b.flush)
	}
}

func (b *batch) flush() {
	b.mu.Lock()
	msg := lines{stream: b.stream, first: b.first, list: b.list, skipped: b.skipped}
	b.list, b.skipped, b.timer, b.first = nil, 0, nil, false
	b.mu.Unlock()
	b.send(msg) // outside of the lock: it waits for the Model
}

// end sends what is left.
func (b *batch) end() {
	b.mu.Lock()
	b.over = true
	pending := b.timer != nil && b.timer.Stop()
	b.mu.Unlock()
	if pending {
		b.flush()
	}
}

func (d *daemon) act(a action) tea.Cmd {
	return func() tea.Msg {
		var err error
		q := api.TargetsRequest{Targets: a.targets}
		switch a.kind {
		case restarts, starts:
			_, err = d.later.Restart(d.ctx, q)
		case stops:
			_, err = d.later.Stop(d.ctx, q)
		case reloads:
			_, err = d.later.Reload(d.ctx, q, func(text string) { d.send(step{text}) })
		case scales:
			_, err = d.later.Scale(d.ctx, api.ScaleRequest{App: a.app, Instances: strconv.Itoa(a.to)})
		}
		return done{a, err}
	}
}

func (d *daemon) after(wait time.Duration, msg tea.Msg) tea.Cmd {
	return tea.Tick(wait, func(time.Time) tea.Msg { return msg })
}
