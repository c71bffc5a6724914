package main

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"paceline/internal/e2e/load"
)

func TestBlame(t *testing.T) {
	at := time.Unix(1000, 0)
	deaths := []death{{pid: 1, at: at.Add(-time.Minute)}, {pid: 2, at: at}}
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	const ms = time.Millisecond
	for _, test := range []struct {
		name             string
		begun, took      time.Duration // begun counts from the death
		err              error
		during, accepted bool
	}{
		{"answered before", -20 * ms, 10 * ms, nil, false, false},
		{"answered during", -5 * ms, 10 * ms, nil, true, false},
		{"reset by the death", -5 * ms, 6 * ms, reset, true, true},
		{"closed by the death", -5 * ms, 6 * ms, io.EOF, true, true},
		{"cut off by the death", -5 * ms, 6 * ms, io.ErrUnexpectedEOF, true, true},
		{"accepted while it died", 2 * ms, 3 * ms, reset, true, true},
		{"reset when nobody died", dying + ms, ms, reset, false, false},
		{"reset before", -20 * ms, 10 * ms, reset, false, false},
		{"refused", -5 * ms, 6 * ms, refused, true, false},
		{"hung", -5 * ms, 2000 * ms, os.ErrDeadlineExceeded, true, false},
	} {
		q := load.Request{Begun: at.Add(test.begun), Took: test.took, Err: test.err}
		if during, accepted := blame(q, deaths); during != test.during || accepted != test.accepted {
			t.Errorf("%s: during %v, accepted %v; want %v, %v", test.name, during, accepted, test.during, test.accepted)
		}
	}
}

func TestUneven(t *testing.T) {
	for _, test := range []struct {
		counts []int
		copies int
		want   float64
	}{
		{[]int{250, 250, 250, 250}, 4, 1},
		{[]int{0, 200, 300, 500}, 4, 2},
		{[]int{100}, 4, 4}, // three copies got nothing
	} {
		if got := uneven(test.counts, test.copies); got != test.want {
			t.Errorf("%v of %d copies: %v, want %v", test.counts, test.copies, got, test.want)
		}
	}
}
