//go:build linux

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"paceline/cluster"
)

func TestGoPrimaryGoWorkers(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		port := freePort(t)
		o := self("web", "PORT="+port)
		o.Balance = b
		suite(t, o, port)
	})
}

// suite is what must hold of any worker under a Go primary.
func suite(t *testing.T, o cluster.Options, port string) {
	t.Helper()
	p := newPrimary(t, o)
	url := "http://127.0.0.1:" + port
	workers := p.fork(2)
	if got := workers[0].Listens(); !slices.Equal(got, []string{"127.0.0.1:" + port}) {
		t.Errorf("worker 1 listens on %v", got)
	}

	pids := ask(t, url, 20)
	if o.Balance == cluster.RoundRobin {
		for _, w := range workers {
			if n := pids[fmt.Sprint(w.PID())]; n != 10 {
				t.Errorf("worker %d answered %d of 20 requests, want 10: %v", w.ID(), n, pids)
			}
		}
	}

	for _, w := range workers {
		if err := w.Send(map[string]any{"n": w.ID(), "text": "zwölf\n<"}); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Echo struct {
				N    int
				Text string
			}
			ID int
		}
		e := p.next(cluster.Message)
		if err := json.Unmarshal(e.Message, &got); err != nil {
			t.Fatal(err)
		}
		if e.Worker != w || got.ID != w.ID() || got.Echo.N != w.ID() || got.Echo.Text != "zwölf\n<" {
			t.Errorf("worker %d answered by %d: %s", w.ID(), e.Worker.ID(), e.Message)
		}
	}

	stop := load(t, url, fresh(t))
	if err := p.Reload(deadline(t)); err != nil {
		t.Fatal(err)
	}
	n, failed := stop()
	if len(failed) > 0 || n == 0 {
		t.Errorf("%d of %d requests failed in a reload, the first: %v", len(failed), n, failed)
	}
	for _, old := range workers {
		exit, ended := old.Exit()
		if !ended || exit != (cluster.Exit{}) || !old.ExitedAfterDisconnect() {
			t.Errorf("replaced worker %d: ended %v with %v, after disconnect %v", old.ID(), ended, exit, old.ExitedAfterDisconnect())
		}
	}
	after := p.Workers()
	if len(after) != 2 || after[0].ID() < 3 {
		t.Fatalf("after the reload: %d workers, the first with ID %d", len(after), after[0].ID())
	}
	if err := p.Disconnect(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for _, w := range after {
		if exit, ended := w.Exit(); !ended || exit != (cluster.Exit{}) {
			t.Errorf("worker %d: ended %v with %v", w.ID(), ended, exit)
		}
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}

func TestIdentityAndEvents(t *testing.T) {
	t.Parallel()
	o := self("talk", "EXTRA=options")
	p := newPrimary(t, o)
	w, err := p.Fork("EXTRA=fork")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []cluster.EventKind
	for len(kinds) < 3 {
		e := <-p.events
		kinds = append(kinds, e.Kind)
		if e.Kind != cluster.Message {
			continue
		}
		want := `{"args":["-test.run=^$"],"channel":"","env":"fork","id":1,"index":0,"primary":false,"worker":true}`
		if string(e.Message) != want {
			t.Errorf("worker says %s, want %s", e.Message, want)
		}
	}
	if err := w.Disconnect(deadline(t)); err != nil {
		t.Fatal(err)
	}
	for len(kinds) < 5 {
		kinds = append(kinds, (<-p.events).Kind)
	}
	want := []cluster.EventKind{cluster.Forked, cluster.Online, cluster.Message, cluster.Disconnected, cluster.Exited}
	if !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
	if err := w.Send("late"); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("send to a worker that has ended: %v", err)
	}
	if err := w.Kill(nil); err != nil {
		t.Errorf("kill a worker that has ended: %v", err)
	}
}

func TestWorkerLeavesByItself(t *testing.T) {
	t.Parallel()
	o := self("leaver")
	o.WaitReady = true
	p := newPrimary(t, o)
	w := p.fork(1)[0]
	if err := w.Send("leave"); err != nil {
		t.Fatal(err)
	}
	e := p.next(cluster.Exited)
	if e.Worker != w || e.Exit != (cluster.Exit{}) || !w.ExitedAfterDisconnect() {
		t.Errorf("ended with %v, after disconnect %v", e.Exit, w.ExitedAfterDisconnect())
	}
}

