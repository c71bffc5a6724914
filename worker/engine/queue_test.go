package engine

import (
	"context"
	"errors"
	"testing"

	"paceline/worker"
)

func TestQueueIsBoundedInBytes(t *testing.T) {
	q := &queue{limit: 3 * (100 + overhead)}
	for range 3 {
		if _, err := q.push(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	wait, err := q.push(make([]byte, 100))
	if !errors.Is(err, worker.ErrQueueFull) || wait == nil {
		t.Fatalf("a fourth: %v", err)
	}
	if _, err := q.push(make([]byte, q.limit+1)); err == nil || errors.Is(err, worker.ErrQueueFull) {
		t.Errorf("one that never fits: %v; want a *SizeError", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- q.send(t.Context(), []byte("last")) }()
	if b, err := q.receive(t.Context()); err != nil || len(b) != 100 {
		t.Fatalf("got %d bytes, %v", len(b), err)
	}
	<-wait // there is room
	if err := <-sent; err != nil {
		t.Errorf("Send: %v", err)
	}
	q.close(false)
	for range 3 {
		if _, err := q.receive(t.Context()); err != nil {
			t.Errorf("what waited when it was closed: %v", err)
		}
	}
	if _, err := q.receive(t.Context()); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("after the last: %v; want ErrClosed", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.send(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("send with a context that has ended: %v", err)
	}
}
