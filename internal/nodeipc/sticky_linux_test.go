package nodeipc

import (
	"context"
	"net"
	"testing"
	"time"
)

func TestWeighSpreadsAndStays(t *testing.T) {
	const slots, clients = 4, 4096
	choice := func(client []byte, without int) (best int) {
		most := uint64(0)
		best = -1
		for slot := range slots {
			if w := weigh(client, slot); slot != without && (best < 0 || w >= most) {
				best, most = slot, w
			}
		}
		return best
	}
	count := [slots]int{}
	for i := range clients {
		client := []byte{10, 0, byte(i >> 8), byte(i)}
		all := choice(client, -1)
		count[all]++
		if left := choice(client, (all+1)%slots); left != all {
			t.Fatalf("client %v goes from slot %d to %d when another one leaves", client, all, left)
		}
	}
	for slot, n := range count {
		if n < clients/slots*8/10 || n > clients/slots*12/10 {
			t.Errorf("slot %d has %d of %d clients: %v", slot, n, clients, count)
		}
	}
}

// A client's connections all go to one worker, and stay with its slot when that has
// a successor.
func TestHandOffByClient(t *testing.T) {
	s := newSockets(true)
	t.Cleanup(s.Close)
	p := newPrimaryOn(t, func(r Request) (*Socket, error) {
		socket, err := s.Open(r)
		if socket != nil {
			socket.ByClient = true
		}
		return socket, err
	})
	attach := func(slot int) *peer {
		ours, theirs, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		return attachPeerWith(t, theirs, WorkerOptions{Channel: ours, Primary: p, Slot: slot})
	}
	workers := []*peer{attach(0), attach(1), attach(2)}
	var addr string
	for _, w := range workers {
		addr = w.listen(anyPort).addr()
	}
	dial := func(client string) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
		c, err := d.DialContext(context.Background(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	// who connects from an address and returns which worker gets it.
	who := func(client string) int {
		t.Helper()
		dial(client)
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
			for i, w := range workers {
				if g := w.take(5 * time.Millisecond); g != nil {
					w.reply(g, true)
					return i
				}
			}
		}
		t.Fatalf("nobody got the connection of %s", client)
		return -1
	}
	clients := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.1.4", "127.9.0.5", "127.0.0.6"}
	first, seen := map[string]int{}, map[int]bool{}
	for _, client := range clients {
		first[client] = who(client)
		seen[first[client]] = true
		for range 3 {
			if again := who(client); again != first[client] {
				t.Errorf("%s went to worker %d, then to %d", client, first[client], again)
			}
		}
	}
	if len(seen) < 2 {
		t.Errorf("all clients went to worker %v", seen)
	}
	// Who is busy, and so does not say that connections have come, keeps its client.
	busy := workers[first[clients[0]]]
	for range 2 * maxDepth {
		dial(clients[0])
	}
	for range 2 * maxDepth {
		g := busy.take(patience)
		if g == nil {
			t.Fatal("a busy worker has not got all connections of its client")
		}
		defer busy.reply(g, true)
	}
	successor := attach(1)
	successor.listen(anyPort)
	if err := workers[1].Rotate(false); err != nil {
		t.Fatal(err)
	}
	workers[1] = successor
	for _, client := range clients {
		if again := who(client); again != first[client] {
			t.Errorf("%s went to slot %d, and to %d after the reload of slot 1", client, first[client], again)
		}
	}
}
