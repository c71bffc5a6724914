package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// The wire is a stream socket. A frame is
//
//	length uint32 | type uint8 | files uint8 | id uint32 | payload
//
// in little endian, where length counts what follows it. The descriptors of a
// frame travel in one SCM_RIGHTS message with its first byte. A request's id comes
// back in its reply; one with id 0 gets none, and other frames have id 0. Payloads are
// sequences of varints and of byte strings with their length in front.
const (
	headerSize = 10
	// maxFrame bounds a frame: arguments and environment of a process are at most
	// 6 MiB by the kernel's rule.
	maxFrame = 16 << 20
	// maxFiles stays under the kernel's SCM_MAX_FD, 253.
	maxFiles = 250
)

// kind is the type of a frame.
type kind uint8

// Requests, from the daemon.
const (
	kindSpawn    kind = 1
	kindSignal   kind = 2
	kindKeep     kind = 3
	kindDrop     kind = 4
	kindForget   kind = 5
	kindReplace  kind = 6
	kindShutdown kind = 7
	kindTrap     kind = 8
)

// What the keeper sends: replies, events, and the inventory at the start.
const (
	kindReply   kind = 64
	kindExited  kind = 65
	kindGone    kind = 66
	kindHello   kind = 67
	kindProcess kind = 68
	kindEntry   kind = 69
	kindReady   kind = 70 // end of the inventory
)

var (
	errFrame   = errors.New("malformed frame")
	errTooLong = fmt.Errorf("longer than %d bytes or with more than %d descriptors", maxFrame, maxFiles)
)

// noReply is the id of a request whose sender does not wait: it gets no reply.
const noReply = 0

// frame is one message.
type frame struct {
	kind    kind
	id      uint32
	payload []byte
	fds     []int // owned by whoever holds the frame
	short   bool  // descriptors were lost on the way: the receiver's table is full
}

// begin starts a frame in b, end completes it.
func begin(b []byte, k kind, files int, id uint32) []byte {
	b = append(b, 0, 0, 0, 0, byte(k), byte(files))
	return binary.LittleEndian.AppendUint32(b, id)
}

