package port

import (
	"net"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
	before := l.of("1") + l.of("2")
	eventually(t, "answers of those that are left", func() bool { return l.of("1")+l.of("2") >= before+50 && l.of("2") >= 20 })
	l.stop()
	l.check(t)
	if l.answers["0"] < 50 || l.answers["1"] < 50 { // their shares are those of TestSpreadIsExact
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
	s := newSet(t, Options{Store: store, bears: never})
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
	next := newSet(t, Options{Saved: store.saved(), bears: never})
	for range 10 {
		c, err := net.Dial("tcp", a.Group.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	wantDepths(t, next, "both listen", 5, 5)
}
