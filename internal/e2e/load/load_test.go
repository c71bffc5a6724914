package load

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestCountsEachAnswer(t *testing.T) {
	var served atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "hello")
	})
	for _, keep := range []bool{false, true} {
		for _, path := range []string{"/", "/chunked"} {
			served.Store(0)
			r := Run(t.Context(), Config{Addr: addr, Path: path, KeepAlive: keep, Clients: 3, Requests: 500})
			if r.Requests != 500 || r.Failed != 0 || r.Bodies["hello"] != 500 || served.Load() != 500 {
				t.Errorf("keep-alive %v, %s: %v, bodies %v, served %d; want 500 of each", keep, path, r, r.Bodies, served.Load())
			}
			if r.Reconnects != 0 {
				t.Errorf("keep-alive %v: %d reconnects, want 0", keep, r.Reconnects)
			}
		}
	}
	for _, path := range []string{"/", "/chunked"} {
		served.Store(0)
		r, err := Flood(t.Context(), Config{Addr: addr, Path: path, Clients: 3, Requests: 500})
		if err != nil || r.Requests != 500 || r.Failed != 0 || r.Bodies["hello"] != 500 || served.Load() != 500 {
			t.Errorf("flood, %s: %v, bodies %v, served %d, %v; want 500 of each", path, r, r.Bodies, served.Load(), err)
		}
	}
}

func TestCountsEachFailure(t *testing.T) {
	// Every third request on a connection is taken and not answered.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go http.Serve(l, http.HandlerFunc(func() http.HandlerFunc {
		var n atomic.Int64
		return func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1)%3 == 0 {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, "x")
		}
	}()))
	for _, keep := range []bool{false, true} {
		r := Run(t.Context(), Config{Addr: l.Addr().String(), KeepAlive: keep, Clients: 1, Requests: 300})
		if r.Requests != 300 || r.Failed != 100 {
			t.Errorf("keep-alive %v: %v, want 300 requests, 100 failed", keep, r)
		}
	}
	r, err := Flood(t.Context(), Config{Addr: l.Addr().String(), Clients: 7, Requests: 300})
	if err != nil || r.Requests != 300 || r.Failed != 100 || r.Errors["closed without an answer"] != 100 {
		t.Errorf("flood: %v, %v, want 300 requests, 100 failed", r, err)
	}
}

func TestConnectionCloseIsNoFailure(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "x")
	})
	r := Run(t.Context(), Config{Addr: addr, KeepAlive: true, Clients: 2, Requests: 100})
	if r.Failed != 0 || r.Reconnects != 100 {
		t.Errorf("%v, %d reconnects; want 0 failed, 100 reconnects", r, r.Reconnects)
	}
}

func TestKinds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	r := Run(t.Context(), Config{Addr: addr, Clients: 1, Requests: 1, Timeout: 50 * time.Millisecond})
	if r.Hung != 1 || r.Errors["timeout"] != 1 {
		t.Errorf("nobody accepts: %v, want a timeout", r)
	}
	r, err = Flood(t.Context(), Config{Addr: addr, Clients: 2, Requests: 2, Timeout: 50 * time.Millisecond})
	if err != nil || r.Hung != 2 || r.Errors["timeout"] != 2 {
		t.Errorf("nobody accepts a flood: %v, %v, want two timeouts", r, err)
	}
	r, err = Flood(t.Context(), Config{Addr: addr, Clients: 2, Requests: 3, Timeout: 50 * time.Millisecond})
	if err != nil || r.Hung != 3 {
		t.Errorf("nobody accepts a longer flood: %v, %v, want three timeouts", r, err)
	}
	l.Close()
	if r = Run(t.Context(), Config{Addr: addr, Clients: 1, Requests: 1}); r.Errors["connection refused"] != 1 {
		t.Errorf("nobody listens: %v, want a refusal", r)
	}
	if r, err = Flood(t.Context(), Config{Addr: addr, Clients: 1, Requests: 1}); err != nil || r.Errors["connection refused"] != 1 {
		t.Errorf("nobody listens for a flood: %v, %v, want a refusal", r, err)
	}
	notFound := serve(t, http.NotFound)
	if r = Run(t.Context(), Config{Addr: notFound, Clients: 1, Requests: 2, KeepAlive: true}); r.Errors["unexpected status 404"] != 2 {
		t.Errorf("%v, want two 404", r)
	}
}

