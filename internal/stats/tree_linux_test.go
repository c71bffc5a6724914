package stats

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

// TestTreeMemory counts what a child of a shell uses, too.
func TestTreeMemory(t *testing.T) {
	// tail keeps all of what has no line end.
	cmd := exec.Command("/bin/sh", "-c", "{ head -c 64000000 /dev/zero; echo up >&2; cat; } | tail")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ticks, err := StartTicks(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := TreeMemory(cmd.Process.Pid, ticks)
	if err != nil || sum < 60_000_000 || sum > 150_000_000 {
		t.Errorf("the tree uses %d bytes, %v", sum, err)
	}
	if sum, err := TreeMemory(cmd.Process.Pid, ticks+1); err != nil || sum != 0 {
		t.Errorf("another process of that number uses %d bytes, %v", sum, err)
	}
}
