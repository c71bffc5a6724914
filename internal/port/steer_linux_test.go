package port

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ask makes one request on a connection that is steered to a slot, and returns who has
// answered.
func ask(t *testing.T, s *Set, to net.Addr, slot int) (who string, stayed bool) {
	t.Helper()
	var is *Steered
	d := net.Dialer{Timeout: time.Minute, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			if err := unix.Bind(int(fd), &unix.SockaddrInet4{}); err != nil {
				t.Error(err)
				return
			}
			at, err := unix.Getsockname(int(fd))
			if err != nil {
				t.Error(err)
				return
			}
			is = s.Steer(uint16(at.(*unix.SockaddrInet4).Port), uint16(to.(*net.TCPAddr).Port), slot)
		})
	}}
	conn, err := d.Dial("tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if is == nil {
		t.Fatalf("slot %d cannot be reached", slot)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b)), is.Over()
}

func TestSteer(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, IPHash} {
		s := newSet(t, Options{Policy: policy})
		g, servers := serve(t, s, loopback, 3)
		needKernel(t, g)
		s.Use(2, false) // out of rotation it can be asked as well
		for range 5 {
			for slot, want := range []string{"0", "1", "2"} {
				// On a busy machine a queue may be moved though its slot is well.
				if who, stayed := ask(t, s, g.Addr(), slot); stayed && who != want {
					t.Errorf("policy %d: slot %d was to answer, and %q did", policy, slot, who)
				}
			}
		}
		if s.Steer(1, uint16(g.Addr().(*net.TCPAddr).Port), 7) != nil || s.Steer(1, 1, 0) != nil {
			t.Error("what is not there can be reached")
		}
		// One that accepts nothing does not answer: another one does, and that is seen.
		servers[1].hold(t, time.Hour)
		if who, stayed := ask(t, s, g.Addr(), 1); stayed {
			t.Errorf("policy %d: the slot that does not accept has answered as %q", policy, who)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
