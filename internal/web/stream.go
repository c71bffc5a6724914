package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

const (
	flushLogs   = 100 * time.Millisecond // how often lines are passed on
	batchLines  = 400                    // at a time at most; the rest waits where it is
	firstLines  = 500                    // old lines of all instances that come first, of each stream
	detailEvery = 2 * time.Second
	beatEvery   = 15 * time.Second // a page that hears nothing for longer comes again
)

// stream is all that one tab follows: the state of all instances, what happens, and
// if it shows an app, the details of that and its logs. It says each thing at most
// once a second, logs ten times.
func (s *server) stream(me who, w http.ResponseWriter, r *http.Request) error {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return &api.Error{Code: api.CodeBusy, Message: fmt.Sprintf("%d tabs are open, which is all there can be; close one", maxStreams)}
	}
	var logs *logsQuery
	name := r.URL.Query().Get("app")
	if name != "" {
		q, err := s.logsQuery(r)
		if err != nil {
			return err
		}
		q.Lines, q.Follow = max(firstLines/q.instances, 5), true
		logs = q
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out, err := newSender(w)
	if err != nil {
		return nil // the client has left
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	f := &following{server: s, out: out, name: name, lines: make(chan line, batchLines)}
	if logs != nil {
		wg.Go(func() { f.readLogs(ctx, logs) })
	}
	f.run(ctx, me.session)
	return nil
}

// sender writes server-sent events with names. One goroutine uses it.
type sender struct {
	w   http.ResponseWriter
	c   *http.ResponseController
	buf bytes.Buffer
}

func newSender(w http.ResponseWriter) (*sender, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx in front must not collect it
	s := &sender{w: w, c: http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	return s, s.flush()
}

// send writes an event; flush sends what has been written.
func (s *sender) send(event string, v any) error {
	s.buf.WriteString("event: " + event + "\ndata: ")
	if err := json.NewEncoder(&s.buf).Encode(v); err != nil { // ends in a newline, holds no other
		return fmt.Errorf("encode event: %w", err)
	}
	s.buf.WriteByte('\n')
	return nil
}

func (s *sender) flush() error {
	if err := s.c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.w.Write(s.buf.Bytes())
	if s.buf.Reset(); s.buf.Cap() > 1<<20 {
		s.buf = bytes.Buffer{}
	}
	if err != nil {
		return err
	}
	return s.c.Flush()
}

// following is one tab's stream.
type following struct {
	server *server
	out    *sender
	name   string // of the app that is shown; "" none
	lines  chan line
	sent   map[int]row
	shown  map[int]figures
	detail *detail
}

// run sends until the client leaves, signs out, or all ends. Without a session it is
// a script's, which has no end of its own.
func (f *following) run(ctx context.Context, signedIn *session) {
	var ended <-chan struct{}
	if signedIn != nil {
		ended = signedIn.ended
	}
	t, leave := f.server.feed.follow()
	defer leave()
	beat, batch := time.NewTicker(beatEvery), time.NewTicker(flushLogs)
	defer beat.Stop()
	defer batch.Stop()
	details := time.NewTicker(detailEvery)
	defer details.Stop()
	if f.name == "" {
		batch.Stop()
		details.Stop()
	}
	err := f.tellDetail(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return
		case <-f.server.closing:
			return
		case <-ended:
			return
		case snap := <-t.state:
			err = f.tellState(snap)
		case events := <-t.events:
			err = f.tellEvents(events, t.events)
		case <-batch.C:
			err = f.tellLines()
		case <-details.C:
			err = f.tellDetail(ctx)
		case <-beat.C:
			f.server.sessions.use(signedIn) // who looks is not idle
			f.out.buf.WriteString(": still here\n\n")
			err = f.out.flush()
		}
	}
}

// stateEvent is what has changed: rows whole, figures for all that have others.
type stateEvent struct {
	At      int64               `json:"at"`
	Full    bool                `json:"full,omitempty"`
	Down    string              `json:"down,omitempty"`
	Rows    []row               `json:"rows,omitempty"`
	Gone    []int               `json:"gone,omitempty"`
	Figures [][3]int64          `json:"figures,omitempty"` // id, cpu, memory
	Traffic map[string][2]int64 `json:"traffic,omitempty"` // queue, accepted
}

func (f *following) tellState(snap *snapshot) error {
	e := stateEvent{At: snap.at.UnixMilli(), Down: snap.down}
	if snap.down != "" {
		f.sent = nil // what comes after that is told anew
		return f.tell("state", e)
	}
	if f.sent == nil {
		e.Full, f.sent, f.shown = true, map[int]row{}, map[int]figures{}
	}
	here := make(map[int]bool, len(snap.rows))
	for i, r := range snap.rows {
		here[r.ID] = true
		if before, ok := f.sent[r.ID]; !ok || before != r {
			f.sent[r.ID] = r
			e.Rows = append(e.Rows, r)
		}
		if before, ok := f.shown[r.ID]; !ok || before != snap.figures[i] {
			f.shown[r.ID] = snap.figures[i]
			e.Figures = append(e.Figures, snap.figures[i].tuple(r.ID))
		}
	}
	for id := range f.sent {
		if !here[id] {
			delete(f.sent, id)
			delete(f.shown, id)
			e.Gone = append(e.Gone, id)
		}
	}
	if snap.traffic != nil {
		e.Traffic = make(map[string][2]int64, len(snap.traffic))
		for name, t := range snap.traffic {
			e.Traffic[name] = [2]int64{t.queue, t.accepted}
		}
	}
	return f.tell("state", e)
}

func (f *following) tell(event string, v any) error {
	if err := f.out.send(event, v); err != nil {
		return err
	}
	return f.out.flush()
}

// tellEvents sends these and what waits behind them.
func (f *following) tellEvents(first []app.Event, more <-chan []app.Event) error {
	list, lost := first, len(first) == 0
	for range len(more) {
		next := <-more
		list, lost = append(list, next...), lost || len(next) == 0
	}
	return f.tell("events", map[string]any{"events": list, "lost": lost})
}

// tellLines sends the lines that have come since.
func (f *following) tellLines() error {
	n := min(len(f.lines), batchLines)
	if n == 0 {
		return nil
	}
	list := make([]line, n)
	for i := range list {
		list[i] = <-f.lines
	}
	return f.tell("logs", list)
}

// readLogs follows the app's logs until ctx ends. If the page takes lines more
// slowly than they are written, the daemon leaves some out and says so.
func (f *following) readLogs(ctx context.Context, q *logsQuery) {
	put := func(l line) error {
		select {
		case f.lines <- l:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for {
		err := f.server.daemon.Logs(ctx, q.LogsQuery, api.Handler[api.LogLine]{Value: func(l api.LogLine) error {
			if !q.mine(&l) {
				return nil
			}
			return put(lineOf(&l))
		}})
		if ctx.Err() != nil {
			return
		}
		f.server.log.Printf("logs of %q ended: %v", q.name, err)
		if put(line{ID: -1, Stream: api.Notice, At: time.Now().UnixMilli(), Text: "the daemon ended; lines may be missing here"}) != nil {
			return
		}
		q.Lines = 0
		select {
		case <-ctx.Done():
			return
		case <-time.After(lastRetry):
		}
	}
}

// tellDetail sends what is known of the app, if it has changed.
func (f *following) tellDetail(ctx context.Context) error {
	if f.name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	d, err := f.server.detail(ctx, f.name)
	if err != nil || reflect.DeepEqual(d, f.detail) {
		return nil // the app is gone, or the daemon: the state says so
	}
	f.detail = d
	return f.tell("app", d)
}
