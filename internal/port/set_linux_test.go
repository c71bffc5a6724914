package port

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSpreadIsExact(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	g, _ := serve(t, s, loopback, 4)
	needKernel(t, g)
	// On a busy machine a server may well stand still for 25 ms, and then the others
	// get its share for a while.
	for attempt := 1; ; attempt++ {
		got := map[string]int{}
		for range 400 {
			who, err := request(g.Addr())
			if err != nil {
				t.Fatal(err)
			}
			got[who]++
		}
		most := slices.Max(slices.Collect(maps.Values(got)))
		if len(got) == 4 && float64(most)/100 <= 1.02 {
			break
		}
		if attempt == 10 {
			t.Errorf("spread over 4 slots: got %v, want max/mean <= 1.02", got)
			break
		}
		t.Logf("attempt %d: got %v", attempt, got)
	}
	if g.Mechanism() != "kernel" || g.Reason() != "" {
		t.Errorf("got %q, %q", g.Mechanism(), g.Reason())
	}
}

// A slot that leaves gives what waits in its queue to the others, and no request
// is lost, whatever the order.
func TestLeavingMovesTheQueue(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	a := mustOpen(t, s, loopback, 0)
	needKernel(t, a.Group)
	b := mustOpen(t, s, loopback, 1)
	defer b.File.Close()
	s.Use(0, true)
	s.Use(1, true)

	const n = 40
	answers := make(chan string, n)
	for range n {
		c, err := net.Dial("tcp", a.Group.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer c.Close()
			_, _ = c.Write([]byte("hello\n"))
			line, _ := bufio.NewReader(c).ReadString('\n')
			answers <- strings.TrimSpace(line)
		}()
	}
	waiting := func() (w []int) {
		for _, d := range s.Queue() {
			w = append(w, d.Waiting)
		}
		return w
	}
	if w := waiting(); !slices.Equal(w, []int{n / 2, n / 2}) {
		t.Fatalf("queues: got %v, want %d each", w, n/2)
	}
	s.Use(1, false)
	if w := waiting(); !slices.Equal(w, []int{n, 0}) {
		t.Errorf("slot 1 left: got %v, want [%d 0]", w, n)
	}
	s.Use(0, false) // nobody is left: it stays for the successor
	if w := waiting(); !slices.Equal(w, []int{n, 0}) {
		t.Errorf("slot 0 left too: got %v, want [%d 0]", w, n)
	}
	s.Use(1, true) // who comes first gets all
	if w := waiting(); !slices.Equal(w, []int{0, n}) {
		t.Errorf("slot 1 is back: got %v, want [0 %d]", w, n)
	}
	s.Use(0, true)
	s.Release(1)
	if w := waiting(); !slices.Equal(w, []int{n}) {
		t.Errorf("slot 1 released: got %v, want [%d]", w, n)
	}
	startServer(t, "zero", a.File)
	for range n {
		if who := <-answers; who != "zero" {
			t.Errorf("answer: got %q, want zero", who)
		}
	}
}

func TestKilledOwnerLosesNothingUnaccepted(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	g, servers := serve(t, s, loopback, 2)
	needKernel(t, g)
	servers[1].hold(t, time.Hour) // it has accepted all it ever will
	l := startLoad(g.Addr(), 2*time.Millisecond)
	l.await(t, 100)
	servers[1].kill()
	s.Use(1, false)
	l.await(t, 100)
	l.stop()
	l.check(t)
	if l.answers["1"] > 5 { // one may have been on its way when it was held
		t.Errorf("answers: got %v", l.answers)
	}
}

func TestSuccessorGetsTheQueue(t *testing.T) {
	noLeaks(t)
	for _, policy := range []Policy{RoundRobin, Shared} {
		s := newSet(t, Options{Policy: policy})
		g, servers := serve(t, s, loopback, 1)
		servers[0].kill()
		s.Use(0, false)
		answer := make(chan string, 1)
		go func() {
			who, err := request(g.Addr())
			answer <- fmt.Sprint(who, err)
		}()
		eventually(t, "a connection to wait", func() bool { return s.Queue()[0].Waiting == 1 })
		startServer(t, "successor", mustOpen(t, s, loopback, 0).File)
		s.Use(0, true)
		if got := <-answer; got != "successor<nil>" {
			t.Errorf("policy %d: got %q", policy, got)
		}
	}
}

