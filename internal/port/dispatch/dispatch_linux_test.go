package dispatch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// newRoundRobin skips where the kernel or the rights are missing, and fails where
// they are there and it does not work.
func newRoundRobin(t testing.TB) *Dealer { return newDealerOf(t, NewRoundRobin) }

func newDealerOf(t testing.TB, make func() (*Dealer, error)) *Dealer {
	t.Helper()
	r, err := make()
	if errors.Is(err, unix.EPERM) || errors.Is(err, ErrUnsupported) && !newer(release(), 5, 14) {
		t.Skipf("kernel dispatch (SK_REUSEPORT SELECT_OR_MIGRATE, Linux 5.14, CAP_BPF): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func release() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return unix.ByteSliceToString(u.Release[:])
}

func newer(release string, major, minor int) bool {
	var a, b int
	_, err := fmt.Sscanf(release, "%d.%d", &a, &b)
	return err == nil && (a > major || a == major && b >= minor)
}

func TestProgramFetchesAsMarshalled(t *testing.T) {
	if err := checkFetch(instructions(3, 4, false)); err != nil {
		t.Error(err)
	}
	bad := instructions(3, 4, false)
	for i := range bad {
		if bad[i].OpCode.AtomicOp() == asm.FetchAdd {
			bad[i].Constant = 0 // as the library leaves it
		}
	}
	if err := checkFetch(bad); err == nil {
		t.Error("a plain add passed as a fetching one; if the library is mended, atomicOp and checkFetch can go")
	}
}

// The kernel runs what it has verified, not what was marshalled: read it back.
func TestProgramFetchesAsLoaded(t *testing.T) {
	for name, make := range map[string]func() (*Dealer, error){"round robin": NewRoundRobin, "ip-hash": NewIPHash} {
		r := newDealerOf(t, make)
		info, err := r.program.Info()
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := info.Instructions()
		if err != nil {
			t.Skipf("read back of a loaded program (CAP_BPF, no JIT hardening): %v", err)
		}
		var ops []asm.AtomicOp
		for _, ins := range loaded {
			if op := ins.OpCode.AtomicOp(); op != asm.InvalidAtomic && op != asm.AddAtomic {
				ops = append(ops, op)
			}
		}
		want := append([]asm.AtomicOp{asm.Xchg}, slices.Repeat([]asm.AtomicOp{asm.FetchAdd}, tries)...)
		if !slices.Equal(ops, want) {
			t.Errorf("%s: atomic operations in the kernel: got %v, want %v", name, ops, want)
		}
	}
}

// group is n listening sockets on one port, dealt to by r.
type group struct {
	fds  []int
	addr string
}

func newGroup(t testing.TB, r *Dealer, n int) *group {
	t.Helper()
	return newGroupAt(t, r, n, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func newGroupAt(t testing.TB, r *Dealer, n int, at unix.Sockaddr) *group {
	t.Helper()
	family := unix.AF_INET
	if _, six := at.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	g := new(group)
	for i := range n {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		check(unix.Bind(fd, at))
		if i == 0 {
			at, err = unix.Getsockname(fd)
			check(err)
			switch sa := at.(type) {
			case *unix.SockaddrInet4:
				g.addr = fmt.Sprintf("127.0.0.1:%d", sa.Port)
			case *unix.SockaddrInet6:
				g.addr = fmt.Sprintf("[::1]:%d", sa.Port)
			}
			check(r.Attach(fd))
		}
		check(unix.Listen(fd, 4096))
		check(r.Set(i, fd))
		g.fds = append(g.fds, fd)
	}
	return g
}

// connect makes n connections and returns how many wait at each socket then; it
// accepts them all.
func (g *group) connect(t testing.TB, n int) []int {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	got := make([]int, len(g.fds))
	for i, fd := range g.fds {
		for {
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				break
			}
			got[i]++
			_ = unix.Close(c)
		}
	}
	return got
}

func TestDealsExactly(t *testing.T) {
	r := newRoundRobin(t)
	g := newGroup(t, r, 4)

	r.Deal([]int{0, 1, 2, 3})
	if got := g.connect(t, 100); !slices.Equal(got, []int{25, 25, 25, 25}) {
		t.Errorf("four slots: got %v, want 25 each", got)
	}
	for slot := range 4 {
		if n := r.Share(slot); n != 25 {
			t.Errorf("share of slot %d: got %d, want 25", slot, n)
		}
	}
	// The successor of the slot that left has no double share.
	r.Deal([]int{0, 2, 3})
	if got := g.connect(t, 99); !slices.Equal(got, []int{33, 0, 33, 33}) {
		t.Errorf("slot 1 left: got %v, want [33 0 33 33]", got)
	}
	// A socket that is gone is passed over.
	if err := r.Clear(2); err != nil {
		t.Fatal(err)
	}
	if got := g.connect(t, 30); got[2] != 0 || got[0]+got[3] != 30 {
		t.Errorf("slot 2 has no socket: got %v, want 30 at 0 and 3", got)
	}
	// Nothing published: the kernel chooses, nothing is refused.
	r.Deal(nil)
	if got := g.connect(t, 40); got[0]+got[1]+got[2]+got[3] != 40 {
		t.Errorf("no list: got %v, want 40 in all", got)
	}
}

func TestOnceGivesExactlyOne(t *testing.T) {
	r := newRoundRobin(t)
	g := newGroup(t, r, 3)
	r.Deal([]int{0, 1})
	r.Once(2)
	if !r.Waiting() {
		t.Error("no connection yet: Waiting = false")
	}
	if got := g.connect(t, 9); got[2] != 1 || got[0] != 4 || got[1] != 4 {
		t.Errorf("got %v, want [4 4 1]", got)
	}
	if r.Waiting() {
		t.Error("after the connection: Waiting = true")
	}
	r.Once(2)
	r.Cancel()
	if got := g.connect(t, 8); got[2] != 0 {
		t.Errorf("after Cancel: got %v, want none at 2", got)
	}
}

func TestRestoreGoesOn(t *testing.T) {
	r := newRoundRobin(t)
	g := newGroup(t, r, 3)
	r.Deal([]int{0, 1})
	r.Want(1, true)
	r.Want(200, true)
	g.connect(t, 5)
	sockets, control, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	dealt := r.Dealt()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := g.connect(t, 10); !slices.Equal(got, []int{5, 5, 0}) {
		t.Errorf("without us: got %v, want [5 5 0]", got)
	}
	r, err = Restore(sockets, control)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, _ = sockets.Close(), control.Close()
	if r.Dealt() != dealt+10 {
		t.Errorf("count: got %d, want %d", r.Dealt(), dealt+10)
	}
	if r.Wanted(0) || !r.Wanted(1) || !r.Wanted(200) || r.Wanted(199) {
		t.Error("what was wanted is lost")
	}
	r.Deal([]int{0, 1, 2})
	for i, fd := range g.fds {
		if err := r.Set(i, fd); err != nil { // each is there already
			t.Error(err)
		}
	}
	if got := g.connect(t, 30); !slices.Equal(got, []int{10, 10, 10}) {
		t.Errorf("after Restore: got %v, want 10 each", got)
	}
	if err := r.Attach(g.fds[0]); err == nil {
		t.Error("Attach after Restore: no error")
	}
}

func TestRestoreRefusesOtherMaps(t *testing.T) {
	r := newRoundRobin(t)
	sockets, control, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	defer control.Close()
	if _, err := Restore(control, sockets); err == nil {
		t.Error("maps the wrong way round: no error")
	}
	if _, err := Restore(nil, control); err == nil {
		t.Error("no sockets: no error")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Restore(null, control); err == nil {
		t.Error("/dev/null: no error")
	}
}

func BenchmarkNewRoundRobin(b *testing.B) {
	newRoundRobin(b)
	for b.Loop() {
		r, err := NewRoundRobin()
		if err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
	}
}
