package state

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain lets the test binary play a process that may write only small files:
// to such a process the disk looks full.
func TestMain(m *testing.M) {
	path := os.Getenv("STATE_TEST_FULL_DISK")
	if path == "" {
		os.Exit(m.Run())
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 512, Max: 512}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	fmt.Println(Save(path, sample{Next: 2, Apps: []string{strings.Repeat("x", 4096)}}))
	os.Exit(0)
}

func TestSaveKeepsTheOldFileOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := Save(path, sample{Next: 1}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "STATE_TEST_FULL_DISK="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "save state: ") || !strings.Contains(string(out), "file too large") {
		t.Errorf("helper said %q, want the error of the write", out)
	}
	var got sample
	if err := Load(path, &got); err != nil || got.Next != 1 {
		t.Errorf("got %+v, %v; want the first value", got, err)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("folder holds %q, want the state file alone", left)
	}
}
