package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

// printCPUs is the environment variable that makes the test binary join the
// cgroup named in it and print CPUs().
const printCPUs = "PACE_TEST_PRINT_CPUS"

func TestMain(m *testing.M) {
	group, child := os.LookupEnv(printCPUs)
	if !child {
		os.Exit(m.Run())
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(CPUs())
}

// TestProbes runs every probe. One that fails is skipped by the feature's name
// and version; where the kernel is new enough that is a failure.
func TestProbes(t *testing.T) {
	for _, p := range Probes() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Use == "" {
				t.Error("it does not say what it is for")
			}
			err := p.Run()
			t.Logf("%v, found %q", err, p.Found())
			var missing *UnsupportedError
			switch {
			case errors.As(err, &missing) && atLeast(missing.Since):
				t.Errorf("Linux %s has %s since %s: %v", release(), p.Name, p.Needs, err)
			case err != nil:
				t.Skipf("%s (%s): %v", p.Name, p.Needs, err)
			}
		})
	}
}

func TestProbesLeaveNoTrace(t *testing.T) {
	trace := func() string {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		fmt.Fprintln(&s, len(fds), "descriptors")
		for _, name := range []string{"NoNewPrivs", "Seccomp", "Seccomp_filters", "CapEff"} {
			fmt.Fprintln(&s, name, statusField(name))
		}
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
			fmt.Fprintln(&s, "children:", err)
		}
		if g, err := groupV2(os.DirFS("/")); err == nil {
			left, _ := filepath.Glob("/" + g.dir + "/pace-probe-*")
			fmt.Fprintln(&s, left)
		}
		return s.String()
	}
	before := trace()
	for _, p := range tables {
		_, _ = p.try() // not the remembered answer
	}
	if after := trace(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestOnlyConclusiveAnswersAreRemembered(t *testing.T) {
	for _, c := range []struct {
		since       string
		err         error
		tries       int
		want        string
		unsupported bool
	}{
		{"5.3", nil, 1, "<nil>", false},
		{"99.1", unix.ENOSYS, 1, "x needs Linux 99.1, this is " + release(), true},
		{"2.6", unix.EINVAL, 1, "x is not available on this Linux " + release() + ": switched off in its configuration, or by a sandbox (invalid argument)", true},
		{"2.6", errMissing, 1, "x is not available on this Linux " + release(), true},
		{"5.3", unix.EPERM, 1, "x is not permitted to this user: operation not permitted", false},
		{"5.3", fmt.Errorf("in words: %w", unix.EPERM), 1, "in words: operation not permitted", false},
		{"5.3", unix.EMFILE, 3, "x: too many open files", false},
		{"", errors.New("low"), 3, "low", false},
	} {
		tries := 0
		p := &probe{check: check{name: "x", since: c.since, try: func() (string, error) { tries++; return "", c.err }}}
		var err error
		for range 3 {
			_, err = p.answer()
		}
		if tries != c.tries || fmt.Sprint(err) != c.want || errors.Is(err, ErrUnsupported) != c.unsupported {
			t.Errorf("since %q, %v: tried %d times, %v; want %d, %s", c.since, c.err, tries, err, c.tries, c.want)
		}
		if _, ok := errors.AsType[unix.Errno](c.err); ok && !errors.Is(err, c.err) {
			t.Errorf("%v does not unwrap to %v", err, c.err)
		}
	}
}

func TestUnsupportedOnAnotherSystem(t *testing.T) {
	err := error(&UnsupportedError{Feature: "pidfd_open", Since: "5.3"})
	if !errors.Is(err, ErrUnsupported) || err.Error() != "pidfd_open needs Linux 5.3" {
		t.Errorf("got %v", err)
	}
}

func TestCPUsFollowAffinity(t *testing.T) {
	done := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mask
		defer close(done)
		var one unix.CPUSet
		var now unix.CPUSet
		if unix.SchedGetaffinity(0, &now) != nil {
			return
		}
		for cpu := range len(now) * 64 {
			if now.IsSet(cpu) {
				one.Set(cpu)
				break
			}
		}
		if unix.SchedSetaffinity(0, &one) == nil {
			done <- CPUs()
		}
	}()
	n, ok := <-done
	if !ok {
		t.Skip("sched_setaffinity (Linux 2.6) is not permitted here")
	}
	if n != 1 {
		t.Errorf("%d CPUs with an affinity of one", n)
	}
}

// TestCPUsFollowARealQuota puts a process into a group with half a CPU.
func TestCPUsFollowARealQuota(t *testing.T) {
	root := os.DirFS("/")
	var files map[string]string
	g, err := groupV1(root, "cpu")
	if err == nil {
		files = map[string]string{"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}
	} else {
		if g, err = groupV2(root); err != nil {
			t.Skipf("no cgroup cpu controller (v1, or v2 of Linux 4.15): %v", err)
		}
		files = map[string]string{"cpu.max": "50000 100000"}
	}
	dir, err := os.MkdirTemp("/"+g.dir, "pace-test-") //nolint:usetesting // it must be a cgroup
	if err != nil {
		t.Skipf("no right to make a cgroup (Linux 2.6.24): %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	for name, value := range files {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err != nil {
			t.Skipf("the cpu controller (Linux 4.15) is not handed down to %s", dir)
		}
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), printCPUs+"="+dir)
	out, err := cmd.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "1" {
		t.Errorf("with half a CPU: %s, %v; want 1", got, err)
	}
}

func TestContainer(t *testing.T) {
	for file, want := range map[string]string{
		".dockerenv": "Docker (/.dockerenv exists)", "run/.containerenv": "Podman (/run/.containerenv exists)",
		"run/systemd/container": "lxc", "etc/passwd": "none seen",
	} {
		if got := container(fstest.MapFS{file: {Data: []byte("lxc\n")}}); got != want {
			t.Errorf("with %s: %q, want %q", file, got, want)
		}
	}
}

func BenchmarkCPUs(b *testing.B) {
	for b.Loop() {
		CPUs()
	}
}
