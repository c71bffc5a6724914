package helper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// hanging is an HTTP server on $PORT that accepts nothing any more after it was asked for
// /hang: its listener is in a busy loop then, in the function spinsForEver. It answers
// "process PID".
func hanging(c Call) int {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err == nil {
		err = serveHanging(l.(*net.TCPListener))
	}
	c.complain("%v", err)
	return 1
}

func serveHanging(tcp *net.TCPListener) error {
	l := &hangingListener{TCPListener: tcp}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "process %d\n", os.Getpid()) //nolint:errcheck // the client may have left
	})
	mux.HandleFunc("GET /hang", func(w http.ResponseWriter, _ *http.Request) {
		l.hangs.Store(true)
		_ = tcp.SetDeadline(time.Unix(1, 0))        // Accept returns
		fmt.Fprintf(w, "process %d\n", os.Getpid()) //nolint:errcheck // the client may have left
	})
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: mux}
	return s.Serve(l)
}

type hangingListener struct {
	*net.TCPListener
	hangs atomic.Bool
}

// Accept implements net.Listener.
func (l *hangingListener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if l.hangs.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		spinsForEver()
	}
	return conn, err
}

//go:noinline
func spinsForEver() {
	n := 0
	for {
		n++
	}
}
