//go:build linux

package keeper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEverythingOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	w, c, v := start(t)
	if v.Version != Version || v.DaemonStarts != 1 || len(v.Processes)+len(v.Entries) != 0 || v.Reverted != "" {
		t.Errorf("first inventory: got %+v", v)
	}
	read, write := output(t)
	living := shell("living", "exec cat")
	living.Files = []*os.File{read}
	living.Keep = []Named{
		{Name: "process/living/in", Note: []byte("its input"), File: write},
		{Name: "process/living/note", Note: []byte{}},
	}
	p := spawn(t, c, living)
	spawn(t, c, shell("known", "exit 1"))
	exits(t, c, "known")
	spawn(t, c, shell("treed", "setsid sleep 1000 & exit 2"))
	for e := next(t, c); e.Exited == nil; {
		e = next(t, c)
	}
	if err := c.Keep(Named{Name: "record/1", Note: []byte("old")}, Named{Name: "record/2", Note: []byte("two")}); err != nil {
		t.Fatal(err)
	}
	if err := c.Keep(Named{Name: "record/1", Note: []byte("new")}, Named{Name: "process/living/in", Note: []byte("noted anew")}); err != nil {
		t.Fatal(err)
	}
	if err := c.Drop("record/2", "unknown"); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()

	pid := w.killDaemon()
	if _, open := <-c.Events(); open {
		t.Error("events go on without a keeper's wire")
	}
	if err := c.Keep(); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}

	c, v = w.dial()
	if w.pid(daemonPIDFile) == pid || v.DaemonStarts != 2 {
		t.Errorf("got daemon %d of pid %d after pid %d", v.DaemonStarts, w.pid(daemonPIDFile), pid)
	}
	var keys []string
	for _, q := range v.Processes {
		keys = append(keys, q.Key)
		switch q.Key {
		case "living":
			if q.PID != p.PID || !q.Started.Equal(p.Started) || q.StartTicks != p.StartTicks || q.Exit != nil || q.Gone {
				t.Errorf("got %+v %+v, want %+v", q, q.Exit, p)
			}
		case "known":
			if q.Exit == nil || q.Exit.Status.ExitStatus() != 1 || q.Exit.Left != 0 || !q.Gone {
				t.Errorf("got %+v %+v", q, q.Exit)
			}
		case "treed":
			if q.Exit == nil || q.Exit.Status.ExitStatus() != 2 || q.Exit.Left != 1 || q.Gone {
				t.Errorf("got %+v %+v", q, q.Exit)
			}
		}
	}
	if got, want := strings.Join(keys, " "), "living known treed"; got != want {
		t.Errorf("got %s, want %s in the order of start", got, want)
	}
	if len(v.Entries) != 3 || string(v.Entries["record/1"].Note) != "new" || v.Entries["record/1"].File != nil {
		t.Errorf("got %+v", v.Entries)
	}
	if note := v.Entries["process/living/note"].Note; note == nil || len(note) != 0 {
		t.Errorf("got %v, want an empty note", note)
	}
	in := v.Entries["process/living/in"]
	if in.File == nil || string(in.Note) != "noted anew" {
		t.Fatalf("got %+v, want the pipe", in)
	}
	// The keeper's duplicate and ours are all that hold the process's input open.
	_ = in.File.Close()
	if err := c.Drop("process/living/"); err != nil {
		t.Fatal(err)
	}
	if e := exits(t, c, "living"); e.Status != 0 {
		t.Errorf("got %+v", e)
	}
	if err := c.Signal("treed", unix.SIGKILL, Tree); err != nil {
		t.Error(err)
	}
	for e := next(t, c); e.Gone != "treed"; {
		e = next(t, c)
	}
	for _, key := range keys {
		if err := c.Forget(key); err != nil {
			t.Error(err)
		}
	}
	w.killDaemon()
	if _, v = w.dial(); len(v.Processes) != 0 || len(v.Entries) != 1 {
		t.Errorf("got %+v, want one entry", v)
	}
}

func TestExitWithoutADaemonIsToldToTheNext(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	read, write := output(t)
	s := shell("key", "read line; exit 5")
	s.Files = []*os.File{read}
	spawn(t, c, s)
	// Two quick deaths in a row make the keeper wait before the next start.
	first := w.killDaemon()
	w.eventually("second daemon", func() bool { p := w.pid(daemonPIDFile); return p != 0 && p != first })
	w.killDaemon()
	_ = write.Close()
	_, v := w.dial()
	if len(v.Processes) != 1 || v.Processes[0].Exit == nil || v.Processes[0].Exit.Status.ExitStatus() != 5 || !v.Processes[0].Gone {
		t.Errorf("got %+v", v.Processes)
	}
}

