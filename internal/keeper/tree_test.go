//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ways of finding out what a process has left behind.
func inBothModes(t *testing.T, test func(t *testing.T)) {
	t.Run("main thread", test)
	t.Run("process table", func(t *testing.T) {
		t.Setenv(envFallback, "1")
		test(t)
	})
}

func TestTreeIsSignalledWhole(t *testing.T) {
	trees := []struct {
		name, command string
		processes     int // with the leader
	}{
		{"group", "sleep 1000 & sleep 1000 & wait", 3},
		{"deep", "sh -c 'sh -c \"sleep 1000 & wait\" & wait' & wait", 4},
		{"other group", "set -m; sleep 1000 & wait", 2},
		{"other session", "setsid sleep 1000 & wait", 2},
		{"other session, no marker", "env -i setsid sleep 1000 & wait", 2},
		{"other session, daughters", "setsid sh -c 'sleep 1000 & setsid sleep 1000 & wait' & wait", 4},
		{"escaped orphan", "(setsid sleep 1000 &) ; sleep 1000 & wait", 3},
	}
	inBothModes(t, func(t *testing.T) {
		w, c, _ := start(t)
		for _, tree := range trees {
			s := shell(tree.name, tree.command)
			p := spawn(t, c, s)
			var pids []int
			w.eventually("tree has grown: "+tree.name, func() bool {
				pids = w.tree(p.PID, tree.name)
				return len(pids) == tree.processes
			})
			if err := c.Signal(tree.name, unix.SIGKILL, Tree); err != nil {
				t.Fatalf("%s: %v", tree.name, err)
			}
			exits(t, c, tree.name)
			for _, pid := range pids {
				if _, ok := readStat(pid); ok {
					t.Errorf("%s: process %d is left: %s", tree.name, pid, cmdline(pid))
				}
			}
			if err := c.Signal(tree.name, unix.SIGKILL, Tree); !errors.Is(err, ErrGone) {
				t.Errorf("%s: got %v, want ErrGone", tree.name, err)
			}
		}
	})
}

// tree lists a leader, its session, its marked processes and their descendants.
func (w *world) tree(leader int, key string) (list []int) {
	pids, err := processIDs()
	if err != nil {
		w.t.Fatal(err)
	}
	marker := newChildren(w.home, nil).marker + key + "\x00"
	in, parents := map[int]bool{leader: true}, map[int]int{}
	for _, pid := range pids {
		st, ok := readStat(pid)
		if !ok || st.dead {
			continue
		}
		parents[pid] = st.parent
		environ, _ := os.ReadFile(procPath(pid, "environ"))
		in[pid] = st.session == leader || strings.Contains(string(environ), marker)
	}
	for range 4 {
		for pid, parent := range parents {
			in[pid] = in[pid] || in[parent]
		}
	}
	for pid, is := range in {
		// What a shell has forked and not executed yet does not count.
		if comm := cmdline(pid); is && (pid == leader || !strings.HasPrefix(comm, "env ") && !strings.HasPrefix(comm, "setsid ")) {
			list = append(list, pid)
		}
	}
	return list
}

func TestLeaderExitTellsWhatIsLeft(t *testing.T) {
	inBothModes(t, func(t *testing.T) {
		w, c, _ := start(t)
		// An unrelated tree that lingers, so that the plain cases are not alone.
		for i, command := range []string{
			"sleep 1000 & sleep 1000 & exit 7",
			"(setsid sleep 1000 &); sleep 1000 & exit 7",
			"(setsid sleep 1000 &); (setsid sleep 1000 &); exit 7",
			"env -i sleep 1000 & setsid sleep 1000 & exit 7",
		} {
			// Wait for both to be what they are to become before the leader exits.
			command = strings.Replace(command, "exit 7",
				`while [ $(pgrep -c -f '^sleep 1000$') -lt 2 ]; do :; done; exit 7`, 1)
			key := fmt.Sprint(i)
			p := spawn(t, c, shell(key, strings.ReplaceAll(command, "1000", fmt.Sprint(p0(w)+i))))
			e := next(t, c)
			if e.Exited == nil || e.Exited.Left != 2 || e.Exited.Status.ExitStatus() != 7 {
				t.Fatalf("%s: got %+v %+v, want exit 7 with 2 left", command, e, e.Exited)
			}
			if st, ok := readStat(p.PID); !ok || !st.dead {
				t.Errorf("leader is not held: %+v %t", st, ok)
			}
			if err := c.Signal(key, 0, Leader); !errors.Is(err, ErrGone) {
				t.Errorf("got %v, want ErrGone for the leader", err)
			}
			if err := c.Forget(key); !errors.Is(err, ErrAlive) {
				t.Errorf("got %v, want ErrAlive", err)
			}
			// Others come and go meanwhile; theirs is told at once.
			other := key + " other"
			spawn(t, c, shell(other, "exit 0"))
			if e := exits(t, c, other); e.Left != 0 {
				t.Errorf("got %+v", e)
			}
			if err := c.Signal(key, unix.SIGTERM, Tree); err != nil {
				t.Error(err)
			}
			if e := next(t, c); e.Gone != key {
				t.Errorf("got %+v, want %s gone", e, key)
			}
			if _, ok := readStat(p.PID); ok {
				t.Error("leader is not reaped")
			}
		}
	})
}

