package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paceline/internal/e2e/load"
	"paceline/internal/e2e/proc"
	"paceline/internal/e2e/sandbox"
)

// sdkPatience bounds what has to happen however busy the machine is.
const sdkPatience = time.Minute

// buildSDK builds a program with package cluster.
func buildSDK(t *testing.T, dir, file string) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", exe, file)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Also for those who run it as somebody else.
	for name := exe; name != os.TempDir() && name != "/"; name = filepath.Dir(name) {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return exe
}

// sdkApp is a program with package cluster under pace.
type sdkApp struct {
	*testing.T
	box  *sandbox.Sandbox
	port *sandbox.Port
	sock string
}

func newSDKApp(t *testing.T, user *syscall.Credential, env ...string) *sdkApp {
	port, err := sandbox.ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := port.Release(); err != nil {
			t.Error(err)
		}
	})
	sock := fmt.Sprintf("@pace-sdk-%d", port.Number)
	env = append(env, fmt.Sprint("PORT=", port.Number), "SOCK="+sock)
	return &sdkApp{T: t, box: newSandboxAs(t, user, env...), port: port, sock: sock}
}

func (a *sdkApp) pace(args ...string) string {
	a.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sdkPatience)
	defer cancel()
	out, err := a.box.Pace(ctx, args...)
	if err != nil {
		a.Fatal(err)
	}
	return out
}

// denied is pace without the right to a system call, as all that it starts will be.
func (a *sdkApp) denied(call string, args ...string) {
	a.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sdkPatience)
	defer cancel()
	// The test binary, which is it by that name, from where the user of the home may run it.
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		a.Fatal(err)
	}
	program := filepath.Join(a.box.Dir, "denied")
	if err := os.WriteFile(program, exe, 0o755); err != nil {
		a.Fatal(err)
	}
	cmd := a.box.Command(ctx, args...)
	cmd.Args = append([]string{program, call, cmd.Path}, args...)
	cmd.Path = program
	if out, err := cmd.CombinedOutput(); err != nil {
		a.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// answers asks until n processes have answered.
func (a *sdkApp) answers(network, addr string, n int) {
	a.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sdkPatience)
	defer cancel()
	seen := map[string]int{}
	err := proc.Poll(ctx, 10*time.Millisecond, func() (bool, error) {
		for body := range load.Run(ctx, load.Config{Network: network, Addr: addr, Clients: 4, Requests: 16}).Bodies {
			seen[body]++
		}
		return len(seen) >= n, nil
	})
	if err != nil {
		a.Fatalf("%s %s: answers by %v, want %d processes: %v", network, addr, seen, n, err)
	}
}

// messages follows what the app's processes send from now on.
func (a *sdkApp) messages() <-chan string {
	a.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(a.box.Home, "pace.sock"))
	}}}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pace/v1/events?follow=1", nil)
	if err != nil {
		a.Fatal(err)
	}
	reply, err := client.Do(r) //nolint:bodyclose // when the test ends
	if err != nil {
		a.Fatal(err)
	}
	list, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
			text, ok := strings.CutPrefix(lines.Text(), "data: ")
			var e struct {
				Type string
				Data []byte
			}
			if ok && json.Unmarshal([]byte(text), &e) == nil && e.Type == "message" {
				list <- string(e.Data)
			}
		}
	}()
	a.Cleanup(func() {
		cancel()
		reply.Body.Close()
		<-done
	})
	return list
}

