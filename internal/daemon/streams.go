package daemon

import (
	"encoding/json"
	"fmt"
	"net/http"

	"paceline/internal/api"
)

// eventStream writes server-sent events.
type eventStream struct {
	w     http.ResponseWriter
	flush func() error
}

// send writes one event and has it on its way.
func (s *eventStream) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	if _, err := fmt.Fprintf(s.w, "data: %s\n\n", text); err != nil {
		return err
	}
	return s.flush()
}

// stream serves an operation that answers with events until the client leaves.
func (d *daemon) stream(handle func(*eventStream, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &eventStream{w: w, flush: http.NewResponseController(w).Flush}
		if err := handle(s, r); err != nil && r.Context().Err() == nil {
			d.fail(w, err) // without effect on a stream that has begun; the client sees it end
		}
	})
}

// begin sends the header, once the request is known to be right.
func (s *eventStream) begin() error {
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.WriteHeader(http.StatusOK)
	return s.flush()
}

// followEvents sends what happens from now on.
func (d *daemon) followEvents(s *eventStream, r *http.Request) error {
	events, stop := d.hub.follow()
	defer stop()
	if err := s.begin(); err != nil {
		return err
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-d.ending:
			return nil
		case e, ok := <-events:
			if !ok {
				return nil // too slow: the client sees the stream end, and may come again
			}
			if err := s.send(e); err != nil {
				return err
			}
		}
	}
}

var _ = api.OpLogs
