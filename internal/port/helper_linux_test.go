package port

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// patient is for what must happen, however busy the machine is.
const patient = time.Minute

// never is for Options.bears where connections are left to wait, or are counted: we may
// be so late that a queue would seem to be stuck.
const never = time.Hour

// helperEnv makes the test binary play another program.
const helperEnv = "PORT_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		goleak.VerifyTestMain(m)
	case "server":
		os.Exit(helperServer())
	case "daemon":
		os.Exit(helperDaemon())
	case "foreign":
		os.Exit(helperForeign())
	case "client":
		os.Exit(helperClient())
	case "mechanism":
		os.Exit(helperMechanism())
	default:
		os.Exit(99)
	}
}

func helper(role string, env ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, helperEnv+"="+role, "GORACE=atexit_sleep_ms=0")...)
	cmd.Stderr = os.Stderr
	return cmd
}

// server is a process that accepts from descriptor 3 and answers with its name.
type server struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// startServer takes the listener's file.
func startServer(t testing.TB, name string, f *os.File) *server {
	t.Helper()
	s := &server{name: name, cmd: helper("server", "NAME="+name)}
	s.cmd.ExtraFiles = []*os.File{f}
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	t.Cleanup(s.kill)
	s.out = bufio.NewReader(out)
	s.says(t, "ready")
	return s
}

// kill ends the process at once; it may be called again.
func (s *server) kill() {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// leave has the server end when it has answered what it has accepted.
func (s *server) leave(t testing.TB) {
	t.Helper()
	if _, err := fmt.Fprintln(s.stdin, "leave"); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("server %s: %v", s.name, err)
	}
}

func (s *server) says(t testing.TB, want string) {
	t.Helper()
	if line, err := s.out.ReadString('\n'); line != want+"\n" {
		t.Fatalf("server %s: %q, %v; want %q", s.name, line, err, want)
	}
}

// hold keeps the server from accepting for a while, which has begun when it returns.
func (s *server) hold(t testing.TB, d time.Duration) {
	t.Helper()
	if _, err := fmt.Fprintln(s.stdin, d.Milliseconds()); err != nil {
		t.Fatal(err)
	}
	s.says(t, "held")
}

// helperServer accepts like Node: without blocking, and indifferent to a moment in
// which its socket does not listen.
func helperServer() int {
	var hold atomic.Int64
	var leaving atomic.Bool
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if in.Text() == "leave" {
				leaving.Store(true)
				continue
			}
			ms, _ := strconv.ParseInt(in.Text(), 10, 64)
			hold.Store(ms)
		}
		os.Exit(0)
	}()
	answer := []byte(os.Getenv("NAME") + "\n")
	fmt.Println("ready")
	buf := make([]byte, 64)
	for {
		if ms := hold.Swap(0); ms > 0 {
			fmt.Println("held")
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: 3, Events: unix.POLLIN}}, 5)
		c, _, err := unix.Accept4(3, unix.SOCK_CLOEXEC)
		if err != nil {
			if leaving.Load() {
				return 0
			}
			continue
		}
		tv := unix.Timeval{Sec: 1}
		_ = unix.SetsockoptTimeval(c, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
		n, err := unix.Read(c, buf)
		for errors.Is(err, unix.EINTR) { // a receive timeout switches SA_RESTART off
			n, err = unix.Read(c, buf)
		}
		if n > 0 {
			_, _ = unix.Write(c, answer)
		}
		_ = unix.Close(c)
	}
}

// request makes one connection and returns who answered.
func request(addr net.Addr) (string, error) {
	c, err := net.DialTimeout(addr.Network(), addr.String(), patient)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patient))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

// load makes requests at a fixed rate, whatever becomes of those before, unless they
// become too many for any machine.
type load struct {
	wg   sync.WaitGroup
	quit chan struct{}

	mu      sync.Mutex
	answers map[string]int
	errs    []error
	slowest time.Duration
}

func startLoad(addr net.Addr, every time.Duration) *load {
	l := &load{quit: make(chan struct{}), answers: map[string]int{}}
	underWay := make(chan struct{}, 500)
	l.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-ticker.C:
			}
			select {
			case underWay <- struct{}{}:
			default:
				continue
			}
			l.wg.Go(func() {
				defer func() { <-underWay }()
				began := time.Now()
				who, err := request(addr)
				took := time.Since(began)
				l.mu.Lock()
				defer l.mu.Unlock()
				l.answers[who]++
				l.slowest = max(l.slowest, took)
				if err != nil {
					l.errs = append(l.errs, err)
				}
			})
		}
	})
	return l
}

