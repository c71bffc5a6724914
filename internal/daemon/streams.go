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

// followLogs sends the last lines of logs, and what is added to them.
func (d *daemon) followLogs(w http.ResponseWriter, r *http.Request) (err error) {
	q, err := api.DecodeLogs(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := d.selected(q.Targets)
	if err != nil {
		return apiError(err)
	}
	events, stop := d.hub.follow() // before the first look at the files, so that no instance is missed
	defer stop()
	follower := logs.NewFollower(logs.FollowOptions{Pump: d.host.pump, Follow: q.Follow})
	defer func() { err = errors.Join(err, follower.Close()) }()
	known := map[string]bool{}
	for _, s := range list {
		if err := addLogs(follower, known, s, q.Stream, q.Lines); err != nil {
			return apiError(err)
		}
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
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return out.Flush()
			}
			if err := out.Send(logLine(line)); err != nil {
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
				d.addNewLogs(follower, known, q)
			}
		case <-ctx.Done():
			return nil
		}
	}
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

// addNewLogs adds the logs of instances that have come since.
func (d *daemon) addNewLogs(f *logs.Follower, known map[string]bool, q api.LogsQuery) {
	list, err := d.selected(q.Targets)
	if err != nil {
		return // the targets mean nothing at the moment
	}
	for _, s := range list {
		if err := addLogs(f, known, s, q.Stream, 0); err != nil {
			d.log.Warn("follow log", "app", s.Name, "error", err)
		}
	}
}

// addLogs adds an instance's logs, each file once: with merged logs several
// instances share one.
func addLogs(f *logs.Follower, known map[string]bool, s app.Status, stream api.Stream, lines int) error {
	for _, log := range []struct {
		stream api.Stream
		path   string
	}{{api.Out, s.OutFile}, {api.Err, s.ErrFile}} {
		if log.path == "" || known[log.path] || !slices.Contains([]api.Stream{api.All, log.stream}, stream) {
			continue
		}
		known[log.path] = true
		source := logs.Source{Path: log.path, ID: s.ID, Name: s.Name, Stream: string(log.stream)}
		if err := f.Add(source, lines); err != nil {
			return fmt.Errorf("read log of %s: %w", s.Name, err)
		}
	}
	return nil
}

// logLine translates a line, or the notice that some were left out.
func logLine(l logs.Line) api.LogLine {
	line := api.LogLine{ID: l.ID, Name: l.Name, Stream: api.Stream(l.Stream), At: l.At, More: l.More}
	if l.Skipped != 0 {
		line.Stream = api.Notice
		line.Line = "lines were left out, because they came faster than they were read"
		if l.Skipped > 0 {
			line.Line = fmt.Sprintf("%d bytes were left out, because they came faster than they were read", l.Skipped)
		}
		return line
	}
	line.SetText([]byte(l.Text))
	return line
}
