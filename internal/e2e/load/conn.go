package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

// conn is one HTTP/1.1 connection, by hand: net/http's client sends a request
// again if the connection that it had kept turns out closed, which is exactly
// the failure that is to be counted here.
type conn struct {
	c       net.Conn
	r       *bufio.Reader
	request []byte
	body    []byte
}

func dial(c *Config, n int) (*conn, error) {
	d := net.Dialer{Timeout: c.Timeout}
	if c.Network == "tcp" && n > 0 {
		// Other loopback addresses of our own: one has no more than 28,000 ports,
		// which a run with a connection per request soon leaves in TIME_WAIT.
		ip := localAddr(n)
		d.LocalAddr = &net.TCPAddr{IP: ip[:]}
	}
	nc, err := d.Dial(c.Network, c.Addr)
	if err != nil {
		return nil, err
	}
	return &conn{c: nc, r: bufio.NewReaderSize(nc, 4096), request: c.request()}, nil
}

// localAddr is where the nth client connects from.
func localAddr(n int) [4]byte { return [4]byte{127, 0, 0, byte(1 + n%250)} }

func (c *Config) request() []byte {
	connection := "keep-alive"
	if !c.KeepAlive {
		connection = "close"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: %s\r\n\r\n", c.Path, connection)
}

func (k *conn) close() { k.c.Close() } //nolint:errcheck // nothing is lost

// stale reports whether the server has closed the connection while it was idle:
// every client looks before it sends, and no request has been made yet.
func (k *conn) stale() bool {
	sc, ok := k.c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		gone = !errors.Is(err, syscall.EAGAIN) && n <= 0
		return true
	})
	return gone || err != nil
}

var errStatus = errors.New("unexpected status")

// do makes one request. The body is valid until the next call; again says
// whether the connection can carry another.
func (k *conn) do(timeout time.Duration) (body []byte, again bool, err error) {
	if err := k.c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, false, err
	}
	if _, err := k.c.Write(k.request); err != nil {
		return nil, false, err
	}
	return k.answer()
}

// answer reads one answer, as do returns it.
func (k *conn) answer() (body []byte, again bool, err error) {
	status, err := k.line()
	if err != nil {
		return nil, false, err
	}
	// "HTTP/1.1 200 OK"
	version, ok := bytes.CutPrefix(status, []byte("HTTP/1."))
	if !ok || len(version) < 5 || version[0] > '1' || version[1] != ' ' {
		return nil, false, fmt.Errorf("%w line %q", errStatus, status)
	}
	ok = bytes.Equal(status[9:12], []byte("200"))
	statusText := ""
	if !ok {
		statusText = string(status[9:12])
	}
	again = version[0] == '1' // HTTP/1.0 closes, unless it says otherwise
	length, chunked := -1, false
	for {
		line, err := k.line()
		if err != nil {
			return nil, false, noEOF(err)
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return nil, false, fmt.Errorf("content-length %q", value)
			}
		case is(name, "transfer-encoding"):
			chunked = is(value, "chunked")
		case is(name, "connection"):
			again = is(value, "keep-alive") || again && !is(value, "close")
		}
	}
	switch {
	case chunked:
		err = k.chunks()
	case length >= 0:
		k.body = grow(k.body, length)
		_, err = io.ReadFull(k.r, k.body)
	default: // its end is the connection's; whether it is whole, only Config.Check can tell
		again = false
		k.body, err = k.rest(k.body[:0])
	}
	if err != nil {
		return nil, false, noEOF(err)
	}
	if !ok {
		return nil, again, fmt.Errorf("%w %s", errStatus, statusText)
	}
	return k.body, again, nil
}

// line reads one line without its end.
func (k *conn) line() ([]byte, error) {
	line, err := k.r.ReadSlice('\n')
	if err != nil {
		if len(line) > 0 {
			err = noEOF(err)
		}
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// rest reads until the server closes, and appends to b.
func (k *conn) rest(b []byte) ([]byte, error) {
	for {
		part, err := k.r.ReadSlice('\n')
		b = append(b, part...)
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return b, err
		}
	}
}

func (k *conn) chunks() error {
	k.body = k.body[:0]
	for {
		line, err := k.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size %q", line)
		}
		begin := len(k.body)
		k.body = grow(k.body, begin+int(size)+2) // with its CRLF
		if _, err := io.ReadFull(k.r, k.body[begin:]); err != nil {
			return err
		}
		k.body = k.body[:begin+int(size)]
		if size == 0 {
			return nil
		}
	}
}

func grow(b []byte, n int) []byte {
	if n > cap(b) {
		b = append(make([]byte, 0, n), b...)
	}
	return b[:n]
}

// noEOF tells an answer cut off in the middle from one that never began.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// is compares without regard to case, for ASCII.
func is(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
