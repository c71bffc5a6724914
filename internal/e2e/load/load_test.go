package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
	l.Close()
	if r = Run(t.Context(), Config{Addr: addr, Clients: 1, Requests: 1}); r.Errors["connection refused"] != 1 {
		t.Errorf("nobody listens: %v, want a refusal", r)
	}
	notFound := serve(t, http.NotFound)
	if r = Run(t.Context(), Config{Addr: notFound, Clients: 1, Requests: 2, KeepAlive: true}); r.Errors["unexpected status 404"] != 2 {
		t.Errorf("%v, want two 404", r)
	}
}

func TestEndsWithContext(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r := Run(ctx, Config{Addr: addr, Pause: time.Millisecond}); r.Requests == 0 || r.Failed != 0 {
		t.Errorf("%v, want some and none failed", r)
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
