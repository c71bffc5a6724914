package nodeipc

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// plain is an HTTP client that repeats nothing, as net/http's does when a kept connection turns
// out to be closed: a request that gets no answer counts as failed.
type plain struct {
	addr string
	tls  *tls.Config
	keep bool
	conn net.Conn
	r    *bufio.Reader
}

func (p *plain) get() error {
	if p.conn == nil {
		c, err := net.DialTimeout("tcp", p.addr, patience)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		if p.tls != nil {
			c = tls.Client(c, p.tls)
		}
		p.conn, p.r = c, bufio.NewReader(c)
	}
	_ = p.conn.SetDeadline(time.Now().Add(patience))
	connection := "keep-alive"
	if !p.keep {
		connection = "close"
	}
	if _, err := fmt.Fprintf(p.conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\n\r\n", connection); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if resp.Close {
		p.close()
	}
	return nil
}

func (p *plain) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// plainLoad is load by plain clients.
type plainLoad struct {
	wg           sync.WaitGroup
	stop         chan struct{}
	done, failed atomic.Int64
	mu           sync.Mutex // guards errs
	errs         map[string]int
}

func startPlain(addr string, conf *tls.Config, keeping, connecting int) *plainLoad {
	l := &plainLoad{stop: make(chan struct{}), errs: map[string]int{}}
	for i := range keeping + connecting {
		p := &plain{addr: addr, tls: conf, keep: i < keeping}
		l.wg.Go(func() {
			defer p.close()
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(time.Duration(rand.IntN(4000)) * time.Microsecond):
				}
				err := p.get()
				l.done.Add(1)
				if err != nil {
					p.close()
					l.failed.Add(1)
					l.mu.Lock()
					l.errs[rootText(err)]++
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// rootText is an error without the addresses, so that equal ones can be counted.
func rootText(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

func (l *plainLoad) end() (done, failed int64, errs map[string]int) {
	close(l.stop)
	l.wg.Wait()
	return l.done.Load(), l.failed.Load(), l.errs
}

// retire takes workers out of service as a reload does, and returns how long each took to drain.
func retire(t *testing.T, o DrainOptions, workers ...*member) (took []time.Duration) {
	t.Helper()
	for _, w := range workers {
		began := time.Now()
		w.Rotate(false)
		w.Drain(o)
		w.Disconnect()
		w.ev.kind(Disconnected)
		took = append(took, time.Since(began).Round(time.Millisecond))
		if w.alive() {
			_ = syscall.Kill(w.pid(), syscall.SIGINT)
		}
		w.Close()
		w.wait(patience)
	}
	return took
}

// TestReloadLosesNothing replaces all workers under load of kept and of new connections, with an
// app that knows nothing of shutting down and with one that handles SIGINT.
func TestReloadLosesNothing(t *testing.T) {
	type variant struct {
		handOff, graceful bool
		delay             string
	}
	some := []variant{{true, false, ""}, {false, true, ""}, {true, true, "300"}, {false, false, "300"}}
	all := []variant{{false, false, ""}, {true, true, ""}, {false, true, "300"}, {true, false, "300"}}
	eachNode(t, func(t *testing.T, node string) {
		major := slices.IndexFunc(majors, func(m string) bool { return strings.HasSuffix(t.Name(), m) })
		// Half of them for each version, so that it does not take for ever.
		variants := []variant{some[major%2], some[major%2+2]}
		if os.Getenv("PACELINE_DRAIN") == "all" {
			variants = append(some, all...)
		}
		for _, v := range variants {
			t.Run(fmt.Sprintf("handoff=%v,graceful=%v,delay=%s", v.handOff, v.graceful, v.delay), func(t *testing.T) {
				env := []string{"DELAY=" + v.delay}
				if v.graceful {
					env = append(env, "GRACEFUL=1")
				}
				// A fixed port: successors have to ask for the same address.
				a := newApp(t, v.handOff, launch{node: node, args: []string{"testdata/server.js"}, env: env, preload: true})
				a.l.env = append(a.l.env, "PORT="+freePort(t), "HOST=127.0.0.1")
				a.forkN(2)
				l := startPlain(a.addr(), nil, 16, 4)
				var took []time.Duration
				rounds := drainRounds()
				for range rounds {
					old := a.workers[len(a.workers)-2:]
					for _, w := range old {
						next := a.fork()
						next.ev.kind(Listening)
						took = append(took, retire(t, DrainOptions{Signal: "SIGINT"}, w)...)
						if v.graceful && !strings.Contains(w.out.String(), "cleaned up") {
							t.Errorf("the app's SIGINT handler did not run to its end: %q, %v", w.out.String(), w.dead)
						}
					}
				}
				done, failed, errs := l.end()
				t.Logf("%d of %d requests failed %v; drained in %v", failed, done, errs, took)
				if failed > 0 {
					t.Errorf("%d of %d requests failed: %v", failed, done, errs)
				}
			})
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	// It is not one of those that the kernel gives to clients, who might take it meanwhile.
	for range 100 {
		port := fmt.Sprint(10000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// An idle kept connection can be used once more after the disconnect; its answer ends it.
func TestIdleConnectionSurvivesDisconnect(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		for grace := time.Second; !survivesDisconnect(t, node, grace); grace *= 4 {
			if grace > patience {
				t.Fatalf("it takes longer than %v to use a connection", grace)
			}
		}
	})
}

// survivesDisconnect returns false if we were too slow to use the connection within its
// grace.
func survivesDisconnect(t *testing.T, node string, grace time.Duration) bool {
	t.Helper()
	a := newApp(t, true, launch{node: node, args: []string{"testdata/server.js"}, preload: true})
	w := a.forkN(1)[0]
	used, unused := &plain{addr: a.addr(), keep: true}, &plain{addr: a.addr(), keep: true}
	for _, p := range []*plain{used, unused} {
		defer p.close()
		if err := p.get(); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	w.Drain(DrainOptions{Grace: grace})
	w.Disconnect()
	w.ev.kind(Closed)
	early := false
	select {
	case <-time.After(grace / 5):
	case <-w.exited:
		early = true
	}
	err := used.get()
	if time.Since(began) > grace*3/4 {
		return false
	}
	if early {
		t.Fatal("worker ended with idle connections within their grace")
	}
	if err != nil {
		t.Errorf("idle connection was cut: %v", err)
	}
	if used.conn != nil {
		t.Error("the connection is still kept after an answer of a draining worker")
	}
	w.ev.kind(Disconnected)
	if took := time.Since(began); took < grace-grace/10 { // the end of the unused one
		t.Errorf("drained in %v, want the grace of %v", took, grace)
	}
	if err := w.wait(patience); err != nil {
		t.Errorf("worker ended with %v", err)
	}
	return true
}

// A worker that listens for the stop signal waits for it after its disconnect, but not for ever.
func TestHoldForSignal(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		a := newApp(t, true, launch{node: node, args: []string{"testdata/server.js"}, env: []string{"GRACEFUL=1"}, preload: true})
		waits, tires := a.fork(), a.fork()
		naive := a.fork("GRACEFUL=")
		for _, w := range a.workers {
			w.ev.kind(Listening)
		}
		began := time.Now()
		for w, hold := range map[*member]time.Duration{waits: time.Hour, tires: 400 * time.Millisecond, naive: time.Hour} {
			w.Drain(DrainOptions{Signal: "SIGINT", Hold: hold})
			w.Disconnect()
		}
		naive.wait(patience)
		tires.wait(patience)
		if took := time.Since(began); took < 350*time.Millisecond { // Node's clock is another one
			t.Errorf("worker ended after %v, before its hold was over", took)
		}
		waits.ev.kind(Disconnected)
		if !waits.alive() {
			t.Fatal("worker did not wait for its signal")
		}
		_ = syscall.Kill(waits.pid(), syscall.SIGINT)
		if err := waits.wait(patience); err != nil || !strings.Contains(waits.out.String(), "cleaned up") {
			t.Errorf("worker ended with %v, said %q", err, waits.out.String())
		}
	})
}

func TestReloadLosesNothingTLS(t *testing.T) {
	dir := certificate(t)
	eachNode(t, func(t *testing.T, node string) {
		a := evalApp(t, node, true, 0)
		port := freePort(t)
		serve := func() *member {
			w := a.fork()
			w.ev.message(`"up"`)
			w.eval(tlsServer(dir, "https", `(q, r) => setTimeout(() => r.end('ok'), 20)`) + `
				await new Promise((ok) => s.listen(` + port + `, '127.0.0.1', ok))`)
			return w
		}
		old := serve()
		l := startPlain("127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true}, 8, 1)
		for range drainRounds() {
			next := serve()
			retire(t, DrainOptions{Signal: "SIGINT"}, old)
			old = next
		}
		done, failed, errs := l.end()
		t.Logf("%d requests", done)
		if failed > 0 {
			t.Errorf("%d of %d requests failed: %v", failed, done, errs)
		}
	})
}

// drainRounds is how often all workers are replaced; PACELINE_DRAIN_ROUNDS for a longer run.
func drainRounds() int {
	if n, err := strconv.Atoi(os.Getenv("PACELINE_DRAIN_ROUNDS")); err == nil {
		return n
	}
	return 1
}
