package stacks

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for a busy machine.
const patience = time.Minute

// TestMain lets the test binary be a Go program that hangs in a busy loop.
func TestMain(m *testing.M) {
	if os.Getenv("STACKS_SPIN") != "" {
		go spinForEver()
		_, _ = os.Stdout.WriteString("spins\n")
		select {}
	}
	os.Exit(m.Run())
}

//go:noinline
func spinForEver() {
	n := 0
	for {
		n++
	}
}

// run starts a program that prints a line when it is where the test wants it.
func run(t *testing.T, stderr io.Writer, env string, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestGoroutineInABusyLoop(t *testing.T) {
	var stderr bytes.Buffer
	cmd := run(t, &stderr, "STACKS_SPIN=1", os.Args[0])
	pid := cmd.Process.Pid
	if !IsGo(pid) {
		t.Fatal("it is not taken for a Go program")
	}
	// The loop's thread has to have begun to run.
	for deadline := time.Now().Add(patience); len(threads(pid)) == 0 || threads(pid)[0].ticks == 0; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing runs:\n%s", Threads(pid))
		}
		time.Sleep(time.Millisecond)
	}
	text := Threads(pid)
	for _, want := range []string{"State:", "thread ", "s of cpu"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	leader, ok := readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if !ok {
		t.Fatal("its start cannot be read")
	}
	if QuitBusiest(pid, leader.start+1) == nil {
		t.Fatal("a process with another start got the signal")
	}
	if err := QuitBusiest(pid, leader.start); errors.Is(err, syscall.EINVAL) {
		t.Skip("threads have no descriptors before Linux 6.9")
	} else if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // exit status 2
	if !strings.Contains(stderr.String(), "stacks.spinForEver") {
		t.Errorf("the loop is not in what it printed:\n%s", stderr.String())
	}
}

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs Node: apt-get install nodejs")
	}
	return path
}

func TestNodeInABusyLoop(t *testing.T) {
	script := filepath.Join(t.TempDir(), "app.js")
	text := "function spinsForEver() { for (;;); }\nrequire('fs').writeSync(1, 'spins\\n');\nspinsForEver();\n"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Node's own port may be taken on a machine on which people work.
	cmd := run(t, nil, "NODE_OPTIONS=--inspect-port=0", node(t), script)
	if !IsNode(cmd.Process.Pid) {
		t.Fatalf("it is not taken for Node:\n%s", Threads(cmd.Process.Pid))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stack, err := Node(ctx, cmd.Process.Pid, func() error { return cmd.Process.Signal(syscall.SIGUSR1) })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stack, "    at spinsForEver (file://"+script+":1:") {
		t.Errorf("the stack is\n%s", stack)
	}
}

func TestNodeThatStandsStill(t *testing.T) {
	cmd := run(t, nil, "NODE_OPTIONS=--inspect-port=0", node(t), "-e", "require('fs').writeSync(1, 'waits\\n'); setInterval(() => {}, 1000)")
	stop(t, cmd)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	stack, err := Node(ctx, cmd.Process.Pid, func() error { return cmd.Process.Signal(syscall.SIGUSR1) })
	if !errors.Is(err, ErrSilent) {
		t.Errorf("%q, %v", stack, err)
	}
}

// stop has a process stand still.
func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !Stopped(cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not stand still:\n%s", Threads(cmd.Process.Pid))
		}
	}
}

func TestStopped(t *testing.T) {
	cmd := run(t, nil, "A=b", "sh", "-c", "echo; exec sleep 1000")
	pid := cmd.Process.Pid
	if Stopped(pid) {
		t.Error("it stands still before it was stopped")
	}
	stop(t, cmd)
	if IsGo(pid) || IsNode(pid) || Catches(pid, syscall.SIGQUIT) {
		t.Error("sleep is taken for what it is not")
	}
	if Threads(1<<30) == "" || IsGo(1<<30) || IsNode(1<<30) || Stopped(1<<30) {
		t.Error("a process that is not there is something")
	}
}

func TestParseListener(t *testing.T) {
	for line, want := range map[string]string{
		"   0: 0100007F:2455 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0":                                                 "127.0.0.1:9301",
		"   0: 00000000000000000000000001000000:2455 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0": "[::1]:9301",
		"   0: 0100007F:2455 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 100 0":                                                 "",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode":                                                          "",
	} {
		addr, inode, ok := parseListener(line)
		if ok != (want != "") || ok && (addr != netip.MustParseAddrPort(want) || inode != "4242") {
			t.Errorf("%q is %v %s %t, want %s", line, addr, inode, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("42 (a b) c) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"))
	f.Add([]byte("   0: 0100007F:2455 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1"))
	f.Add([]byte(`{"method":"Debugger.paused","params":{"callFrames":[{"functionName":"f"}]}}`))
	f.Add([]byte{0x81, 0x7e, 0x00, 0x7e})
	f.Fuzz(func(t *testing.T, b []byte) {
		if th, ok := parseStat(b); ok && th.state == "" {
			t.Errorf("%q has no state", b)
		}
		if addr, inode, ok := parseListener(string(b)); ok && (!addr.IsValid() || inode == "") {
			t.Errorf("%q is %v %q", b, addr, inode)
		}
		if text, ok := paused(b, map[string]string{}); !ok && text != "" {
			t.Errorf("%q is %q", b, text)
		}
		const limit = 100
		if _, _, body, err := readFrame(bytes.NewReader(b), limit); err == nil && len(body) > limit {
			t.Errorf("%d bytes", len(body))
		}
	})
}
