package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"paceline/internal/e2e/helper"
	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// service is a Node server under pace.
type service struct {
	*sandbox.Sandbox
	t    *testing.T
	addr string
}

func startService(t *testing.T, script string, delay time.Duration, args ...string) *service {
	t.Helper()
	port, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Release() })
	box := newSandbox(t, "PORT="+strconv.Itoa(port.Number), fmt.Sprintf("DELAY=%d", delay.Milliseconds()))
	s := &service{box, t, port.Addr()}
	script, err = filepath.Abs(filepath.Join("testdata/node", script))
	if err != nil {
		t.Fatal(err)
	}
	s.pace(append([]string{"start", script, "--name", "app", "-i", "2", "--kill-timeout", "20s", "--listen-timeout", "60s"}, args...)...)
	return s
}

func (s *service) pace(args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	out, err := s.Pace(ctx, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *service) pids() []int {
	s.t.Helper()
	pids, err := s.PIDs(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return pids
}

// during runs a load while act works and until it has made enough requests.
func (s *service) during(c load.Config, enough int, act func()) load.Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	c.Addr, c.Timeout = s.addr, patience
	done := make(chan struct{}, 1<<20)
	c.Each = func(load.Request) { done <- struct{}{} }
	result := make(chan load.Result, 1)
	go func() { result <- load.Run(ctx, c) }()
	wait := func(n int) {
		for range n {
			select {
			case <-done:
			case <-ctx.Done():
				s.t.Fatal("the load does not get on")
			}
		}
	}
	wait(c.Clients * 2)
	act()
	wait(enough - c.Clients*2)
	cancel()
	return <-result
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	for _, script := range []string{"naive.js", "graceful.js"} {
		for _, keep := range []bool{false, true} {
			for _, delay := range []time.Duration{0, 300 * time.Millisecond} {
				connections := "new"
				if keep {
					connections = "keep-alive"
				}
				t.Run(fmt.Sprintf("%s/%s/%v", script, connections, delay), func(t *testing.T) {
					s := startService(t, script, delay)
					c := load.Config{KeepAlive: keep, Clients: 8}
					if delay > 0 {
						c.Clients = 150
					}
					r := s.during(c, 2000, func() {
						for range 2 {
							before := s.pids()
							s.pace("reload", "app")
							for _, pid := range s.pids() {
								if pid == 0 || slices.Contains(before, pid) {
									t.Errorf("after a reload there is %d, which was there before or is none", pid)
								}
							}
						}
					})
					t.Logf("%v, %d orderly reconnects, p50 %v, p99 %v", r, r.Reconnects, r.Quantile(0.5), r.Quantile(0.99))
					if r.Failed != 0 || r.Requests < 2000 {
						t.Errorf("%v; want at least 2000 and none failed", r)
					}
				})
			}
		}
	}
}

func TestReloadHoldsSharedBalance(t *testing.T) {
	s := startService(t, "naive.js", 0, "--balance", "shared")
	for _, keep := range []bool{false, true} {
		if r := s.during(load.Config{KeepAlive: keep, Clients: 8}, 2000, func() { s.pace("reload", "app") }); r.Failed != 0 {
			t.Errorf("keep-alive %v: %v", keep, r)
		}
	}
}

func TestDaemonDeathUnderLoadLosesNothing(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep-alive %v", keep), func(t *testing.T) {
			s := startService(t, "naive.js", 0)
			before := s.pids()
			r := s.during(load.Config{KeepAlive: keep, Clients: 8}, 2000, func() {
				for range 3 {
					s.killDaemon()
				}
			})
			t.Log(r)
			if r.Failed != 0 {
				t.Errorf("%v; want none failed", r)
			}
			if after := s.pids(); !slices.Equal(before, after) {
				t.Errorf("pids %v, want %v", after, before)
			}
		})
	}
}

// killDaemon kills it and waits until the next one answers.
func (s *service) killDaemon() {
	s.t.Helper()
	old, err := s.DaemonPID()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := proc.Kill(old); err != nil {
		s.t.Fatal(err)
	}
	begun := time.Now()
	s.pace("ping")
	s.t.Logf("the next daemon answered after %v", time.Since(begun))
}