func TestReloadKeepsOldWorkersOnFailure(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	flag := filepath.Join(t.TempDir(), "bad")
	o := self("web", "PORT="+port)
	// A release that fails from some moment on: the shell decides it at each start.
	o.Program, o.Args = "/bin/sh", []string{"-c", `if [ -e "$0" ]; then FAIL=1; export FAIL; fi; exec "$1" -test.run='^$'`, flag, os.Args[0]}
	p := newPrimary(t, o)
	before := p.fork(2)
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := p.Reload(deadline(t))
	if err == nil || !strings.Contains(err.Error(), "worker 1 stays, its successor failed: it ended with exit code 7") {
		t.Errorf("reload: %v", err)
	}
	if got := p.Workers(); !slices.Equal(got, before) {
		t.Errorf("%d workers after a failed reload, want the %d from before", len(got), len(before))
	}
	if pids := ask(t, "http://127.0.0.1:"+port, 4); len(pids) != 2 {
		t.Errorf("answers by %v, want both old workers", pids)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(deadline(t)); err != nil {
		t.Errorf("reload of the good release: %v", err)
	}
}

func TestReloadWhenSuccessorIsNeverReady(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	o := self("web", "PORT="+port)
	p := newPrimary(t, o)
	old := p.fork(1)[0]
	ctx, cancel := context.WithCancelCause(context.Background())
	changed := errors.New("changed my mind")
	forked := p.Events(ctx)
	go func() {
		for e := range forked {
			if e.Kind == cluster.Forked {
				cancel(changed)
			}
		}
	}()
	if err := p.Reload(ctx); !errors.Is(err, changed) {
		t.Errorf("reload: %v", err)
	}
	if got := p.Workers(); len(got) != 1 || got[0] != old {
		t.Errorf("workers %v, want the old one", got)
	}
	ask(t, "http://127.0.0.1:"+port, 1)
}

// A program that knows nothing of leaving finishes its requests all the same.
func TestNaiveServerIsNotCut(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		port := freePort(t)
		o := self("slow", "PORT="+port)
		o.Balance = b
		o.Stderr = io.Discard // it complains that its listener is closed
		p := newPrimary(t, o)
		old := p.fork(1)[0]
		answer := make(chan error, 1)
		go func() {
			body, err := get(fresh(t), "http://127.0.0.1:"+port)
			if err == nil && body != "answered" {
				err = fmt.Errorf("body %q", body)
			}
			answer <- err
		}()
		p.next(cluster.Message)
		gone := make(chan error, 1)
		go func() { gone <- old.Disconnect(deadline(t)) }()
		successor, err := p.Fork() // the address is free for it at once
		if err != nil {
			t.Fatal(err)
		}
		if err := successor.WaitReady(deadline(t)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-answer:
			t.Fatalf("answered before it was told to: %v", err)
		case err := <-gone:
			t.Fatalf("ended with a request in hand: %v", err)
		default:
		}
		if err := old.Send("go on"); err != nil {
			t.Fatal(err)
		}
		if err := <-answer; err != nil {
			t.Errorf("request during the disconnect: %v", err)
		}
		if err := <-gone; err != nil {
			t.Error(err)
		}
	})
}

func TestNaiveServersReload(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	o := self("naive", "PORT="+port)
	o.Stderr = io.Discard
	p := newPrimary(t, o)
	p.fork(2)
	stop := load(t, "http://127.0.0.1:"+port, fresh(t))
	if err := p.Reload(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n, failed := stop(); len(failed) > 0 || n == 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failed), n, failed)
	}
}

func TestKeepAliveClientsSurviveReload(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		port := freePort(t)
		o := self("program", "PORT="+port, "ALONE=1")
		o.Balance = b
		o.Grace = 0
		p := newPrimary(t, o)
		p.fork(2)
		stop := load(t, "http://127.0.0.1:"+port, kept(t))
		if err := p.Reload(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if n, failed := stop(); len(failed) > 0 || n == 0 {
			t.Errorf("%d of %d requests failed, the first: %v", len(failed), n, failed)
		}
	})
}

