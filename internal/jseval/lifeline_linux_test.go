package jseval

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestChildDiesWithItsParent(t *testing.T) {
	dir := lay(t, "a.config.js", `console.log(process.pid); for (;;);`)
	cmd := exec.CommandContext(t.Context(), os.Args[0], parentRole, filepath.Join(dir, "a.config.js"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("the child is not there: %v", err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 {
		t.Errorf("the child %d lives on: %v", pid, err)
	}
}

// No child is left after a timeout, whatever it does.
func TestNoChildIsLeft(t *testing.T) {
	dir := lay(t, "a.config.js", `console.log(process.pid); let s = 'a'.repeat(1 << 20); for (;;) s.split('').join('b')`)
	exe := quickChild(t)
	var pid int
	for limit := time.Second; pid == 0; limit *= 4 { // a busy machine may not get so far as to say it
		_, err := eval(t, dir, "a.config.js", Options{Exe: exe, Timeout: limit, Log: writer(func(b []byte) {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		})})
		if err == nil || pid == 0 && limit > roomy {
			t.Fatalf("got %v, pid %d", err, pid)
		}
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("child %d: %v, want it to be gone", pid, err)
	}
}

func BenchmarkEval(b *testing.B) {
	dir := b.TempDir()
	file := filepath.Join(dir, "a.config.js")
	text := "const path = require('path'), os = require('os')\nmodule.exports = { apps: [{ name: 'a', script: path.join(__dirname, 'x.js'), instances: os.cpus().length }] }"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Eval(b.Context(), Source{File: file, Dir: dir}, Options{Exe: os.Getenv("PACE"), Timeout: roomy}); err != nil {
			b.Fatal(err)
		}
	}
}
