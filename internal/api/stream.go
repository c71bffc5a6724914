package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// streamType is the media type of server-sent events.
const streamType = "text/event-stream"

func isStream(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == streamType
}

// EventWriter sends server-sent events, one JSON value each. One goroutine at a
// time may use it.
type EventWriter struct {
	w     io.Writer
	flush func() error
	buf   bytes.Buffer
}

// NewEventWriter begins a stream as the answer to a request; the client learns
// at once that it has begun.
func NewEventWriter(w http.ResponseWriter) (*EventWriter, error) {
	BeginEvents(w)
	e := ResumeEvents(w)
	return e, e.Flush()
}

// ResumeEvents goes on with a stream that BeginEvents has begun.
func ResumeEvents(w http.ResponseWriter) *EventWriter {
	return &EventWriter{w: w, flush: http.NewResponseController(w).Flush}
}

// BeginEvents writes the header of a stream.
func BeginEvents(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", streamType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// NewEventEncoder writes the events of a stream whose header somebody else writes, and
// who passes on what is in w.
func NewEventEncoder(w *bufio.Writer) *EventWriter {
	return &EventWriter{w: w, flush: w.Flush}
}

// Send writes one event. It reaches the client when the buffer is full or at
// Flush, so that many lines cost one write.
func (e *EventWriter) Send(v any) error {
	e.buf.Reset()
	e.buf.WriteString("data: ")
	if err := json.NewEncoder(&e.buf).Encode(v); err != nil { // ends in a newline, holds no other
		return fmt.Errorf("encode event: %w", err)
	}
	e.buf.WriteByte('\n')
	_, err := e.w.Write(e.buf.Bytes())
	return err
}

// Flush sends what has been written.
func (e *EventWriter) Flush() error {
	return e.flush()
}

// maxEvent bounds one event: a LogLine of MaxLogLine bytes may be six times as
// long in JSON.
const maxEvent = 8 * MaxLogLine

// readEvents calls yield with the data of each event until r ends, which is no
// error, or yield fails. Last says that nothing more has arrived yet.
func readEvents(r io.Reader, yield func(data []byte, last bool) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	var data, long []byte
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > maxEvent {
				return fmt.Errorf("an event is longer than %d bytes", maxEvent)
			}
			continue
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = long[:0]
		}
		if err != nil { // an unfinished event at the end is not one
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) == 0 {
			if len(data) > 0 {
				if err := yield(data, lines.Buffered() == 0); err != nil {
					return err
				}
			}
			data = data[:0]
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		if string(field) != "data" { // a comment (keep-alive) or a field we do not use
			continue
		}
		if len(data) > 0 {
			data = append(data, '\n')
		}
		if data = append(data, bytes.TrimPrefix(value, []byte(" "))...); len(data) > maxEvent {
			return fmt.Errorf("an event is longer than %d bytes", maxEvent)
		}
	}
}
