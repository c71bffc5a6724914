package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// foreground is a pace that stays, and what it prints.
type foreground struct {
	*exec.Cmd
	t     *testing.T
	lines chan string // of its standard output
	ended chan struct{}

	mu  sync.Mutex // guards err
	err bytes.Buffer
}

func (f *foreground) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err.Write(b)
}

// stderr is what it has written there so far.
func (f *foreground) stderr() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err.String()
}

// stay runs a command that stays in the foreground.
func stay(t *testing.T, cmd *exec.Cmd) *foreground {
	t.Helper()
	f := &foreground{Cmd: cmd, t: t, lines: make(chan string, 1000), ended: make(chan struct{})}
	f.Stderr = f
	out, write, err := os.Pipe() // not StdoutPipe: the lines are read to their end, whoever writes them
	if err != nil {
		t.Fatal(err)
	}
	f.Stdout = write
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go func() {
		defer out.Close()
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	go func() {
		defer close(f.ended)
		_ = f.Wait() // the code is what counts
	}()
	t.Cleanup(func() {
		select {
		case <-f.ended:
		case <-time.After(patience):
			_ = f.Process.Kill()
			<-f.ended
		}
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", strings.Join(f.Args, " "), f.stderr())
		}
	})
	return f
}

// line waits for a line of the standard output.
func (f *foreground) line() string {
	f.t.Helper()
	select {
	case line, more := <-f.lines:
		if !more {
			f.t.Fatalf("it ended without a further line; stderr: %s", f.stderr())
		}
		return line
	case <-time.After(patience):
		f.t.Fatalf("no line; stderr: %s", f.stderr())
	}
	return ""
}

func (f *foreground) expect(want string) {
	f.t.Helper()
	if got := f.line(); got != want {
		f.t.Errorf("got line %q, want %q", got, want)
	}
}

func (f *foreground) signal(sig syscall.Signal) {
	f.t.Helper()
	if err := f.Process.Signal(sig); err != nil {
		f.t.Fatal(err)
	}
}

// end waits for the end and returns the exit code and the lines that were left.
func (f *foreground) end() (code int, rest []string) {
	f.t.Helper()
	select {
	case <-f.ended:
	case <-time.After(patience):
		f.t.Fatalf("it does not end; stderr: %s", f.stderr())
	}
	for line := range f.lines {
		rest = append(rest, line)
	}
	return f.ProcessState.ExitCode(), rest
}

// script makes a shell script in the sandbox.
func script(t *testing.T, box *sandbox.Sandbox, name, text string) string {
	t.Helper()
	file := filepath.Join(box.Dir, name)
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// trapping is a server as far as its end goes.
const trapping = `trap 'echo bye; exit 0' INT
echo up; while :; do sleep 0.05; done
`

func TestRuntimeEndsWithItsApps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		args         []string
		code         int
		out, err     string // all of it, and a part
	}{
		{"well", "echo out; echo err >&2", []string{"--no-autorestart"}, 0, "out", "err\n"},
		{"badly", "echo out; exit 3", []string{"--no-autorestart"}, 3, "out", "all apps have ended: app (0): exit code 3"},
		{"by a signal", "kill -9 $$", []string{"--no-autorestart"}, 137, "", "killed by SIGKILL"},
		{"done", "exit 4", []string{"--stop-exit-codes", "4"}, 4, "", "exit code 4"},
		{"given up", "exit 5", []string{"--max-restarts", "3"}, 5, "", "exit code 5"},
		{"one of two", `[ $NODE_APP_INSTANCE = 0 ] && exit 0; exit 6`, []string{"--no-autorestart", "-i", "2", "-x"}, 6, "", "app (1): exit code 6"},
		{"arguments", `echo "$@"`, []string{"--no-autorestart", "--", "-i", "x y"}, 0, "-i x y", ""},
		{"not executable", "", []string{"--interpreter", "/nowhere"}, 1, "", "/nowhere"},
		{"bad option", "", []string{"--nonsense"}, 1, "", "unknown option --nonsense"},
		{"two forms", "", []string{"--json", "--raw"}, 1, "", "choose one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			box := newSandbox(t)
			file := script(t, box, "app", c.script)
			f := stay(t, box.Command(t.Context(), append([]string{"runtime", file}, c.args...)...))
			code, lines := f.end()
			if out := strings.Join(lines, "\n"); code != c.code || out != c.out || !strings.Contains(f.stderr(), c.err) {
				t.Errorf("got %d, %q and %q; want %d, %q and %q", code, out, f.stderr(), c.code, c.out, c.err)
			}
			if strings.Contains(f.stderr(), "level=") || strings.Contains(f.stderr(), "keeper:") {
				t.Errorf("its own log stands in the output: %s", f.stderr())
			}
		})
	}
}

