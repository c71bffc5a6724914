package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/logs"
	"paceline/internal/logs/search"
	"paceline/internal/logsearch"
)

// stream serves an operation that answers with events until the client leaves.
// What is wrong with the request is told before the first event.
func (d *daemon) stream(handle func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		stop := context.AfterFunc(d.ending, cancel) //nolint:contextcheck // the daemon's end also ends the stream
		defer stop()
		var refused *api.Error
		switch err := handle(w, r.WithContext(ctx)); {
		case errors.As(err, &refused):
			d.fail(w, err)
		case err != nil && ctx.Err() == nil:
			d.log.Debug("stream", "path", r.URL.Path, "error", err)
		}
	})
}

// logBuffer is how many lines wait for a client; more wait in the files.
const logBuffer = 256

// serveLogs sends what a query of logs selects.
func (d *daemon) serveLogs(w http.ResponseWriter, r *http.Request) error {
	q, err := api.DecodeLogs(r.URL.Query())
	if err != nil {
		return err
	}
	events, stop := d.hub.follow() // before the first look at the files, so that no instance is missed
	defer stop()
	list, err := d.selected(q.Targets)
	if err != nil {
		return apiError(err)
	}
	known := logsKnown{}
	sources := d.logsOf(list, q, known)
	if q.Searches() {
		return d.searchLogs(w, r, q, sources, known, events)
	}
	return d.followLogs(w, r, q, sources, known, events)
}

// followLogs sends the last lines of logs, and what is added to them.
func (d *daemon) followLogs(
	w http.ResponseWriter, r *http.Request, q api.LogsQuery, sources []logsearch.Source, known logsKnown, events <-chan app.Event,
) (err error) {
	follower := logs.NewFollower(logs.FollowOptions{Pump: d.host.pump, Follow: q.Follow})
	defer func() { err = errors.Join(err, follower.Close()) }()
	var places []api.LogLine
	for _, s := range sources {
		place, err := addLog(follower, s, q)
		if err != nil {
			return apiError(err)
		}
		places = append(places, place...)
	}

	ctx, cancel := context.WithCancel(r.Context())
	lines, read := make(chan logs.Line, logBuffer), make(chan error, 1)
	go func() { read <- readLogs(ctx, follower, lines) }()
	defer func() { // the follower is closed after its reader has ended
		cancel()
		if readErr := <-read; !errors.Is(readErr, context.Canceled) {
			err = errors.Join(err, readErr)
		}
	}()
	out, err := api.NewEventWriter(w)
	if err != nil {
		return err
	}
	for _, place := range places {
		if err := out.Send(place); err != nil {
			return err
		}
	}
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return out.Flush()
			}
			e := logsearch.LineOf(line)
			if q.Places {
				e.Pos = line.End.String()
			}
			if err := out.Send(e); err != nil {
				return err
			}
			if len(lines) == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if e.Type == app.EventStart && q.Follow {
				for _, s := range d.newLogs(q, known) {
					if err := follower.Add(s.Source.Source, 0); err != nil {
						d.log.Warn("follow log", "app", s.Name, "error", err)
					}
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// addLog has a log followed from where the client wants it.
func addLog(f *logs.Follower, s logsearch.Source, q api.LogsQuery) (places []api.LogLine, err error) {
	if s.Pos != "" {
		from, err := logs.ParsePosition(s.Pos)
		if err != nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: err.Error()}
		}
		return placeOf(s, from, q), f.AddAt(s.Source.Source, from)
	}
	end, err := logs.End(s.Path)
	if err == nil {
		err = f.Add(s.Source.Source, q.Lines)
	}
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w", s.Name, err)
	}
	return placeOf(s, end, q), nil
}

// placeOf tells where a log is followed from, if the client asks for that.
func placeOf(s logsearch.Source, at logs.Position, q api.LogsQuery) []api.LogLine {
	if !q.Places || !q.Follow {
		return nil
	}
	return []api.LogLine{{ID: s.ID, Name: s.Name, Stream: api.Place, Line: s.Stream, Pos: at.String()}}
}

// readLogs passes lines on until there are no more.
func readLogs(ctx context.Context, f *logs.Follower, lines chan<- logs.Line) error {
	defer close(lines)
	for {
		line, err := f.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case lines <- line:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logsKnown are the paths of logs that are followed already: with merged logs several
// instances share one.
type logsKnown map[string]bool

// logsOf returns the logs of instances that a query selects and that are not known yet.
func (d *daemon) logsOf(list []app.Status, q api.LogsQuery, known logsKnown) (sources []logsearch.Source) {
	specs := d.specs()
	for _, s := range list {
		for _, log := range []struct {
			stream api.Stream
			path   string
		}{{api.Out, s.OutFile}, {api.Err, s.ErrFile}} {
			if log.path == "" || known[log.path] || !slices.Contains([]api.Stream{api.All, log.stream}, q.Stream) {
				continue
			}
			known[log.path] = true
			source := logsearch.Source{Source: search.Source{
				Source: logs.Source{Path: log.path, ID: s.ID, Name: s.Name, Stream: string(log.stream)}, Err: log.stream == api.Err,
			}}
			if spec := specs[s.Name]; spec != nil && !spec.LogJSON {
				source.Date = dateOf(spec)
			}
			for _, p := range q.After {
				if p.ID == s.ID && p.Stream == log.stream {
					source.Pos = p.Pos
				}
			}
			sources = append(sources, source)
		}
	}
	return sources
}

// newLogs returns the logs of instances that have come since.
func (d *daemon) newLogs(q api.LogsQuery, known logsKnown) []logsearch.Source {
	list, err := d.selected(q.Targets)
	if err != nil {
		return nil // the targets mean nothing at the moment
	}
	return d.logsOf(list, q, known)
}