// Another process takes over from what the keeper has, while requests go on.
func TestDaemonDiesUnderLoad(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	first := startDaemon(t, store)
	var addr *net.TCPAddr
	for slot := range 2 {
		answer, f := first.do(wireMessage{Op: "open", Slot: slot})
		if answer.Name != "" {
			t.Skipf("round robin in the kernel (Linux 5.14, CAP_BPF): %s", answer.Name)
		}
		addr, _ = net.ResolveTCPAddr("tcp", answer.Addr)
		startServer(t, strconv.Itoa(slot), f)
		first.do(wireMessage{Op: "use", Slot: slot, On: true})
	}
	l := startLoad(addr, 2*time.Millisecond)
	l.await(t, 100)
	first.kill()
	l.await(t, 100) // the kernel deals on
	second := startDaemon(t, store)
	l.await(t, 50)
	_, f := second.do(wireMessage{Op: "open", Slot: 2}) // the group grows
	startServer(t, "2", f)
	second.do(wireMessage{Op: "use", Slot: 2, On: true})
	l.await(t, 100)
	second.do(wireMessage{Op: "use", Slot: 0, On: false})
	l.await(t, 100)
	l.stop()
	l.check(t)
	if l.answers["0"] < 125 || l.answers["1"] < 150 || l.answers["2"] < 50 {
		t.Errorf("answers: got %v", l.answers)
	}
	second.do(wireMessage{Op: "close"})
	if names := store.names(); len(names) > 0 {
		t.Errorf("after Close the store holds %v", names)
	}
}

// In one process, to look inside: what a set knows comes back.
func TestRestore(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	path := tempSocket(t)
	unixAddress := Address{Network: "unix", Path: path}
	udp := Address{Network: "udp4", Host: "127.0.0.1"}
	open := func(s *Set, a Address, slot int) *Group {
		l := mustOpen(t, s, a, slot)
		_ = l.File.Close()
		return l.Group
	}
	tcp := open(s, loopback, 0)
	needKernel(t, tcp)
	open(s, loopback, 1)
	open(s, loopback, 2)
	open(s, unixAddress, 0)
	open(s, unixAddress, 1)
	udpGroup := open(s, udp, 1)
	other := open(s, Address{Network: "tcp", Host: "127.0.0.1", Nth: 1}, 0)
	s.Use(0, true)
	s.Use(2, true)

	// The first set lives on here, as the processes' duplicates would.
	next := newSet(t, Options{Store: store, Saved: store.saved()})
	if len(next.groups) != 4 {
		t.Fatalf("groups: got %d, want 4", len(next.groups))
	}
	for _, c := range []struct {
		a    Address
		want net.Addr
	}{
		{loopback, tcp.Addr()},
		{udp, udpGroup.Addr()},
		{unixAddress, &net.UnixAddr{Net: "unix", Name: path}},
		{Address{Network: "tcp", Host: "127.0.0.1", Nth: 1}, other.Addr()},
	} {
		g := open(next, c.a, 0)
		if g.Addr().String() != c.want.String() {
			t.Errorf("%v: got %v, want %v", c.a, g.Addr(), c.want)
		}
		if g.number >= next.next {
			t.Errorf("%v: number %d would be used again", c.a, g.number)
		}
	}
	g := open(next, loopback, 1)
	if !g.Kernel() || !slices.Equal(g.rotation, []int{0, 2}) {
		t.Errorf("rotation: got %v, want [0 2]", g.rotation)
	}
	// Both slots of the unix socket must leave before it closes.
	next.Release(0)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("socket file after one of two slots left: %v", err)
	}
	next.Release(1)
	if _, err := os.Stat(path); err == nil {
		t.Error("socket file is still there after the last slot left")
	}
	next.Release(2)
	if names := store.names(); len(names) != 0 {
		t.Errorf("all slots left: the store holds %v", names)
	}
}