// kept is a client that keeps its connections and has no second try.
func kept(tb testing.TB) *http.Client {
	tr := &http.Transport{}
	tb.Cleanup(tr.CloseIdleConnections)
	// POST: Go's client would send a GET again, and hide what failed.
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Method, r.Body = http.MethodPost, io.NopCloser(strings.NewReader("x"))
		return tr.RoundTrip(r)
	}), Timeout: patience}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What a killed worker had not accepted goes to others, and its address stays.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := newPrimary(t, self("web", "PORT="+port))
	w := p.fork(1)[0]
	if err := w.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := p.next(cluster.Exited)
	if e.Exit.Signal != syscall.SIGKILL || w.ExitedAfterDisconnect() {
		t.Errorf("ended with %v, after disconnect %v", e.Exit, w.ExitedAfterDisconnect())
	}
	answer := make(chan error, 1)
	go func() {
		_, err := get(fresh(t), "http://127.0.0.1:"+port)
		answer <- err
	}()
	p.fork(1)
	if err := <-answer; err != nil {
		t.Errorf("request between two workers: %v", err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	o := self("web", "PORT="+port)
	o.Workers = 2
	p := newPrimary(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for range 2 {
		p.next(cluster.Listening)
	}
	victim := p.Workers()[1]
	if err := victim.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := p.next(cluster.Listening)
	if e.Worker == victim || e.Worker.Index() != victim.Index() {
		t.Errorf("worker %d at %d took the place of worker %d at %d", e.Worker.ID(), e.Worker.Index(), victim.ID(), victim.Index())
	}
	if err := p.Reload(deadline(t)); err != nil {
		t.Fatal(err)
	}
	var places []int
	for _, w := range p.Workers() {
		places = append(places, w.Index())
	}
	slices.Sort(places)
	if !slices.Equal(places, []int{0, 1}) {
		t.Errorf("places after the reload: %v", places)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if n := len(p.Workers()); n != 0 {
		t.Errorf("%d workers are left", n)
	}
	if _, err := p.Fork(); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("fork after Run: %v", err)
	}
}

func TestRunGivesUp(t *testing.T) {
	t.Parallel()
	o := self("fail")
	o.Stderr = io.Discard
	o.Workers, o.MaxRestarts, o.Backoff = 1, 3, 1
	o.RestartWindow, o.MinUptime = patience, patience
	p := newPrimary(t, o)
	err := p.Run(context.Background())
	if !errors.Is(err, cluster.ErrRestarts) || !strings.Contains(err.Error(), "last worker 4 with exit code 1") {
		t.Errorf("run: %v", err)
	}
	p = newPrimary(t, cluster.Options{Program: filepath.Join(t.TempDir(), "missing"), Workers: 1})
	if err := p.Run(context.Background()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run what is not there: %v", err)
	}
}

func TestDisconnectGivesUp(t *testing.T) {
	t.Parallel()
	o := self("slow", "PORT="+freePort(t))
	p := newPrimary(t, o)
	w := p.fork(1)[0]
	go func() { _, _ = get(fresh(t), "http://"+w.Listens()[0]) }()
	p.next(cluster.Message) // a request that nobody answers
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Disconnect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("disconnect: %v", err)
	}
	if exit, ended := w.Exit(); !ended || exit.Signal != syscall.SIGKILL {
		t.Errorf("ended %v with %v", ended, exit)
	}
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	o := self("slow", "PORT="+freePort(t))
	o.DrainTimeout, o.KillTimeout = 1, patience
	p := newPrimary(t, o)
	w := p.fork(1)[0]
	go func() { _, _ = get(fresh(t), "http://"+w.Listens()[0]) }()
	p.next(cluster.Message)
	if err := w.Disconnect(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if exit, _ := w.Exit(); exit.Signal != syscall.SIGTERM {
		t.Errorf("ended with %v, want the stop signal", exit)
	}
}

func TestSlowReaderIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, self("talk"))
	slow := p.Events(t.Context()) // nobody reads them
	w, err := p.Fork()
	if err != nil {
		t.Fatal(err)
	}
	p.next(cluster.Message)
	const n = 6000
	for sent := range n {
		for err = cluster.ErrBusy; errors.Is(err, cluster.ErrBusy); {
			err = w.Send(sent)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.next(cluster.Message) // so that none of these is missed
	}
	kept, missed, late := 0, 0, 0
	for e := range slow {
		if e.Kind == cluster.Missed {
			missed = e.Missed
			break
		}
		kept++
	}
	// The last one may have been told to p before it is to slow.
	if err := w.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for e := range slow {
		if e.Kind == cluster.Message {
			late++
		} else {
			break
		}
	}
	// Fork, online and the first message came before those that were counted.
	if kept != 4096 || kept+missed+late != n+3 {
		t.Errorf("%d events kept, %d missed and %d after that, want 4096 and all others", kept, missed, late)
	}
}

func TestNewPrimaryRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, o := range []cluster.Options{{Workers: -1}, {Workers: 1 << 20}, {Balance: 7}} {
		if p, err := cluster.NewPrimary(o); err == nil {
			p.Close()
			t.Errorf("%+v is accepted", o)
		}
	}
}
