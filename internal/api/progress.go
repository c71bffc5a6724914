package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// ActionWriter answers the request for an action: as a stream of Progress if the
// client accepts that and there is something to tell before the end, as one JSON
// body if not. So what is refused at once has its HTTP status in either case. Its
// methods may be called concurrently.
type ActionWriter struct {
	w      http.ResponseWriter
	stream bool // the client accepts one

	mu     sync.Mutex // guards what follows and the order of events
	events *EventWriter
	ended  bool
	err    error // of the first event that could not be sent
}

// NewActionWriter returns the writer of the answer to r.
func NewActionWriter(w http.ResponseWriter, r *http.Request) *ActionWriter {
	a := &ActionWriter{w: w}
	for _, accept := range r.Header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			a.stream = a.stream || isStream(strings.TrimSpace(kind))
		}
	}
	return a
}

// Step tells the client what has been done, if it wants to know. It waits for a
// client that does not read, as long as the socket's buffer is full. After End,
// or once the client is gone, it does nothing.
func (a *ActionWriter) Step(text string) {
	if !a.stream || text == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended || a.err != nil {
		return
	}
	if a.events == nil {
		if a.events, a.err = NewEventWriter(a.w); a.err != nil {
			return
		}
	}
	a.err = a.event(Progress{Step: text})
}

func (a *ActionWriter) event(p Progress) error {
	if err := a.events.Send(p); err != nil {
		return err
	}
	return a.events.Flush()
}

// End sends the outcome: failed if it is not nil, else reply. Its error is that
// of the connection, which the client has noticed as well.
func (a *ActionWriter) End(reply ActionReply, failed *Error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended {
		panic("api: an action has ended twice")
	}
	a.ended = true
	if a.events != nil || a.err != nil {
		if a.err != nil {
			return a.err
		}
		if failed != nil {
			return a.event(Progress{Error: failed})
		}
		return a.event(Progress{Reply: &reply})
	}
	status, body := http.StatusOK, any(reply)
	if failed != nil {
		status, body = failed.Code.Status(), ErrorBody{Error: *failed}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	a.w.Header().Set("Content-Type", "application/json")
	a.w.WriteHeader(status)
	_, err = a.w.Write(text)
	return err
}
