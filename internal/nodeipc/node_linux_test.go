package nodeipc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// helpers are the other programs that the test binary can be, by the value of PACELINE_TEST_HELPER.
func helpers() map[string]func() error {
	return map[string]func() error{"daemon": daemonMain, "primary": primaryMain}
}

func TestMain(m *testing.M) {
	if name := os.Getenv("PACELINE_TEST_HELPER"); name != "" {
		f := helpers()[name]
		if f == nil {
			fmt.Fprintln(os.Stderr, "no helper", name)
			os.Exit(2)
		}
		if err := f(); err != nil {
			fmt.Fprintln(os.Stderr, name+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		// Runs after the leak check. GC first: what only a finalizer would close counts as closed.
		runtime.GC()
		if after := descriptors(); code == 0 && after > before+2 { // Go's poller and its eventfd stay
			fmt.Fprintf(os.Stderr, "FAIL: descriptors leaked: %d before, %d after: %v\n", before, after, describeDescriptors())
			code = 1
		}
		os.Exit(code)
	}))
}

func descriptors() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

func describeDescriptors() (all []string) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		all = append(all, e.Name()+"="+to)
	}
	return all
}

var majors = []string{"18", "20", "22", "24"}

// findNode returns the binary of a Node major version, or "".
func findNode(major string) string {
	candidates := []string{os.Getenv("PACELINE_NODE_" + major)}
	root, err := filepath.Abs("../..")
	if err == nil {
		found, _ := filepath.Glob(filepath.Join(root, ".cache/node", major, "node_modules/*/bin/node"))
		candidates = append(candidates, found...)
	}
	if inPath, err := exec.LookPath("node"); err == nil {
		candidates = append(candidates, inPath)
	}
	for _, c := range candidates {
		if c == "" {
			continue
		}
		out, err := exec.Command(c, "--version").Output()
		if err == nil && strings.HasPrefix(string(out), "v"+major+".") {
			return c
		}
	}
	return ""
}

// eachNode runs a test with every Node version of the matrix, four at a time at most.
func eachNode(t *testing.T, f func(t *testing.T, node string)) {
	for _, major := range majors {
		t.Run("node"+major, func(t *testing.T) {
			t.Parallel()
			node := findNode(major)
			if node == "" {
				t.Skipf("no Node %s: run scripts/node-matrix.sh", major)
			}
			f(t, node)
		})
	}
}

// anyNode returns the newest Node there is.
func anyNode(tb testing.TB) string {
	for _, major := range slices.Backward(majors) {
		if node := findNode(major); node != "" {
			return node
		}
	}
	tb.Skip("no Node: run scripts/node-matrix.sh")
	return ""
}

// proc is a Node process with a channel.
type proc struct {
	tb     testing.TB
	cmd    *exec.Cmd
	out    syncBuffer
	exited chan struct{}
	dead   error
}

type launch struct {
	node    string
	args    []string
	env     []string
	cluster bool
	preload bool
	id      int
}

func preloadFile(tb testing.TB) string {
	file := filepath.Join(tb.TempDir(), "preload.cjs")
	if err := os.WriteFile(file, Preload(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// patience is for what must happen, however busy the machine is.
const patience = time.Minute

// start runs a Node process and returns our end of its channel, which is the caller's.
func start(tb testing.TB, l launch) (*proc, *os.File) {
	tb.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		tb.Fatal(err)
	}
	args := l.args
	if l.preload {
		args = append([]string{"--require", preloadFile(tb)}, args...)
	}
	p := &proc{tb: tb, cmd: exec.Command(l.node, args...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), l.env...)
	p.cmd.Env = append(p.cmd.Env, "NODE_CHANNEL_FD=3", "NODE_CHANNEL_SERIALIZATION_MODE=json")
	if l.cluster {
		p.cmd.Env = append(p.cmd.Env, fmt.Sprintf("NODE_UNIQUE_ID=%d", l.id+1), fmt.Sprintf("NODE_APP_INSTANCE=%d", l.id))
	}
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	theirs.Close()
	go func() {
		p.dead = p.cmd.Wait()
		close(p.exited)
	}()
	tb.Cleanup(func() {
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
		<-p.exited
		if tb.Failed() && p.out.String() != "" {
			tb.Logf("process %d: %s", p.pid(), p.out.String())
		}
	})
	return p, ours
}

func (p *proc) pid() int { return p.cmd.Process.Pid }

func (p *proc) wait(d time.Duration) error {
	p.tb.Helper()
	select {
	case <-p.exited:
		return p.dead
	case <-time.After(d):
		p.tb.Fatalf("process %d does not exit: %s", p.pid(), p.out.String())
		return nil
	}
}

func (p *proc) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// events collects what a worker tells.
type events struct {
	tb   testing.TB
	mu   sync.Mutex
	all  []Event
	news chan struct{}
}

func newEvents(tb testing.TB) *events { return &events{tb: tb, news: make(chan struct{}, 1)} }

func (e *events) add(ev Event) {
	e.mu.Lock()
	e.all = append(e.all, ev)
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

func (e *events) snapshot() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event(nil), e.all...)
}

// wait returns the n-th (from 1) event for which f holds.
func (e *events) wait(what string, n int, f func(Event) bool) Event {
	e.tb.Helper()
	late := time.After(patience)
	for {
		left := n
		for _, ev := range e.snapshot() {
			if f(ev) {
				if left--; left == 0 {
					return ev
				}
			}
		}
		select {
		case <-e.news:
		case <-late:
			e.tb.Fatalf("no event %s #%d in time; got %v", what, n, e.describe())
		}
	}
}

func (e *events) kind(k Kind) Event { e.tb.Helper(); return e.wait(k.String(), 1, isKind(k)) }

func (e *events) message(text string) {
	e.tb.Helper()
	e.wait("message "+text, 1, func(ev Event) bool { return ev.Kind == Message && string(ev.Message) == text })
}

func (e *events) describe() (all []string) {
	for _, ev := range e.snapshot() {
		all = append(all, fmt.Sprintf("%v %v %.80s%s", ev.Kind, ev.Addr, ev.Message, ev.Text))
	}
	return all
}

func isKind(k Kind) func(Event) bool { return func(ev Event) bool { return ev.Kind == k } }

// sockets is the owner of listening sockets: what package port is for the daemon.
type sockets struct {
	handOff bool
	mu      sync.Mutex     // guards the rest
	open    map[string]int // bare: Go's poller would wake at every connection
	addr    map[string]net.Addr
	users   map[string]int
	asked   []Request
	closed  int
}

func newSockets(handOff bool) *sockets {
	return &sockets{handOff: handOff, open: map[string]int{}, addr: map[string]net.Addr{}, users: map[string]int{}}
}

func (s *sockets) Open(r Request) (*Socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r)
	key := r.key()
	if s.open[key] == 0 {
		f, addr, err := bind(r)
		if err != nil {
			return nil, err
		}
		fd, err := takeFD(f)
		if err != nil {
			return nil, err
		}
		s.open[key], s.addr[key] = fd, addr
	}
	fd, err := syscall.Dup(s.open[key])
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	dup := os.NewFile(uintptr(fd), key)
	s.users[key]++
	return &Socket{File: dup, Addr: s.addr[key], HandOff: s.handOff, Close: func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed++
		if s.users[key]--; s.users[key] == 0 {
			syscall.Close(s.open[key])
			delete(s.open, key)
		}
	}}, nil
}