// What a foreground without a home of its own uses is gone after it.
func TestRuntimeEndsAppsBySignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			box := newSandbox(t)
			before, _ := filepath.Glob("/dev/shm/pace-*")
			cmd := box.Command(t.Context(), "runtime", script(t, box, "app", trapping))
			cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(v string) bool { return strings.HasPrefix(v, "PACELINE_HOME=") })
			f := stay(t, cmd)
			f.expect("up")
			if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", f.Process.Pid)); err == nil {
				for v := range bytes.SplitSeq(environ, []byte{0}) {
					if home, ok := strings.CutPrefix(string(v), "PACELINE_HOME="); ok {
						defer func() {
							if _, err := os.Stat(home); err == nil {
								t.Errorf("%s is left (others: %v)", home, before)
							}
						}()
					}
				}
			}
			f.signal(sig)
			if code, rest := f.end(); code != 0 || !slices.Equal(rest, []string{"bye"}) {
				t.Errorf("got %d and %q, want 0 and bye", code, rest)
			}
			if text := f.stderr(); text != "" {
				t.Errorf("got %q on the standard error, want nothing", text)
			}
		})
	}
}

func TestRuntimeEndsByForceAtASecondSignal(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	app := script(t, box, "app", `trap 'echo stopping' INT TERM; echo $$; while :; do sleep 0.05; done`)
	f := stay(t, box.Command(t.Context(), "runtime", app, "--kill-timeout", "1h"))
	pid, err := strconv.Atoi(f.line())
	if err != nil {
		t.Fatal(err)
	}
	f.signal(unix.SIGTERM)
	f.expect("stopping")
	time.Sleep(400 * time.Millisecond) // sooner it would count as the same signal
	f.signal(unix.SIGTERM)
	if code, _ := f.end(); code != 137 {
		t.Errorf("got %d, want 137", code)
	}
	if proc.Alive(pid) {
		t.Errorf("process %d is left", pid)
	}
}

