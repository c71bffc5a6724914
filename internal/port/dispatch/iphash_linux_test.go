package dispatch

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// from connects from an address of the client's and returns at which of the sockets
// the connection waits.
func (g *group) from(t testing.TB, client, to string) int {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 0))}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := -1
	for i, fd := range g.fds {
		if a, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
			_ = unix.Close(a)
			if at >= 0 {
				t.Errorf("one connection from %s at %d and at %d", client, at, i)
			}
			at = i
		}
	}
	return at
}

func TestIPHashIsSticky(t *testing.T) {
	r := newDealerOf(t, NewIPHash)
	g := newGroup(t, r, 4)
	r.Deal([]int{0, 1, 2, 3})
	if got := g.connect(t, 8); !slices.Equal(got, []int{2, 2, 2, 2}) {
		t.Errorf("before the first table: got %v, want 2 each", got)
	}
	var table [Buckets]uint8
	for b := range table {
		table[b] = uint8(b % 4)
	}
	r.Assign(table)
	home := map[string]int{}
	var spread [4]int
	for i := range 240 {
		client := fmt.Sprintf("127.0.%d.%d", i%3, 1+i)
		home[client] = g.from(t, client, g.addr)
		spread[home[client]]++
	}
	if low := slices.Min(spread[:]); low < 30 {
		t.Errorf("240 addresses over 4 slots: got %v, want about 60 each", spread)
	}
	for client, want := range home {
		if got := g.from(t, client, g.addr); got != want {
			t.Errorf("%s again: got slot %d, want %d", client, got, want)
		}
	}
	// Only the clients of the slot that leaves move.
	for b := range table {
		if table[b] == 1 {
			table[b] = uint8([]int{0, 2, 3}[b/4%3])
		}
	}
	r.Assign(table)
	r.Deal([]int{0, 2, 3})
	for client, want := range home {
		if got := g.from(t, client, g.addr); got == 1 || want != 1 && got != want {
			t.Errorf("%s without slot 1: got slot %d, had %d", client, got, want)
		}
	}
	// A socket that is gone is passed over, in turn.
	if err := r.Clear(2); err != nil {
		t.Fatal(err)
	}
	for client := range home {
		if got := g.from(t, client, g.addr); got != 0 && got != 3 {
			t.Errorf("%s without the socket of slot 2: got slot %d", client, got)
		}
	}
}

// A client is the same to a socket for both families and to one for IPv4.
func TestIPHashFamilies(t *testing.T) {
	var table [Buckets]uint8
	for b := range table {
		table[b] = uint8(b % 8)
	}
	four, both := newDealerOf(t, NewIPHash), newDealerOf(t, NewIPHash)
	a := newGroup(t, four, 8)
	b := newGroupAt(t, both, 8, &unix.SockaddrInet6{})
	for _, r := range []*Dealer{four, both} {
		r.Deal([]int{0, 1, 2, 3, 4, 5, 6, 7})
		r.Assign(table)
	}
	_, port, _ := net.SplitHostPort(b.addr)
	for i := range 30 {
		client := fmt.Sprintf("127.0.0.%d", 1+i)
		x, y := a.from(t, client, a.addr), b.from(t, client, "127.0.0.1:"+port)
		if x != y {
			t.Errorf("%s: slot %d by IPv4, %d at a socket for both", client, x, y)
		}
	}
	first := b.from(t, "::1", "[::1]:"+port)
	for range 10 {
		if got := b.from(t, "::1", "[::1]:"+port); got != first {
			t.Errorf("::1: got slot %d, then %d", first, got)
		}
	}
}

// Neighbours in IPv6 are told apart. The loopback interface has one address, so a
// namespace of the test's own gets some more.
func TestIPHashSpreadsIPv6(t *testing.T) {
	const inside = "DISPATCH_TEST_NETNS"
	if os.Getenv(inside) == "" {
		newDealerOf(t, NewIPHash)
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, unix.EPERM) {
			t.Skipf("a network namespace (CAP_SYS_ADMIN): %v", err)
		}
		if err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	const clients = 64
	upLoopback(t)
	for i := range clients {
		addLoopback(t, client6(i))
	}
	r := newDealerOf(t, NewIPHash)
	g := newGroupAt(t, r, 4, &unix.SockaddrInet6{})
	r.Deal([]int{0, 1, 2, 3})
	var table [Buckets]uint8
	for b := range table {
		table[b] = uint8(b % 4)
	}
	r.Assign(table)
	var spread [4]int
	for i := range clients {
		home := g.from(t, client6(i).String(), g.addr)
		if again := g.from(t, client6(i).String(), g.addr); again != home {
			t.Errorf("%v: got slot %d, then %d", client6(i), home, again)
		}
		spread[home]++
	}
	if slices.Min(spread[:]) < clients/16 {
		t.Errorf("%d addresses over 4 slots: got %v", clients, spread)
	}
}

// client6 returns addresses that differ in one byte, in different places.
func client6(i int) netip.Addr {
	a := [16]byte{0xfd}
	a[8+i%8] = byte(1 + i/8)
	return netip.AddrFrom16(a)
}

func upLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		t.Fatal(err)
	}
}

func addLoopback(t *testing.T, a netip.Addr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request := struct { // struct in6_ifreq
		address      [16]byte
		prefixLength uint32
		index        int32
	}{a.As16(), 128, 1} // lo is the first of a namespace
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		t.Fatalf("add %v: %v", a, errno)
	}
	// The kernel takes a moment to find that nobody else has the address.
	deadline := time.Now().Add(time.Minute)
	for {
		err := unix.Bind(fd, &unix.SockaddrInet6{Addr: a.As16()})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bind to %v: %v", a, err)
		}
		time.Sleep(time.Millisecond)
	}
}
