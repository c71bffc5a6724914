//go:build linux

package adopt

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseWatch(t *testing.T) {
	const info = "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1044\n" +
		"tfd:        4 events:       19 data:                4  pos:0 ino:9 sdev:9\n" +
		"tfd:        5 events: 80000019 data:        50000004d  pos:0 ino:14583a sdev:9\n"
	for _, c := range []struct {
		text   string
		fd     int
		inode  uint64
		events uint32
		data   uint64
		ok     bool
	}{
		{info, 5, 0x14583a, 0x80000019, 0x50000004d, true},
		{info, 4, 9, 0x19, 4, true},
		{info, 5, 9, 0, 0, false},        // the number has been given to another
		{info, 6, 0x14583a, 0, 0, false}, // another number of it
		{"tfd: 5 events: x data: 1 ino:14583a", 5, 0x14583a, 0, 0, false},
		{"tfd:", 5, 1, 0, 0, false},
		{"", 5, 1, 0, 0, false},
	} {
		events, data, ok := parseWatch([]byte(c.text), c.fd, c.inode)
		if events != c.events || data != c.data || ok != c.ok {
			t.Errorf("parseWatch(%q, %d, %x) = %x, %x, %v, want %x, %x, %v", c.text, c.fd, c.inode, events, data, ok, c.events, c.data, c.ok)
		}
	}
}

func FuzzParseWatch(f *testing.F) {
	f.Add([]byte("tfd:        5 events: 80000019 data:        50000004d  pos:0 ino:14583a sdev:9\n"), 5, uint64(0x14583a))
	f.Add([]byte("tfd: 5 tfd: ino:"), 5, uint64(1))
	f.Fuzz(func(t *testing.T, info []byte, fd int, inode uint64) {
		events, data, ok := parseWatch(info, fd, inode)
		if !ok && (events != 0 || data != 0) {
			t.Errorf("found %x, %x, but not ok", events, data)
		}
	})
}

func TestUnwatched(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	socket, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	var folder unix.Stat_t
	if err := unix.Stat("/proc/self/fd", &folder); err != nil {
		t.Fatal(err)
	}
	// Whoever cannot tell says no.
	_, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getpid()), 0, 0, 0, 0)
	tells := folder.Size > 0 && errno == 0
	epolls := make([]int, 2)
	for i := range epolls {
		if epolls[i], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(epolls[i])
	}
	if got := unwatched(os.Getpid(), fd, socket); got != tells {
		t.Errorf("nobody watches it: %v, want %v", got, tells)
	}
	for _, watched := range []int{fd, socket} { // the second is another descriptor of the same socket
		if err := unix.EpollCtl(epolls[1], unix.EPOLL_CTL_ADD, watched, &unix.EpollEvent{Fd: int32(watched)}); err != nil {
			t.Fatal(err)
		}
		if got, want := unwatched(os.Getpid(), fd, socket), tells && watched != fd; got != want {
			t.Errorf("descriptor %d of %d is watched: %v, want %v", watched, fd, got, want)
		}
		if err := unix.EpollCtl(epolls[1], unix.EPOLL_CTL_DEL, watched, nil); err != nil {
			t.Fatal(err)
		}
	}
	if unwatched(1<<30, fd, socket) {
		t.Error("a process that does not exist watches nothing")
	}
}

// A program that has epoll watch its socket before it listens is told of the
// connections of the socket that takes its place; also when it watches by edges.
func TestReplacedSocketIsWatchedAsBefore(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3: install it")
	}
	at := addressOf(t)
	shared, err := net.Listen("tcp", net.JoinHostPort(at.Addr().String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	tr := newTrap(t)
	tr.serve(&fake{hooks: hooks{listen: func(context.Context, Listen) (*os.File, error) {
		return shared.(*net.TCPListener).File()
	}}})
	cmd := exec.Command(python, "-c", fmt.Sprintf(`
import select, socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setblocking(False)
e = select.epoll()
e.register(s, select.EPOLLIN | select.EPOLLET)
s.bind((%q, %d))
s.listen()
print("listens", flush=True)
for _ in range(2):
    (fd, events), = e.poll(10)
    assert fd == s.fileno(), fd
    c, _ = s.accept()
    c.sendall(b"hello")
    c.close()
e.modify(s, select.EPOLLIN)
e.unregister(s)
print("done", flush=True)
`, at.Addr(), at.Port()))
	p := tr.start(cmd)
	if got := p.line(); got != "listens" {
		t.Fatalf("it says %q", got)
	}
	for range 2 {
		c, err := net.Dial("tcp", shared.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 5)
		if _, err := c.Read(b); err != nil || string(b) != "hello" {
			t.Errorf("read %q, %v", b, err)
		}
		c.Close()
	}
	if got := p.line(); got != "done" {
		t.Errorf("it says %q: the new socket is not known to its epoll by the number of the old one", got)
	}
}
