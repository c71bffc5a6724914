//go:build linux

package cluster_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"paceline/cluster"
)

// told are workers that do what they are told; see oddRole.
type told struct {
	*primary
	workers []*cluster.Worker
	asked   int
}

func newTold(t *testing.T, b cluster.Balance, n int) *told {
	t.Helper()
	o := self("odd")
	o.Balance = b
	p := &told{primary: newPrimary(t, o)}
	for range n {
		w, err := p.Fork()
		if err != nil {
			t.Fatal(err)
		}
		p.workers = append(p.workers, w)
	}
	return p
}

// do has a worker do something and returns its answer.
func (p *told) do(w *cluster.Worker, c command) (value, fail string) {
	p.tb.Helper()
	p.asked++
	c.ID = p.asked
	if err := w.Send(c); err != nil {
		p.tb.Fatal(err)
	}
	for {
		e := p.next(cluster.Message)
		var r result
		if err := json.Unmarshal(e.Message, &r); err != nil {
			p.tb.Fatal(err)
		}
		if r.ID == c.ID && e.Worker == w {
			if r.Value == nil {
				return "", r.Error
			}
			return fmt.Sprint(r.Value), r.Error
		}
	}
}

func (p *told) must(w *cluster.Worker, c command) string {
	p.tb.Helper()
	value, fail := p.do(w, c)
	if fail != "" {
		p.tb.Fatalf("%s %s %s: %s", c.Do, c.Network, c.Address, fail)
	}
	return value
}

// who returns the pid that answers a connection.
func who(t *testing.T, network, addr string) string {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListen(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		p := newTold(t, b, 2)
		w, other := p.workers[0], p.workers[1]
		pids := fmt.Sprint(w.PID(), other.PID())
		for _, network := range []string{"tcp", "tcp4", "tcp6"} {
			for _, host := range []string{"", "127.0.0.1", "[::1]", "localhost"} {
				if network == "tcp6" && host == "127.0.0.1" || network == "tcp4" && host == "[::1]" || network == "tcp6" && host == "localhost" {
					continue
				}
				c := command{Do: "listen", Name: network + host, Network: network, Address: host + ":0"}
				addr := p.must(w, c)
				if again := p.must(other, c); again != addr {
					t.Errorf("listen on %s %s: %s and %s, want one address for both", network, host, addr, again)
				}
				_, port, _ := net.SplitHostPort(addr)
				at := "127.0.0.1:" + port
				if network == "tcp6" || host == "[::1]" {
					at = "[::1]:" + port
				}
				if pid := who(t, "tcp", at); !strings.Contains(pids, pid) {
					t.Errorf("%s answers at %s", pid, at)
				}
			}
		}
		// Port 0 twice is two ports, the same two for both.
		first := p.must(w, command{Do: "listen", Name: "a", Network: "tcp4", Address: "127.0.0.1:0"})
		if first == p.must(w, command{Do: "listen", Name: "b", Network: "tcp4", Address: "127.0.0.1:0"}) {
			t.Error("port 0 is the same port twice")
		}

		at := "127.0.0.1:" + freePort(t)
		c := command{Do: "listen", Name: "once", Network: "tcp", Address: at}
		p.must(w, c)
		if _, fail := p.do(w, c); !strings.Contains(fail, syscall.EADDRINUSE.Error()) {
			t.Errorf("second listen on %s: %q", at, fail)
		}
		p.must(w, command{Do: "close", Name: "once"})
		if _, err := net.Dial("tcp", at); err == nil {
			t.Error("somebody listens after the only listener was closed")
		}
		p.must(w, c)
		p.must(other, c)
		p.must(w, command{Do: "close", Name: "once"})
		for range 4 {
			if pid := who(t, "tcp", at); pid != fmt.Sprint(other.PID()) {
				t.Errorf("%s answers, want %d: the other has closed its listener", pid, other.PID())
			}
		}

		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		c.Name, c.Address = "taken", taken.Addr().String()
		if _, fail := p.do(w, c); !strings.Contains(fail, syscall.EADDRINUSE.Error()) {
			t.Errorf("listen on a port that is taken: %q", fail)
		}
		for network, addr := range map[string]string{"tcp": "nonsense", "unix": "", "ip": "127.0.0.1:1", "tcp4": "[::1]:0"} {
			if _, fail := p.do(w, command{Do: "listen", Network: network, Address: addr}); fail == "" {
				t.Errorf("listen on %s %q is no error", network, addr)
			}
		}
	})
}