// A worker that is killed can lose what it had accepted, and nothing else: no
// request may hang, and the others are answered.
func TestWorkerDeathLosesOnlyItsOwn(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep-alive %v", keep), func(t *testing.T) {
			s := startService(t, "naive.js", 20*time.Millisecond)
			const clients = 16
			r := s.during(load.Config{KeepAlive: keep, Clients: clients}, 1000, func() {
				if err := proc.Kill(s.pids()[0]); err != nil {
					t.Error(err)
				}
			})
			t.Log(r)
			if r.Hung != 0 || r.Failed > clients {
				t.Errorf("%v; want none hung, and no more than the %d in flight failed", r, clients)
			}
			s.pace("wait", "app", "ready")
		})
	}
}

// The log files hold each line once, whole and in order, although the daemon
// that moves them dies again and again.
func TestLogsSurviveTheDaemon(t *testing.T) {
	const writers, lines, length = 3, 60_000, 100
	box := newSandbox(t)
	s := &service{Sandbox: box, t: t}
	writer, err := exec.LookPath("writer")
	if err != nil {
		t.Fatal(err)
	}
	s.pace("start", writer, "-i", strconv.Itoa(writers), "--log-max-size", "off", "--no-autorestart", "-x", "--",
		strconv.Itoa(lines), strconv.Itoa(length), "w", "end")
	for range 5 {
		s.killDaemon()
	}
	s.pace("wait", "writer", "stopped", "--timeout", "5m")
	list, err := box.Instances(t.Context())
	if err != nil || len(list) != writers {
		t.Fatalf("%d instances, %v", len(list), err)
	}
	for _, in := range list {
		f, err := os.Open(in.Env.OutFile)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n := 0
		scan := bufio.NewScanner(f)
		for ; scan.Scan(); n++ {
			if want := bytes.TrimSuffix(helper.Line("w", n, length), []byte("\n")); !bytes.Equal(scan.Bytes(), want) {
				t.Fatalf("%s, line %d: %q, want %q", in.Env.OutFile, n, scan.Bytes(), want)
			}
		}
		if n != lines || scan.Err() != nil {
			t.Errorf("%s: %d lines, %v; want %d", in.Env.OutFile, n, scan.Err(), lines)
		}
	}
}

// A command line that is killed leaves nothing half done in the daemon.
func TestInterruptedCommandIsHarmless(t *testing.T) {
	s := startService(t, "naive.js", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	cmd := s.Command(ctx, "reload", "app")
	_ = cmd.Run()
	err := proc.Poll(t.Context(), 50*time.Millisecond, func() (bool, error) {
		_, err := s.Pace(t.Context(), "reload", "app")
		if err != nil && !strings.Contains(err.Error(), "reload") {
			return false, err
		}
		return err == nil, nil // else the first one still runs
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := s.during(load.Config{Clients: 2}, 100, func() {}); r.Failed != 0 {
		t.Error(r)
	}
}

// The daemon keeps no descriptor of what has ended.
func TestNoDescriptorsAreLeaked(t *testing.T) {
	s := startService(t, "naive.js", 0)
	count := func() (n int) {
		for _, pid := range []func() (int, error){s.DaemonPID, s.KeeperPID} {
			p, err := pid()
			if err != nil {
				t.Fatal(err)
			}
			d, err := proc.Descriptors(p)
			if err != nil {
				t.Fatal(err)
			}
			n += d
		}
		return n
	}
	churn := func() {
		s.pace("reload", "app")
		s.pace("restart", "app")
		s.pace("scale", "app", "4")
		s.pace("scale", "app", "2")
		if err := proc.Kill(s.pids()[0]); err != nil {
			t.Fatal(err)
		}
		s.pace("wait", "app", "ready")
	}
	churn()
	before := count()
	for range 3 {
		churn()
	}
	last := 0
	err := proc.Poll(t.Context(), 100*time.Millisecond, func() (bool, error) { // what drains may take a moment
		last = count()
		return last <= before+2, nil
	})
	if err != nil {
		t.Errorf("%d descriptors, %d before", last, before)
	}
}