func TestRestoreDropsWhatItCannotUse(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store, NoKernel: true})
	_ = mustOpen(t, s, loopback, 0).File.Close()
	_ = mustOpen(t, s, Address{Network: "tcp", Host: "127.0.0.1", Nth: 1}, 0).File.Close()
	good := store.saved()
	cases := map[string]func(map[string]Saved){
		"note of a later version": func(m map[string]Saved) {
			e := m["port/test/0/group"]
			e.Note = []byte(`{"v":2}`)
			m["port/test/0/group"] = e
		},
		"no note":      func(m map[string]Saved) { delete(m, "port/test/0/group") },
		"no socket":    func(m map[string]Saved) { _ = m["port/test/0/lane/0"].File.Close(); delete(m, "port/test/0/lane/0") },
		"strange name": func(m map[string]Saved) { m["port/test/x"] = Saved{Note: []byte("{}")} },
		"strange lane": func(m map[string]Saved) { m["port/test/0/lane/-3"] = Saved{Note: []byte("{}")} },
		"strange note": func(m map[string]Saved) { m["port/test/0/group"] = Saved{Note: []byte("{")} },
		"no maps":      func(m map[string]Saved) { m["port/test/0/group"] = Saved{Note: []byte(`{"v":1,"kernel":true}`)} },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			saved := store.saved()
			spoil(saved)
			next := newSet(t, Options{Store: newMemory(t), Saved: saved})
			want := 1
			if name == "strange name" {
				want = 2
			}
			if len(next.groups) != want {
				t.Errorf("groups: got %d, want %d", len(next.groups), want)
			}
		})
	}
	for _, e := range good {
		if e.File != nil {
			_ = e.File.Close()
		}
	}
}

// The daemon died between shutdown and listen.
func TestRestoreHealsAnInterruptedMove(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	a, b := mustOpen(t, s, loopback, 0), mustOpen(t, s, loopback, 1)
	_ = a.File.Close()
	defer b.File.Close()
	needKernel(t, a.Group)
	s.Use(0, true)
	s.Use(1, true)
	conn, err := b.File.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RD) })
	if err != nil {
		t.Fatal(err)
	}
	next := newSet(t, Options{Saved: store.saved()})
	for range 10 {
		c, err := net.Dial("tcp", a.Group.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for _, d := range next.Queue() {
		if d.Waiting != 5 {
			t.Errorf("slot %d: %d connections wait, want 5", d.Slot, d.Waiting)
		}
	}
}

func TestUnrelatedProgramsPortIsInUse(t *testing.T) {
	noLeaks(t)
	cmd := helper("foreign")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	var port int
	if _, err := fmt.Fscan(out, &port); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []Policy{RoundRobin, Shared} {
		for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
			s := newSet(t, Options{Policy: policy})
			a := Address{Network: "tcp", Host: host, Port: port}
			if _, err := s.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
				t.Errorf("policy %d, host %q: got %v, want EADDRINUSE", policy, host, err)
			}
			want := fmt.Sprintf("%s (pid %d)", comm(t), cmd.Process.Pid)
			if who := WhoHas(a); who != want {
				t.Errorf("WhoHas(%v): got %q, want %q", a, who, want)
			}
		}
	}
	if who := WhoHas(Address{Network: "tcp", Host: "127.0.0.1", Port: 1}); who != "" {
		t.Errorf("WhoHas of a free port: got %q", who)
	}
}