func TestInventoryOfManyDescriptorsAndLongNotes(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	const many = 1500
	read, _ := output(t)
	list := make([]Named, many)
	for i := range list {
		list[i] = Named{Name: fmt.Sprint("many/", i), Note: fmt.Append(nil, i), File: read}
	}
	if err := c.Keep(list...); !errors.Is(err, errTooLong) {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
	for part := range many / 250 {
		if err := c.Keep(list[part*250 : part*250+250]...); err != nil {
			t.Fatal(err)
		}
	}
	long := []byte(strings.Repeat("long ", 1<<20))
	if err := c.Keep(Named{Name: "long", Note: long}); err != nil {
		t.Fatal(err)
	}
	if err := c.Keep(Named{Name: "longer", Note: make([]byte, maxFrame)}); !errors.Is(err, errTooLong) {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
	w.killDaemon()
	c, v := w.dial()
	if len(v.Entries) != many+1 || string(v.Entries["long"].Note) != string(long) {
		t.Fatalf("got %d entries, the long one of %d bytes", len(v.Entries), len(v.Entries["long"].Note))
	}
	for i := range many {
		if e := v.Entries[fmt.Sprint("many/", i)]; e.File == nil || string(e.Note) != fmt.Sprint(i) {
			t.Fatalf("entry %d: got %+v", i, e)
		}
	}
	before := w.keeperFDs()
	if err := c.Drop("many/"); err != nil {
		t.Fatal(err)
	}
	if got := before - w.keeperFDs(); got != many {
		t.Errorf("%d descriptors were closed, want %d", got, many)
	}
}

// A daemon that dies half way through a request leaves nothing of it.
func TestHalfARequestHasNoEffect(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	before := w.keeperFDs()
	read, _ := output(t)
	s := shell("half", "sleep 1000")
	s.Files = []*os.File{read}
	s.Keep = []Named{{Name: "half/log", File: read}}
	body, files := putSpawn(nil, s)
	b := end(append(begin(nil, kindSpawn, len(files), 1), body...))
	if err := withFDs(files, func(fds []int) error { return c.link.send(b[:len(b)-1], fds) }); err != nil {
		t.Fatal(err)
	}
	w.eventually("the keeper has the descriptors", func() bool { return w.keeperFDs() == before+2 })
	w.killDaemon()
	_, v := w.dial()
	if len(v.Processes)+len(v.Entries) != 0 {
		t.Errorf("got %+v, want nothing", v)
	}
	if after := w.keeperFDs(); after != before {
		t.Errorf("keeper has %d descriptors, had %d", after, before)
	}
}

func TestUnknownAndMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	same := func(b []byte) []byte { return b }
	if err := c.call(kind(33), nil, same); !errors.Is(err, ErrUnknownRequest) {
		t.Errorf("got %v, want ErrUnknownRequest", err)
	}
	for _, k := range []kind{kindSpawn, kindSignal, kindKeep, kindDrop, kindForget, kindReplace} {
		if err := c.call(k, nil, same); err == nil || errors.Is(err, ErrLost) {
			t.Errorf("empty request %d: got %v, want it refused", k, err)
		}
	}
	before := w.keeperFDs()
	read, _ := output(t)
	if err := c.call(kindForget, []*os.File{read}, func(b []byte) []byte { return putString(b, "x") }); err != nil {
		t.Errorf("got %v", err)
	}
	if err := c.Keep(Named{}); err == nil {
		t.Error("kept an entry without a name")
	}
	if after := w.keeperFDs(); after != before {
		t.Errorf("keeper has %d descriptors, had %d", after, before)
	}
	// What cannot be a frame ends the wire; the keeper and what it holds live on.
	if err := c.Keep(Named{Name: "kept"}); err != nil {
		t.Fatal(err)
	}
	if err := c.link.send([]byte("GET / HTTP/1.1\r\n"), nil); err != nil {
		t.Fatal(err)
	}
	if _, open := <-c.Events(); open {
		t.Error("the wire goes on")
	}
	w.killDaemon()
	if _, v := w.dial(); len(v.Entries) != 1 {
		t.Errorf("got %+v, want one entry", v)
	}
}

func TestLostKeeperEndsTheEvents(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	p := spawn(t, c, shell("orphan", "exec sleep 1000"))
	t.Cleanup(func() {
		_ = unix.Kill(p.PID, unix.SIGKILL)
		w.gone(p.PID)
	})
	daemon := w.pid(daemonPIDFile)
	keeper := w.pid(keeperPIDFile)
	_ = unix.Kill(keeper, unix.SIGKILL)
	if e, open := <-c.Events(); open {
		t.Errorf("got %+v, want the end", e)
	}
	for what, err := range map[string]error{
		"keep": c.Keep(), "signal": c.Signal("orphan", 0, Leader), "shutdown": c.Shutdown(),
	} {
		if !errors.Is(err, ErrLost) {
			t.Errorf("%s: got %v, want ErrLost", what, err)
		}
	}
	if _, err := c.Spawn(t.Context(), shell("x", "")); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	w.gone(keeper)
	_ = unix.Kill(daemon, unix.SIGKILL) // a real one would end by itself
	w.gone(daemon)
	// The next keeper replaces the socket that was left.
	w.ensure()
	if _, v := w.dial(); v.DaemonStarts != 1 {
		t.Errorf("got %+v", v)
	}
}

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
		_ = listener.(*net.UnixListener).SetDeadline(time.Now().Add(10 * time.Second))
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
	begin := time.Now()
	first := w.killDaemon()
	w.eventually("next daemon", func() bool { p := w.pid(daemonPIDFile); return p != 0 && p != first })
	took := time.Since(begin)
	t.Logf("%v from kill to exec", took)
	if took > time.Second { // this machine may be busy
		t.Errorf("took %v", took)
	}
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

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ours, theirs, err := newWire()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := Dial(ctx, os.NewFile(uintptr(theirs), "wire")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
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
