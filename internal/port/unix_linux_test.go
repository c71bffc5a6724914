package port

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func shutdownBoth(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) }

func TestUnixSocket(t *testing.T) {
	noLeaks(t)
	path := tempSocket(t)
	s := newSet(t, Options{})
	a := Address{Network: "unix", Path: path}
	g, _ := serve(t, s, a, 2)
	if g.Kernel() || g.Reason() != "unix sockets have no groups in the kernel" || g.Addr().String() != path {
		t.Errorf("got %q, %q, %v", g.Mechanism(), g.Reason(), g.Addr())
	}
	if _, err := request(g.Addr()); err != nil {
		t.Error(err)
	}
	other := newSet(t, Options{})
	if _, err := other.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
		t.Errorf("served path: got %v, want EADDRINUSE", err)
	}
	if who := WhoHas(a); !strings.HasPrefix(who, comm(t)+" (pid ") {
		t.Errorf("WhoHas: got %q", who)
	}
	s.Leave(g, 0)
	if _, err := request(g.Addr()); err != nil {
		t.Error(err)
	}
	s.Leave(g, 1)
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket file is still there")
	}
}

func TestUnixSocketModes(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, c := range []struct {
		readable, writable bool
		want               os.FileMode
	}{
		{false, false, 0o700}, {true, false, 0o744}, {false, true, 0o722}, {true, true, 0o766},
	} {
		path := tempSocket(t)
		s := newSet(t, Options{})
		_ = mustOpen(t, s, Address{Network: "unix", Path: path, Readable: c.readable, Writable: c.writable}, 0).File.Close()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != c.want {
			t.Errorf("readable %v, writable %v: mode %v, want %v", c.readable, c.writable, info.Mode().Perm(), c.want)
		}
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	noLeaks(t)
	path := tempSocket(t)
	leave := func() { // a socket file whose owner is dead
		t.Helper()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}
	leave()
	s := newSet(t, Options{})
	a := Address{Network: "unix", Path: path}
	l := mustOpen(t, s, a, 0)
	_ = l.File.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	refuse := func(what string) {
		t.Helper()
		s := newSet(t, Options{})
		if _, err := s.Open(a, 0); asErrno(err) != syscall.EADDRINUSE {
			t.Errorf("%s: got %v, want EADDRINUSE", what, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s: it was removed", what)
		}
		_ = os.Remove(path)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuse("an ordinary file")
	target := path + ".target"
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Symlink(target, path)
	refuse("a symbolic link")
	if os.Getuid() == 0 {
		leave()
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		refuse("another user's socket")
	}
	pc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	refuse("a datagram socket in use")
	_ = pc.Close()
}

// Somebody else has put a file in place of ours: it is not ours to remove.
func TestOthersSocketFileIsKept(t *testing.T) {
	noLeaks(t)
	path := tempSocket(t)
	s := newSet(t, Options{})
	_ = mustOpen(t, s, Address{Network: "unix", Path: path}, 0).File.Close()
	_ = os.Remove(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Release(0)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	_ = os.Remove(path)
	_ = mustOpen(t, s, Address{Network: "unix", Path: path}, 0).File.Close()
	_ = os.Remove(path) // nor is it an error if it is gone
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestLongUnixPath(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(filepath.Dir(tempSocket(t)), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newSet(t, Options{})
	a := Address{Network: "unix", Path: filepath.Join(dir, "sock")}
	l := mustOpen(t, s, a, 0)
	startServer(t, "long", l.File)
	t.Chdir(dir)
	if who, err := request(&net.UnixAddr{Net: "unix", Name: "sock"}); who != "long" {
		t.Errorf("got %q, %v", who, err)
	}
	// Its stale file is replaced like any other.
	_ = s.Close()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: "sock"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	s = newSet(t, Options{})
	_ = mustOpen(t, s, a, 0).File.Close()

	a.Path = filepath.Join(dir, strings.Repeat("x", 108))
	if _, err := s.Open(a, 0); asErrno(err) != syscall.ENAMETOOLONG {
		t.Errorf("name too long: got %v", err)
	}
	a.Path = filepath.Join(dir, "none", "sock")
	if _, err := s.Open(a, 0); asErrno(err) != syscall.ENOENT {
		t.Errorf("no folder: got %v", err)
	}
}

func TestAbstractName(t *testing.T) {
	noLeaks(t)
	for _, path := range []string{"@pace-port-test", "\x00pace-port-test", "/some/folder/\x00pace-port-test"} {
		s := newSet(t, Options{})
		l := mustOpen(t, s, Address{Network: "unix", Path: path}, 0)
		if l.Group.Addr().String() != "@pace-port-test" {
			t.Errorf("%q: got %v", path, l.Group.Addr())
		}
		srv := startServer(t, "abstract", l.File)
		if who, err := request(l.Group.Addr()); who != "abstract" {
			t.Errorf("%q: got %q, %v", path, who, err)
		}
		srv.kill()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
