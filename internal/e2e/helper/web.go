package helper

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// web is an HTTP server on $PORT as a user would write it. It answers "process PID",
// and at /from "process PID ADDRESS", the client's.
//
//	-reuseport   shares the port with its like by itself, by SO_REUSEPORT
//	-wait 300ms  each answer takes so long
//	-graceful    at SIGINT and SIGTERM it finishes what it has begun; else it has no handler
//	-goodbye     with -graceful: its answers end their connections for a second before
//	-tally DIR   counts its connections in DIR/PID, see Tally
func web(c Call) int {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	flags.SetOutput(c.Stderr)
	reuseport := flags.Bool("reuseport", false, "set SO_REUSEPORT")
	delay := flags.Duration("wait", 0, "how long an answer takes")
	graceful := flags.Bool("graceful", false, "finish requests at a signal")
	goodbye := flags.Bool("goodbye", false, "end kept connections by an answer")
	tally := flags.String("tally", "", "folder to count connections in")
	if err := flags.Parse(c.Args); err != nil {
		return 2
	}
	if err := serveWeb(*reuseport, *graceful, *goodbye, *delay, *tally); err != nil {
		c.complain("%v", err)
		return 1
	}
	return 0
}

func serveWeb(reuseport, graceful, goodbye bool, delay time.Duration, tally string) error {
	pid := os.Getpid()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if delay > 0 {
			wait(delay)
		}
		fmt.Fprintf(w, "process %d\n", pid) //nolint:errcheck // the client may have left
	})
	mux.HandleFunc("GET /from", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "process %d %s\n", pid, host) //nolint:errcheck // the client may have left
	})
	var leaving atomic.Bool
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})}
	if tally != "" {
		count, err := counters(filepath.Join(tally, strconv.Itoa(pid)))
		if err != nil {
			return err
		}
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				count[0].Add(1)
			case http.StateClosed, http.StateHijacked:
				count[1].Add(1)
			}
		}
	}
	var lc net.ListenConfig
	if reuseport {
		lc.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}), err)
		}
	}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	if graceful {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		go func() {
			<-ctx.Done()
			if goodbye {
				leaving.Store(true)
				wait(time.Second)
			}
			done <- s.Shutdown(context.WithoutCancel(ctx))
		}()
	}
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

// counters are two numbers in a file, which stay there whatever becomes of the process.
func counters(file string) (*[2]atomic.Int64, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the mapping stays
	if err := f.Truncate(16); err != nil {
		return nil, err
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, 16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", file, err)
	}
	return (*[2]atomic.Int64)(unsafe.Pointer(&memory[0])), nil
}

// Tally is how many connections a web server, alive or dead, has accepted, and how
// many of them it has closed.
func Tally(dir string, pid int) (accepted, closed int64, err error) {
	f, err := os.Open(filepath.Join(dir, strconv.Itoa(pid)))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	var b [16]byte
	if _, err := io.ReadFull(f, b[:]); err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	n := (*[2]int64)(unsafe.Pointer(&b[0]))
	return n[0], n[1], nil
}
