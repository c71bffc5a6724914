package nodeipc

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A client of HTTP/2 has its streams on one connection: they end, and new ones go elsewhere.
func TestReloadLosesNothingHTTP2(t *testing.T) {
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		port := freePort(t)
		serve := func() *member {
			w := a.fork()
			w.ev.message(`"up"`)
			w.eval(tlsServer(dir, "http2", `(q, r) => setTimeout(() => r.end('ok'), 5 * Math.random())`) + `
				await new Promise((ok) => s.listen(` + port + `, '127.0.0.1', ok))`)
			return w
		}
		old := serve()
		var done, failed atomic.Int64
		stop, wg := make(chan struct{}), sync.WaitGroup{}
		end := sync.OnceFunc(func() {
			close(stop)
			wg.Wait()
		})
		defer end()   // also where the test ends early: nobody may log after it
		for range 3 { // connections
			c := http2Client(nil)
			defer c.CloseIdleConnections()
			for range 4 { // streams
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := get(c, "https://127.0.0.1:"+port); err != nil {
							failed.Add(1)
							t.Log(err)
						}
						done.Add(1)
					}
				})
			}
		}
		for range drainRounds() {
			time.Sleep(50 * time.Millisecond)
			next := serve()
			retire(t, DrainOptions{Signal: "SIGINT"}, old)
			old = next
		}
		end()
		t.Logf("%d requests", done.Load())
		if n := failed.Load(); n > 0 {
			t.Errorf("%d of %d requests failed", n, done.Load())
		}
	})
}

// The first connection of a plain HTTP/2 server has its session before the preload learns of the
// server; its client has to be told to leave as any other.
func TestDrainTellsFirstHTTP2Session(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		w := a.fork()
		w.ev.message(`"up"`)
		port := w.eval(`const s = require('http2').createServer((q, r) => r.end('ok'));
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		c := &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: protocols}}
		defer c.CloseIdleConnections()
		if _, err := get(c, "http://127.0.0.1:"+port); err != nil {
			t.Fatal(err)
		}
		// The client never leaves unasked; once it has, nothing is left to wait for.
		if took := retire(t, DrainOptions{Signal: "SIGINT"}, w)[0]; took >= 4*time.Second {
			t.Errorf("drained after %v, though the client leaves at once", took)
		}
	})
}

// A client that had connected before the drain, and shakes hands after it, is served once.
func TestDrainServesFirstHTTP2Request(t *testing.T) {
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		w := a.fork()
		w.ev.message(`"up"`)
		port := w.eval(tlsServer(dir, "http2", `(q, r) => r.end('ok')`) + `
			s.on('connection', () => process.send('connected'));
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		c := http2Client(func(conn net.Conn) net.Conn {
			w.ev.message(`"connected"`)
			w.Drain(DrainOptions{})
			w.Disconnect()
			w.eval(`return 'both seen'`)
			return conn
		})
		defer c.CloseIdleConnections()
		if text, err := get(c, "https://127.0.0.1:"+port); err != nil || text != "ok" {
			t.Errorf("answer %q: %v", text, err)
		}
		w.ev.kind(Disconnected)
	})
}

// Over TLS a write that fails as the client has gone is never over for Node, nor is then
// server.close(). So it goes where the worker says farewell before it has read the reset.
func TestDrainOfHTTP2ClientThatReset(t *testing.T) {
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		w := a.fork()
		w.ev.message(`"up"`)
		gone := filepath.Join(t.TempDir(), "gone")
		port := w.eval(tlsServer(dir, "http2", `(q, r) => r.end('ok')`) + `
			const cell = new Int32Array(new SharedArrayBuffer(4));
			// Between the reset and the drain the loop does not turn, and after that it writes before it reads.
			s.on('session', () => setTimeout(fs.stat, 50, dir, () => {
				process.send('blocked');
				while (!fs.existsSync('` + gone + `')) Atomics.wait(cell, 0, 0, 5);
				process.emit('internalMessage', {cmd: 'NODE_PACELINE', act: 'drain', grace: 1000});
			}));
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		raw, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
		if _, err := c.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings...)); err != nil {
			t.Fatal(err)
		}
		w.ev.message(`"blocked"`)
		_ = raw.(*net.TCPConn).SetLinger(0) // its end is a reset
		raw.Close()
		if err := os.WriteFile(gone, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.Disconnect()
		w.ev.kind(Disconnected)
	})
}

// slowConn reads a little at a time.
type slowConn struct{ net.Conn }

func (c slowConn) Read(b []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Read(b[:min(len(b), 32<<10)])
}

// An answer that a client reads slowly arrives whole: Node and the kernel have much of it when its
// stream ends.
func TestDrainWaitsForSlowHTTP2Clients(t *testing.T) {
	const size = 8 << 20
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		w := a.fork()
		w.ev.message(`"up"`)
		port := w.eval(tlsServer(dir, "http2", `(q, r) => r.end(Buffer.alloc(`+strconv.Itoa(size)+`))`) + `
			return await new Promise((ok) => s.listen(0, '127.0.0.1', () => ok(s.address().port)))`)
		c := http2Client(func(conn net.Conn) net.Conn {
			_ = conn.(*net.TCPConn).SetReadBuffer(32 << 10)
			return slowConn{conn}
		})
		defer c.CloseIdleConnections()
		c.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: size}
		resp, err := c.Get("https://127.0.0.1:" + port)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		w.Drain(DrainOptions{})
		w.Disconnect()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			t.Errorf("%d of %d bytes arrived: %v", n, size, err)
		}
		w.ev.kind(Disconnected)
	})
}

// http2Client speaks HTTP/2 over TLS. Connected, unless nil, may wrap a connection before it shakes
// hands.
func http2Client(connected func(net.Conn) net.Conn) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil || connected == nil {
				return conn, err
			}
			return connected(conn), nil
		},
	}}
}
