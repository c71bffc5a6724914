package port

import (
	"fmt"
	"slices"
	"testing"
)

// loads returns what Loads says, as rank, waiting, peak and dealt.
func loads(s *Set) (list []string) {
	for _, l := range s.Loads(nil, false) {
		list = append(list, fmt.Sprintf("%d: %d %d %d", l.Rank, l.Waiting, l.Peak, l.Dealt))
	}
	slices.Sort(list)
	return list
}

// The connections of an instance count on when another process takes its place.
func TestLoads(t *testing.T) {
	noLeaks(t)
	if !Probe().Kernel {
		t.Skip("needs the right to load eBPF: run as root")
	}
	s := newSet(t, Options{})
	port := freePort(t)
	for seat, rank := range []int{0, 1} {
		s.Seat(seat, Seat{Rank: rank})
	}
	_, a := program(t, s, 0, port)
	_, b := program(t, s, 1, port)
	defer b.Close()
	s.Use(0, true)
	s.Use(1, true)
	dial(t, port, 6)
	for _, l := range s.Loads(nil, false) {
		if l.Dealt < 3 || l.Waiting > l.Peak {
			t.Errorf("got %+v, want 3 or more dealt", l)
		}
	}
	total := func() (sum int64) {
		for _, l := range s.Loads(nil, false) {
			sum += l.Dealt
		}
		return sum
	}
	if got, want := total(), s.Counters()[0].Dealt; got != want {
		t.Errorf("the instances were dealt %d, the address %d", got, want)
	}
	s.Seat(2, Seat{Rank: 0})
	_, c := program(t, s, 2, port)
	defer c.Close()
	s.Use(2, true)
	_ = a.Close()
	s.Retire(0)
	dial(t, port, 4)
	if list := s.Loads(nil, false); len(list) != 2 {
		t.Errorf("got %+v, want one for each rank", list)
	}
	if got, want := total(), s.Counters()[0].Dealt; got != want {
		t.Errorf("after a replacement: the instances were dealt %d, the address %d", got, want)
	}
}

func TestLoadsOfASharedSocket(t *testing.T) {
	noLeaks(t)
	s := newSet(t, Options{Policy: Shared})
	port := freePort(t)
	_, f := program(t, s, 0, port)
	defer f.Close()
	s.Use(0, true)
	dial(t, port, 3)
	eventually(t, "connections to wait", func() bool { return slices.Equal(loads(s), []string{"-1: 3 3 -1"}) })
}