func TestRuntimePrintsLines(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	app := script(t, box, "app", `printf 'one "line"\nhalf'; echo oh >&2`)
	run := func(form string, more ...string) []string {
		t.Helper()
		f := stay(t, box.Command(t.Context(), append([]string{"runtime", app, "--no-autorestart", form}, more...)...))
		code, lines := f.end()
		if code != 0 {
			t.Errorf("%s: got %d", form, code)
		}
		slices.Sort(lines)
		return lines
	}
	kinds := map[string]string{}
	for _, line := range run("--json") {
		var got struct {
			Message, Type, Timestamp string
			ID                       *int   `json:"process_id"`
			Name                     string `json:"app_name"`
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if at, err := time.Parse(time.RFC3339, got.Timestamp); err != nil || time.Since(at) > time.Hour || got.ID == nil || *got.ID != 0 || got.Name != "app" {
			t.Errorf("got %s", line)
		}
		kinds[got.Message] = got.Type
	}
	if len(kinds) != 3 || kinds[`one "line"`] != "out" || kinds["half"] != "out" || kinds["oh"] != "err" {
		t.Errorf("got %v", kinds)
	}
	if got := run("--formatted"); !slices.Equal(got, []string{"0|app | half", `0|app | one "line"`}) {
		t.Errorf("got %q", got)
	}
	for _, line := range run("--format") {
		if !strings.HasPrefix(line, "timestamp=") || !strings.Contains(line, " app=app id=0 type=") {
			t.Errorf("got %q", line)
		}
	}
	// A log file that is asked for gets the lines as well, and the only one.
	log := filepath.Join(box.Dir, "out.log")
	if got := run("--raw", "-o", log); len(got) != 2 {
		t.Errorf("got %q", got)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "one \"line\"\nhalf" {
		t.Errorf("log: got %q %v", text, err)
	}
	if files, _ := filepath.Glob(filepath.Join(box.Home, "logs", "*")); len(files) > 0 {
		t.Errorf("nobody asked for %v", files)
	}
}

// A reader that is slow holds the app up, and gets every line; so does one whose
// daemon is killed meanwhile, which may see some twice.
func TestRuntimeLosesNoLine(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	const many = 20000
	app := script(t, box, "app", fmt.Sprintf("i=0; while [ $i -lt %d ]; do echo line $i; i=$((i+1)); done", many))
	f := stay(t, box.Command(t.Context(), "runtime", app, "--no-autorestart", "--json"))
	f.lines <- f.line() // the first: the channel takes 1000 more, the pipe some, and the rest waits
	old, err := box.DaemonPID()
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(old); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := box.NextDaemon(ctx, old); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	torn := 0
	for line := range f.lines {
		var got struct{ Message string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			torn++
			continue
		}
		seen[got.Message] = true
	}
	for i := range many {
		if !seen[fmt.Sprintf("line %d", i)] {
			t.Fatalf("line %d was lost", i)
		}
	}
	if torn > 1 {
		t.Errorf("%d lines are torn", torn)
	}
	if code, _ := f.end(); code != 0 {
		t.Errorf("got %d, want 0", code)
	}
}

func TestRuntimeServesCommandsAndReloads(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	f := stay(t, box.Command(t.Context(), "runtime", script(t, box, "app", "echo $$ up\n"+strings.ReplaceAll(trapping, "echo up; ", ""))))
	first, _, _ := strings.Cut(f.line(), " ")
	if err := proc.Kill(must(t)(box.DaemonPID())); err != nil {
		t.Fatal(err)
	}
	pids, err := box.PIDs(t.Context())
	if err != nil || len(pids) != 1 || strconv.Itoa(pids[0]) != first {
		t.Errorf("after the daemon's death: got %v %v, want %s", pids, err, first)
	}
	f.signal(unix.SIGHUP)
	f.expect("bye")
	second, _, _ := strings.Cut(f.line(), " ")
	if second == first {
		t.Errorf("SIGHUP has not replaced process %s", first)
	}
	f.signal(unix.SIGUSR2) // must not end anything
	other := box.Command(t.Context(), "runtime", "/bin/true")
	if text, err := other.CombinedOutput(); err == nil || !strings.Contains(string(text), "is running already; `pace kill` ends it") {
		t.Errorf("a second one in the same home: got %v: %s", err, text)
	}
	if _, err := box.Pace(t.Context(), "kill"); err != nil {
		t.Error(err)
	}
	if code, rest := f.end(); code != 0 || !slices.Equal(rest, []string{"bye"}) {
		t.Errorf("got %d and %q, want 0 and bye", code, rest)
	}
	if _, err := os.Stat(filepath.Join(box.Home, "state.json")); err == nil {
		t.Error("it has saved what the next daemon would start")
	}
}

func must(t *testing.T) func(int, error) int {
	t.Helper()
	return func(n int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// A process of its own namespace gets all orphans, and only signals that it listens to.
func TestRuntimeAsFirstProcess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("namespaces of processes need root")
	}
	box := newSandbox(t)
	app := script(t, box, "app", `trap 'echo bye; exit 0' INT
sh -c '(sleep 0.1; echo orphan) & exit 0'
sleep 1
for f in /proc/[0-9]*/stat; do read -r pid name state rest <$f && [ "$state" = Z ] && echo "zombie $pid $name"; done
echo parent $PPID
while :; do sleep 0.05; done
`)
	f := stay(t, firstProcess(box, "runtime", app))
	f.expect("orphan")
	f.expect("parent 1")
	f.signal(unix.SIGTERM)
	if code, rest := f.end(); code != 0 || !slices.Equal(rest, []string{"bye"}) {
		t.Errorf("got %d and %q, want 0 and bye", code, rest)
	}
}

// firstProcess is a pace that is process 1 of a namespace with its own /proc, and
// gets our signals.
func firstProcess(box *sandbox.Sandbox, args ...string) *exec.Cmd {
	text := `mount -t proc proc /proc && exec "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", text, "sh", box.Bin}, args...)...)
	cmd.Env = box.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	return cmd
}

// Nothing can be written anywhere, and there is nothing but two static programs.
func TestRuntimeWithoutAnyFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a root file system of its own needs root")
	}
	box := newSandbox(t)
	root := filepath.Join(box.Dir, "root")
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "dev", "null"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, pkg := range map[string]string{"pace": "./cmd/pace", "server": "./examples/go"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(root, name), pkg)
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	port, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	enter := func(proc string, args ...string) *exec.Cmd {
		text := `set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; ` + proc +
			` mount --bind /dev/null "$1/dev/null"; exec chroot "$@"`
		cmd := exec.Command("/bin/sh", append([]string{"-c", text, "sh", root}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), fmt.Sprintf("PORT=%d", port.Number)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL, Unshareflags: unix.CLONE_NEWNS}
		return cmd
	}
	f := stay(t, enter(`mount -t proc proc "$1/proc";`, "/pace", "runtime", "/server", "-i", "2", "--json"))
	var served struct{ Message string }
	for n := range 2 {
		if err := json.Unmarshal([]byte(f.line()), &served); err != nil {
			t.Fatal(n, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := proc.Poll(ctx, 10*time.Millisecond, func() (bool, error) {
		return exec.Command("curl", "-sf", fmt.Sprintf("http://127.0.0.1:%d/", port.Number)).Run() == nil, nil
	}); err != nil {
		t.Errorf("it does not serve: %v", err)
	}
	f.signal(unix.SIGTERM)
	if code, _ := f.end(); code != 0 || strings.Contains(f.stderr(), "level=ERROR") {
		t.Errorf("got %d and %s, want 0", code, f.stderr())
	}

	without := stay(t, enter("", "/pace", "runtime", "/server"))
	if code, _ := without.end(); code != 1 || !strings.Contains(without.stderr(), "needs /proc") {
		t.Errorf("without /proc: got %d and %s", code, without.stderr())
	}
}

func TestRuntimeUnderPM2sNames(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	for _, name := range []string{"pm2-runtime", "pm2-docker"} {
		link := filepath.Join(box.Dir, name)
		if err := os.Symlink(box.Bin, link); err != nil {
			t.Fatal(err)
		}
		cmd := box.Command(t.Context(), "start", script(t, box, "app", "echo out; exit 0"), "--no-autorestart", "--web", "--raw")
		cmd.Path = link
		cmd.Args[0] = link
		f := stay(t, cmd)
		if code, rest := f.end(); code != 2 || !slices.Equal(rest, []string{"out"}) {
			t.Errorf("%s: got %d and %q, want 2 and out", name, code, rest)
		}
	}
}

func TestStartNoDaemon(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	f := stay(t, box.Command(t.Context(), "start", script(t, box, "app", trapping), "--no-daemon"))
	for !strings.HasPrefix(f.line(), "0|app | up") { // the table stands around it
	}
	if _, err := box.WaitStatus(t.Context(), 1, "online"); err != nil {
		t.Error(err)
	}
	f.signal(unix.SIGINT)
	code, rest := f.end()
	if text, err := os.ReadFile(filepath.Join(box.Home, "logs", "app-out.log")); code != 0 || err != nil || string(text) != "up\nbye\n" {
		t.Errorf("got %d, %q, and log %q %v", code, rest, text, err)
	}
}

func TestDevRestartsWhatCrashesOrChanges(t *testing.T) {
	t.Parallel()
	box := newSandbox(t)
	once := filepath.Join(box.Dir, "once")
	app := script(t, box, "app", fmt.Sprintf("[ -e %s ] || { touch %[1]s; echo first; exit 3; }\necho second; while :; do sleep 0.05; done", once))
	f := stay(t, box.Command(t.Context(), "dev", app, "--restart-delay", "10ms", "--cwd", box.Dir,
		"--ignore", "*.out,once home race.*", "--post-exec", "echo after"))
	f.expect("0|app | first")
	rest := []string{f.line(), f.line()}
	slices.Sort(rest)
	if !slices.Equal(rest, []string{"0|app | second", "after"}) {
		t.Errorf("got %q", rest)
	}
	// A change that does not count, and one that does.
	for _, name := range []string{"left.out", "changed"} {
		script(t, box, name, "")
	}
	rest = []string{f.line(), f.line()}
	slices.Sort(rest)
	if !slices.Equal(rest, []string{"0|app | second", "after"}) {
		t.Errorf("after a change: got %q", rest)
	}
	f.signal(unix.SIGINT)
	if code, _ := f.end(); code != 0 {
		t.Errorf("got %d, want 0", code)
	}
	for _, want := range []string{"app (0) started, pid ", "app (0) has ended: exit code 3", "app (0) restarted, pid "} {
		if !strings.Contains(f.stderr(), want) {
			t.Errorf("stderr lacks %q: %s", want, f.stderr())
		}
	}
}
