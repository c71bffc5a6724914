//go:build linux

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paceline/cluster"
)

// role makes the test binary one of the programs below.
const role = "CLUSTER_TEST_ROLE"

func roles() map[string]func() error {
	return map[string]func() error{
		"web": webRole, "naive": naiveRole, "fail": failRole, "odd": oddRole, "talk": talkRole,
		"program": programRole, "leaver": leaverRole, "slow": slowRole,
		"orphan": orphanRole,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(role); name != "" {
		f := roles()[name]
		if f == nil {
			fmt.Fprintln(os.Stderr, "no role", name)
			os.Exit(2)
		}
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		runtime.GC()                                                         // what only a finalizer would close counts as closed
		if after := descriptors(); code == 0 && len(after) > len(before)+2 { // Go's poller and its eventfd stay
			fmt.Fprintf(os.Stderr, "FAIL: descriptors leaked: %v before, %v after\n", before, after)
			code = 1
		}
		os.Exit(code)
	}))
}

func descriptors() (all []string) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		all = append(all, e.Name()+"="+to)
	}
	return all
}

func pidHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	return mux
}

func address() string { return "127.0.0.1:" + os.Getenv("PORT") }

// echo answers each message as testdata/worker.js does.
func echo() {
	for m := range cluster.Messages(context.Background()) {
		if err := cluster.Send(map[string]any{"echo": m, "id": cluster.ID()}); err != nil {
			return
		}
	}
}

// webRole is the Go counterpart of testdata/worker.js.
func webRole() error {
	if os.Getenv("FAIL") != "" {
		os.Exit(7)
	}
	go echo()
	l, err := cluster.Listen("tcp", address())
	if err != nil {
		return err
	}
	if err := cluster.Ready(); err != nil {
		return err
	}
	return cluster.Serve(&http.Server{Handler: pidHandler()}, l, cluster.Drain{Grace: -1})
}

// naiveRole knows of nothing but Listen.
func naiveRole() error {
	l, err := cluster.Listen("tcp", address())
	if err != nil {
		return err
	}
	return http.Serve(l, pidHandler())
}

func failRole() error { return fmt.Errorf("worker %d cannot start", cluster.ID()) }

// talkRole says what it is, then echoes, and never listens.
func talkRole() error {
	err := cluster.Send(map[string]any{
		"worker": cluster.IsWorker(), "primary": cluster.IsPrimary(), "id": cluster.ID(), "index": cluster.Index(),
		"args": os.Args[1:], "env": os.Getenv("EXTRA"), "channel": os.Getenv("NODE_CHANNEL_FD") + os.Getenv("NODE_UNIQUE_ID"),
	})
	if err != nil {
		return err
	}
	go echo()
	<-cluster.Context().Done()
	return nil
}

// leaverRole leaves by its own wish when it gets a message.
func leaverRole() error {
	if err := cluster.Ready(); err != nil {
		return err
	}
	for range cluster.Messages(context.Background()) {
		return cluster.Disconnect(context.Background())
	}
	return nil
}

// orphanRole has lost its primary before it began.
func orphanRole() error {
	if !cluster.IsWorker() {
		return errors.New("takes itself for a primary")
	}
	<-cluster.Context().Done()
	if err := context.Cause(cluster.Context()); !errors.Is(err, cluster.ErrPrimaryGone) {
		return fmt.Errorf("context ended with %w", err)
	}
	if _, err := cluster.Listen("tcp", "127.0.0.1:0"); !errors.Is(err, cluster.ErrPrimaryGone) {
		return fmt.Errorf("listen: %w", err)
	}
	if err := cluster.Send(1); !errors.Is(err, cluster.ErrClosed) {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := cluster.NewPrimary(cluster.Options{}); !errors.Is(err, cluster.ErrWorker) {
		return fmt.Errorf("make primary: %w", err)
	}
	return cluster.Disconnect(context.Background())
}

// slowRole answers when it gets a message.
func slowRole() error {
	l, err := cluster.Listen("tcp", address())
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := cluster.Send("asked"); err != nil {
			log.Print(err)
		}
		for range cluster.Messages(r.Context()) {
			fmt.Fprint(w, "answered")
			return
		}
	}))
}

// oddRole does what it is told by messages, and answers each with a value.
func oddRole() error {
	listeners := map[string]io.Closer{}
	do := func(c command) (any, error) {
		switch c.Do {
		case "listen":
			l, err := cluster.Listen(c.Network, c.Address)
			if err != nil {
				return nil, err
			}
			listeners[c.Name] = l
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					fmt.Fprint(conn, os.Getpid())
					conn.Close()
				}
			}()
			return l.Addr().String(), nil
		case "packet":
			conn, err := cluster.ListenPacket(c.Network, c.Address)
			if err != nil {
				return nil, err
			}
			listeners[c.Name] = conn
			go func() {
				buf := make([]byte, 1500)
				for {
					n, from, err := conn.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = conn.WriteTo(append([]byte("got "), buf[:n]...), from)
				}
			}()
			return conn.LocalAddr().String(), nil
		case "close":
			return nil, listeners[c.Name].Close()
		case "descriptors":
			runtime.GC()
			return len(descriptors()), nil
		}
		return nil, fmt.Errorf("what is %q?", c.Do)
	}
	for m := range cluster.Messages(context.Background()) {
		var c command
		if err := json.Unmarshal(m, &c); err != nil {
			return err
		}
		value, err := do(c)
		reply := result{ID: c.ID, Value: value}
		if err != nil {
			reply.Error = err.Error()
		}
		if err := cluster.Send(reply); err != nil {
			return err
		}
	}
	return nil
}

