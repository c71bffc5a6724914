package daemon

import (
	"context"
	"errors"
	"io"
	"net/http"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/logsearch"
)

// maxSearches is how many searches of logs read files at one time; others wait.
const maxSearches = 2

// searchLogs has a process search logs, and passes on what it says until it ends or
// the client leaves.
func (d *daemon) searchLogs(
	w http.ResponseWriter, r *http.Request, q api.LogsQuery, sources []logsearch.Source, known logsKnown, events <-chan app.Event,
) error {
	api.BeginEvents(w)
	flush := http.NewResponseController(w).Flush
	if err := flush(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	select {
	case d.searches <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	reading := true
	leave := func() {
		if reading {
			reading = false
			<-d.searches
		}
	}
	defer leave()
	process, err := logsearch.Start(ctx, d.Exe, logsearch.Request{Query: q, Sources: sources})
	if err != nil {
		return tellSearch(w, err)
	}
	copied := make(chan error, 1)
	go func() { copied <- pass(w, process.Events(), flush) }()
	found := process.Found()
	for {
		select {
		case <-found:
			leave()
			found = nil
		case err := <-copied:
			cancelled := ctx.Err() != nil
			if err != nil {
				cancel() // the client has gone
			}
			err = errors.Join(err, process.Wait())
			if err != nil && !cancelled {
				return tellSearch(w, err)
			}
			return nil
		case e, ok := <-events:
			if !ok {
				cancel() // too slow: the client sees the stream end, and may come again
				events = nil
				continue
			}
			if e.Type != app.EventStart || !q.Follow {
				continue
			}
			for _, s := range d.newLogs(q, known) {
				if err := process.Add(s); err != nil {
					d.log.Warn("follow log", "app", s.Name, "error", err)
				}
			}
		}
	}
}

// tellSearch tells why a search ended, as its answer has begun.
func tellSearch(w http.ResponseWriter, err error) error {
	out := api.ResumeEvents(w)
	if err := out.Send(api.LogLine{ID: -1, Stream: api.Notice, Line: err.Error()}); err != nil {
		return err
	}
	return errors.Join(err, out.Flush())
}

// pass copies what there is, and sends it on at once.
func pass(w io.Writer, from io.Reader, flush func() error) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
