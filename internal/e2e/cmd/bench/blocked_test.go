package main

import (
	"io"
	"slices"
	"testing"
	"time"

	"paceline/internal/e2e/load"
)

func TestWithin(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	spans := []span{{at(100), at(200)}, {at(500), at(600)}}
	r := within([]load.Request{
		{Begun: at(99), Took: time.Second}, // before
		{Begun: at(100), Took: 3},
		{Begun: at(199), Took: 1},
		{Begun: at(200), Took: time.Second}, // between
		{Begun: at(550), Took: 2},
		{Begun: at(560), Took: 9, Err: io.EOF},
		{Begun: at(700), Err: io.EOF}, // after
	}, spans)
	if want := []time.Duration{1, 2, 3}; !slices.Equal(r.Latencies, want) {
		t.Errorf("latencies %v, want %v", r.Latencies, want)
	}
	if r.Requests != 4 || r.Failed != 1 || r.Errors["closed without an answer"] != 1 {
		t.Errorf("%v, want 4 requests, 1 closed without an answer", r)
	}
}
