//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// testFilter stops listen(2).
func testFilter() []byte {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_LISTEN},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(program)*kernel.FilterSize))
}

// setTrap makes the trap of a test.
func setTrap(t *testing.T, c *Client) Trap {
	t.Helper()
	trap, err := c.Trap("trap/test", testFilter())
	if err != nil {
		if !errors.Is(err, unix.EBUSY) {
			t.Fatal(err)
		}
		t.Skipf("seccomp user notification (Linux 5.0): %v", err)
	}
	t.Cleanup(func() { _ = trap.Notify.Close() })
	return trap
}

// answerOne waits for a stopped call and lets it fail.
func answerOne(t *testing.T, trap Trap, errno unix.Errno) (pid int) {
	t.Helper()
	err := withFDs([]*os.File{trap.Notify}, func(fds []int) error {
		stopped(t, fds[0], 10*time.Second)
		n, err := kernel.Receive(fds[0])
		if err != nil {
			return err
		}
		pid = int(n.PID)
		return kernel.Send(fds[0], kernel.Answer{ID: n.ID, Error: -int32(errno)})
	})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// stopped waits until a call is stopped.
func stopped(t *testing.T, fd int, atMost time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(atMost); ; {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(poll, max(0, int(time.Until(deadline).Milliseconds())))
		switch {
		case err == nil && poll[0].Revents&unix.POLLIN != 0:
			return
		case err != nil && !errors.Is(err, unix.EINTR), time.Now().After(deadline):
			t.Fatalf("no call was stopped: %v", err)
		}
	}
}

func TestTrapStopsTheCallsOfItsProcessesAlone(t *testing.T) {
	t.Parallel()
	_, c, _ := start(t)
	trap := setTrap(t, c)
	if trap.NoNewPrivs != (os.Geteuid() != 0) {
		t.Errorf("no_new_privs is %t", trap.NoNewPrivs)
	}
	read, write := output(t)
	free := program(t, "free", "listen")
	free.Files = []*os.File{nil, write, write}
	spawn(t, c, free)
	if e := exits(t, c, "free"); e.Status != 0 {
		t.Errorf("got %+v", e)
	}
	caught := program(t, "caught", "listen")
	caught.Files, caught.Trap = []*os.File{nil, write, write}, "trap/test"
	p := spawn(t, c, caught)
	if pid := answerOne(t, trap, unix.EDQUOT); pid < p.PID {
		t.Errorf("got a call of %d, want %d", pid, p.PID)
	}
	exits(t, c, "caught")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if want := fmt.Sprintf("listen: %v\nlisten: %v\n", unix.EBADF, unix.EDQUOT); err != nil || string(text) != want {
		t.Errorf("got %q %v, want %q", text, err, want)
	}
}

func TestTrapOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	_ = setTrap(t, c).Notify.Close()
	w.killDaemon()
	c, v := w.dial()
	e, found := v.Entries["trap/test"]
	if !found || e.File == nil || !strings.Contains(string(e.Note), `"wait_killable":`) {
		t.Fatalf("got %+v", v.Entries)
	}
	read, write := output(t)
	s := program(t, "caught", "listen")
	s.Files, s.Trap = []*os.File{nil, write, write}, "trap/test"
	spawn(t, c, s)
	answerOne(t, Trap{Notify: e.File}, unix.EXDEV)
	exits(t, c, "caught")
	// What the shelf forgets, the trap still has; a filter is asked for but once.
	if err := c.Drop("trap/test"); err != nil {
		t.Fatal(err)
	}
	again, err := c.Trap("trap/test", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Notify.Close()
	s.Key = "again"
	spawn(t, c, s)
	answerOne(t, again, unix.EXDEV)
	exits(t, c, "again")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if want := strings.Repeat(fmt.Sprintf("listen: %v\n", unix.EXDEV), 2); err != nil || string(text) != want {
		t.Errorf("got %q %v, want %q", text, err, want)
	}
}

func TestStoppedCallWaitsWithoutADaemonAndCanBeKilled(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	trap := setTrap(t, c)
	s := program(t, "caught", "listen")
	s.Trap = "trap/test"
	p := spawn(t, c, s)
	err := withFDs([]*os.File{trap.Notify}, func(fds []int) error {
		stopped(t, fds[0], 10*time.Second)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.killDaemon()
	c, v := w.dial()
	if len(v.Processes) != 1 || v.Processes[0].PID != p.PID || v.Processes[0].Exit != nil {
		t.Fatalf("got %+v", v.Processes)
	}
	if err := c.Signal("caught", unix.SIGKILL, Leader); err != nil {
		t.Error(err)
	}
	if e := exits(t, c, "caught"); e.Status.Signal() != unix.SIGKILL {
		t.Errorf("got %+v", e)
	}
}

// The filter is one thread's. If it got to others, calls of the daemon or of other
// apps would stop; if it got to the main thread, orphans were not told from leaders.
func TestTrapIsOneThreadOfTheKeeper(t *testing.T) {
	for _, fallback := range []string{"", "1"} {
		t.Run("fallback="+fallback, func(t *testing.T) {
			t.Setenv(envFallback, fallback)
			w, c, _ := start(t)
			_ = setTrap(t, c)
			const rounds = 60
			for i := range rounds {
				s := shell(fmt.Sprint("p", i), "grep -q 'Seccomp:.2' /proc/self/status && exit 2; grep -q 'NoNewPrivs:.1' /proc/self/status && exit 1; exit 0")
				if i%2 == 1 { // with a child and an orphan of its own
					s = shell(s.Key, "(sleep 0.01 &); grep -q 'Seccomp:.2' /proc/self/status && exit 2; exit 0")
					s.Trap = "trap/test"
				}
				spawn(t, c, s)
			}
			statuses, gone := map[string]int{}, 0
			for gone < rounds {
				e := next(t, c)
				if e.Exited != nil {
					statuses[e.Exited.Key] = e.Exited.Status.ExitStatus()
				} else {
					gone++
				}
			}
			for i := range rounds {
				key := fmt.Sprint("p", i)
				if got, want := statuses[key], i%2*2; got != want {
					t.Errorf("%s: got %d, want %d", key, got, want)
				}
			}
			keeper := w.pid(keeperPIDFile)
			if filtered := filteredThreads(t, keeper); len(filtered) != 1 || filtered[0] == keeper {
				t.Errorf("threads %v of keeper %d are filtered, want one that is not the main thread", filtered, keeper)
			}
			if filtered := filteredThreads(t, w.pid(daemonPIDFile)); len(filtered) != 0 {
				t.Errorf("threads %v of the daemon are filtered", filtered)
			}
			w.killDaemon()
			_, _ = w.dial()
			if filtered := filteredThreads(t, w.pid(daemonPIDFile)); len(filtered) != 0 {
				t.Errorf("threads %v of the next daemon are filtered", filtered)
			}
		})
	}
}

// filteredThreads are those with a filter, or with no_new_privs where nobody else has
// it.
func filteredThreads(t *testing.T, pid int) (list []int) {
	t.Helper()
	tasks, err := filepath.Glob(procPath(pid, "task/*/status"))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no threads of %d: %v", pid, err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil { // it has just ended
			continue
		}
		if strings.Contains(string(status), "\nSeccomp:\t2") || strings.Contains(string(status), "\nNoNewPrivs:\t1") {
			var tid int
			if _, err := fmt.Sscanf(strings.TrimPrefix(task, procPath(pid, "task/")), "%d/", &tid); err != nil {
				t.Fatal(err)
			}
			list = append(list, tid)
		}
	}
	return list
}

func TestTrapErrors(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	for _, test := range []struct {
		name   string
		filter []byte
	}{{"", testFilter()}, {"empty", nil}, {"odd", testFilter()[1:]}, {"nonsense", make([]byte, 80)}, {"long", make([]byte, 8<<12+8)}} {
		if trap, err := c.Trap(test.name, test.filter); err == nil || trap.Notify != nil {
			t.Errorf("%q: got %+v, %v", test.name, trap, err)
		} else if test.name != "" && !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q: got %v, want EINVAL", test.name, err)
		}
	}
	s := shell("lost", "exit 0")
	s.Trap = "trap/none"
	if _, err := c.Spawn(t.Context(), s); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "trap/none") {
		t.Errorf("got %v", err)
	}
	if filtered := filteredThreads(t, w.pid(keeperPIDFile)); len(filtered) != 0 {
		t.Errorf("threads %v are filtered", filtered)
	}
	before := w.keeperFDs()
	trap := setTrap(t, c)
	for range 20 {
		again, err := c.Trap("trap/test", testFilter())
		if err != nil {
			t.Fatal(err)
		}
		_ = again.Notify.Close()
	}
	w.eventually("what was sent is closed", func() bool { return w.keeperFDs() <= before+2 })

	read, write := output(t)
	s = program(t, "nested", "nested")
	s.Files, s.Trap = []*os.File{nil, write, write}, "trap/test"
	spawn(t, c, s)
	exits(t, c, "nested")
	_ = write.Close()
	if text, err := io.ReadAll(read); err != nil || !strings.Contains(string(text), "another Paceline") {
		t.Errorf("got %q %v", text, err)
	}
	s = program(t, "wrong", "none")
	s.Path, s.Trap = "/none", "trap/test"
	var failed *SpawnError
	if _, err := c.Spawn(t.Context(), s); !errors.As(err, &failed) || failed.Step != StepExec {
		t.Errorf("got %v", err)
	}
	_ = trap
}

// Without CAP_SYS_ADMIN there is a filter too, and the price is told.
func TestTrapOfAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root; another user runs the other tests as this one does")
	}
	read, write := output(t)
	cmd := program(t, "", "unprivileged")
	_, c, _ := start(t)
	cmd.Key, cmd.Files = "unprivileged", []*os.File{nil, write, write}
	cmd.Path = copyForAll(t, cmd.Path)
	cmd.Dir, cmd.Credential = "/", &Credential{UID: 65534, GID: 65534}
	spawn(t, c, cmd)
	exits(t, c, "unprivileged")
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil || string(text) != "no_new_privs true, threads 1, child: listen: "+unix.EDQUOT.Error()+"\n" {
		t.Errorf("got %q %v", text, err)
	}
}

// copyForAll puts a program where every user may run it.
func copyForAll(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keeper") //nolint:usetesting // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(to, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	return to
}
