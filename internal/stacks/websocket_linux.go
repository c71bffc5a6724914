package stacks

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// maxMessage is the longest message that is read: one of a program with many scripts.
const maxMessage = 16 << 20

// webSocket is as much of a client of RFC 6455 as the inspector needs: text messages,
// each as one frame from us, in pieces to us.
type webSocket struct {
	net.Conn
	r    *bufio.Reader
	stop func() bool
}

// The opcodes that come.
const (
	opContinuation = 0x0
	opText         = 0x1
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// dialWebSocket opens one to the path at an address. It is closed when ctx ends.
func dialWebSocket(ctx context.Context, addr netip.AddrPort, path string) (_ *webSocket, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	ws := &webSocket{Conn: conn, r: bufio.NewReader(conn)}
	ws.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // what waits returns
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w: %w", ErrSilent, err), ws.Close())
		}
	}()
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Upgrade", "websocket")
	q.Header.Set("Connection", "Upgrade")
	q.Header.Set("Sec-Websocket-Version", "13")
	q.Header.Set("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(key))
	if err := q.Write(conn); err != nil {
		return nil, err
	}
	a, err := http.ReadResponse(ws.r, q)
	if err != nil {
		return nil, err
	}
	if err := a.Body.Close(); err != nil {
		return nil, err
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("open a WebSocket: status %s", a.Status)
	}
	return ws, nil
}

// Close ends the connection without ceremony.
func (ws *webSocket) Close() error {
	ws.stop()
	return ws.Conn.Close()
}

func (ws *webSocket) write(text []byte) error { return ws.frame(opText, text) }

// frame sends a frame, masked as a client's must be.
func (ws *webSocket) frame(opcode byte, body []byte) error {
	const final, masked = 0x80, 0x80
	if len(body) > 125 {
		return fmt.Errorf("send a WebSocket frame of %d bytes: too long", len(body))
	}
	mask := make([]byte, 4)
	if _, err := rand.Read(mask); err != nil {
		return err
	}
	b := append([]byte{final | opcode, masked | byte(len(body))}, mask...)
	for i, c := range body {
		b = append(b, c^mask[i%4])
	}
	_, err := ws.Write(b)
	return err
}

// read returns the next text message, and answers pings.
func (ws *webSocket) read() ([]byte, error) {
	var message []byte
	for {
		opcode, final, body, err := readFrame(ws.r, maxMessage-len(message))
		if err != nil {
			return nil, err
		}
		switch opcode {
		case opText, opContinuation:
			if message = append(message, body...); final {
				return message, nil
			}
		case opPing:
			if err := ws.frame(opPong, body); err != nil {
				return nil, err
			}
		case opPong:
		default: // opClose, or what we did not ask for
			return nil, io.EOF
		}
	}
}

// readFrame reads one frame of at most so many bytes.
func readFrame(r io.Reader, limit int) (opcode byte, final bool, body []byte, err error) {
	head := make([]byte, 2, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, false, nil, err
	}
	opcode, final = head[0]&0x0f, head[0]&0x80 != 0
	length := uint64(head[1] & 0x7f)
	if head[1]&0x80 != 0 || head[0]&0x70 != 0 {
		return 0, false, nil, errors.New("read a WebSocket frame: it is masked, or of an extension")
	}
	more := map[uint64]int{126: 2, 127: 8}[length]
	if more > 0 {
		long := make([]byte, 8)
		if _, err := io.ReadFull(r, long[8-more:]); err != nil {
			return 0, false, nil, err
		}
		length = binary.BigEndian.Uint64(long)
	}
	if length > uint64(max(limit, 0)) {
		return 0, false, nil, fmt.Errorf("read a WebSocket frame of %d bytes: too long", length)
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return opcode, final, body, err
}

// hostOrder turns a word of the machine's order into one of the network's.
func hostOrder(word []byte) [4]byte {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], binary.NativeEndian.Uint32(word))
	return b
}
