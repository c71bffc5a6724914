package port

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fleet is the processes of one epoch of an app.
type fleet struct {
	epoch   uint64
	seats   []int
	servers []*server
}

// startFleet starts n processes that listen, in seats from first on.
func startFleet(t testing.TB, s *Set, epoch uint64, port, first, n int) *fleet {
	t.Helper()
	f := &fleet{epoch: epoch}
	for seat := first; seat < first+n; seat++ {
		s.Seat(seat, Seat{Epoch: epoch, Rank: seat - first})
		_, file := program(t, s, seat, port)
		f.servers = append(f.servers, startServer(t, strconv.FormatUint(epoch, 10), file))
		f.seats = append(f.seats, seat)
	}
	return f
}

func (f *fleet) use(s *Set, on bool) {
	for _, seat := range f.seats {
		s.Use(seat, on)
	}
}

// stop is the end of an old release: what it was given it answers.
func (f *fleet) stop(t testing.TB, s *Set) {
	t.Helper()
	eventually(t, "the old epoch to be drained", func() bool { return s.Drained(f.epoch) })
	for i, server := range f.servers {
		server.leave(t)
		s.Retire(f.seats[i])
	}
}

// Reloads of an app whose processes share one socket lose no connection, and nobody
// reaches the new release before the switch.
func TestEpochSwitch(t *testing.T) {
	noLeaks(t)
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			store := newMemory(t)
			s := newSet(t, Options{Policy: Shared, Store: store})
			port := freePort(t)
			old := startFleet(t, s, 1, port, 0, n)
			old.use(s, true)
			l := startLoad(net.TCPAddrFromAddrPort(at(port)), 500*time.Microsecond)
			l.await(t, 200)
			seat := n
			for epoch := uint64(2); epoch <= 6; epoch++ {
				fresh := startFleet(t, s, epoch, port, seat, n)
				seat += n
				l.await(t, 100)
				name := strconv.FormatUint(epoch, 10)
				if got := l.of(name); got != 0 {
					t.Errorf("epoch %d before the switch: %d connections", epoch, got)
				}
				if epoch == 3 { // it does not come up
					for i, server := range fresh.servers {
						server.kill()
						s.Retire(fresh.seats[i])
					}
					l.await(t, 100)
					continue
				}
				fresh.use(s, true)
				if err := s.Switch(epoch); err != nil {
					t.Fatal(err)
				}
				old.use(s, false)
				old.stop(t, s)
				before := l.of(name)
				eventually(t, "answers of epoch "+name, func() bool { return l.of(name) >= before+150 })
				old = fresh
			}
			l.stop()
			l.check(t)
			t.Logf("%d requests, slowest %v, answers %v", l.total(), l.slowest, l.answers)
			if l.total() < 1000 {
				t.Errorf("only %d requests", l.total())
			}
			if q := s.Queue(); len(q) != 1 {
				t.Errorf("sockets: got %+v, want 1", q)
			}
		})
	}
}

