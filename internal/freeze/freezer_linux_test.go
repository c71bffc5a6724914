package freeze

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newFreezer(t testing.TB) *Freezer {
	t.Helper()
	z, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	return z
}

// group makes a cgroup of a test, open.
func group(t testing.TB) *os.File {
	t.Helper()
	dir := ""
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err == nil {
			dir = root
		}
	}
	if dir == "" {
		t.Skip("needs cgroup v2, mounted at /sys/fs/cgroup")
	}
	dir, err := os.MkdirTemp(dir, "pace-test-") //nolint:usetesting // a cgroup
	if err != nil {
		t.Skipf("needs the right to make a cgroup (root): %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.freeze")); err != nil {
		t.Skipf("needs cgroup.freeze (Linux 5.2): %v", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		_ = os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
		_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
		eventually(t, "end of all in the group", func() bool {
			err := unix.Rmdir(dir)
			return err == nil || errors.Is(err, unix.ENOENT)
		})
	})
	return f
}

// means runs a test with a tree in no group of its own, and in one.
func means(t *testing.T, test func(t *testing.T, group *os.File)) {
	t.Run("signals", func(t *testing.T) { test(t, nil) })
	t.Run("cgroup", func(t *testing.T) { test(t, group(t)) })
}

func in(target Target, group *os.File) Target {
	if group != nil {
		target.Cgroup = group.Name()
	}
	return target
}

func noted(t testing.TB, f *os.File) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(string(text), "\x00")
}

// Ten times, with three processes of six threads each.
func TestAllThreadsStandStill(t *testing.T) {
	means(t, func(t *testing.T, group *os.File) {
		c := mapCounters(t)
		p := start(t, helper("counter", "6", "0", "2"), c.file, group)
		z := newFreezer(t)
		before := openDescriptors(t)
		for range 10 {
			thaw, err := z.Freeze(in(p.target(t), group))
			if err != nil {
				t.Fatal(err)
			}
			if s := states(t, p.pid()); group == nil && strings.Trim(s, "T") != "" {
				t.Errorf("states of the leader's threads: %s, want T", s)
			}
			c.wantStill(t)
			if s := noted(t, z.File()); s == "{}" {
				t.Errorf("note while frozen: %s", s)
			}
			thaw()
			thaw()
			c.awaitMove(t)
		}
		if s := noted(t, z.File()); s != "{}" {
			t.Errorf("note at the end: %s, want {}", s)
		}
		if n := openDescriptors(t); n != before {
			t.Errorf("%d descriptors open, before %d", n, before)
		}
	})
}

func TestPythonThreads(t *testing.T) {
	means(t, func(t *testing.T, group *os.File) {
		c := mapCounters(t)
		cmd := exec.Command(python(t), "-c", `
import mmap, threading
m = mmap.mmap(3, 4096)
def count(i):
    n = 0
    while True:
        n += 1
        m[i*8:i*8+4] = n.to_bytes(4, 'little')
for i in range(5): threading.Thread(target=count, args=(i,)).start()
print("ready", flush=True)
`)
		p := start(t, cmd, c.file, group)
		z := newFreezer(t)
		for range 10 {
			thaw, err := z.Freeze(in(p.target(t), group))
			if err != nil {
				t.Fatal(err)
			}
			c.wantStill(t)
			thaw()
			c.awaitMove(t)
		}
	})
}

// A tree in which somebody is in the middle of a fork at any time.
func TestForkers(t *testing.T) {
	means(t, func(t *testing.T, group *os.File) {
		c := mapCounters(t)
		cmd := exec.Command(python(t), "-c", `
import mmap, os
m = mmap.mmap(3, 4096)
for place in range(3):
    if os.fork() == 0:
        n = 0
        while True:
            pid = os.fork()
            n += 1
            m[place*8:place*8+4] = n.to_bytes(4, 'little')
            if pid == 0:
                m[80+place*8:84+place*8] = n.to_bytes(4, 'little')
                os._exit(0)
            if n % 3 == 0: os.waitpid(-1, 0); os.waitpid(-1, 0)
print("ready", flush=True)
os.wait()
`)
		p := start(t, cmd, c.file, group)
		z := newFreezer(t)
		for range 50 {
			thaw, err := z.Freeze(in(p.target(t), group))
			if err != nil {
				t.Fatal(err)
			}
			c.wantStill(t)
			thaw()
			c.awaitMove(t)
		}
	})
}

