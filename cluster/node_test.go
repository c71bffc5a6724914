//go:build linux

package cluster_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/cluster"
)

// nodeEvent is a line of testdata/primary.js.
type nodeEvent struct {
	Event     string
	ID        int
	Port      int
	Address   *string
	Type      any
	Message   json.RawMessage
	Code      *int
	Signal    *string
	Voluntary bool
}

// nodePrimary is Node's own primary in a process of its own.
type nodePrimary struct {
	tb     testing.TB
	stdin  io.WriteCloser
	events chan nodeEvent
	exited chan error
}

func startNodePrimary(tb testing.TB, node string, policy cluster.Balance, env ...string) *nodePrimary {
	tb.Helper()
	cmd := exec.Command(node, "testdata/primary.js")
	cmd.Env = append(os.Environ(), "POLICY="+policy.String(), "WORKERS=2")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	w.Close()
	p := &nodePrimary{tb: tb, stdin: stdin, events: make(chan nodeEvent, 1000), exited: make(chan error, 1)}
	go func() {
		defer out.Close()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e nodeEvent
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event != "" { // workers write here as well
				p.events <- e
			}
		}
	}()
	done := make(chan struct{})
	go func() {
		p.exited <- cmd.Wait()
		close(done)
	}()
	tb.Cleanup(func() {
		cmd.Process.Kill() // its workers end with their channels
		<-done
	})
	return p
}

func (p *nodePrimary) say(line string) {
	p.tb.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.tb.Fatal(err)
	}
}

// next returns the next event of a kind; others before it are dropped.
func (p *nodePrimary) next(kind string) nodeEvent {
	p.tb.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case e := <-p.events:
			if e.Event == kind {
				return e
			}
		case <-late.C:
			p.tb.Fatalf("no event %s came from Node's primary", kind)
		}
	}
}

// goExec is what Node's primary runs so that it gets the test binary: a program of its
// own cannot have arguments before the script, so a shell adds them.
func goExec(tb testing.TB) string {
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "worker")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' -test.run='^$'\n", exe)
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestGoPrimaryNodeWorkers(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, node string) {
		policies(t, func(t *testing.T, b cluster.Balance) {
			port := freePort(t)
			suite(t, cluster.Options{
				Program: node, Args: []string{"testdata/worker.js"}, Env: []string{"PORT=" + port},
				Balance: b, MinUptime: time.Nanosecond, Grace: -1,
			}, port)
		})
	})
}

// A Node server that knows nothing of leaving cuts no kept connection either: the primary
// has it load the preload, of which nothing is left.
func TestKeepAliveClientsSurviveReloadOfNaiveNode(t *testing.T) {
	eachNode(t, func(t *testing.T, node string) {
		policies(t, func(t *testing.T, b cluster.Balance) {
			t.Parallel()
			port := freePort(t)
			p := newPrimary(t, cluster.Options{
				Program: node, Args: []string{"testdata/naive.js"}, Env: []string{"PORT=" + port},
				Balance: b, MinUptime: time.Nanosecond,
			})
			workers := p.fork(2)
			preload := preloadOf(t, workers[0].PID())
			if _, err := os.Stat(preload); err != nil {
				t.Fatal(err)
			}
			var stops []func() (int, []error)
			for range 4 {
				stops = append(stops, load(t, "http://127.0.0.1:"+port, kept(t)))
			}
			if err := p.Reload(deadline(t)); err != nil {
				t.Fatal(err)
			}
			for _, stop := range stops {
				if n, failed := stop(); len(failed) > 0 || n == 0 {
					t.Errorf("%d of %d requests failed, the first: %v", len(failed), n, failed)
				}
			}
			// Its own children would not find the file: they are started without it.
			if body, err := get(fresh(t), "http://127.0.0.1:"+port); err != nil || body != "[]" {
				t.Errorf("execArgv of the worker: %q, %v; want none", body, err)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Dir(preload)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close: %v, want no %s", err, filepath.Dir(preload))
			}
		})
	})
}

