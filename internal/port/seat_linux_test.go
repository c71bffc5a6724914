package port

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"
)

// Rolling reloads of programs with sockets of their own, and starts after a death,
// lose nothing, with one process as with several.
func TestSeatsUnderLoad(t *testing.T) {
	noLeaks(t)
	freeze := func(int) (func(), error) { return nil, nil }
	for _, c := range []struct {
		n      int
		freeze func(int) (func(), error)
	}{{1, nil}, {1, freeze}, {3, nil}, {3, freeze}} {
		t.Run(fmt.Sprintf("%d, freeze %v", c.n, c.freeze != nil), func(t *testing.T) {
			store := newMemory(t)
			s := newSet(t, Options{Freeze: c.freeze, Store: store})
			port := freePort(t)
			next := 0
			start := func() (seat int, sv *server) {
				t.Helper()
				g, f := program(t, s, next, port)
				needKernel(t, g)
				next++
				return next - 1, startServer(t, strconv.Itoa(next-1), f)
			}
			seats, servers := make([]int, c.n), make([]*server, c.n)
			for i := range c.n {
				seats[i], servers[i] = start()
				s.Use(seats[i], true)
			}
			l := startLoad(net.TCPAddrFromAddrPort(at(port)), time.Millisecond)
			l.await(t, 100)
			for range 3 {
				for i := range c.n {
					seat, sv := start()
					l.await(t, 20)
					s.Use(seat, true)
					s.Use(seats[i], false)
					servers[i].leave(t)
					s.Retire(seats[i])
					seats[i], servers[i] = seat, sv
					l.await(t, 50)
				}
			}
			// One after the other dies when it has accepted all it ever will.
			for i := range c.n {
				s.Use(seats[i], false)
				servers[i].leave(t)
				s.Use(seats[i], true) // as far as we know it is in rotation
				began := l.total()
				if c.n > 1 {
					l.await(t, 20)
				} else {
					eventually(t, "connections to wait", func() bool { return depths(s)[0] > 20 })
				}
				s.Retire(seats[i])
				seats[i], servers[i] = start()
				s.Use(seats[i], true)
				l.await(t, 50)
				t.Logf("%d requests answered since a death", l.total()-began)
			}
			l.stop()
			l.check(t)
			t.Logf("%d requests, slowest %v", l.total(), l.slowest)
			if q := s.Queue(); len(q) != c.n {
				t.Errorf("sockets: got %+v, want %d", q, c.n)
			}
			if c := s.Counters(); c[0].Moved == 0 || c[0].Dealt < int64(l.total()) || c[0].Dropped != 0 {
				t.Errorf("counters: got %+v after %d requests", c[0], l.total())
			}
			if got, want := len(store.names()), 1+2+1+c.n; got != want {
				t.Errorf("the store holds %d entries, want %d: %v", got, want, store.names())
			}
		})
	}
}

// An address on which nobody listens any more is closed when it is said to be so.
func TestPrune(t *testing.T) {
	noLeaks(t)
	for _, policy := range []Policy{RoundRobin, Shared} {
		s := newSet(t, Options{Policy: policy})
		left, kept := freePort(t), freePort(t)
		_, a := program(t, s, 0, left)
		_, b := program(t, s, 0, kept)
		_ = a.Close()
		_ = b.Close()
		s.Retire(0)
		_, c := program(t, s, 1, kept)
		defer c.Close()
		s.Use(1, true)
		dial(t, left, 1)
		s.Prune()
		if q := s.Queue(); len(q) != 1 {
			t.Errorf("policy %d: got %+v", policy, q)
		}
		dial(t, kept, 1)
		if _, err := net.Dial("tcp", at(left).String()); err == nil {
			t.Errorf("policy %d: the address that was left answers", policy)
		}
	}
}

// What does not fit the accept queue is counted.
func TestDropsAreCounted(t *testing.T) {
	noLeaks(t)
	for _, policy := range []Policy{RoundRobin, Shared} {
		s := newSet(t, Options{Policy: policy})
		port := freePort(t)
		_, f := program(t, s, 0, port)
		defer f.Close()
		l, err := s.Adopt(f, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.File.Close()
		if c := s.Counters(); len(c) != 1 || c[0].Dropped != 0 {
			t.Fatalf("policy %d: got %+v", policy, c)
		}
		dial(t, port, 2) // a backlog of 1 has room for two
		wantDepths(t, s, "a full queue", 2)
		d := net.Dialer{Timeout: 50 * time.Millisecond}
		if c, err := d.Dial("tcp", at(port).String()); err == nil {
			_ = c.Close()
			t.Errorf("policy %d: a third connection fits", policy)
		}
		c := s.Counters()[0]
		if c.Dropped == 0 || c.Waiting != 2 || c.MaxWaiting != 2 {
			t.Errorf("policy %d: got %+v", policy, c)
		}
		if kernel := policy == RoundRobin && l.Group.Kernel(); kernel != (c.Dealt > 0) || !kernel && c.Dealt != -1 {
			t.Errorf("policy %d: %d dealt", policy, c.Dealt)
		}
	}
}