// What other servers than Node and Go answer: HTTP/1.0, and bodies that end with
// the connection.
func TestOtherForms(t *testing.T) {
	for _, test := range []struct {
		answer string
		keep   int // of 20 requests, how many had to connect again
		failed string
	}{
		{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 20, ""},
		{"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 0, ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, ""},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", 20, ""},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\no", 0, "wrong body"},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nok", 0, "answer cut off"},
		{"HTTP/1.", 0, "answer cut off"},
		{"HTTP/2.0 200 OK\r\n\r\n", 0, `unexpected status line "HTTP/2.0 200 OK"`},
		{"HTTP/1.1 20\r\n\r\n", 0, `unexpected status line "HTTP/1.1 20"`},
	} {
		t.Run(test.answer, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go answer(l, test.answer)
			check := func(body []byte) error {
				if string(body) != "ok" {
					return fmt.Errorf("not ok")
				}
				return nil
			}
			for _, rate := range []float64{0, 1000} {
				r := Run(t.Context(), Config{Addr: l.Addr().String(), KeepAlive: true, Clients: 1, Requests: 20, Rate: rate, Check: check})
				if test.failed == "" && (r.Failed != 0 || rate == 0 && r.Reconnects != test.keep) {
					t.Errorf("rate %v: %v, %d reconnects, want %d", rate, r, r.Reconnects, test.keep)
				}
				if test.failed != "" && r.Errors[test.failed] != 20 {
					t.Errorf("rate %v: %v, want %s", rate, r, test.failed)
				}
			}
			if strings.Contains(test.answer, "keep-alive") || strings.HasPrefix(test.answer, "HTTP/1.1 200 OK\r\nContent-Length: 2") {
				return // it closes only when we do
			}
			r, err := Flood(t.Context(), Config{Addr: l.Addr().String(), Clients: 3, Requests: 20, Check: check})
			if err != nil || test.failed == "" && r.Failed != 0 || test.failed != "" && r.Errors[test.failed] != 20 {
				t.Errorf("flood: %v, %v, want %s", r, err, cmp.Or(test.failed, "none failed"))
			}
		})
	}
}

// answer sends the same to each request and closes if it says so, or says nothing
// of a length.
func answer(l net.Listener, text string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for r := bufio.NewReader(c); ; {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(c, text)
				if strings.Contains(text, "close") || !strings.Contains(text, "Length") ||
					strings.Contains(text, "/1.0") && !strings.Contains(text, "keep-alive") {
					return
				}
			}
		}()
	}
}

// In an open loop the requests of the time in which nobody answers are made too,
// and each of them waits.
func TestRateDoesNotWait(t *testing.T) {
	blocked := make(chan struct{})
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		<-blocked
		io.WriteString(w, "x")
	})
	time.AfterFunc(250*time.Millisecond, func() { close(blocked) })
	r := Run(t.Context(), Config{Addr: addr, Rate: 200, Requests: 100})
	if r.Requests != 100 || r.Failed != 0 || r.Took < 490*time.Millisecond {
		t.Errorf("%v in %v, want 100 in half a second", r, r.Took)
	}
	if late := r.Over(100 * time.Millisecond); late < 25 { // on a busy machine others wait as well
		t.Errorf("%d waited for more than 100 ms, want those of 150 ms: 30", late)
	}
}

func TestEndsWithContext(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, rate := range []float64{0, 500} {
		if r := Run(ctx, Config{Addr: addr, Pause: time.Millisecond, Rate: rate}); ctx.Err() == nil || r.Failed != 0 {
			t.Errorf("rate %v: %v, want none failed, and an end with the context", rate, r)
		}
	}
	flood, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := Flood(flood, Config{Addr: addr}); err != nil || flood.Err() == nil || r.Failed != 0 || r.Requests == 0 {
		t.Errorf("flood: %v, %v, want none failed, and an end with the context", r, err)
	}
}

// A server whose queue is full lets clients wait for their connections.
func TestFloodWaitsToConnect(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0))
	file := os.NewFile(uintptr(fd), "listener")
	l, fileErr := net.FileListener(file)
	if err := errors.Join(err, fileErr, file.Close()); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	time.AfterFunc(200*time.Millisecond, func() { answer(l, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok") })
	r, err := Flood(t.Context(), Config{Addr: l.Addr().String(), Clients: 5, Requests: 5, Timeout: time.Minute})
	if err != nil || r.Failed != 0 || r.Bodies["ok"] != 5 {
		t.Errorf("%v, %v, bodies %v; want 5 answers", r, err, r.Bodies)
	}
}

func TestFloodRefuses(t *testing.T) {
	for _, c := range []Config{
		{Addr: "[::1]:80"},
		{Addr: "localhost:80"},
		{Addr: "127.0.0.1:80", KeepAlive: true},
		{Addr: "127.0.0.1:80", Rate: 1},
		{Network: "unix", Addr: "/tmp/x"},
	} {
		if r, err := Flood(t.Context(), c); err == nil || r.Requests != 0 {
			t.Errorf("Flood(%+v) = %v, no error", c, r)
		}
	}
}

func TestQuantiles(t *testing.T) {
	r := Result{}
	for i := range 100 {
		r.Latencies = append(r.Latencies, time.Duration(i+1))
	}
	if got := r.Quantile(0.5); got != 51 {
		t.Errorf("p50 = %d, want 51", got)
	}
	if got := r.Over(90); got != 10 {
		t.Errorf("over 90: %d, want 10", got)
	}
}