// preloadOf is the file that a process was started with by --require, "" if none.
func preloadOf(tb testing.TB, pid int) string {
	tb.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		tb.Fatal(err)
	}
	args := strings.Split(string(line), "\x00")
	if len(args) > 2 && args[1] == "--require" {
		return args[2]
	}
	return ""
}

func TestPlainNodeHasNoPreload(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, node string) {
		p := newPrimary(t, cluster.Options{
			Program: node, Args: []string{"testdata/naive.js"}, Env: []string{"PORT=" + freePort(t)}, PlainNode: true, Grace: -1,
		})
		if file := preloadOf(t, p.fork(1)[0].PID()); file != "" {
			t.Errorf("started with %s", file)
		}
	})
}

func TestNodePrimary(t *testing.T) {
	t.Parallel()
	eachNode(t, func(t *testing.T, node string) {
		for _, program := range []string{"go", "node"} {
			t.Run(program, func(t *testing.T) {
				policies(t, func(t *testing.T, b cluster.Balance) {
					env := []string{"EXEC=testdata/worker.js"}
					if program == "go" {
						env = []string{"NATIVE=1", "EXEC=" + goExec(t), role + "=web", "GORACE=atexit_sleep_ms=0"}
					}
					nodePrimarySuite(t, node, b, env)
				})
			})
		}
	})
}

// nodePrimarySuite is what must hold of any worker under Node's primary.
func nodePrimarySuite(t *testing.T, node string, b cluster.Balance, env []string) {
	port := freePort(t)
	p := startNodePrimary(t, node, b, append(env, "PORT="+port)...)
	var ids []int
	for range 2 {
		e := p.next("listening")
		ids = append(ids, e.ID)
		if fmt.Sprint(e.Port) != port || e.Address == nil || *e.Address != "127.0.0.1" || fmt.Sprint(e.Type) != "4" {
			t.Errorf("listening on %+v", e)
		}
	}
	url := "http://127.0.0.1:" + port
	pids := ask(t, url, 20)
	if b == cluster.RoundRobin && len(pids) != 2 {
		t.Errorf("answers by %v, want both workers", pids)
	}

	p.say(`{"text":"zwölf\n<"}`)
	for heard := []int{}; len(heard) < 2; {
		e := p.next("message")
		var m struct {
			Echo struct{ Text string }
			ID   int
		}
		if string(e.Message) == `"ready"` {
			continue
		}
		if err := json.Unmarshal(e.Message, &m); err != nil {
			t.Fatal(err)
		}
		if m.Echo.Text != "zwölf\n<" || m.ID != e.ID || slices.Contains(heard, e.ID) || !slices.Contains(ids, e.ID) {
			t.Errorf("worker %d answers %s", e.ID, e.Message)
		}
		heard = append(heard, e.ID)
	}

	stop := load(t, url, fresh(t))
	p.say("reload")
	p.endOf(2)
	p.next("reloaded")
	n, failed := stop()
	if len(failed) > 0 || n == 0 {
		t.Errorf("%d of %d requests failed in a reload, the first: %v", len(failed), n, failed)
	}
	p.say("disconnect")
	p.endOf(2)
	select {
	case err := <-p.exited:
		if err != nil {
			t.Errorf("Node's primary: %v", err)
		}
	case <-time.After(patience):
		t.Error("Node's primary does not end, though its workers have")
	}
}

// endOf waits until n workers have ended as they were told to.
func (p *nodePrimary) endOf(n int) {
	p.tb.Helper()
	for range n {
		e := p.next("exit")
		if e.Code == nil || *e.Code != 0 || !e.Voluntary {
			p.tb.Errorf("worker %d ended with code %v, signal %v, voluntary %v", e.ID, e.Code, e.Signal, e.Voluntary)
		}
	}
}
