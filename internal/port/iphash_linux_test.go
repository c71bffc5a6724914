package port

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each rank has about its share of the buckets, and who leaves moves only its own.
func TestBuckets(t *testing.T) {
	for n := 1; n <= 16; n++ {
		var all []place
		for rank := range n {
			all = append(all, place{number: 100 + rank, rank: rank})
		}
		full := buckets(all)
		count := map[uint8]int{}
		for _, number := range full {
			count[number]++
		}
		if low := slices.Min(slices.Collect(maps.Values(count))); len(count) != n || low < len(full)/n*2/3 {
			t.Errorf("%d ranks: buckets %v", n, count)
		}
		for gone := range n {
			if n == 1 {
				break
			}
			for b, number := range buckets(slices.Delete(slices.Clone(all), gone, gone+1)) {
				if full[b] != uint8(100+gone) && number != full[b] {
					t.Fatalf("%d ranks, without rank %d: bucket %d has moved", n, gone, b)
				}
			}
			next := slices.Clone(all) // its successor, in another lane
			next[gone].number = 7
			for b, number := range buckets(next) {
				if want := full[b]; want == uint8(100+gone) && number != 7 || want != uint8(100+gone) && number != want {
					t.Fatalf("%d ranks, rank %d in another lane: bucket %d is wrong", n, gone, b)
				}
			}
		}
	}
	// Two lanes of one rank share its buckets.
	count := map[uint8]int{}
	for _, number := range buckets([]place{{1, 0}, {2, 1}, {3, 1}}) {
		count[number]++
	}
	if count[1] < 400 || count[2] < 200 || count[3] < 200 {
		t.Errorf("two lanes of a rank: buckets %v", count)
	}
}

// requestFrom makes one connection from an address of the client's.
func requestFrom(client string, port int) (string, error) {
	d := net.Dialer{Timeout: patient, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 0))}
	c, err := d.Dial("tcp", at(port).String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patient))
	if _, err := c.Write([]byte("hello\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

// homes returns who answers to each of many clients.
func homes(t testing.TB, port int) map[string]string {
	t.Helper()
	answers := map[string]string{}
	for i := range 60 {
		client := fmt.Sprintf("127.0.%d.%d", i%2, 1+i)
		who, err := requestFrom(client, port)
		if err != nil {
			t.Fatal(err)
		}
		answers[client] = who
	}
	return answers
}

// firstHomes returns who answers to whom while all slots are in rotation: on a busy
// machine a process may seem to be stuck for a moment, which moves its clients.
func firstHomes(t testing.TB, s *Set, port int) (got map[string]string) {
	t.Helper()
	steady := func() (all bool) {
		all = true
		_ = s.do(func() {
			for _, g := range s.groups {
				for _, l := range g.lanes {
					all = all && l.gauge.standing == in
				}
			}
		})
		return all
	}
	eventually(t, "all slots in rotation", func() bool {
		before := s.Counters()[0].Stuck
		ready := steady()
		got = homes(t, port)
		return ready && steady() && s.Counters()[0].Stuck == before
	})
	return got
}

// settledHomes asks until the clients are where they should be: see firstHomes.
func settledHomes(t testing.TB, port int, right func(map[string]string) bool) {
	t.Helper()
	eventually(t, "clients at their homes", func() bool { return right(homes(t, port)) })
}

// Clients stay with the rank of an instance, whatever process it has.
func TestIPHash(t *testing.T) {
	noLeaks(t)
	store := newMemory(t)
	s := newSet(t, Options{Policy: IPHash, Store: store})
	port := freePort(t)
	var servers []*server
	start := func(seat, rank int) {
		t.Helper()
		s.Seat(seat, Seat{Rank: rank})
		g, f := program(t, s, seat, port)
		needKernel(t, g)
		servers = append(servers, startServer(t, strconv.Itoa(rank), f))
	}
	for rank := range 3 {
		start(rank, rank)
		s.Use(rank, true)
	}
	first := firstHomes(t, s, port)
	count := map[string]int{}
	for _, rank := range first {
		count[rank]++
	}
	if len(count) != 3 || slices.Min(slices.Collect(maps.Values(count))) < 8 {
		t.Errorf("60 clients of 3 instances: %v", count)
	}

	// A reload: the successor of rank 1 has another seat and gets its clients.
	start(9, 1)
	s.Use(9, true)
	s.Use(1, false)
	servers[1].leave(t)
	s.Retire(1)
	settledHomes(t, port, func(got map[string]string) bool { return maps.Equal(got, first) })

	// A new daemon knows who was where; one dies, and only its clients move.
	next := newSet(t, Options{Policy: IPHash, Store: store, Saved: store.saved()})
	servers[3].kill()
	next.Retire(9)
	settledHomes(t, port, func(got map[string]string) bool {
		for client, rank := range got {
			if rank == "1" || first[client] != "1" && rank != first[client] {
				return false
			}
		}
		return true
	})
	next.Seat(4, Seat{Rank: 1})
	_, f := program(t, next, 4, port)
	startServer(t, "1", f)
	next.Use(4, true)
	settledHomes(t, port, func(got map[string]string) bool { return maps.Equal(got, first) })
}

// The clients of an instance that is only busy wait for it, as their sessions are there.
func TestIPHashBusy(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: IPHash})
	g, servers := serve(t, s, loopback, 3)
	needKernel(t, g)
	port := g.Addr().(*net.TCPAddr).Port
	before := homes(t, port)
	servers[1].hold(t, 20*patience)
	if got := homes(t, port); !maps.Equal(got, before) {
		t.Errorf("got %v, before %v", got, before)
	}
	if c := s.Counters(); c[0].Stuck != 0 {
		t.Errorf("counters: got %+v", c)
	}
}

// The clients of a stuck instance are served by the others meanwhile.
func TestIPHashStuck(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: IPHash})
	g, servers := serve(t, s, loopback, 3)
	needKernel(t, g)
	port := g.Addr().(*net.TCPAddr).Port
	before := firstHomes(t, s, port)
	if err := s.do(func() {
		for _, l := range g.lanes {
			l.gauge.bears = 4 * patience // the real one would take too long
		}
	}); err != nil {
		t.Fatal(err)
	}
	servers[1].hold(t, 2*time.Second)
	for range 3 {
		for client, who := range homes(t, port) {
			if who == "" {
				t.Errorf("%s: no answer", client)
			}
		}
	}
	settledHomes(t, port, func(got map[string]string) bool { return maps.Equal(got, before) })
	if c := s.Counters(); c[0].Stuck == 0 {
		t.Errorf("counters: got %+v", c)
	}
}

// What waits for an instance that dies has no packet to tell its client by.
func TestIPHashMovesQueues(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: IPHash})
	port := freePort(t)
	for seat := range 3 {
		g, f := program(t, s, seat, port)
		needKernel(t, g)
		defer f.Close()
		s.Use(seat, true)
	}
	dial(t, port, 8) // all from one address
	home := slices.Index(depths(s), 8)
	if home < 0 {
		t.Fatalf("one client: queues %v, want 8 at one", depths(s))
	}
	s.Retire(home)
	wantDepths(t, s, "its instance has died", 4, 4)
}

func TestIPHashWithoutTheKernel(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: IPHash, NoKernel: true})
	l := mustOpen(t, s, loopback, 0)
	_ = l.File.Close()
	if l.Group.Mechanism() != "shared socket" || l.Group.Reason() == "" {
		t.Errorf("got %q, %q", l.Group.Mechanism(), l.Group.Reason())
	}
}