type command struct {
	ID                         int
	Do, Name, Network, Address string
}

type result struct {
	ID    int
	Value any
	Error string
}

// programRole is a whole program, primary and worker in one, as users write them.
func programRole() error {
	if cluster.IsPrimary() && os.Getenv("ALONE") == "" {
		p, err := cluster.NewPrimary(cluster.Options{Workers: 2, Grace: -1})
		if err != nil {
			return err
		}
		return p.Run(cluster.Context())
	}
	return cluster.ListenAndServe("tcp", address(), pidHandler())
}

// self makes the test binary the workers' program.
func self(name string, env ...string) cluster.Options {
	return cluster.Options{
		Args: []string{"-test.run=^$"}, Env: append([]string{role + "=" + name, "GORACE=atexit_sleep_ms=0"}, env...),
		MinUptime: time.Nanosecond, Grace: -1,
	}
}

// primary is a primary of a test, with the events of all its workers.
type primary struct {
	*cluster.Primary
	tb     testing.TB
	events chan cluster.Event
}

func newPrimary(tb testing.TB, o cluster.Options) *primary {
	tb.Helper()
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	p, err := cluster.NewPrimary(o)
	if err != nil {
		tb.Fatal(err)
	}
	x := &primary{Primary: p, tb: tb, events: make(chan cluster.Event, 1000)}
	events := p.Events(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			select {
			case x.events <- e:
			default: // nobody wants them any more
			}
		}
	}()
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
		<-done
	})
	return x
}

// patience bounds what has to happen: it may take long where the machine is busy.
const patience = time.Minute

func deadline(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// next returns the next event of a kind; others before it are dropped.
func (p *primary) next(kind cluster.EventKind) cluster.Event {
	p.tb.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case e := <-p.events:
			if e.Kind == kind {
				return e
			}
		case <-late.C:
			p.tb.Fatalf("no event %s came", kind)
		}
	}
}

func (p *primary) fork(n int) []*cluster.Worker {
	p.tb.Helper()
	for range n {
		if _, err := p.Fork(); err != nil {
			p.tb.Fatal(err)
		}
	}
	all := p.Workers()
	for _, w := range all {
		if err := w.WaitReady(deadline(p.tb)); err != nil {
			p.tb.Fatal(err)
		}
	}
	return all
}

// freePort returns a port that nobody else gets until the test ends: a socket that is bound
// to it, but does not listen, leaves it to those that set SO_REUSEADDR and ask for it by
// number, as Go and Node do.
func freePort(tb testing.TB) string {
	tb.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { syscall.Close(fd) })
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	)
	if err != nil {
		tb.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprint(name.(*syscall.SockaddrInet4).Port)
}

// fresh makes a connection for each request.
func fresh(tb testing.TB) *http.Client {
	tr := &http.Transport{DisableKeepAlives: true}
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func get(c *http.Client, url string) (string, error) {
	r, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", r.Status)
	}
	return string(b), err
}

// ask counts who answers n requests.
func ask(tb testing.TB, url string, n int) map[string]int {
	tb.Helper()
	c, pids := fresh(tb), map[string]int{}
	for range n {
		pid, err := get(c, url)
		if err != nil {
			tb.Fatal(err)
		}
		pids[pid]++
	}
	return pids
}

// load asks without end until stop is called, which returns how many requests there were
// and what failed.
func load(tb testing.TB, url string, c *http.Client) (stop func() (int, []error)) {
	quit, done := make(chan struct{}), make(chan struct{})
	var failed []error
	n := 0
	go func() {
		defer close(done)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-quit:
				return
			case <-pace.C:
			}
			n++
			if _, err := get(c, url); err != nil {
				failed = append(failed, err)
			}
		}
	}()
	stopped := false
	stop = func() (int, []error) {
		if !stopped {
			stopped = true
			close(quit)
			<-done
		}
		return n, failed
	}
	tb.Cleanup(func() { stop() })
	return stop
}

var majors = []string{"18", "20", "22", "24"}

// findNode returns the binary of a Node major version, or "".
func findNode(major string) string {
	candidates := []string{os.Getenv("PACELINE_NODE_" + major)}
	if root, err := filepath.Abs(".."); err == nil {
		found, _ := filepath.Glob(filepath.Join(root, ".cache/node", major, "node_modules/*/bin/node"))
		candidates = append(candidates, found...)
	}
	if inPath, err := exec.LookPath("node"); err == nil {
		candidates = append(candidates, inPath)
	}
	for _, c := range candidates {
		if c == "" {
			continue
		}
		out, err := exec.Command(c, "--version").Output()
		if err == nil && strings.HasPrefix(string(out), "v"+major+".") {
			return c
		}
	}
	return ""
}

// eachNode runs a test with every Node version of the matrix.
func eachNode(t *testing.T, f func(t *testing.T, node string)) {
	for _, major := range majors {
		t.Run("node"+major, func(t *testing.T) {
			t.Parallel()
			node := findNode(major)
			if node == "" {
				t.Skipf("no Node %s: run scripts/node-matrix.sh", major)
			}
			f(t, node)
		})
	}
}

func policies(t *testing.T, f func(t *testing.T, b cluster.Balance)) {
	for _, b := range []cluster.Balance{cluster.RoundRobin, cluster.Shared} {
		t.Run(b.String(), func(t *testing.T) { f(t, b) })
	}
}