// None of it needs a right.
func TestEpochSwitchUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestEpochSwitch has shown it")
	}
	exe := filepath.Join(os.TempDir(), "port-test-epoch-"+strconv.Itoa(os.Getpid()))
	cmd := helper("")
	if err := copyFile(exe, cmd.Path); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(exe)
	cmd.Path = exe
	cmd.Args = []string{exe, "-test.run=^TestEpochSwitch$", "-test.v"}
	cmd.Dir = "/"
	cmd.Stderr = nil
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestEpochSwitch") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// A connection whose handshake had begun is the old epoch's, and it is not drained
// before that is accepted.
func TestDrainedWaitsForHandshakes(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	port := freePort(t)
	s.Seat(0, Seat{Epoch: 1})
	_, old := program(t, s, 0, port)
	defer old.Close()
	// Until there is something to read the handshake is not over for the kernel.
	conn, err := old.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Seat(1, Seat{Epoch: 2})
	_, fresh := program(t, s, 1, port)
	defer fresh.Close()

	late := dial(t, port, 1)[0]
	if err := s.Switch(2); err != nil {
		t.Fatal(err)
	}
	dial(t, port, 2)
	wantDepths(t, s, "after the switch", 0, 2)
	for range 3 {
		if s.Drained(1) {
			t.Fatal("drained during a handshake")
		}
	}
	if _, err := late.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the handshake", func() bool { return depths(s)[0] == 1 })
	if s.Drained(1) {
		t.Error("drained while a connection waits")
	}
	_ = conn.Control(func(fd uintptr) {
		var c int
		if c, _, err = unix.Accept4(int(fd), unix.SOCK_CLOEXEC); err == nil {
			err = unix.Close(c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Drained(1) {
		t.Error("not drained although nothing waits")
	}
	s.Retire(0)
	wantDepths(t, s, "the old epoch has left", 2)
	dial(t, port, 1)
	wantDepths(t, s, "and a connection", 3)
}

// A daemon that starts in the middle of a reload goes on with either release.
func TestEpochsSurviveTheDaemon(t *testing.T) {
	noLeaks(t)
	for _, switched := range []bool{false, true} {
		store := newMemory(t)
		s := newSet(t, Options{Policy: Shared, Store: store})
		port := freePort(t)
		var files []*os.File
		for seat := range 2 {
			s.Seat(seat, Seat{Epoch: uint64(seat + 1)})
			_, f := program(t, s, seat, port)
			defer f.Close()
			files = append(files, f)
		}
		if switched {
			if err := s.Switch(2); err != nil {
				t.Fatal(err)
			}
		}
		next := newSet(t, Options{Policy: Shared, Store: store, Saved: store.saved()})
		want := []int{2, 0}
		if switched {
			want = []int{0, 2}
		}
		dial(t, port, 2)
		wantDepths(t, next, fmt.Sprintf("switched %v", switched), want...)
		// The seat's further sockets are of its epoch.
		l, err := next.Adopt(files[1], 1, 9)
		if err != nil || l.Replace {
			t.Fatalf("again: %+v, %v", l, err)
		}
		_ = l.File.Close()
		if !switched {
			if err := next.Switch(2); err != nil {
				t.Fatal(err)
			}
			dial(t, port, 2)
			wantDepths(t, next, "the new daemon switches", 2, 2)
		}
		next.Retire(0)
		dial(t, port, 1)
		wantDepths(t, next, "the old epoch has left", 3)
		dial(t, port, 1)
		wantDepths(t, next, "the old epoch has left", 4)
	}
}

// The order of sockets in the kernel is followed when one leaves from the middle.
func TestThreeEpochs(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	port := freePort(t)
	for seat := range 4 {
		s.Seat(seat, Seat{Epoch: uint64(seat)})
		_, f := program(t, s, seat, port)
		defer f.Close()
	}
	dial(t, port, 1)
	wantDepths(t, s, "the first", 1, 0, 0, 0)
	switchTo := func(epoch uint64) {
		t.Helper()
		if err := s.Switch(epoch); err != nil {
			t.Fatal(err)
		}
	}
	switchTo(3)
	dial(t, port, 2)
	wantDepths(t, s, "the last", 1, 0, 0, 2)
	s.Retire(1) // the last takes its place
	dial(t, port, 8)
	wantDepths(t, s, "the last, moved", 1, 0, 10)
	switchTo(2)
	dial(t, port, 8)
	wantDepths(t, s, "the third", 1, 8, 10)
	s.Retire(0)
	dial(t, port, 8)
	wantDepths(t, s, "the third, moved", 16, 10)
	// Who joins takes nothing.
	s.Seat(5, Seat{Epoch: 5})
	_, f := program(t, s, 5, port)
	defer f.Close()
	dial(t, port, 8)
	wantDepths(t, s, "one joins", 0, 24, 10)
	s.Release(3)
	s.Release(2)
	dial(t, port, 8)
	wantDepths(t, s, "one is left", 8)
}
