//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSpawnGivesTheProcessWhatWasAsked(t *testing.T) {
	t.Parallel()
	// Children get the caller's mask, not the keeper's.
	_, c, _ := start(t)
	read, write := output(t)
	dir := t.TempDir()
	s := program(t, "1.7", "state")
	s.Dir, s.Files = dir, []*os.File{nil, write, write}
	s.Env = append(s.Env, "PACELINE_KEY=of:another")
	before := time.Now()
	p := spawn(t, c, s)
	if p.Key != "1.7" || p.PID <= 0 || p.Exit != nil || p.Gone || p.StartTicks == 0 ||
		p.Started.Before(before) || p.Started.After(time.Now()) {
		t.Errorf("got %+v", p)
	}
	if e := exits(t, c, "1.7"); e.Status != 0 || e.Left != 0 || e.OOM {
		t.Errorf("got %+v", e)
	}
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	mask := unix.Umask(0)
	unix.Umask(mask)
	for _, want := range []string{
		"session=true", "dir=" + dir, fmt.Sprintf("umask=%04o", mask), "stdin=/dev/null",
		":1.7 ", "SigBlk:0000000000000000", "SigIgn:0000000000000000",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got %s, want %s in it", text, want)
		}
	}
	if strings.Contains(string(text), "of:another") {
		t.Errorf("got another keeper's marker: %s", text)
	}
}

func TestSpawnPassesOnlyTheGivenDescriptors(t *testing.T) {
	t.Parallel()
	_, c, _ := start(t)
	read, write := output(t)
	s := shell("fds", "ls -1 /proc/$$/fd; echo hello >&5")
	s.Files = []*os.File{nil, write, nil, nil, nil, write}
	spawn(t, c, s)
	exits(t, c, "fds")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(text)), []string{"0", "1", "2", "5", "hello"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpawnWithCredential(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	_, c, _ := start(t)
	read, write := output(t)
	s := shell("nobody", "id -u; id -g; id -G")
	s.Files = []*os.File{nil, write, write}
	s.Credential = &Credential{UID: 65534, GID: 65533, Groups: []uint32{7, 8}}
	spawn(t, c, s)
	exits(t, c, "nobody")
	s.Key, s.Credential = "bare", &Credential{UID: 65534, GID: 65533}
	spawn(t, c, s)
	exits(t, c, "bare")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	want := "65534\n65533\n65533 7 8\n65534\n65533\n65533\n"
	if string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

func TestSpawnErrorsSayWhichStep(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	dir := t.TempDir()
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := file("plain", "", 0o644)
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	other := &Credential{UID: 65534, GID: 65534}
	tests := []struct {
		name string
		s    Spawn
		step Step
		err  syscall.Errno
		path string
	}{
		{name: "no program", s: Spawn{Path: dir + "/none"}, step: StepExec, err: unix.ENOENT},
		{name: "relative", s: Spawn{Path: "none", Dir: dir}, step: StepExec, err: unix.ENOENT},
		{name: "not executable", s: Spawn{Path: plain}, step: StepExec, err: unix.EACCES},
		{name: "a directory", s: Spawn{Path: dir}, step: StepExec, err: unix.EACCES},
		{name: "no format", s: Spawn{Path: file("noformat", "hello", 0o755)}, step: StepExec, err: unix.ENOEXEC},
		{name: "no interpreter", s: Spawn{Path: file("script", "#!/none\n", 0o755)}, step: StepInterpreter, err: unix.ENOENT},
		{name: "too long", s: Spawn{Path: "/bin/true", Argv: []string{strings.Repeat("x", 1<<18)}}, step: StepExec, err: unix.E2BIG},
		{name: "zero byte", s: Spawn{Path: "/bin/true", Argv: []string{"a\x00b"}}, step: StepExec, err: unix.EINVAL},
		{name: "no directory", s: Spawn{Path: "/bin/true", Dir: dir + "/none"}, step: StepDir, err: unix.ENOENT, path: dir + "/none"},
		{name: "directory is a file", s: Spawn{Path: "/bin/true", Dir: plain}, step: StepDir, err: unix.ENOTDIR, path: plain},
		{name: "no program in directory", s: Spawn{Path: "/none", Dir: dir}, step: StepExec, err: unix.ENOENT},
		{
			name: "closed directory", s: Spawn{Path: "/bin/true", Dir: closed + "/inner", Credential: other},
			step: StepDir, err: unix.EACCES, path: closed + "/inner",
		},
		{
			name: "closed program", s: Spawn{Path: file("mine", "#!/bin/sh\n", 0o700), Dir: "/", Credential: other},
			step: StepExec, err: unix.EACCES,
		},
	}
	before := w.keeperFDs()
	for _, test := range tests {
		if test.s.Credential != nil && os.Geteuid() != 0 {
			continue
		}
		read, write := output(t)
		test.s.Key = "same" // stays free
		test.s.Files = []*os.File{nil, write, write}
		test.s.Keep = []Named{{Name: "kept", File: read}}
		_, err := c.Spawn(t.Context(), test.s)
		var e *SpawnError
		if !errors.As(err, &e) || !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.err)
			continue
		}
		path := test.path
		if path == "" {
			path = test.s.Path
		}
		if e.Step != test.step || e.Path != path {
			t.Errorf("%s: got step %d of %s, want step %d of %s", test.name, e.Step, e.Path, test.step, path)
		}
	}
	// The inventory of a next daemon: nothing was kept.
	w.killDaemon()
	_, v := w.dial()
	if len(v.Processes)+len(v.Entries) > 0 {
		t.Errorf("got %+v, want nothing", v)
	}
	if after := w.keeperFDs(); after != before {
		t.Errorf("keeper has %d descriptors, had %d", after, before)
	}
}

