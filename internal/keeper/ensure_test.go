//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRacingCallersGetOneKeeper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_ = os.Remove(w.home)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if text, err := exec.Command(exe, "__run", "ensure", w.home).CombinedOutput(); err != nil {
				t.Errorf("ensure: %v: %s", err, text)
			}
			if conn, err := net.Dial("unix", filepath.Join(w.home, socketFile)); err != nil {
				t.Error(err)
			} else {
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	_, v := w.dial()
	if v.DaemonStarts != 1 {
		t.Errorf("got daemon %d, want 1", v.DaemonStarts)
	}
	if got := strings.Count(w.log(), "keeper: start"); got != 1 {
		t.Errorf("%d keepers have started, want 1", got)
	}
	if st, ok := readStat(w.pid(keeperPIDFile)); !ok || st.session != w.pid(keeperPIDFile) {
		t.Errorf("got %+v %t, want a session of its own", st, ok)
	}
	info, err := os.Stat(w.home)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("home: got %v %v", info.Mode(), err)
	}
	info, err = os.Stat(filepath.Join(w.home, socketFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: got %v %v", info.Mode(), err)
	}
}

// The keeper belongs to whoever was first to need one: processes get the umask and
// the limits of that command line, and nothing that it had open.
func TestProcessesInheritFromTheFirstCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	leaked, err := os.CreateTemp(t.TempDir(), "leaked")
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	cmd := exec.Command("/bin/sh", "-c", `umask 027; ulimit -Sn 512; exec "$@"`, "sh", exe, "__run", "ensure", w.home)
	cmd.ExtraFiles = []*os.File{leaked}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	c, _ := w.dial()
	read, write := output(t)
	s := shell("key", "umask; ulimit -Sn; grep SigIgn /proc/self/status | tail -c 9")
	s.Files = []*os.File{nil, write, write}
	spawn(t, c, s)
	exits(t, c, "key")
	_ = write.Close()
	text, err := io.ReadAll(read)
	got, ignored, _ := strings.Cut(strings.TrimSpace(string(text)), "\n512\n")
	set, parseErr := strconv.ParseUint(ignored, 16, 32)
	if err != nil || got != "0027" || parseErr != nil || set&standardSignals != 0 {
		t.Errorf("got %q %v, want umask 0027, 512 descriptors and no standard signal ignored", text, err)
	}
	dir := procPath(w.pid(keeperPIDFile), "fd")
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if target, _ := os.Readlink(filepath.Join(dir, name.Name())); target == leaked.Name() {
			t.Errorf("the keeper holds %s as descriptor %s", target, name.Name())
		}
	}
}

func TestEnsureRightAfterAShutdown(t *testing.T) {
	t.Parallel()
	w, c, _ := start(t)
	for i := range 5 {
		spawn(t, c, shell("plain", "sleep 1000"))
		keeper := w.pid(keeperPIDFile)
		if err := c.Shutdown(); err != nil {
			t.Fatal(err)
		}
		w.killDaemon()
		w.ensure()
		var v *Inventory
		c, v = w.dial()
		if len(v.Processes) != 0 || v.DaemonStarts != 1 || w.pid(keeperPIDFile) == keeper {
			t.Fatalf("round %d: got %+v from keeper %d after %d", i, v, w.pid(keeperPIDFile), keeper)
		}
		w.gone(keeper)
	}
}

func TestEnsureReplacesWhatADeadKeeperLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{keeperPIDFile, daemonPIDFile, lockFile, startLockFile} {
		if err := os.WriteFile(filepath.Join(w.home, name), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(w.home, socketFile)}); err != nil {
		t.Fatal(err)
	}
	closeFD(fd)
	if err := os.Chmod(w.home, 0o755); err != nil {
		t.Fatal(err)
	}
	w.ensure()
	w.dial()
	if info, err := os.Stat(w.home); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("home: got %v %v, want it closed to others", info.Mode(), err)
	}
}

func TestEnsureRefusesABadHome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	others := filepath.Join(dir, "others")
	if err := os.Mkdir(others, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		file:                                 "not a directory",
		filepath.Join(file, "inner"):         "not a directory",
		"/tmp/" + strings.Repeat("long", 30): "too long",
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(others, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		tests[others] = "it belongs to uid 65534, not to uid 0"
	}
	for home, want := range tests {
		err := Ensure(t.Context(), home, "/bin/false")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q in one line", home, err, want)
		}
	}
}

func TestEnsureTellsWhyThereIsNoKeeper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := Ensure(t.Context(), w.home, "/none/pace"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want %v", err, unix.ENOENT)
	}
	script := filepath.Join(t.TempDir(), "pace")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho first; echo my last words >&2; exit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := Ensure(t.Context(), w.home, script)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "my last words") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 1000007\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ensured := make(chan error, 1)
	go func() { ensured <- Ensure(ctx, w.home, script) }()
	w.eventually("what answers nobody runs", func() bool { return len(processesOf(t, "1000007")) > 0 })
	cancel()
	if err := <-ensured; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	for _, pid := range processesOf(t, "1000007") {
		_ = unix.Kill(pid, unix.SIGKILL)
		w.gone(pid)
	}
}

// processesOf finds children of ours by what they execute.
func processesOf(t *testing.T, word string) (list []int) {
	pids, err := processIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if st, ok := readStat(pid); ok && st.parent == os.Getpid() && strings.Contains(cmdline(pid), word) {
			list = append(list, pid)
		}
	}
	return list
}

func TestOneKeeperPerHome(t *testing.T) {
	t.Parallel()
	w, _, _ := start(t)
	if _, err := openHome(w.home); !errors.Is(err, ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
	if !answers(w.home) {
		t.Error("it took something from the one that runs")
	}
}

func TestLockIsForOneAndItsFileMayGo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	var mu sync.Mutex
	holders, most := 0, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := lockPath(path)
				if errors.Is(err, errLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				holders++
				most = max(most, holders)
				mu.Unlock()
				mu.Lock()
				holders--
				mu.Unlock()
				_ = os.Remove(path)
				_ = f.Close()
			}
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("got %d holders at once", most)
	}
}

func ExampleEnsure() {
	err := Ensure(context.Background(), "/proc/nobody/can/write/here", "/usr/bin/pace")
	fmt.Println(err)
	// Output: make home: mkdir /proc/nobody: no such file or directory
}
