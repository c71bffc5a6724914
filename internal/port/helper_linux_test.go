package port

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	cmd.Env = append(os.Environ(), append(env, helperEnv+"="+role)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// server is a process that accepts from descriptor 3 and answers with its name.
type server struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
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
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("server %s: %q, %v", name, line, err)
	}
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

// hold keeps the server from accepting for a while.
func (s *server) hold(t testing.TB, d time.Duration) {
	t.Helper()
	if _, err := fmt.Fprintln(s.stdin, d.Milliseconds()); err != nil {
		t.Fatal(err)
	}
}

// helperServer accepts like Node: without blocking, and indifferent to a moment in
// which its socket does not listen.
func helperServer() int {
	var hold atomic.Int64
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
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
			time.Sleep(time.Duration(ms) * time.Millisecond)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: 3, Events: unix.POLLIN}}, 5)
		c, _, err := unix.Accept4(3, unix.SOCK_CLOEXEC)
		if err != nil {
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
	c, err := net.DialTimeout(addr.Network(), addr.String(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

// load makes requests at a fixed rate, whatever becomes of those before.
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
	l.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-ticker.C:
			}
			l.wg.Go(func() {
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
	deadline := time.Now().Add(10 * time.Second)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// memory is a Store; it holds duplicates as the keeper does.
type memory struct {
	mu      sync.Mutex
	entries map[string]Saved
}

func newMemory(t testing.TB) *memory {
	m := &memory{entries: map[string]Saved{}}
	t.Cleanup(func() { _ = m.Drop("/") })
	return m
}

func (m *memory) Keep(name string, note []byte, f *os.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[name]
	if note != nil {
		e.Note = note
	}
	if f != nil {
		if e.File != nil {
			_ = e.File.Close()
		}
		e.File = fileCopy(f)
	}
	m.entries[name] = e
	return nil
}

func (m *memory) Drop(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		for have, e := range m.entries {
			if have == name || name == "/" || strings.HasSuffix(name, "/") && strings.HasPrefix(have, name) {
				if e.File != nil {
					_ = e.File.Close()
				}
				delete(m.entries, have)
			}
		}
	}
	return nil
}

// saved returns copies, as a keeper would send them.
func (m *memory) saved() map[string]Saved {
	m.mu.Lock()
	defer m.mu.Unlock()
	saved := map[string]Saved{}
	for name, e := range m.entries {
		if e.File != nil {
			e.File = fileCopy(e.File)
		}
		saved[name] = e
	}
	return saved
}

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.entries))
}

func fileCopy(f *os.File) *os.File {
	fd, err := duplicateOf(f)
	if err != nil {
		panic(err)
	}
	defer unix.Close(fd)
	c, err := fileOf(fd, f.Name())
	if err != nil {
		panic(err)
	}
	return c
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
		deadline := time.Now().Add(time.Second)
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

// ---- a daemon in a process of its own, with us as its keeper ----

type wireMessage struct {
	Op   string `json:"op"`
	Name string `json:"name,omitempty"`
	Note []byte `json:"note,omitempty"`
	Slot int    `json:"slot,omitempty"`
	On   bool   `json:"on,omitempty"`
	Text string `json:"text,omitempty"`
	Addr string `json:"addr,omitempty"`
}

// wire is one end of a SOCK_SEQPACKET pair.
type wire struct{ fd int }

func (w wire) send(m wireMessage, f *os.File) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if f != nil {
		fd, err := duplicateOf(f)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		rights = unix.UnixRights(fd)
	}
	return unix.Sendmsg(w.fd, raw, rights, nil, 0)
}

func (w wire) receive() (m wireMessage, f *os.File, err error) {
	buf, oob := make([]byte, 1<<16), make([]byte, 64)
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(w.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return m, nil, err
	}
	if n == 0 {
		return m, nil, io.EOF
	}
	if err := json.Unmarshal(buf[:n], &m); err != nil {
		return m, nil, err
	}
	if oobn > 0 {
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return m, nil, err
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil {
			return m, nil, err
		}
		f, err = fileOf(fds[0], m.Name)
		if err != nil {
			return m, nil, err
		}
		return m, f, unix.Close(fds[0])
	}
	return m, nil, nil
}

