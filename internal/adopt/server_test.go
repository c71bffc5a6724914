//go:build linux

package adopt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a program does wrong, or what is none of our business, ends as it does without
// the filter; also for a user who may less than we.
func TestOddCallsEndAsWithoutTheFilter(t *testing.T) {
	for name, cred := range map[string]*syscall.Credential{"same": nil, "nobody": {Uid: 65534, Gid: 65534}} {
		t.Run(name, func(t *testing.T) {
			if cred != nil && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			at := addressOf(t)
			command := func() *exec.Cmd {
				cmd := self(t, "hostile", at.String())
				if cred != nil {
					cmd.Path = copyForAll(t, cmd.Path)
					cmd.Dir = "/"
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
				}
				return cmd
			}
			cmd := command()
			want := startWith(t, cmd, cmd.Start).all()
			tr := newTrap(t)
			h := &fake{}
			tr.serve(h)
			got := tr.start(command()).all()
			if got != want {
				t.Errorf("with the filter:\n%s\nwithout:\n%s", got, want)
			}
			if n := strings.Count(got, "\n"); n < 35 {
				t.Errorf("only %d calls: %s", n, got)
			}
			if cred != nil && !strings.Contains(got, "low port: EACCES") {
				t.Errorf("got a low port: %s", got)
			}
			if !strings.Contains(h.told(), "bind "+at.String()) {
				t.Errorf("the handler was not asked: %s", h.told())
			}
		})
	}
}

// copyForAll puts a program where every user may run it.
func copyForAll(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "adopt") //nolint:usetesting // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := dir + "/program"
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(to, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestHandlerDecides(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	told := make(chan Listen, 1)
	h := &fake{}
	h.bind = func(_ context.Context, b Bind) error {
		if flags, err := fileFlags(b.File); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the program's mode was changed: %x %v", flags, err)
		}
		return errors.New("no number")
	}
	h.shut = func(string, *os.File) bool { return true }
	tr.serve(h)
	p := tr.start(self(t, "listen", at.String()))
	ask := func(word, want string) {
		t.Helper()
		if _, err := fmt.Fprintln(p.in, word); err != nil {
			t.Fatal(err)
		}
		if got := p.line(); got != word+": "+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	ask("bind", "input/output error")
	h.set(func(h *hooks) {
		h.bind = func(context.Context, Bind) error { return fmt.Errorf("taken: %w", unix.EADDRINUSE) }
	})
	ask("bind", "address already in use")
	h.set(func(h *hooks) { h.bind = nil })
	ask("bind", "<nil>")
	ask("name", fmt.Sprint(at.Port(), " <nil>"))
	ask("bind", "<nil>") // as if begun before
	h.set(func(h *hooks) {
		h.listen = func(_ context.Context, l Listen) (*os.File, error) {
			told <- l
			return nil, ErrPass
		}
	})
	ask("listen", "<nil>")
	if t.Failed() {
		return // it may never come
	}
	if seen := <-told; seen.Addr != at || seen.Backlog != 7 || seen.Key != "key" || seen.PID != p.cmd.Process.Pid || seen.MPTCP || seen.V6Only {
		t.Errorf("got %+v", seen)
	}
	ask("shutdown", "<nil>")
	ask("accept", "resource temporarily unavailable") // and not EINVAL: it listens still
	h.set(func(h *hooks) { h.shut = nil })
	ask("shutdown", "<nil>")
	ask("accept", "invalid argument")
	ask("flags", "nonblock true, cloexec true")
	if flags, err := fileFlags(tr.notify); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("listener: %x %v", flags, err)
	}
}

func fileFlags(f *os.File) (flags int, err error) {
	e := onFD(f, func(fd int) error {
		flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		return err
	})
	return flags, e
}

