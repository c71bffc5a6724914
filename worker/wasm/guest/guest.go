// Package guest is the other end of worker/wasm, for guests written in Go: programs
// built with GOOS=wasip1 GOARCH=wasm that get messages on their standard input and
// send them on their standard output. What such a program prints for people belongs
// on standard error.
//
// A message is a frame: four bytes with the length of what follows, the most
// significant first, and as many bytes, of JSON or of the form of V8 that
// worker/clone writes (it begins with the byte 0xff, which no JSON does). A program
// in another language needs no more than that.
//
// One goroutine may receive while another posts.
package guest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"paceline/worker/clone"
)

// maxBytes is the largest message that a guest takes; its memory is the nearer limit.
const maxBytes = 1 << 30

// Receive waits for the next message. T is what encoding/json can read it into, or
// for a message in V8's form what clone.As can.
//
// Errors: io.EOF when the parent sends no more; what does not fit T, after which the
// next message can be received.
func Receive[T any]() (v T, err error) {
	payload, err := receive(os.Stdin)
	if err != nil {
		return v, err
	}
	if len(payload) > 0 && payload[0] == 0xff {
		tree, err := clone.Unmarshal(payload)
		if err != nil {
			return v, fmt.Errorf("receive a message: %w", err)
		}
		return clone.As[T](tree)
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return v, fmt.Errorf("receive a message: %w", err)
	}
	return v, nil
}

// Post sends the parent a message as JSON, and waits while its queue is full.
func Post(v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("post a message: %w", err)
	}
	return post(os.Stdout, payload)
}

// PostV8 is Post in V8's form: with cycles, maps, times, bytes and large numbers.
func PostV8(v any) error {
	payload, err := clone.Marshal(v)
	if err != nil {
		return fmt.Errorf("post a message: %w", err)
	}
	return post(os.Stdout, payload)
}

func receive(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err // io.EOF between two messages
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxBytes {
		return nil, fmt.Errorf("receive a message: its length is %d", length)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, fmt.Errorf("receive a message: %w", err)
	}
	return payload, nil
}

func post(w io.Writer, payload []byte) error {
	b := make([]byte, 4, 4+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	if _, err := w.Write(append(b, payload...)); err != nil {
		return fmt.Errorf("post a message: %w", err)
	}
	return nil
}