// p0 is a number that makes a world's sleeps its own.
func p0(w *world) int { return 100000 + w.pid(keeperPIDFile)*10 }

func TestTreeThatEndsByItselfIsGone(t *testing.T) {
	inBothModes(t, func(t *testing.T) {
		_, c, _ := start(t)
		read, write := output(t)
		s := shell("self", "(setsid cat &) ; (setsid cat &) ; exit 0")
		s.Files = []*os.File{read}
		spawn(t, c, s)
		if e := next(t, c); e.Exited == nil {
			t.Fatalf("got %+v, want its exit", e)
		}
		_ = write.Close() // the cats end
		if e := next(t, c); e.Gone != "self" {
			t.Errorf("got %+v, want it gone", e)
		}
	})
}

// An orphan that nobody belongs to any more stays, and takes nothing from others.
func TestUnknownOrphanIsLeftAlone(t *testing.T) {
	inBothModes(t, func(t *testing.T) {
		w, c, _ := start(t)
		read, write := output(t)
		s := shell("parent", "env -i setsid sh -c 'echo $$; exec sleep 1000' & wait $!; exit 0")
		s.Files = []*os.File{nil, write}
		p := spawn(t, c, s)
		var orphan int
		if _, err := fmt.Fscan(read, &orphan); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Kill(orphan, unix.SIGKILL) })
		w.eventually("the orphan has become what it stays", func() bool {
			name, err := os.ReadFile(procPath(orphan, "comm"))
			return err == nil && string(name) == "sleep\n"
		})
		if err := c.Signal("parent", unix.SIGKILL, Leader); err != nil {
			t.Fatal(err)
		}
		if e := exits(t, c, "parent"); e.Left != 0 {
			t.Errorf("got %+v, want nothing known to be left", e)
		}
		spawn(t, c, shell("other", "exit 0"))
		exits(t, c, "other")
		if st, ok := readStat(orphan); !ok || st.dead || st.parent != w.pid(keeperPIDFile) {
			t.Errorf("orphan %d of %d: got %+v %t", orphan, p.PID, st, ok)
		}
		_ = unix.Kill(orphan, unix.SIGKILL)
		w.eventually("the orphan is reaped", func() bool { _, ok := readStat(orphan); return !ok })
	})
}

// After SIGKILL to a tree, what appears late in it does not survive.
func TestKilledTreeCannotOutrunItsKiller(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	for i := range 10 {
		key := fmt.Sprint("fork ", i)
		spawn(t, c, shell(key, "while :; do (setsid sleep 1000 &) ; done"))
		w.eventually("it has forked", func() bool { return len(w.marked()) > 3 })
		if err := c.Signal(key, unix.SIGKILL, Tree); err != nil {
			t.Fatal(err)
		}
		exits(t, c, key)
		if left := w.marked(); len(left) > 0 {
			t.Fatalf("%d processes are left", len(left))
		}
	}
}

func TestSignalReachesTheLeaderOnly(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	read, write := output(t)
	s := shell("trap", "trap 'echo got it' USR1; echo ready; while :; do sleep 1000 & wait; done")
	s.Files = []*os.File{nil, write}
	p := spawn(t, c, s)
	var word string
	if _, err := fmt.Fscan(read, &word); err != nil {
		t.Fatal(err)
	}
	w.eventually("its child runs", func() bool { return len(w.tree(p.PID, "trap")) >= 2 })
	if err := c.Signal("trap", unix.SIGUSR1, Leader); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(read, &word); err != nil || word != "got" {
		t.Errorf("got %q %v", word, err)
	}
	if err := c.Signal("trap", 0, Leader); err != nil {
		t.Errorf("it lives: %v", err)
	}
	if err := c.Signal("trap", syscall.Signal(99), Tree); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, want %v", err, unix.EINVAL)
	}
	if err := c.Signal("nobody", unix.SIGTERM, Tree); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	if err := c.Signal("trap", unix.SIGKILL, Tree); err != nil {
		t.Fatal(err)
	}
	exits(t, c, "trap")
}

func TestMemberIsSignalledOnlyIfItIsTheSameProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	st, ok := readStat(cmd.Process.Pid)
	if !ok {
		t.Fatal("no stat")
	}
	m := member{pid: cmd.Process.Pid, start: st.start - 1}
	m.signal(unix.SIGKILL) // an earlier process of this number
	m.start = st.start
	m.signal(unix.SIGTERM)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("got %v, want ended by the second signal", err)
	}
}

func TestNoSignalToARecycledNumber(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a pid namespace")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home, err := os.MkdirTemp("", "keeper") //nolint:usetesting // TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	cmd := exec.Command(exe, "__run", "namespace", home)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		Unshareflags: unix.CLONE_NEWNS, // with private propagation
	}
	text, err := cmd.CombinedOutput() // the namespace's other processes die with its first
	if strings.Contains(string(text), "set pid_max") {
		t.Skipf("needs a pid_max for each pid namespace (Linux 6.14): %s", text)
	}
	if err != nil || !strings.Contains(string(text), "safe") {
		t.Errorf("got %s %v", text, err)
	}
}