func end(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// splitter cuts a byte stream and the descriptors that come with it into frames.
type splitter struct {
	buf     []byte // received and not given out yet
	base    []byte // where buf lies unless a frame is too long for it
	batches []batch
}

// baseSize holds all but the largest frames; reading asks for chunkSize at least.
const (
	baseSize  = 32 << 10
	chunkSize = 4 << 10
)

// space returns where to put the next bytes; added takes in those that came.
func (s *splitter) space() []byte {
	if s.base == nil {
		s.base = make([]byte, baseSize)
	}
	want := chunkSize
	if len(s.buf) >= headerSize {
		size := int64(binary.LittleEndian.Uint32(s.buf))
		want = max(want, int(min(4+size, maxFrame))-len(s.buf))
	}
	switch {
	case cap(s.buf)-len(s.buf) >= want && len(s.buf) > 0:
	case len(s.buf)+want <= len(s.base):
		s.buf = s.base[:copy(s.base, s.buf)]
	default:
		s.buf = append(make([]byte, 0, len(s.buf)+want), s.buf...)
	}
	return s.buf[len(s.buf):cap(s.buf)]
}

func (s *splitter) added(n int) { s.buf = s.buf[:len(s.buf)+n] }

// batch is what came in one SCM_RIGHTS message: the descriptors of one frame.
type batch struct {
	fds   []int
	short bool
}

// next returns the next complete frame; its payload is valid until bytes are
// added. A frame is only given out whole: its sender may have died half way.
func (s *splitter) next() (f frame, ok bool, err error) {
	if len(s.buf) < headerSize {
		return frame{}, false, nil
	}
	size := int64(binary.LittleEndian.Uint32(s.buf))
	if size < headerSize-4 || size > maxFrame {
		return frame{}, false, fmt.Errorf("%w: length %d", errFrame, size)
	}
	if int64(len(s.buf)) < 4+size {
		return frame{}, false, nil
	}
	f = frame{kind: kind(s.buf[4]), id: binary.LittleEndian.Uint32(s.buf[6:]), payload: s.buf[headerSize : 4+size]}
	if files := int(s.buf[5]); files > 0 {
		if len(s.batches) == 0 {
			return frame{}, false, fmt.Errorf("%w: descriptors missing", errFrame)
		}
		first := s.batches[0]
		s.batches = s.batches[1:]
		if len(first.fds) != files && !first.short {
			s.batches = append(s.batches, first) // closed with the rest
			return frame{}, false, fmt.Errorf("%w: %d descriptors, announced %d", errFrame, len(first.fds), files)
		}
		f.fds, f.short = first.fds, first.short
	}
	s.buf = s.buf[4+size:]
	return f, true, nil
}

// A writer of payloads is a plain []byte that these append to.

func putString[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(putCount(b, len(s)), s...)
}

func putCount(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func putInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putStrings(b []byte, list []string) []byte {
	b = putCount(b, len(list))
	for _, s := range list {
		b = putString(b, s)
	}
	return b
}

// putOptional writes bytes that may be nil, which is not the same as empty.
func putOptional(b, s []byte) []byte {
	if b = putBool(b, s != nil); s != nil {
		b = putString(b, s)
	}
	return b
}

func putTime(b []byte, t time.Time) []byte { return putInt(b, t.UnixNano()) }

// payload reads what the put functions wrote. After the first error everything
// reads as zero; done tells.
type payload struct {
	b   []byte
	bad bool
}

func (p *payload) fail() { p.b, p.bad = nil, true }

func (p *payload) int() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

// count reads a number of things of at least one byte each, so that a forged one
// cannot make us allocate more than was sent.
func (p *payload) count() int {
	v, n := binary.Uvarint(p.b)
	if n <= 0 || v > uint64(len(p.b)-n) {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return int(v)
}

func (p *payload) bytes() []byte {
	n := p.count()
	s := p.b[:n]
	p.b = p.b[n:]
	return s
}

func (p *payload) string() string { return string(p.bytes()) }

func (p *payload) bool() bool {
	if len(p.b) == 0 || p.b[0] > 1 {
		p.fail()
		return false
	}
	v := p.b[0] == 1
	p.b = p.b[1:]
	return v
}

func (p *payload) strings() []string {
	list := make([]string, p.count())
	for i := range list {
		list[i] = p.string()
	}
	return list
}

// optional returns a copy, or nil.
func (p *payload) optional() []byte {
	if !p.bool() {
		return nil
	}
	return append([]byte{}, p.bytes()...)
}

func (p *payload) time() time.Time { return time.Unix(0, p.int()) }

// done reports whether the payload was read to its exact end without an error.
func (p *payload) done() error {
	if p.bad || len(p.b) > 0 {
		return errFrame
	}
	return nil
}

// failure is an error on the wire.
type failure uint8

const (
	failNone    failure = iota
	failText            // anything else, as a sentence
	failErrno           // an errno with a sentence
	failSpawn           // a SpawnError
	failGone            // ErrGone
	failExists          // ErrExists
	failAlive           // ErrAlive
	failUnknown         // ErrUnknownRequest
)

// sentinels are the errors that have a number of their own.
func sentinels() map[failure]error {
	return map[failure]error{failGone: ErrGone, failExists: ErrExists, failAlive: ErrAlive, failUnknown: ErrUnknownRequest}
}

func putError(b []byte, err error) []byte {
	if err == nil {
		return append(b, byte(failNone))
	}
	for code, known := range sentinels() {
		if errors.Is(err, known) {
			return append(b, byte(code))
		}
	}
	if spawn, ok := errors.AsType[*SpawnError](err); ok {
		b = append(b, byte(failSpawn), byte(spawn.Step))
		b = putInt(b, int64(spawn.Errno))
		return putString(b, spawn.Path)
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		b = putInt(append(b, byte(failErrno)), int64(errno))
		return putString(b, err.Error())
	}
	return putString(append(b, byte(failText)), err.Error())
}

func (p *payload) byte() byte {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := p.b[0]
	p.b = p.b[1:]
	return v
}

// error reads what putError wrote. A payload that cannot be read is an error too.
func (p *payload) error() error {
	code := failure(p.byte())
	switch code {
	case failNone:
		if p.bad {
			return errFrame
		}
		return nil
	case failSpawn:
		e := &SpawnError{Step: Step(p.byte()), Errno: syscall.Errno(p.int())}
		e.Path = p.string()
		return e
	case failErrno:
		return &remoteError{errno: syscall.Errno(p.int()), text: p.string()}
	case failText:
		return errors.New(p.string())
	}
	if known := sentinels()[code]; known != nil {
		return known
	}
	return fmt.Errorf("%w: error code %d", errFrame, code)
}

// remoteError is an errno that the keeper met, in the keeper's words.
type remoteError struct {
	errno syscall.Errno
	text  string
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.errno }