func TestReplacementTakesTheSocketsPlace(t *testing.T) {
	at := addressOf(t)
	shared, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	tr := newTrap(t)
	h := &fake{}
	h.bind = func(context.Context, Bind) error { return nil } // never bound
	h.listen = func(context.Context, Listen) (*os.File, error) {
		t.Error("an unbound socket came to the handler")
		return nil, ErrPass
	}
	tr.serve(h)
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen")
	if a, b := p.line(), p.line(); a != "bind: <nil>" || b != "listen: <nil>" {
		t.Error(a, b)
	}

	other := netip.AddrPortFrom(at.Addr(), at.Port()+1)
	h.set(func(h *hooks) {
		h.bind = nil
		h.listen = func(context.Context, Listen) (*os.File, error) { return shared.(*net.TCPListener).File() }
	})
	p = tr.start(self(t, "listen", other.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen name flags")
	for _, want := range []string{"bind: <nil>", "listen: <nil>", fmt.Sprintf("name: %d <nil>", at.Port()), "flags: nonblock true, cloexec true"} {
		if got := p.line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStaticGoProgramGetsTCP(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	h := &fake{}
	protocols := make(chan string, 2)
	h.bind = func(_ context.Context, b Bind) error {
		return errors.Join(bindFile(b), onFD(b.File, func(fd int) error {
			protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
			reuse, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR)
			protocols <- fmt.Sprintf("%d, SO_REUSEADDR %d", protocol, reuse)
			return err
		}))
	}
	tr.serve(h)
	p := tr.start(self(t, "http", at.String()))
	if got, want := p.line(), "listening on "+at.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := <-protocols; got != "6, SO_REUSEADDR 1" {
		t.Errorf("got protocol %s", got)
	}
	get(t, at)
	if want := fmt.Sprintf("bind %s; listen %s", at, at); !strings.HasPrefix(h.told(), want) {
		t.Errorf("got %s, want %s", h.told(), want)
	}
}

// A port of the kernel's choice is not shared, but when it listens is told.
func TestMPTCPOnPortZeroIsTold(t *testing.T) {
	tr := newTrap(t)
	h := &fake{}
	told := make(chan Listen, 1)
	h.listen = func(_ context.Context, l Listen) (*os.File, error) {
		told <- l
		return nil, ErrPass
	}
	tr.serve(h)
	p := tr.start(self(t, "http", "127.0.0.1:0"))
	line := p.line()
	if l := <-told; !l.MPTCP || !strings.HasSuffix(line, l.Addr.String()) {
		t.Errorf("got %+v, %s", l, line)
	}
}

func get(t *testing.T, at netip.AddrPort) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + at.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
}

func TestPrograms(t *testing.T) {
	for name, script := range map[string][]string{
		"python3": {"-c", `
import socket, sys
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::1", int(sys.argv[1])))
s.listen(5)
print("listening", flush=True)
c, _ = s.accept()
c.recv(1000)
c.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
c.shutdown(socket.SHUT_RDWR)
c.close()
s.shutdown(socket.SHUT_RDWR)
print("done", flush=True)
sys.stdin.read()`},
		"node": {"-e", `
const s = require("http").createServer((q, r) => { r.end("hello"); s.close(() => console.log("done")) })
s.listen(Number(process.argv[1]), "::1", () => console.log("listening"))`},
	} {
		t.Run(name, func(t *testing.T) {
			at := netip.AddrPortFrom(netip.IPv6Loopback(), 20000+uint16(os.Getpid()%20000))
			tr := newTrap(t)
			h := &fake{}
			tr.serve(h)
			cmd := tool(t, name, append(script, fmt.Sprint(at.Port()))...)
			p := tr.start(cmd)
			if got := p.line(); got != "listening" {
				t.Fatal(got)
			}
			get(t, at)
			if got := p.line(); got != "done" {
				t.Error(got)
			}
			if !strings.Contains(h.told(), fmt.Sprintf("bind %s; listen %s", at, at)) {
				t.Errorf("got %s", h.told())
			}
		})
	}
}

func TestSignalsDoNotDisturb(t *testing.T) {
	for name, trapOf := range map[string]func(testing.TB) *trap{"now": newTrap, "before 5.19": newOldTrap} {
		t.Run(name, func(t *testing.T) {
			at := addressOf(t)
			tr := trapOf(t)
			h := &fake{}
			slow := func() { <-time.After(100 * time.Millisecond) }
			h.bind = func(_ context.Context, b Bind) error {
				slow()
				return bindFile(b)
			}
			h.listen = func(_ context.Context, l Listen) (*os.File, error) {
				slow()
				return nil, onFD(l.File, func(fd int) error { return unix.Listen(fd, l.Backlog) })
			}
			s := tr.serve(h)
			if got, want := tr.start(self(t, "signals", at.String())).all(), "bind: <nil>\nlisten: <nil>\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if n := len(s.room) + len(s.inHand); n != 0 {
				t.Errorf("%d calls are in hand", n)
			}
			if got, want := h.told(), fmt.Sprintf("bind %s; listen %s 7", at, at); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestSlowHandlerHoldsUpNoOther(t *testing.T) {
	at := addressOf(t)
	other := netip.AddrPortFrom(at.Addr(), at.Port()+1)
	tr := newTrap(t)
	h := &fake{}
	begun, release := make(chan struct{}), make(chan struct{})
	h.bind = func(_ context.Context, b Bind) error {
		if b.Addr == at {
			close(begun)
			<-release
		}
		return bindFile(b)
	}
	tr.serve(h)
	slow := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(slow.in, "bind")
	<-begun
	quick := tr.start(self(t, "listen", other.String()))
	_, _ = fmt.Fprintln(quick.in, "bind")
	if got := quick.line(); got != "bind: <nil>" {
		t.Error(got)
	}
	close(release)
	if got := slow.line(); got != "bind: <nil>" {
		t.Error(got)
	}
}

// One that is killed while it waits, with its answer half made, troubles nobody.
func TestCallerIsKilledWhileItWaits(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	h := &fake{}
	begun, release := make(chan struct{}, 1), make(chan struct{})
	h.bind = func(_ context.Context, b Bind) error {
		begun <- struct{}{}
		<-release
		return bindFile(b)
	}
	var log bytes.Buffer
	s, err := New(Options{Notify: tr.notify, Handler: h, Log: func(f string, a ...any) { fmt.Fprintf(&log, f+"\n", a...) }})
	if err != nil {
		t.Fatal(err)
	}
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind")
	<-begun
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.all()
	close(release)
	p = tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind")
	if got := p.line(); got != "bind: <nil>" {
		t.Error(got)
	}
	if err := s.Close(); err != nil || log.Len() > 0 {
		t.Errorf("got %v, %s", err, log.String())
	}
}

func TestManyThreadsAtOnce(t *testing.T) {
	tr := newTrap(t)
	h := &fake{}
	s := tr.serve(h)
	if got := tr.start(self(t, "threads", addressOf(t).String())).all(); got != "failed: 0\n" {
		t.Error(got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := len(s.room); n != 0 {
		t.Errorf("%d calls are in hand", n)
	}
}

func TestDescriptorThatChangesMeanwhile(t *testing.T) {
	before := countFDs(t)
	tr := newTrap(t)
	s := tr.serve(&fake{})
	if got := tr.start(self(t, "swap", addressOf(t).String())).all(); got != "alive\n" {
		t.Error(got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := len(s.room) + len(s.inHand) + len(s.queues); n != 0 {
		t.Errorf("%d calls are in hand", n)
	}
	const harness = 4 // the trap's listener, pipes, the poller
	if after := countFDs(t); after > before+harness {
		t.Errorf("%d descriptors, were %d", after, before)
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// Without any rights of its own the whole works too.
func TestAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root; another user runs the other tests as this one does")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copyForAll(t, exe), "-test.run", "^Test(Probe|HandlerDecides|Static|Replacement|Caller|.*Orphan|.*Died|OddCalls)", "-test.v")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	text, err := cmd.CombinedOutput()
	if n := strings.Count(string(text), "--- PASS"); err != nil || n < 8 {
		t.Errorf("%v, %d tests passed: %s", err, n, text)
	}
}

func TestStrangersPass(t *testing.T) {
	at := addressOf(t)
	tr := newTrap(t)
	h := &fake{owner: func(int) (string, bool) { return "", false }}
	tr.serve(h)
	p := tr.start(self(t, "listen", at.String()))
	_, _ = fmt.Fprintln(p.in, "bind listen shutdown accept")
	for _, want := range []string{"bind: <nil>", "listen: <nil>", "shutdown: <nil>", "accept: invalid argument"} {
		if got := p.line(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if h.told() != "" {
		t.Errorf("the handler was asked: %s", h.told())
	}
}