// keeperFDs counts the keeper's descriptors.
func (w *world) keeperFDs() int {
	w.t.Helper()
	names, err := os.ReadDir(procPath(w.pid(keeperPIDFile), "fd"))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(names)
}

func TestSpawnRefusesAKeyInUse(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	spawn(t, c, shell("key", "sleep 1000"))
	if _, err := c.Spawn(t.Context(), shell("key", "exit 0")); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if err := c.Forget("key"); !errors.Is(err, ErrAlive) {
		t.Errorf("got %v, want ErrAlive", err)
	}
	if err := c.Signal("key", unix.SIGKILL, Tree); err != nil {
		t.Error(err)
	}
	exits(t, c, "key")
	if _, err := c.Spawn(t.Context(), shell("key", "exit 0")); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists until it is forgotten", err)
	}
	if err := c.Forget("key"); err != nil {
		t.Error(err)
	}
	if err := c.Forget("key"); err != nil {
		t.Error(err)
	}
	spawn(t, c, shell("key", "exit 0"))
	exits(t, c, "key")
	for _, bad := range []Spawn{{Path: "/bin/true"}, {Key: "nothing"}} {
		if _, err := c.Spawn(t.Context(), bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	_ = w
}

func TestSpawnThatNobodyWaitsForIsUndone(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	read, _ := output(t)
	keeper := w.pid(keeperPIDFile)
	if err := unix.Kill(keeper, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s := shell("late", "sleep 1000")
	s.Keep = []Named{{Name: "late/log", File: read}}
	_, err := c.Spawn(ctx, s)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := unix.Kill(keeper, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if e := exits(t, c, "late"); !e.Status.Signaled() {
		t.Errorf("got %+v, want it killed", e)
	}
	// It was forgotten: the key is free.
	w.eventually("the key is free", func() bool {
		_, err := c.Spawn(t.Context(), shell("late", "exit 0"))
		return err == nil
	})
	exits(t, c, "late")
	w.killDaemon()
	if _, v := w.dial(); len(v.Entries) > 0 {
		t.Errorf("got %v, want nothing kept", v.Entries)
	}
}

func TestExitTellsTheWaitStatus(t *testing.T) {
	t.Parallel()
	_, c, _ := start(t)
	for i, test := range []struct {
		command string
		want    func(syscall.WaitStatus) bool
	}{
		{"exit 0", func(s syscall.WaitStatus) bool { return s.Exited() && s.ExitStatus() == 0 }},
		{"exit 255", func(s syscall.WaitStatus) bool { return s.Exited() && s.ExitStatus() == 255 }},
		{"kill -9 $$", func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == unix.SIGKILL }},
		{"ulimit -c 0; kill -TERM $$", func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == unix.SIGTERM }},
		{"ulimit -c 0; kill -ABRT $$", func(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == unix.SIGABRT }},
	} {
		key := fmt.Sprint(i)
		before := time.Now()
		spawn(t, c, shell(key, test.command))
		e := exits(t, c, key)
		if !test.want(e.Status) || e.OOM || e.At.Before(before) || e.At.After(time.Now()) {
			t.Errorf("%s: got %+v", test.command, e)
		}
	}
}

func TestExitTellsOfTheOOMKiller(t *testing.T) {
	t.Parallel()
	parent, limit := "/sys/fs/cgroup/memory", "memory.limit_in_bytes" // v1
	if _, err := os.Stat(parent); err != nil {
		parent, limit = "/sys/fs/cgroup", "memory.max"
	}
	group := filepath.Join(parent, fmt.Sprintf("keeper-test-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Skipf("needs a writable memory cgroup: %v", err)
	}
	if err := os.WriteFile(filepath.Join(group, limit), []byte("40000000"), 0o600); err != nil {
		_ = os.Remove(group)
		t.Skipf("needs the memory controller: %v", err)
	}
	_ = os.WriteFile(filepath.Join(group, "memory.swap.max"), []byte("0"), 0o600)
	w, c, _ := start(t)
	t.Cleanup(func() { w.eventually("cgroup is empty", func() bool { return os.Remove(group) == nil }) })
	s := program(t, "hog", "hog", group)
	s.Env = append(s.Env, "GOGC=off")
	spawn(t, c, s)
	if e := exits(t, c, "hog"); !e.Status.Signaled() || !e.OOM {
		t.Errorf("got %+v, want killed for memory", e)
	}
	watch := newOOMWatch()
	before := watch.count
	spawn(t, c, shell("killed", "kill -9 $$"))
	e := exits(t, c, "killed")
	if after, _ := watch.machine(); e.OOM && after == before { // else there was another victim
		t.Errorf("got %+v, want not for memory", e)
	}
}

func TestSpawnIntoCgroup(t *testing.T) {
	t.Parallel()
	mount := "/sys/fs/cgroup"
	if _, err := os.Stat(mount + "/cgroup.controllers"); err != nil {
		mount += "/unified"
	}
	group := filepath.Join(mount, fmt.Sprintf("keeper-spawn-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o700); err != nil {
		t.Skipf("needs a writable cgroup2: %v", err)
	}
	w, c, _ := start(t)
	t.Cleanup(func() { w.eventually("cgroup is empty", func() bool { return os.Remove(group) == nil }) })
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	read, write := output(t)
	s := shell("grouped", "cat /proc/self/cgroup")
	s.CgroupFD, s.Files = dir, []*os.File{nil, write, write}
	spawn(t, c, s)
	exits(t, c, "grouped")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil || !strings.Contains(string(text), filepath.Base(group)) {
		t.Errorf("got %s %v, want %s in it", text, err, filepath.Base(group))
	}
	plain, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	s.Key, s.CgroupFD, s.Files = "ungrouped", plain, nil
	var e *SpawnError
	if _, err := c.Spawn(t.Context(), s); !errors.As(err, &e) || e.Step != StepFork {
		t.Errorf("got %v, want a failing fork", err)
	}
}
