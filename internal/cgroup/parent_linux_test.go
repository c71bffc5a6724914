package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"paceline/internal/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *Parent {
	t.Helper()
	p, err := Open()
	if errors.Is(err, kernel.ErrUnsupported) {
		t.Skipf("needs a cgroup v2 in which groups can be made (root, or systemd's Delegate=yes): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func prefix(t testing.TB, p *Parent) string {
	t.Helper()
	name := fmt.Sprintf("pace-test-%d-%s-", os.Getpid(), strings.ToLower(t.Name()))
	t.Cleanup(func() {
		if err := p.Sweep(name, nil); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(p.dir, name+"*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	return name
}

// spawn runs cat in a group, which ends when its input does.
func spawn(t testing.TB, g Group) (end func()) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Dir.Fd())}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
}

func TestProcessIsInItsGroup(t *testing.T) {
	p := open(t)
	name := prefix(t, p) + "1"
	g, err := p.Make(name)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Dir.Close()
	again, err := p.Make(name)
	if err != nil || again.Path != g.Path {
		t.Fatalf("made again: %+v, %v; want %s", again, err, g.Path)
	}
	again.Dir.Close()
	end := spawn(t, g)
	procs, err := os.ReadFile(filepath.Join(g.Path, "cgroup.procs"))
	if len(strings.Fields(string(procs))) != 1 {
		t.Errorf("processes in the group: %q, %v; want one", procs, err)
	}
	if err := p.Remove(name); !errors.Is(err, ErrBusy) {
		t.Errorf("remove with a process in it: %v, want %v", err, ErrBusy)
	}
	end()
	if err := p.Remove(name); err != nil {
		t.Error(err)
	}
	if err := p.Remove(name); err != nil {
		t.Errorf("removed again: %v", err)
	}
}

func TestRemoveTakesWhatTheProgramMadeBelow(t *testing.T) {
	p := open(t)
	name := prefix(t, p) + "1"
	g, err := p.Make(name)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Dir.Close()
	for _, below := range []string{"a", "a/b", "a/b/c", "d"} {
		if err := os.Mkdir(filepath.Join(g.Path, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Remove(name); err != nil {
		t.Error(err)
	}
}

func TestSweepLeavesWhatIsWantedOrInUse(t *testing.T) {
	p := open(t)
	pre := prefix(t, p)
	for _, n := range []string{"gone", "wanted", "used"} {
		g, err := p.Make(pre + n)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Dir.Close()
		if n == "used" {
			defer spawn(t, g)()
		}
	}
	if err := p.Sweep(pre, func(name string) bool { return name == pre+"wanted" }); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(p.dir, pre+"*"))
	if want := []string{filepath.Join(p.dir, pre+"used"), filepath.Join(p.dir, pre+"wanted")}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestNames(t *testing.T) {
	p := &Parent{dir: t.TempDir()}
	for _, name := range []string{"", ".", "..", "a/b", "/", "cgroup.procs", "a\x00", "a\nb"} {
		if _, err := p.Make(name); err == nil {
			t.Errorf("made %q", name)
		}
		if err := p.Remove(name); err == nil {
			t.Errorf("removed %q", name)
		}
	}
}

// Without the right to make groups it is said in one error, and nothing is left.
func TestNoRight(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := Open(); err != nil && !errors.Is(err, kernel.ErrUnsupported) {
			t.Error(err)
		}
		return
	}
	open(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The binary may lie where nobody can read it.
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestNoRight$", "-test.v")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// What a group of its own adds to a spawn, and to an end.
func BenchmarkMakeRemove(b *testing.B) {
	p := open(b)
	name := prefix(b, p) + "1"
	for b.Loop() {
		g, err := p.Make(name)
		if err != nil {
			b.Fatal(err)
		}
		g.Dir.Close()
		if err := p.Remove(name); err != nil {
			b.Fatal(err)
		}
	}
}