func (l *load) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.answers {
		n += a
	}
	return n
}

func (l *load) of(who string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers[who]
}

// await waits until so many more requests are answered.
func (l *load) await(t testing.TB, more int) {
	t.Helper()
	want := l.total() + more
	eventually(t, "answers to requests", func() bool { return l.total() >= want })
}

func (l *load) stop() {
	close(l.quit)
	l.wg.Wait()
}

func (l *load) check(t testing.TB) {
	t.Helper()
	if len(l.errs) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(l.errs), l.total(), l.errs[0])
	}
}

// eventually asks until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(patient)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patient)
		}
		time.Sleep(time.Millisecond)
	}
}

// noLeaks fails the test if it leaves descriptors open.
func noLeaks(t testing.TB) {
	t.Helper()
	before := descriptors(t)
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		// Client sockets are closed by goroutines that may still be on their way.
		deadline := time.Now().Add(patient)
		for {
			after := descriptors(t)
			if len(after) <= len(before) {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("descriptors: %d before, %d after: %v", len(before), len(after), after)
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func descriptors(t testing.TB) (targets []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The runtime's own poller comes with the first use of the network.
		if err == nil && !strings.Contains(target, "anon_inode:[eventpoll]") && !strings.Contains(target, "anon_inode:[eventfd]") {
			targets = append(targets, target)
		}
	}
	return targets
}

func newSet(t testing.TB, o Options) *Set {
	t.Helper()
	if o.Name == "" {
		o.Name = "port/test/"
	}
	if o.Log == nil {
		o.Log = t.Logf
	}
	s, err := NewSet(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var loopback = Address{Network: "tcp", Host: "127.0.0.1"}

func mustOpen(t testing.TB, s *Set, a Address, slot int) *Listener {
	t.Helper()
	l, err := s.Open(a, slot)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// needKernel skips where the kernel cannot do it, and fails where it should.
func needKernel(t testing.TB, g *Group) {
	t.Helper()
	if g.Kernel() {
		return
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	var major, minor int
	_, _ = fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	if (major > 5 || major == 5 && minor >= 14) && !strings.Contains(g.Reason(), "no right") {
		t.Fatalf("kernel %d.%d should deal: %s", major, minor, g.Reason())
	}
	t.Skipf("round robin in the kernel (Linux 5.14, CAP_BPF): %s", g.Reason())
}

// serve opens n slots at the address, with a process each, in rotation.
func serve(t testing.TB, s *Set, a Address, n int) (*Group, []*server) {
	t.Helper()
	var g *Group
	var servers []*server
	for slot := range n {
		l := mustOpen(t, s, a, slot)
		g = l.Group
		servers = append(servers, startServer(t, strconv.Itoa(slot), l.File))
		s.Use(slot, true)
	}
	return g, servers
}

// helperClient makes requests at a rate until its input ends.
func helperClient() int {
	addr, err := net.ResolveTCPAddr("tcp", os.Getenv("ADDR"))
	if err != nil {
		return 1
	}
	if rate, _ := strconv.Atoi(os.Getenv("RATE")); rate > 0 {
		l := startLoad(addr, time.Second/time.Duration(rate))
		defer l.stop()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// helperForeign is an unrelated program that itself uses SO_REUSEPORT.
func helperForeign() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return 1
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 2
	}
	if err := unix.Listen(fd, 8); err != nil {
		return 3
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 4
	}
	fmt.Println(sa.(*unix.SockaddrInet4).Port)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// helperMechanism says what a group is here.
func helperMechanism() int {
	s, err := NewSet(Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l, err := s.Open(loopback, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%s: %s\n", l.Group.Mechanism(), l.Group.Reason())
	c, err := net.Dial("tcp", l.Group.Addr().String())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = c.Close()
	p := Probe()
	fmt.Printf("%v: %s\n", p.Kernel, p.Reason)
	return 0
}

// nodePath returns where node is, or skips.
func nodePath(t testing.TB) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	return node
}

func asErrno(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}

func comm(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func tempSocket(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "sock")
}