func TestTwoAppsCannotShareAPort(t *testing.T) {
	noLeaks(t)
	one, two := newSet(t, Options{}), newSet(t, Options{})
	l := mustOpen(t, one, loopback, 0)
	_ = l.File.Close()
	a := loopback
	a.Port = l.Group.Addr().(*net.TCPAddr).Port
	_, err := two.Open(a, 0)
	if asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("got %v, want EADDRINUSE", err)
	}
	if want := fmt.Sprintf("listen on 127.0.0.1:%d: bind: address already in use", a.Port); err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestAddresses(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, Shared} {
		noLeaks(t)
		s := newSet(t, Options{Policy: policy})
		for _, c := range []struct {
			a            Address
			reach, avoid string // of loopback addresses
		}{
			{a: Address{Network: "tcp"}, reach: "127.0.0.1 ::1"},
			{a: Address{Network: "tcp", Host: "::", Nth: 1}, reach: "127.0.0.1 ::1"},
			{a: Address{Network: "tcp", Host: "::", V6Only: true, Nth: 2}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp6", V6Only: true}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp4"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "0.0.0.0"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "::1"}, reach: "::1", avoid: "127.0.0.1"},
			{a: Address{Network: "tcp", Host: "::ffff:127.0.0.1"}, reach: "127.0.0.1", avoid: "::1"},
			{a: Address{Network: "tcp", Host: "::1%lo"}, reach: "::1"},
		} {
			var port int
			for slot := range 2 {
				l := mustOpen(t, s, c.a, slot)
				_ = l.File.Close()
				if p := l.Group.Addr().(*net.TCPAddr).Port; slot > 0 && p != port {
					t.Errorf("%+v: port %d for slot 0, %d for slot 1", c.a, port, p)
				} else {
					port = p
				}
			}
			for host := range strings.FieldsSeq(c.reach) {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
				if err != nil {
					t.Errorf("%+v: %v", c.a, err)
					continue
				}
				_ = conn.Close()
			}
			for host := range strings.FieldsSeq(c.avoid) {
				if conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
					t.Errorf("%+v: reached through %s", c.a, host)
					_ = conn.Close()
				}
			}
		}
		for _, c := range []struct {
			a    Address
			want syscall.Errno
		}{
			{Address{Network: "tcp", Host: "localhost"}, syscall.EINVAL},
			{Address{Network: "tcp", Host: "127.0.0.1", Port: 70000}, syscall.EINVAL},
			{Address{Network: "tcp6", Host: "127.0.0.1"}, syscall.EINVAL},
			{Address{Network: "tcp", Host: "192.0.2.1"}, syscall.EADDRNOTAVAIL},
			{Address{Network: "tcp", Host: "fe80::1%nosuch"}, syscall.ENODEV},
			{Address{Network: "sctp"}, syscall.EAFNOSUPPORT},
			{Address{}, syscall.EAFNOSUPPORT},
			{Address{Network: "unix"}, syscall.EINVAL},
		} {
			if _, err := s.Open(c.a, 0); asErrno(err) != c.want {
				t.Errorf("%+v: got %v, want %v", c.a, err, c.want)
			}
		}
		if _, err := s.Open(loopback, -1); asErrno(err) != syscall.EINVAL {
			t.Errorf("slot -1: got %v, want EINVAL", err)
		}
	}
}

// What the worker gets is what libuv wants.
func TestSocketFlags(t *testing.T) {
	s := newSet(t, Options{})
	for slot := range 2 {
		l := mustOpen(t, s, Address{Network: "tcp", Backlog: 77}, slot)
		conn, err := l.File.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Control(func(fd uintptr) {
			flags, _ := unix.FcntlInt(fd, unix.F_GETFL, 0)
			cloexec, _ := unix.FcntlInt(fd, unix.F_GETFD, 0)
			if flags&unix.O_NONBLOCK == 0 || cloexec&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x, descriptor flags %#x", flags, cloexec)
			}
			if proto, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); proto != unix.IPPROTO_TCP {
				t.Errorf("protocol %d", proto)
			}
			if reuse, _ := option(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR); !reuse {
				t.Error("no SO_REUSEADDR")
			}
		})
		_ = l.File.Close()
	}
	for _, d := range s.Queue() {
		if d.Limit != 77 {
			t.Errorf("backlog: got %d, want 77", d.Limit)
		}
	}
}

