package port

import (
	"net"
	"testing"
	"time"
)

// A slot that does not accept is told, the one beside it that serves is not, whether
// it has a queue of its own, shares one, or is the only one.
func TestStalled(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{})
	defer s.Close()
	g, servers := serve(t, s, loopback, 2)
	shared := newSet(t, Options{Name: "port/shared/", Policy: Shared})
	defer shared.Close()
	sg, hung := serve(t, shared, loopback, 1)
	busy := newSet(t, Options{Name: "port/busy/", Policy: Shared})
	defer busy.Close()
	bg, _ := serve(t, busy, loopback, 1)

	const long = time.Hour
	hung[0].hold(t, long)
	conn, err := net.Dial("tcp", sg.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l := startLoad(bg.Addr(), time.Millisecond)
	defer l.stop()
	eventually(t, "a stalled queue of all", func() bool {
		if list := busy.Stalled(); len(list) > 0 {
			t.Errorf("a server that serves is stalled: %+v", list)
		}
		list := shared.Stalled()
		return len(list) == 1 && list[0].Slot == -1 && list[0].Waiting == 1 && list[0].Seen.After(list[0].Since)
	})

	if !g.Kernel() {
		t.Skip("the rest needs the right to load eBPF")
	}
	servers[1].hold(t, long)
	k := startLoad(g.Addr(), 5*time.Millisecond)
	defer k.stop()
	var since time.Time
	eventually(t, "a stalled slot", func() bool {
		list := s.Stalled()
		if len(list) != 1 || list[0].Slot != 1 {
			return false
		}
		since = list[0].Since
		return true
	})
	eventually(t, "that it is so still", func() bool {
		list := s.Stalled()
		return len(list) == 1 && list[0].Slot == 1 && list[0].Since.Equal(since) && list[0].Seen.Sub(since) > time.Second
	})
}
