//go:build linux

package adopt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "__run" {
		if err := play(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The race detector makes each process wait for a second at its exit.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// trap is a thread with the filter, from which programs are started.
type trap struct {
	t        testing.TB
	notify   *os.File
	listener kernel.Listener
	work     chan func()
}

func newTrap(t testing.TB) *trap {
	t.Helper()
	return trapBy(t, kernel.InstallFilter)
}

// newOldTrap is one of a kernel before 5.19.
func newOldTrap(t testing.TB) *trap {
	t.Helper()
	return trapBy(t, func(filter []byte) (l kernel.Listener, err error) {
		if os.Geteuid() != 0 {
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return l, err
			}
		}
		prog := unix.SockFprog{Len: uint16(len(filter) / kernel.FilterSize), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
		fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
		if errno != 0 {
			return l, errno
		}
		return kernel.Listener{FD: int(fd)}, nil
	})
}

func trapBy(t testing.TB, install func([]byte) (kernel.Listener, error)) *trap {
	t.Helper()
	filter, err := Filter()
	if err != nil {
		t.Skip(err)
	}
	tr := &trap{t: t, work: make(chan func())}
	installed, ended := make(chan error), make(chan struct{})
	kernel.OnOwnThread(func() {
		defer close(ended)
		var err error
		tr.listener, err = install(filter)
		installed <- err
		for do := range tr.work {
			do()
		}
	})
	err = <-installed
	t.Cleanup(func() {
		close(tr.work)
		<-ended
	})
	if err != nil {
		t.Skipf("seccomp user notification (Linux 5.0): %v", err)
	}
	tr.notify = os.NewFile(uintptr(tr.listener.FD), "listener")
	t.Cleanup(func() { _ = tr.notify.Close() })
	return tr
}

// do does something on the thread.
func (tr *trap) do(f func()) {
	done := make(chan struct{})
	tr.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// program is a started program. What it writes is read line by line.
type program struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // closed at its end
}

// start runs a program in the trap.
func (tr *trap) start(cmd *exec.Cmd) *program {
	tr.t.Helper()
	return startWith(tr.t, cmd, func() (err error) {
		tr.do(func() { err = cmd.Start() })
		return err
	})
}

func startWith(t testing.TB, cmd *exec.Cmd, start func() error) *program {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: cmd, in: in, lines: make(chan string, 100)}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range p.lines {
		}
		_ = cmd.Wait()
	})
	return p
}

// line is the next line that the program writes.
func (p *program) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%v has ended", p.cmd.Args)
		}
		return line
	case <-time.After(time.Minute):
		p.t.Fatalf("%v writes nothing", p.cmd.Args)
	}
	panic("not reached")
}

// all is what it writes until its end.
func (p *program) all() string {
	p.t.Helper()
	var b strings.Builder
	timeout := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return b.String()
			}
			b.WriteString(line + "\n")
		case <-timeout:
			p.t.Fatalf("%v does not end; so far: %s", p.cmd.Args, b.String())
		}
	}
}

// self is this test binary as a program.
func self(t testing.TB, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(exe, append([]string{"__run"}, args...)...)
}

// tool is a program that may be missing.
func tool(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("install %s to run this test", name)
	}
	return exec.Command(path, args...)
}

// addressOf gives each test a loopback address of its own, with a port that no other
// program has on all addresses.
func addressOf(t testing.TB) netip.AddrPort {
	h := uint32(os.Getpid()) * 2654435761
	for _, c := range []byte(t.Name()) {
		h = (h ^ uint32(c)) * 16777619
	}
	host := netip.AddrFrom4([4]byte{127, 1 + byte(h>>16)%250, byte(h >> 8), 1 + byte(h)%250})
	for port := uint16(18231); port < 18331; port++ {
		at := netip.AddrPortFrom(host, port)
		if l, err := net.Listen("tcp4", at.String()); err == nil {
			_ = l.Close()
			return at
		}
	}
	t.Fatalf("no free port on %v", host)
	return netip.AddrPort{}
}

// fake is a handler that does what the kernel would, and tells of it.
type fake struct {
	owner func(pid int) (string, bool)

	mu    sync.Mutex // guards what follows
	calls []string
	hooks
}

// hooks do something else instead.
type hooks struct {
	bind   func(context.Context, Bind) error
	listen func(context.Context, Listen) (*os.File, error)
	shut   func(key string, f *os.File) bool
}

// set changes the hooks while the server runs.
func (h *fake) set(change func(*hooks)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(&h.hooks)
}

func (h *fake) note(format string, a ...any) hooks {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, a...))
	return h.hooks
}

// told is what was asked for so far.
func (h *fake) told() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.calls, "; ")
}

func (h *fake) Owner(pid int) (string, bool) {
	if h.owner != nil {
		return h.owner(pid)
	}
	return "key", isChild(pid, os.Getpid())
}

// isChild is asked because other tests on this machine may have their calls stopped as
// well.
func isChild(pid, of int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && strings.Contains(string(text), fmt.Sprintf("\nPPid:\t%d\n", of))
}

func (h *fake) Bind(ctx context.Context, b Bind) error {
	if do := h.note("bind %s", b.Addr); do.bind != nil {
		return do.bind(ctx, b)
	}
	return bindFile(b)
}

// bindFile binds as a daemon would, and bears being called again.
func bindFile(b Bind) error {
	if b.Bound {
		return nil
	}
	return onFD(b.File, func(fd int) error {
		if b.Addr.Addr().Is4() {
			return unix.Bind(fd, &unix.SockaddrInet4{Addr: b.Addr.Addr().As4(), Port: int(b.Addr.Port())})
		}
		zone, _ := strconv.Atoi(b.Addr.Addr().Zone())
		return unix.Bind(fd, &unix.SockaddrInet6{Addr: b.Addr.Addr().As16(), Port: int(b.Addr.Port()), ZoneId: uint32(zone)})
	})
}

func (h *fake) Listen(ctx context.Context, l Listen) (*os.File, error) {
	if do := h.note("listen %s %d", l.Addr, l.Backlog); do.listen != nil {
		return do.listen(ctx, l)
	}
	return nil, onFD(l.File, func(fd int) error { return unix.Listen(fd, l.Backlog) })
}

func (h *fake) Shut(key string, f *os.File) bool {
	do := h.note("shut")
	return do.shut != nil && do.shut(key, f)
}

func onFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctl := conn.Control(func(fd uintptr) { err = do(int(fd)) })
	return errors.Join(ctl, err)
}

// serve answers for the trap until the test ends.
func (tr *trap) serve(h Handler) *Server {
	tr.t.Helper()
	s, err := New(Options{Notify: tr.notify, Handler: h, Log: tr.t.Logf})
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = s.Close() })
	return s
}