func TestUDP(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	l := mustOpen(t, s, Address{Network: "udp4"}, 0)
	if l.Group.Kernel() || l.Group.Reason() != "UDP has no connections to deal out" {
		t.Errorf("got %q, %q", l.Group.Mechanism(), l.Group.Reason())
	}
	again := mustOpen(t, s, Address{Network: "udp4"}, 1)
	_ = again.File.Close()
	pc, err := net.FilePacketConn(l.File)
	_ = l.File.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", l.Group.Addr().(*net.UDPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("x"))
	_ = pc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, _, err := pc.ReadFrom(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	// SO_REUSEADDR only on request.
	a := Address{Network: "udp4", Port: l.Group.Addr().(*net.UDPAddr).Port}
	other := newSet(t, Options{})
	if _, err := other.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("same port: got %v, want EADDRINUSE", err)
	}
}

// More slots than the kernel's list holds share sockets.
func TestMoreSlotsThanLanes(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Store: newMemory(t)})
	l := mustOpen(t, s, loopback, 3)
	_ = l.File.Close()
	needKernel(t, l.Group)
	_ = mustOpen(t, s, loopback, 256+3).File.Close()
	_ = mustOpen(t, s, loopback, 4).File.Close()
	s.Use(259, true)
	s.Use(4, true)
	if got := s.Queue(); len(got) != 2 || !slices.Equal(l.Group.rotation, []int{3, 4}) {
		t.Errorf("got %v, rotation %v", got, l.Group.rotation)
	}
	s.Use(3, true)
	s.Use(259, false)
	if !slices.Equal(l.Group.rotation, []int{3, 4}) {
		t.Errorf("slot 3 is on: rotation %v", l.Group.rotation)
	}
	s.Release(3)
	if !slices.Equal(l.Group.rotation, []int{4}) {
		t.Errorf("only slot 259 is left, and off: rotation %v", l.Group.rotation)
	}
}

func TestKernelSwitchedOff(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{NoKernel: true})
	g, _ := serve(t, s, loopback, 2)
	if g.Mechanism() != "shared socket" || g.Reason() == "" {
		t.Errorf("got %q, %q", g.Mechanism(), g.Reason())
	}
	if _, err := request(g.Addr()); err != nil {
		t.Error(err)
	}
	if q := s.Queue(); len(q) != 1 || q[0].Slot != -1 {
		t.Errorf("queue: got %v", q)
	}
}

func TestUnprivileged(t *testing.T) {
	cmd := helper("mechanism")
	if os.Getuid() == 0 {
		// go test builds in a folder of root's.
		exe := filepath.Join(os.TempDir(), "port-test-"+strconv.Itoa(os.Getpid()))
		if err := copyFile(exe, cmd.Path); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(exe)
		cmd.Path = exe
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const reason = "no right to load eBPF (needs root or CAP_BPF alone)"
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "shared socket: ") || !strings.HasPrefix(lines[1], "false: ") {
		t.Errorf("got %q", lines)
	}
	for _, line := range lines {
		if !strings.Contains(line, reason) {
			t.Errorf("got %q, want the reason %q", line, reason)
		}
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func TestProbe(t *testing.T) {
	noLeaks(t)
	p := Probe()
	if !p.Kernel {
		t.Skipf("round robin in the kernel (Linux 5.14, CAP_BPF): %s", p.Reason)
	}
	if p.Reason != "4 connections were dealt to 2 sockets in turn" {
		t.Errorf("got %q", p.Reason)
	}
}

func TestClosedSet(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Store: store})
	l := mustOpen(t, s, loopback, 0)
	_ = l.File.Close()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(loopback, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("Open: got %v, want ErrClosed", err)
	}
	s.Use(0, true)
	s.Release(0)
	s.Leave(l.Group, 0)
	if q := s.Queue(); q != nil {
		t.Errorf("Queue: got %v", q)
	}
	if names := store.names(); len(names) > 0 {
		t.Errorf("the store holds %v", names)
	}
	if _, err := net.Dial("tcp", l.Group.Addr().String()); asErrno(err) != syscall.ECONNREFUSED {
		t.Errorf("connect after Close: got %v, want ECONNREFUSED", err)
	}
}