func (s *sockets) address(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr[key].String()
}

func (s *sockets) requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.asked...)
}

func (s *sockets) closes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *sockets) Close() {
	for _, fd := range s.open {
		syscall.Close(fd)
	}
}

// bind makes a socket for a request with package net.
func bind(r Request) (*os.File, net.Addr, error) {
	ctx, lc := context.Background(), net.ListenConfig{}
	lc.SetMultipathTCP(false) // Go's default for listeners; slower, and not what Node does
	host := r.Address
	if r.FD >= 0 {
		dup, err := syscall.Dup(r.FD)
		if err != nil {
			return nil, nil, err
		}
		syscall.CloseOnExec(dup)
		return os.NewFile(uintptr(dup), "given"), &net.TCPAddr{}, nil
	}
	var l any
	var addr net.Addr
	var err error
	switch {
	case r.udp():
		var c net.PacketConn
		if c, err = lc.ListenPacket(ctx, r.AddressType, net.JoinHostPort(host, fmt.Sprint(r.Port))); err == nil {
			l, addr = c, c.LocalAddr()
		}
	case r.Port < 0:
		os.Remove(host)
		var n net.Listener
		if n, err = lc.Listen(ctx, "unix", host); err == nil {
			n.(*net.UnixListener).SetUnlinkOnClose(false)
			l, addr = n, n.Addr()
		}
	default:
		network := "tcp"
		if r.AddressType == "4" && host != "" {
			network = "tcp4"
		}
		var n net.Listener
		if n, err = lc.Listen(ctx, network, net.JoinHostPort(host, fmt.Sprint(r.Port))); err == nil {
			l, addr = n, n.Addr()
		}
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	return f, addr, errors.Join(err, l.(interface{ Close() error }).Close())
}

func dupFile(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(p uintptr) { fd, dupErr = syscall.Dup(int(p)) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, dupErr
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// app is a primary with workers.
type app struct {
	tb      testing.TB
	primary *Primary
	sockets *sockets
	workers []*member
	l       launch
}

type member struct {
	*Worker
	*proc
	ev    *events
	evals int
}

func newApp(tb testing.TB, handOff bool, l launch) *app {
	s := newSockets(handOff)
	a := &app{tb: tb, sockets: s, l: l, primary: NewPrimary(PrimaryOptions{Open: s.Open})}
	tb.Cleanup(s.Close)
	tb.Cleanup(a.primary.Close)
	return a
}

// fork adds a worker; env comes on top of the app's.
func (a *app) fork(env ...string) *member {
	a.tb.Helper()
	l := a.l
	l.cluster, l.id = true, len(a.workers)
	l.env = append(append([]string(nil), l.env...), env...)
	p, ch := start(a.tb, l)
	ev := newEvents(a.tb)
	w, err := Attach(WorkerOptions{Channel: ch, Primary: a.primary, Slot: l.id, Event: ev.add})
	if err != nil {
		a.tb.Fatal(err)
	}
	m := &member{Worker: w, proc: p, ev: ev}
	a.workers = append(a.workers, m)
	return m
}

func (a *app) forkN(n int) []*member {
	a.tb.Helper()
	for range n {
		a.fork()
	}
	for _, w := range a.workers {
		w.ev.kind(Listening)
	}
	return a.workers
}

func (a *app) addr() string {
	a.tb.Helper()
	return localAddr(a.workers[0].ev.kind(Listening).Addr)
}

func localAddr(addr net.Addr) string {
	t := addr.(*net.TCPAddr)
	if t.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", t.Port)
	}
	return t.String()
}
