package wasm

import (
	"encoding/binary"
	"fmt"
)

// headerBytes are before each payload: its length, the most significant byte first,
// as on Node's channel in its advanced serialization.
const headerBytes = 4

// frame is a payload with its header.
func frame(payload []byte) []byte {
	b := make([]byte, headerBytes, headerBytes+len(payload))
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

// splitter is a guest's standard output: it cuts the stream into payloads. What a
// guest writes may end anywhere within a frame.
type splitter struct {
	limit int
	emit  func(payload []byte) error // takes the slice
	head  []byte
	body  []byte
	want  int // bytes of body still to come; -1: the header is not complete
}

func newSplitter(limit int, emit func([]byte) error) *splitter {
	return &splitter{limit: limit, emit: emit, want: -1}
}

func (s *splitter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if s.want < 0 {
			take := min(headerBytes-len(s.head), len(b))
			s.head, b = append(s.head, b[:take]...), b[take:]
			if len(s.head) < headerBytes {
				break
			}
			length := binary.BigEndian.Uint32(s.head)
			if length == 0 || uint64(length) > uint64(s.limit) {
				return 0, fmt.Errorf("its output is no message: %q says %d bytes, and 1 to %d are taken; text belongs on standard error", s.head, length, s.limit)
			}
			s.head, s.want = s.head[:0], int(length)
		}
		// Grown as it comes: a header alone costs nothing.
		take := min(s.want, len(b))
		s.body, b = append(s.body, b[:take]...), b[take:]
		if s.want -= take; s.want == 0 {
			body := s.body
			s.body, s.want = nil, -1
			if err := s.emit(body); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// finish tells of a frame that has begun and not ended.
func (s *splitter) finish() error {
	if s.want >= 0 || len(s.head) > 0 {
		return fmt.Errorf("its output ends within a message: %d bytes are missing", max(s.want, headerBytes-len(s.head)))
	}
	return nil
}
