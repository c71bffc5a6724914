//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// A daemon that does not read its replies holds up nobody but itself.
func TestDaemonThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	read, _ := output(t)
	before := w.keeperFDs()
	ours, err := unix.FcntlInt(read.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFD(ours)
	if err := c.link.interrupt(); err != nil { // its reader ends
		t.Fatal(err)
	}
	for range c.Events() {
	}
	if err := c.link.file.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	const many = 5000
	for i := range many {
		b, _ := putNamed(begin(nil, kindKeep, 1, uint32(i)), nil, []Named{{Name: "same", File: read}})
		if err := c.link.send(end(b), []int{ours}); err != nil {
			t.Fatal(err)
		}
	}
	w.killDaemon()
	_, v := w.dial()
	if len(v.Entries) != 1 || v.Entries["same"].File == nil {
		t.Errorf("got %+v, want one entry", v.Entries)
	}
	if after := w.keeperFDs(); after != before+1 {
		t.Errorf("keeper has %d descriptors, had %d before it kept one", after, before)
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
