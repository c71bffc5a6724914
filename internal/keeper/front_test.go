//go:build linux

package keeper

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// foreground is a keeper in the foreground and the output of its parts.
type foreground struct {
	*exec.Cmd
	t     *testing.T
	lines chan string // of the standard output
	log   *strings.Builder
}

// startForeground runs a shell script in front of the keeper of a home.
func startForeground(t *testing.T, home, script string, env ...string) *foreground {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f := &foreground{Cmd: exec.Command(exe, "__keeper"), t: t, lines: make(chan string, 100), log: &strings.Builder{}}
	f.Env = append(os.Environ(), homeVariable+home, envFront+"="+script)
	f.Env = append(f.Env, env...)
	f.Stderr = f.log
	out, err := f.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	return f
}

// line waits for a line.
func (f *foreground) line(want string) {
	f.t.Helper()
	select {
	case got := <-f.lines:
		if got != want {
			f.t.Errorf("got line %q, want %q", got, want)
		}
	case <-time.After(time.Minute):
		f.t.Fatalf("no line, want %q", want)
	}
}

// end waits for the end and returns the exit code and the rest of the output.
func (f *foreground) end() (code int, rest string) {
	f.t.Helper()
	var lines []string
	patience := time.After(time.Minute)
	for {
		select {
		case line, more := <-f.lines:
			if more {
				lines = append(lines, line)
				continue
			}
			_ = f.Wait() // the code is what counts
			return f.ProcessState.ExitCode(), strings.Join(lines, "\n")
		case <-patience:
			_ = f.Process.Kill()
			f.t.Fatalf("it does not end; log:\n%s", f.log)
		}
	}
}

func TestForegroundEndsWithItsFront(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0": "front: exit status 0", "exit 7": "front: exit status 7", "kill -9 $$": "front: killed",
	} {
		w := newWorld(t)
		f := startForeground(t, w.home, script)
		if code, rest := f.end(); code != 0 || rest != want {
			t.Errorf("%s: got code %d and %q, want %q; log:\n%s", script, code, rest, want, f.log)
		}
		if left, _ := filepath.Glob(filepath.Join(w.home, "*")); len(left) > 0 {
			t.Errorf("%s: files are left: %v", script, left)
		}
		if f.log.Len() > 0 {
			t.Errorf("%s: it logged what nobody needs to know:\n%s", script, f.log)
		}
	}
}

func TestForegroundPassesSignalsOnAndEndsBySome(t *testing.T) {
	t.Parallel()
	for _, ending := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT} {
		w := newWorld(t)
		f := startForeground(t, w.home, `trap "echo hup" HUP; trap "echo usr1" USR1; trap "echo usr2" USR2; echo up; while :; do sleep 0.02; done`)
		f.line("up")
		for sig, want := range map[unix.Signal]string{unix.SIGHUP: "hup", unix.SIGUSR1: "usr1", unix.SIGUSR2: "usr2"} {
			if err := f.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			f.line(want)
		}
		if err := f.Process.Signal(ending); err != nil {
			t.Fatal(err)
		}
		if code, rest := f.end(); code != 0 || rest != "" {
			t.Errorf("%v: got code %d and %q, want 0; log:\n%s", ending, code, rest, f.log)
		}
	}
}

func TestForegroundEndsByForceAtASecondSignal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := startForeground(t, w.home, "trap '' INT TERM; while :; do sleep 0.1; done", envDaemon+"=stays")
	f.line("daemon's own output")
	if err := f.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(Impatience + Impatience/2) // what comes sooner is taken for the same
	if err := f.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := f.end(); code != 1 || !strings.Contains(f.log.String(), ErrForced.Error()) {
		t.Errorf("got code %d, want 1 and ErrForced; log:\n%s", code, f.log)
	}
}

func TestForegroundReplacesItsDaemonAndKeepsItsFront(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := startForeground(t, w.home, "echo up; while :; do sleep 0.1; done")
	f.line("up")
	w.eventually("daemon", func() bool { return w.pid(daemonPIDFile) != 0 })
	first := w.killDaemon()
	w.eventually("second daemon", func() bool { p := w.pid(daemonPIDFile); return p != 0 && p != first })
	if _, v := w.dial(); v.DaemonStarts != 2 {
		t.Errorf("got daemon %d, want 2", v.DaemonStarts)
	}
	if err := f.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := f.end(); code != 0 || !strings.Contains(f.log.String(), "daemon ended: killed") {
		t.Errorf("got code %d; log:\n%s", code, f.log)
	}
}

func TestHomeWithoutFiles(t *testing.T) {
	t.Parallel()
	w := &world{t: t, home: "@keeper-test-" + filepath.Base(t.TempDir()) + time.Now().Format(time.RFC3339Nano)}
	f := startForeground(t, w.home, "echo up; while :; do sleep 0.1; done")
	f.line("up")
	c, _ := w.dial()
	spawn(t, c, shell("app", "exec sleep 1000"))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	second := exec.Command(exe, "__keeper")
	second.Env = f.Env
	if text, err := second.CombinedOutput(); err == nil || !strings.Contains(string(text), ErrRunning.Error()) {
		t.Errorf("second keeper: got %v: %s, want ErrRunning", err, text)
	}
	if err := f.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code, _ := f.end(); code != 0 {
		t.Errorf("got code %d; log:\n%s", code, f.log)
	}
	if pids := w.marked(); len(pids) > 0 {
		t.Errorf("left: %v", pids)
	}
}
