//go:build linux

package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestShutdownLeavesNothing(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	spawn(t, c, shell("plain", "sleep 1000"))
	spawn(t, c, shell("stubborn", "trap '' TERM INT HUP; (setsid sleep 1000 &); while :; do sleep 1000; done"))
	spawn(t, c, shell("leaderless", "setsid sleep 1000 & exit 0"))
	for e := next(t, c); e.Exited == nil; {
		e = next(t, c)
	}
	if err := c.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.home, socketFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket: got %v, want it gone", err)
	}
	if len(w.marked()) < 4 {
		t.Error("the keeper did not wait for the daemon's end")
	}
	keeper := w.pid(keeperPIDFile)
	w.killDaemon()
	w.gone(keeper)
	if left := w.marked(); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	files, err := os.ReadDir(w.home)
	if err != nil || len(files) != 1 || files[0].Name() != logFile {
		t.Errorf("got %v %v, want %s only", files, err, logFile)
	}
}

func TestSIGTERMStopsDaemonAndKeeper(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	spawn(t, c, shell("plain", "sleep 1000"))
	daemon, keeper := w.pid(daemonPIDFile), w.pid(keeperPIDFile)
	_ = unix.Kill(keeper, unix.SIGTERM)
	w.gone(keeper)
	w.gone(daemon)
	if left := w.marked(); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
	if !strings.Contains(w.log(), "daemon ended: exit status 0") {
		t.Error("the daemon was not asked to end")
	}
}

func TestReplaceTakesAnotherBinary(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	plain := filepath.Join(dir, "plain")
	for path, text := range map[string]string{
		good: "#!/bin/sh\nexport REPLACED=yes\nexec " + exe + " \"$@\"\n", bad: "#!/bin/sh\nexit 1\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): unix.ENOENT, plain: unix.EACCES, dir: unix.EACCES, "relative": unix.EINVAL,
	} {
		if err := c.Replace(path); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
	replaced := func() bool {
		environ, _ := os.ReadFile(procPath(w.pid(daemonPIDFile), "environ"))
		return strings.Contains(string(environ), "REPLACED=yes")
	}
	if err := c.Replace(good); err != nil {
		t.Fatal(err)
	}
	if replaced() {
		t.Error("the daemon was replaced before its end")
	}
	w.killDaemon()
	c, v := w.dial()
	if !replaced() || v.Reverted != "" {
		t.Errorf("the daemon is not the replaced one: %+v", v)
	}
	if err := c.Replace(bad); err != nil {
		t.Fatal(err)
	}
	w.killDaemon()
	_, v = w.dial()
	if v.Reverted != bad || v.DaemonStarts != 2+triesReplaced+1 {
		t.Errorf("got %+v, want back from %s after %d tries", v, bad, triesReplaced)
	}
}

func TestKeeperGivesUpADaemonThatNeverLives(t *testing.T) {
	t.Setenv(envDaemon, "dies")
	w := newWorld(t)
	w.ensure()
	keeper := w.pid(keeperPIDFile)
	w.gone(keeper)
	if text := w.log(); strings.Count(text, "this daemon dies") != triesIdle {
		t.Errorf("want %d tries in the log", triesIdle)
	}
}

// A daemon is killed at moments that it did not choose, in the middle of starting
// processes. Its successor finds each process with all that was to be kept with it.
func TestKilledDaemonLeavesNothingHalfDone(t *testing.T) {
	w := newWorld(t)
	listener, err := net.Listen("unix", filepath.Join(w.home, "report"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv(envDaemon, "spawns")
	t.Setenv("KEEPER_TEST_REPORT", listener.Addr().String())
	w.ensure()
	found := 0
	const lives = 6
	for range lives {
		_ = listener.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute))
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		_ = conn.Close()
		var pid int
		var verdict string
		if n, _ := fmt.Sscanf(line, "%d %d %s", &pid, &found, &verdict); n != 3 || verdict != "whole" {
			t.Fatalf("got %q %v, want it whole", line, err)
		}
		time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond) // any moment will do
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	if found == 0 {
		t.Error("no process was ever found")
	}
	_ = unix.Kill(w.pid(keeperPIDFile), unix.SIGTERM)
	w.gone(w.pid(keeperPIDFile))
	if left := w.marked(); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

// The next daemon runs well within the 200 ms in which it is to be back.
func TestDaemonIsBackAtOnce(t *testing.T) {
	w, _, _ := start(t)
	var all []time.Duration
	for range 20 { // this machine may be busy
		begin := time.Now()
		first := w.killDaemon()
		w.eventually("next daemon", func() bool { p := w.pid(daemonPIDFile); return p != 0 && p != first })
		all = append(all, time.Since(begin))
		if slices.Min(all) < 200*time.Millisecond {
			t.Logf("%v from kill to exec", all)
			return
		}
		<-time.After(time.Second) // one that dies young is not replaced at once
	}
	t.Errorf("%v from kill to exec", all)
}

func TestDaemonThatHangsUpIsReplaced(t *testing.T) {
	const patience = 100 * time.Millisecond
	t.Setenv(envHangUp, patience.String())
	w, c, _ := start(t)
	spawn(t, c, shell("plain", "sleep 1000"))
	pid := w.pid(daemonPIDFile)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	w.gone(pid)
	c, v := w.dial()
	if len(v.Processes) != 1 || v.DaemonStarts != 2 {
		t.Errorf("got %+v", v)
	}
	// One that ends by itself in time: the patience with it is not held against the next.
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	w.killDaemon()
	c, v = w.dial()
	select {
	case e, open := <-c.Events():
		t.Errorf("got %+v %t, want daemon %d to live", e, open, v.DaemonStarts)
	case <-time.After(2 * patience):
	}
}

func TestRespawn(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	r := respawn{binary: "a"}
	for i, test := range []struct{ lived, want time.Duration }{
		{time.Hour, 0},
		{time.Hour, 0},
		{0, 0},
		{ms, 100 * ms},
		{ms, 200 * ms},
		{ms, 400 * ms},
		{ms, 800 * ms},
		{ms, 1600 * ms},
		{ms, 3200 * ms},
		{ms, 5 * time.Second},
		{ms, 5 * time.Second},
		{ms, 5 * time.Second},
		{ms, 5 * time.Second},
		{ms, 5 * time.Second},
		{settled, 0},
		{ms, 0},
		{ms, 100 * ms},
	} {
		if got := r.died(test.lived); got != test.want {
			t.Errorf("death %d after %v: got %v, want %v", i, test.lived, got, test.want)
		}
	}
	r.replace("b")
	if r.died(ms); r.quick != 0 || r.binary != "b" {
		t.Errorf("wanted death counts: %+v", r)
	}
	r.replace("c") // before b has proved itself
	r.died(ms)
	for range triesReplaced {
		if r.binary != "c" {
			t.Errorf("reverted too early: %+v", r)
		}
		r.died(ms)
	}
	if r.binary != "a" || r.reverted != "c" {
		t.Errorf("got %+v, want a, which has lived", r)
	}
	r.replace("d")
	r.died(ms)
	r.died(settled)
	for range 2 * triesReplaced {
		r.died(ms)
	}
	if r.binary != "d" || r.reverted != "" {
		t.Errorf("got %+v, want d, which has lived", r)
	}
}