// daemon is the other process as seen from here.
type daemon struct {
	t     testing.TB
	cmd   *exec.Cmd
	wire  wire
	store *memory
}

// startDaemon starts a daemon and gives it what the store holds.
func startDaemon(t testing.TB, store *memory) *daemon {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, cmd: helper("daemon"), wire: wire{pair[0]}, store: store}
	theirs := os.NewFile(uintptr(pair[1]), "wire")
	d.cmd.ExtraFiles = []*os.File{theirs}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	t.Cleanup(func() { d.kill(); _ = unix.Close(pair[0]) })
	for name, e := range store.saved() {
		if err := d.wire.send(wireMessage{Op: "saved", Name: name, Note: e.Note}, e.File); err != nil {
			t.Fatal(err)
		}
		if e.File != nil {
			_ = e.File.Close()
		}
	}
	d.do(wireMessage{Op: "go"})
	return d
}

func (d *daemon) kill() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
}

// do sends a command and plays the keeper until it is done.
func (d *daemon) do(m wireMessage) (answer wireMessage, listener *os.File) {
	d.t.Helper()
	if err := d.wire.send(m, nil); err != nil {
		d.t.Fatal(err)
	}
	for {
		m, f, err := d.wire.receive()
		if err != nil {
			d.t.Fatal("daemon: ", err)
		}
		switch m.Op {
		case "keep":
			_ = d.store.Keep(m.Name, m.Note, f)
			if f != nil {
				_ = f.Close()
			}
			_ = d.wire.send(wireMessage{Op: "ack"}, nil)
		case "drop":
			_ = d.store.Drop(m.Name)
			_ = d.wire.send(wireMessage{Op: "ack"}, nil)
		case "done":
			if m.Text != "" {
				d.t.Fatal("daemon: ", m.Text)
			}
			return m, f
		}
	}
}

// Keep and Drop are the Store of helperDaemon.
func (w wire) Keep(name string, note []byte, f *os.File) error {
	if err := w.send(wireMessage{Op: "keep", Name: name, Note: note}, f); err != nil {
		return err
	}
	_, _, err := w.receive()
	return err
}

func (w wire) Drop(names ...string) error {
	for _, name := range names {
		if err := w.send(wireMessage{Op: "drop", Name: name}, nil); err != nil {
			return err
		}
		if _, _, err := w.receive(); err != nil {
			return err
		}
	}
	return nil
}

func helperDaemon() int {
	w := wire{3}
	saved := map[string]Saved{}
	var s *Set
	for {
		m, f, err := w.receive()
		if err != nil {
			return 1
		}
		var answer wireMessage
		var file *os.File
		switch m.Op {
		case "saved":
			saved[m.Name] = Saved{Note: m.Note, File: f}
			continue
		case "go":
			s, err = NewSet(Options{Name: "port/test/", Store: w, Saved: saved, Log: func(format string, a ...any) {
				fmt.Fprintf(os.Stderr, "daemon: "+format+"\n", a...)
			}})
		case "open":
			var l *Listener
			if l, err = s.Open(loopback, m.Slot); err == nil {
				file, answer.Addr, answer.Text = l.File, l.Group.Addr().String(), ""
				if !l.Group.Kernel() {
					answer.Name = l.Group.Reason()
				}
			}
		case "use":
			s.Use(m.Slot, m.On)
		case "queue":
			answer.Note, _ = json.Marshal(s.Queue())
		case "close":
			err = s.Close()
		}
		answer.Op = "done"
		if err != nil {
			answer.Text = err.Error()
		}
		if err := w.send(answer, file); err != nil {
			return 1
		}
		if file != nil {
			_ = file.Close()
		}
	}
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
	dir, err := os.MkdirTemp("", "port")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "sock")
}