// A program with package cluster is a worker of the daemon: its listeners of all
// kinds are shared, it is ready when it says so, its messages arrive, and it is reloaded
// without a failed request. Where no program can be adopted it asks on its channel for TCP as
// well, and nothing else changes.
func TestSDKWorkers(t *testing.T) {
	t.Parallel()
	exe := buildSDK(t, ".", "./cmd/sdk")
	type kind struct {
		user   *syscall.Credential
		denied bool // seccomp
	}
	kinds := map[string]kind{"self": {}, "self without seccomp": {denied: true}}
	if os.Geteuid() == 0 {
		nobody := sandbox.Nobody()
		kinds = map[string]kind{
			"root": {}, "nobody": {user: nobody},
			"root without seccomp": {denied: true}, "nobody without seccomp": {user: nobody, denied: true},
		}
	}
	for name, k := range kinds {
		user := k.user
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newSDKApp(t, user)
			other := []string{"start", "/bin/sleep", "--name", "other", "--", "1000"} // so that there is a daemon
			if k.denied {
				a.denied("seccomp", other...)
			} else {
				a.pace(other...)
			}
			var messages <-chan string
			if user == nil { // the API answers nobody else
				messages = a.messages()
			}
			out := a.pace("start", exe, "-i", "2", "--wait-ready", "--listen-timeout", "60s", "--kill-timeout", "60s")
			if strings.Contains(out, "warning") || strings.Count(out, "online") < 2 {
				t.Errorf("start says %s", out)
			}
			for seen := map[string]bool{}; messages != nil && len(seen) < 2; {
				select {
				case m := <-messages:
					for _, index := range []string{"0", "1"} {
						if strings.Contains(m, `"channel":"","index":`+index+`,"worker":true`) {
							seen[index] = true
						}
					}
				case <-time.After(sdkPatience):
					t.Fatalf("messages of the indexes %v, want both", seen)
				}
			}
			a.answers("tcp", a.port.Addr(), 2)
			a.answers("unix", a.sock, 1)
			a.echo()

			// The next daemon goes on with their channels.
			daemon, err := a.box.DaemonPID()
			if err != nil {
				t.Fatal(err)
			}
			if err := proc.Kill(daemon); err != nil {
				t.Fatal(err)
			}
			within, cancel := context.WithTimeout(t.Context(), sdkPatience)
			defer cancel()
			if _, err := a.box.NextDaemon(within, daemon); err != nil {
				t.Fatal(err)
			}

			ctx, stop := context.WithCancel(context.Background())
			results := make(chan load.Result, 2)
			for _, keep := range []bool{false, true} {
				go func() {
					results <- load.Run(ctx, load.Config{Addr: a.port.Addr(), KeepAlive: keep, Clients: 2, Pause: time.Millisecond, Timeout: sdkPatience})
				}()
			}
			before, err := a.box.PIDs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a.pace("reload", "app")
			stop()
			for range 2 {
				if r := <-results; r.Failed > 0 || r.Requests == 0 {
					t.Errorf("load during the reload: %v", r)
				}
			}
			after, err := a.box.PIDs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for i, pid := range after[1:] {
				if pid == before[i+1] || pid == 0 {
					t.Errorf("pids %v before the reload, %v after it", before, after)
				}
			}
			a.answers("unix", a.sock, 1)
			a.echo()
			a.pace("stop", "app")
			logs, err := filepath.Glob(filepath.Join(a.box.Home, "logs", "app-err*"))
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, file := range logs {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				said.Write(text)
			}
			if strings.Count(said.String(), "served all") != 4 {
				t.Errorf("not all workers ended by themselves: %s", said.String())
			}
		})
	}
}

// echo sends a datagram and waits for it to come back; it may be lost.
func (a *sdkApp) echo() {
	a.Helper()
	conn, err := net.Dial("udp", a.port.Addr())
	if err != nil {
		a.Fatal(err)
	}
	defer conn.Close()
	deadline := time.Now().Add(sdkPatience)
	for buf := make([]byte, 16); time.Now().Before(deadline); {
		if _, err = conn.Write([]byte("ping")); err != nil {
			continue
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			a.Fatal(err)
		}
		if n, _ := conn.Read(buf); string(buf[:n]) == "ping" {
			return
		}
	}
	a.Errorf("no datagram came back: %v", err)
}

// Without -i the same program is one app and its own primary, whose listeners outlive a
// reload of the whole.
func TestSDKPrimaryUnderPace(t *testing.T) {
	t.Parallel()
	exe := buildSDK(t, ".", "./cmd/sdk")
	a := newSDKApp(t, nil, "WORKERS=2")
	a.pace("start", exe)
	a.answers("tcp", a.port.Addr(), 2)
	if pids, err := a.box.PIDs(t.Context()); err != nil || len(pids) != 1 {
		t.Errorf("instances %v, %v; want one", pids, err)
	}
	a.pace("delete", "app")
	if conn, err := net.Dial("tcp", a.port.Addr()); err == nil {
		conn.Close()
		t.Error("its workers are left")
	}
}

// The examples do what their texts say.
func TestSDKExamples(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		want []string
	}{
		{"sdk-cluster", []string{"process "}},
		{"sdk-mixed", []string{", in Go", ", in Node"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, err := filepath.Abs(filepath.Join("../../examples", c.name))
			if err != nil {
				t.Fatal(err)
			}
			exe := buildSDK(t, dir, ".")
			port, err := sandbox.ReservePort()
			if err != nil {
				t.Fatal(err)
			}
			defer port.Release()
			cmd := exec.Command(exe)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), fmt.Sprint("PORT=", port.Number))
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			ctx, cancel := context.WithTimeout(context.Background(), sdkPatience)
			defer cancel()
			err = proc.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
				r := load.Run(ctx, load.Config{Addr: port.Addr(), Clients: 1, Requests: 8})
				for _, want := range c.want {
					if !strings.Contains(fmt.Sprint(r.Bodies), want) {
						return false, nil
					}
				}
				return true, nil
			})
			if err != nil {
				t.Errorf("no answers as promised: %v", err)
			}
			if r := load.Run(ctx, load.Config{Addr: port.Addr(), Path: "/timer?ms=1", Requests: 1}); c.name == "sdk-cluster" &&
				!strings.Contains(fmt.Sprint(r.Bodies), "was busy for 1 ms") {
				t.Errorf("/timer: %v", r)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(sdkPatience):
				cmd.Process.Kill()
				<-ended
				t.Error("it does not end")
			}
		})
	}
}
