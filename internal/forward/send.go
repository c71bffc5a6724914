package forward

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"paceline/internal/app"
)

// record is a line that is sent.
type record struct {
	app    string
	id     int
	stream string
	level  app.Level
	at     time.Time
	text   []byte
}

// sender sends records to one receiver.
type sender interface {
	io.Closer
	send(record) error
}

// dial reaches a receiver.
func dial(ctx context.Context, to app.Forward) (sender, error) {
	dialer := net.Dialer{Timeout: talkWithin}
	conn, err := dialer.DialContext(ctx, to.Network, to.Address)
	if err != nil {
		return nil, err
	}
	if to.Journal {
		unix, ok := conn.(*net.UnixConn)
		if !ok {
			return nil, fmt.Errorf("reach journald: %s is no unix socket", to.Address)
		}
		return &journal{conn: unix}, nil
	}
	s := &syslog{Conn: conn, stream: to.Network == "tcp", most: 8 << 10}
	if s.stream {
		s.most = 256 << 10
		go func() { // it ends with the connection: who closes it is seen at the next write
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
	}
	if s.host, err = os.Hostname(); err != nil || s.host == "" {
		s.host = "-"
	}
	s.host = printable(s.host, 255)
	return s, nil
}

// severity is a level as syslog and journald number it.
func severity(l app.Level) int {
	switch l {
	case app.LevelFatal:
		return 2
	case app.LevelError:
		return 3
	case app.LevelWarn:
		return 4
	case app.LevelTrace, app.LevelDebug:
		return 7
	}
	return 6
}

// syslog sends messages of RFC 5424: one a datagram, or counted in a stream (RFC 6587,
// section 3.4.1).
type syslog struct {
	net.Conn
	stream bool
	host   string
	most   int // bytes of text in one message; a longer line becomes several
	buf    []byte
}

// facility is that of messages of users' programs.
const facility = 1

func (s *syslog) send(r record) error {
	text := r.text
	for {
		part := text[:min(len(text), s.most)]
		text = text[len(part):]
		message := s.message(r, part)
		if err := s.SetWriteDeadline(time.Now().Add(talkWithin)); err != nil {
			return err
		}
		if s.stream {
			message = append(strconv.AppendInt(make([]byte, 0, len(message)+8), int64(len(message)), 10), append([]byte{' '}, message...)...)
		}
		if _, err := s.Write(message); err != nil {
			return err
		}
		if len(text) == 0 {
			return nil
		}
	}
}

// message is one message. Its process id is the instance's, its message id the stream.
func (s *syslog) message(r record, text []byte) []byte {
	b := fmt.Appendf(s.buf[:0], "<%d>1 %s %s %s %d %s - ", facility*8+severity(r.level),
		r.at.Format("2006-01-02T15:04:05.000000Z07:00"), s.host, printable(r.app, 48), r.id, printable(r.stream, 32))
	b = append(b, text...)
	s.buf = b
	return b
}

// printable is a name as the header of a message takes it.
func printable(name string, most int) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '_'
		}
		return r
	}, name)
	if name == "" {
		return "-"
	}
	return name[:min(len(name), most)]
}

// journal sends entries in journald's native protocol:
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
type journal struct {
	conn *net.UnixConn
	buf  []byte
}

// Close closes the socket.
func (j *journal) Close() error { return j.conn.Close() }

func (j *journal) send(r record) error {
	b := field(j.buf[:0], "MESSAGE", r.text)
	b = field(b, "PRIORITY", strconv.AppendInt(nil, int64(severity(r.level)), 10))
	b = field(b, "SYSLOG_IDENTIFIER", []byte(r.app))
	b = field(b, "SYSLOG_TIMESTAMP", r.at.AppendFormat(nil, time.RFC3339Nano))
	b = field(b, "PACE_APP", []byte(r.app))
	b = field(b, "PACE_ID", strconv.AppendInt(nil, int64(r.id), 10))
	b = field(b, "PACE_STREAM", []byte(r.stream))
	j.buf = b
	if err := j.conn.SetWriteDeadline(time.Now().Add(talkWithin)); err != nil {
		return err
	}
	_, err := j.conn.Write(b)
	if tooLarge(err) {
		return sendFile(j.conn, b)
	}
	return err
}

// field appends a field. A value with a newline, or with bytes that are no text, is
// written with its length.
func field(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	plain := utf8.Valid(value)
	for _, c := range value {
		plain = plain && (c >= ' ' || c == '\t')
	}
	if plain {
		b = append(append(b, '='), value...)
	} else {
		b = binary.LittleEndian.AppendUint64(append(b, '\n'), uint64(len(value)))
		b = append(b, value...)
	}
	return append(b, '\n')
}