// Who has been stopped by somebody else, a child or all, stays so.
func TestStoppedByOthers(t *testing.T) {
	c := mapCounters(t)
	leader := start(t, helper("counter", "2", "0", "0"), c.file, nil)
	z := newFreezer(t)
	if err := unix.Kill(leader.pid(), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := func() bool { return strings.Trim(states(t, leader.pid()), "T") == "" }
	eventually(t, "stop", stopped)
	thaw, err := z.Freeze(leader.target(t))
	if err != nil {
		t.Fatal(err)
	}
	if s := noted(t, z.File()); s != "{}" && s != "" {
		t.Errorf("note: %s, want none", s)
	}
	thaw()
	c.wantStill(t)
	if !stopped() {
		t.Errorf("states %s, want T", states(t, leader.pid()))
	}

	// It as the child of one that runs.
	other := start(t, helper("counter", "2", "100", "0"), c.file, nil)
	target := other.target(t)
	target.Roots = append(target.Roots, leader.process(t))
	if thaw, err = z.Freeze(target); err != nil {
		t.Fatal(err)
	}
	c.wantStill(t)
	thaw()
	c.awaitMove(t)
	if !stopped() {
		t.Errorf("states %s, want T", states(t, leader.pid()))
	}
}

func TestGroupFrozenByOthers(t *testing.T) {
	c := mapCounters(t)
	g := group(t)
	p := start(t, helper("counter", "2", "0", "0"), c.file, g)
	z := newFreezer(t)
	if err := os.WriteFile(filepath.Join(g.Name(), "cgroup.freeze"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	thaw, err := z.Freeze(in(p.target(t), g))
	if err != nil {
		t.Fatal(err)
	}
	thaw()
	c.wantStill(t)
}

// A group that the process is not in (any more) is of no use: signals are.
func TestOtherGroup(t *testing.T) {
	c := mapCounters(t)
	p := start(t, helper("counter", "2", "0", "0"), c.file, nil)
	z := newFreezer(t)
	for _, dir := range []string{group(t).Name(), "/nowhere"} {
		target := p.target(t)
		target.Cgroup = dir
		thaw, err := z.Freeze(target)
		if err != nil {
			t.Fatal(err)
		}
		c.wantStill(t)
		thaw()
		c.awaitMove(t)
	}
}

// A daemon is killed while a tree stands still; the next one has it go on.
func TestNextDaemonThaws(t *testing.T) {
	means(t, func(t *testing.T, group *os.File) {
		c := mapCounters(t)
		p := start(t, helper("counter", "3", "0", "1"), c.file, group)
		z := newFreezer(t)
		dir := ""
		if group != nil {
			dir = group.Name()
		}
		d := start(t, helper("daemon", strconv.Itoa(p.pid()), dir), z.File(), nil)
		c.wantStill(t)
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		c.wantStill(t)
		fd, err := unix.FcntlInt(z.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, err := New(os.NewFile(uintptr(fd), "note"))
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		c.awaitMove(t)
		if s := noted(t, next.File()); s != "{}" {
			t.Errorf("note: %s, want {}", s)
		}
		thaw, err := next.Freeze(in(p.target(t), group))
		if err != nil {
			t.Fatal(err)
		}
		c.wantStill(t)
		thaw()
		c.awaitMove(t)
	})
}

// A thread that waits in vfork stands still for no signal.
func TestLimit(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p := start(t, helper("vfork"), null, nil)
	eventually(t, "wait in vfork", func() bool { return strings.Contains(states(t, p.pid()), "D") })
	z := newFreezer(t)
	target := p.target(t)
	target.Limit = 20 * time.Millisecond
	begun := time.Now()
	if _, err := z.Freeze(target); err == nil {
		t.Error("no error")
	} else if took := time.Since(begun); took < target.Limit {
		t.Errorf("error %v after %v, limit %v", err, took, target.Limit)
	}
	eventually(t, "going on", func() bool { return !strings.Contains(states(t, p.pid()), "T") })
	if s := noted(t, z.File()); s != "{}" {
		t.Errorf("note: %s, want {}", s)
	}
}

// Two users of one tree: it goes on after the second has let go.
func TestSharedHold(t *testing.T) {
	means(t, func(t *testing.T, group *os.File) {
		c := mapCounters(t)
		p := start(t, helper("counter", "3", "0", "0"), c.file, group)
		z := newFreezer(t)
		var thaws [4]func()
		var wg sync.WaitGroup
		for i := range thaws {
			wg.Go(func() {
				var err error
				if thaws[i], err = z.Freeze(in(p.target(t), group)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, thaw := range thaws {
			c.wantStill(t)
			thaw()
			thaw()
			if i == len(thaws)-1 {
				c.awaitMove(t)
			}
		}
	})
}

// Many users who freeze and thaw as they like leave nothing stopped.
func TestManyUsers(t *testing.T) {
	c := mapCounters(t)
	p := start(t, helper("counter", "2", "0", "1"), c.file, nil)
	z := newFreezer(t)
	target := p.target(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				thaw, err := z.Freeze(target)
				if err != nil {
					t.Error(err)
					return
				}
				thaw()
			}
		})
	}
	wg.Wait()
	c.awaitMove(t)
	eventually(t, "going on", func() bool { return !strings.Contains(states(t, p.pid()), "T") })
}

func TestCloseThaws(t *testing.T) {
	c := mapCounters(t)
	p := start(t, helper("counter", "2", "0", "0"), c.file, nil)
	z, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	thaw, err := z.Freeze(p.target(t))
	if err != nil {
		t.Fatal(err)
	}
	c.wantStill(t)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	c.awaitMove(t)
	thaw()
}

// The number of a process that has ended is somebody else's now.
func TestOtherProcess(t *testing.T) {
	c := mapCounters(t)
	p := start(t, helper("counter", "2", "0", "0"), c.file, nil)
	z := newFreezer(t)
	target := p.target(t)
	target.Roots[0].StartTicks--
	thaw, err := z.Freeze(target)
	if err != nil {
		t.Fatal(err)
	}
	c.awaitMove(t)
	thaw()
	if err := resume(target.Roots[0]); err != nil {
		t.Error(err)
	}
}

func TestGone(t *testing.T) {
	z := newFreezer(t)
	thaw, err := z.Freeze(Target{Roots: []Process{{PID: 1 << 22, StartTicks: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	thaw()
	if thaw, err = z.Freeze(Target{}); err != nil {
		t.Fatal(err)
	}
	thaw()
}

func TestNeverItself(t *testing.T) {
	z := newFreezer(t)
	if _, err := z.Freeze(Target{Roots: []Process{{PID: os.Getpid()}}}); err == nil {
		t.Error("froze itself")
	}
}

func TestNotes(t *testing.T) {
	in := note{Processes: []Process{{7, 8}}, Cgroups: []string{"/a"}}
	n, err := decodeNote(in.encode(100))
	if err != nil || len(n.Processes) != 1 || n.Processes[0] != (Process{7, 8}) || n.Cgroups[0] != "/a" {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err := decodeNote(nil); err != nil || len(n.Processes) > 0 {
		t.Errorf("of nothing: %+v, %v", n, err)
	}
	if _, err := decodeNote([]byte("{")); err == nil {
		t.Error("no error for half a note")
	}
}

func BenchmarkFreeze(b *testing.B) {
	c := mapCounters(b)
	z := newFreezer(b)
	g := group(b)
	for _, m := range []struct {
		name  string
		args  []string
		group *os.File
	}{
		{"signals/threads=2", []string{"2", "0", "0"}, nil},
		{"signals/threads=16", []string{"16", "0", "0"}, nil},
		{"signals/processes=5", []string{"4", "0", "4"}, nil},
		{"cgroup/threads=2", []string{"2", "0", "0"}, g},
		{"cgroup/processes=5", []string{"4", "0", "4"}, g},
	} {
		b.Run(m.name, func(b *testing.B) {
			p := start(b, helper("counter", m.args...), c.file, m.group)
			target := in(p.target(b), m.group)
			for b.Loop() {
				thaw, err := z.Freeze(target)
				if err != nil {
					b.Fatal(err)
				}
				thaw()
			}
			b.StopTimer()
		})
	}
}