func TestListenUnixAndUDP(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		p := newTold(t, b, 2)
		path := filepath.Join(t.TempDir(), "s")
		for _, addr := range []string{path, fmt.Sprintf("@cluster-test-%d-%v", os.Getpid(), b)} {
			for _, w := range p.workers {
				p.must(w, command{Do: "listen", Name: addr, Network: "unix", Address: addr})
			}
			seen := map[string]bool{}
			for range 4 {
				seen[who(t, "unix", addr)] = true
			}
			if b == cluster.RoundRobin && len(seen) != 2 {
				t.Errorf("%v answer at %s, want both", seen, addr)
			}
			for _, w := range p.workers {
				p.must(w, command{Do: "close", Name: addr})
			}
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("the socket's file is left: %v", err)
		}

		for _, network := range []string{"udp", "udp4", "udp6"} {
			var addr string
			for _, w := range p.workers {
				addr = p.must(w, command{Do: "packet", Name: network, Network: network, Address: ":0"})
			}
			_, port, _ := net.SplitHostPort(addr)
			at := map[string]string{"udp": "127.0.0.1:", "udp4": "127.0.0.1:", "udp6": "[::1]:"}[network] + port
			conn, err := net.Dial("udp", at)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(patience))
			buf := make([]byte, 100)
			fmt.Fprint(conn, "ping")
			n, err := conn.Read(buf)
			if err != nil || string(buf[:n]) != "got ping" {
				t.Errorf("%s: answer %q, %v", network, buf[:n], err)
			}
			conn.Close()
		}
	})
}

// Connections, listeners and messages leave no descriptor behind.
func TestNoDescriptorLeaks(t *testing.T) {
	t.Parallel()
	policies(t, func(t *testing.T, b cluster.Balance) {
		t.Parallel()
		p := newTold(t, b, 1)
		w := p.workers[0]
		at := "127.0.0.1:" + freePort(t)
		use := func() {
			p.must(w, command{Do: "listen", Name: "a", Network: "tcp", Address: at})
			for range 20 {
				who(t, "tcp", at)
			}
			p.must(w, command{Do: "close", Name: "a"})
		}
		use()
		before := p.must(w, command{Do: "descriptors"})
		for range 5 {
			use()
		}
		if after := p.must(w, command{Do: "descriptors"}); after != before {
			t.Errorf("%s descriptors, before it were %s", after, before)
		}
	})
}

// A worker without a descriptor left gives connections back, and serves when it has some.
func TestDescriptorLimit(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	o := self("web", "PORT="+port)
	o.Program, o.Args = "/bin/sh", []string{"-c", `ulimit -n 16; exec "$0" -test.run='^$'`, os.Args[0]}
	o.Stderr = io.Discard // http.Server says each time that it tries again
	p := newPrimary(t, o)
	w := p.fork(1)[0]
	addr := "127.0.0.1:" + port
	var held []net.Conn
	for range 30 { // more than it can have
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	answer := make(chan error, 1)
	go func() {
		_, err := get(fresh(t), "http://"+addr)
		answer <- err
	}()
	for _, conn := range held {
		conn.Close()
	}
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if exit, ended := w.Exit(); ended {
		t.Errorf("the worker ended with %v", exit)
	}
}

// The program as users write it: its own primary, until it is told to stop.
func TestProgramAlone(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	out, in := io.Pipe()
	defer out.Close()
	go io.Copy(io.Discard, out)
	defer in.Close()
	p := newPrimary(t, cluster.Options{
		// A primary of a primary: an outer one that only starts it, without a channel.
		Program: "/bin/sh", Args: []string{"-c", `unset NODE_CHANNEL_FD NODE_UNIQUE_ID; exec "$0" -test.run='^$' 3<&-`, os.Args[0]},
		Env: self("program", "PORT="+port).Env, Stdout: in,
	})
	w, err := p.Fork()
	if err != nil {
		t.Fatal(err)
	}
	c := fresh(t)
	deadline := deadline(t)
	for pids := map[string]bool{}; len(pids) < 2; {
		if pid, err := get(c, "http://127.0.0.1:"+port); err == nil {
			pids[pid] = true
		}
		if deadline.Err() != nil {
			t.Fatalf("answers by %v, want two workers", pids)
		}
	}
	stop := load(t, "http://127.0.0.1:"+port, c)
	if err := w.Kill(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-w.Done()
	stop() // refused once nobody is there: that is no failure
	if exit, _ := w.Exit(); exit != (cluster.Exit{}) {
		t.Errorf("it ended with %v", exit)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		conn.Close()
		t.Error("a worker is left")
	}
}

// A worker whose primary dies while it starts is still a worker, and forks nothing.
func TestPrimaryKilledBeforeWorkerStarts(t *testing.T) {
	t.Parallel()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(fds[0])
	channel := os.NewFile(uintptr(fds[1]), "channel")
	defer channel.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), role+"=orphan", "NODE_CHANNEL_FD=3", "NODE_UNIQUE_ID=5")
	cmd.ExtraFiles = []*os.File{channel}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Workers do not outlive a primary that is killed.
func TestPrimaryKilled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := newPrimary(t, cluster.Options{
		Program: "/bin/sh", Args: []string{"-c", `unset NODE_CHANNEL_FD NODE_UNIQUE_ID; exec "$0" -test.run='^$' 3<&-`, os.Args[0]},
		Env: self("program", "PORT="+port).Env,
	})
	w, err := p.Fork()
	if err != nil {
		t.Fatal(err)
	}
	c := fresh(t)
	deadline := deadline(t)
	for err := fmt.Errorf("not asked"); err != nil; _, err = get(c, "http://127.0.0.1:"+port) {
		if deadline.Err() != nil {
			t.Fatal(err)
		}
	}
	if err := w.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; _, err = get(c, "http://127.0.0.1:"+port) {
		if deadline.Err() != nil {
			t.Fatal("workers of a dead primary go on")
		}
	}
}
