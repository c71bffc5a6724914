package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"paceline/worker"
	"paceline/worker/clone"

	"pgregory.net/rapid"
)

func post(t testing.TB, p interface {
	Post(any, ...clone.Transferable) error
}, v any, transfer ...clone.Transferable,
) {
	t.Helper()
	if err := p.Post(v, transfer...); err != nil {
		t.Fatalf("post %v: %v", v, err)
	}
}

func receive[T any](t testing.TB, r worker.Receiver) T {
	t.Helper()
	v, err := worker.Receive[T](enough(t), r)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return v
}

func TestMessagesAreClones(t *testing.T) {
	a, b := worker.NewMessageChannel()
	in := map[string]any{"list": []any{1, "x"}}
	in["self"] = in
	post(t, a, in)
	in["list"].([]any)[0] = 2
	out := receive[map[string]any](t, b)
	if list := out["list"].([]any); list[0] != 1 {
		t.Errorf("a change after sending has arrived: %v", list)
	}
	out["new"] = true
	if self := out["self"].(map[string]any); self["new"] != true || in["new"] != nil {
		t.Error("the cycle is not one")
	}
	err := a.Post(map[string]any{"user": map[string]any{"onClick": func() {}}})
	if want := "value.user.onClick: func() cannot be cloned"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if b.Len() != 0 {
		t.Error("a message that could not be copied has arrived")
	}
}

func TestClosedChannel(t *testing.T) {
	a, b := worker.NewMessageChannel()
	post(t, a, "one")
	post(t, a, "two")
	post(t, b, "dropped")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := receive[string](t, b); got != "one" {
		t.Errorf("got %q, want one", got)
	}
	var rest []any
	for v, err := range b.Messages(enough(t)) {
		if err != nil {
			t.Fatal(err)
		}
		rest = append(rest, v)
	}
	if !slices.Equal(rest, []any{"two"}) {
		t.Errorf("got %v, want two", rest)
	}
	for name, err := range map[string]error{
		"post to the closed": b.Post(1), "post from the closed": a.Post(1), "send": a.Send(enough(t), 1),
	} {
		if !errors.Is(err, worker.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.Receive(enough(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("receive at the closed end: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("closing it again: %v", err)
	}
}

func TestCloseWakesTheReceiver(t *testing.T) {
	a, b := worker.NewMessageChannel()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if v, err := b.Receive(enough(t)); !errors.Is(err, worker.ErrClosed) {
				t.Errorf("got %v, %v", v, err)
			}
		})
	}
	a.Close()
	group.Wait()
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	_, b := worker.NewMessageChannel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := b.Receive(ctx); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	if v, ok := b.TryReceive(); ok {
		t.Errorf("there is a message: %v", v)
	}
}

func TestFullQueue(t *testing.T) {
	a, b := worker.NewMessageChannel()
	for i := range worker.DefaultQueue {
		post(t, a, i)
	}
	buffer := clone.NewArrayBuffer([]byte("bytes"))
	if err := a.Post(buffer, buffer); !errors.Is(err, worker.ErrQueueFull) || buffer.Detached() {
		t.Errorf("posting to a full queue: %v, detached: %v", err, buffer.Detached())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Send(ctx, buffer, buffer); !errors.Is(err, context.Canceled) || buffer.Detached() {
		t.Errorf("sending without time: %v, detached: %v", err, buffer.Detached())
	}
	sent := make(chan error)
	go func() { sent <- a.Send(enough(t), "last") }()
	for i := range worker.DefaultQueue {
		if got := receive[int](t, b); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := receive[string](t, b); got != "last" {
		t.Errorf("got %q", got)
	}
}

func TestTransferredPort(t *testing.T) {
	a, b := worker.NewMessageChannel()
	c, d := worker.NewMessageChannel()
	post(t, d, "before")
	got := make(chan error, 1)
	waiting, other := worker.NewMessageChannel()
	go func() {
		_, err := waiting.Receive(enough(t))
		got <- err
	}()
	post(t, a, []any{c, waiting}, c, waiting)
	if err := <-got; !errors.Is(err, worker.ErrDetached) {
		t.Errorf("who received from it when it moved: %v", err)
	}
	ports := receive[[]any](t, b)
	moved := ports[0].(*worker.Port)
	post(t, d, "after")
	for _, want := range []string{"before", "after"} {
		if got := receive[string](t, moved); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	post(t, moved, "back")
	if got := receive[string](t, d); got != "back" {
		t.Errorf("got %q", got)
	}
	for name, err := range map[string]error{
		"post": c.Post(1), "close": c.Close(), "transfer again": a.Post(c, c),
	} {
		if !errors.Is(err, worker.ErrDetached) {
			t.Errorf("%s by the old handle: %v", name, err)
		}
	}
	if _, ok := c.TryReceive(); ok {
		t.Error("the old handle receives")
	}
	post(t, ports[1].(*worker.Port), 1)
	if got := receive[int](t, other); got != 1 {
		t.Errorf("got %d", got)
	}
}

// Who has received a port has it: the sender's handle is detached before.
func TestMovedPortIsUsableAtOnce(t *testing.T) {
	a, b := worker.NewMessageChannel()
	const rounds = 3000
	var group sync.WaitGroup
	group.Go(func() {
		for range rounds {
			p, err := worker.Receive[*worker.Port](enough(t), b)
			if err == nil {
				err = p.Post("here")
			}
			if err != nil {
				t.Errorf("the receiver's handle: %v", err)
				b.Close() // for the other not to wait
				return
			}
			p.Close()
		}
	})
	for range rounds {
		near, far := worker.NewMessageChannel()
		if err := a.Send(enough(t), far, far); err != nil {
			t.Fatal(err)
		}
		if err := far.Post("gone"); !errors.Is(err, worker.ErrDetached) {
			t.Errorf("the sender's handle: %v", err)
		}
		if got := receive[string](t, near); got != "here" {
			t.Errorf("got %q", got)
		}
	}
	group.Wait()
}

// Two ports, each sent through the other's channel at the same time.
func TestPortsCrossing(t *testing.T) {
	for range 200 {
		a, b := worker.NewMessageChannel()
		c, d := worker.NewMessageChannel()
		var group sync.WaitGroup
		var sent atomic.Int32
		for _, p := range [][2]*worker.Port{{a, d}, {c, b}} {
			group.Go(func() {
				switch err := p[0].Post(p[1], p[1]); {
				case err == nil:
					sent.Add(1)
				case !errors.Is(err, worker.ErrDetached):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if sent.Load() == 0 {
			t.Fatal("neither has been sent")
		}
	}
}

func TestPortNeedsTheTransferList(t *testing.T) {
	a, b := worker.NewMessageChannel()
	c, _ := worker.NewMessageChannel()
	if err := a.Post(map[string]any{"p": c}); err == nil || !strings.Contains(err.Error(), "value.p: *worker.Port cannot be copied, only transferred") {
		t.Errorf("got %v", err)
	}
	for _, own := range []*worker.Port{a, b} {
		if err := a.Post(own, own); err == nil || !strings.Contains(err.Error(), "own channel") {
			t.Errorf("got %v", err)
		}
	}
	post(t, a, "still there")
	if got := receive[string](t, b); got != "still there" {
		t.Errorf("got %q", got)
	}
}

// A port in a message that nobody will ever take out is closed, so that the other
// end of it does not wait for ever.
func TestDroppedPortIsClosed(t *testing.T) {
	a, b := worker.NewMessageChannel()
	c, d := worker.NewMessageChannel()
	post(t, a, c, c)
	b.Close()
	if _, err := d.Receive(enough(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestReceiveAs(t *testing.T) {
	a, b := worker.NewMessageChannel()
	type user struct {
		Name string `json:"name"`
		Age  int
	}
	post(t, a, map[string]any{"name": "n", "Age": 5.0})
	if got := receive[user](t, b); got != (user{"n", 5}) {
		t.Errorf("got %+v", got)
	}
	post(t, a, user{"m", 6})
	if got := receive[user](t, b); got != (user{"m", 6}) {
		t.Errorf("got %+v", got)
	}
	post(t, a, "text")
	var wrong *worker.MessageError
	if _, err := worker.Receive[user](enough(t), b); !errors.As(err, &wrong) || wrong.Value != "text" {
		t.Errorf("got %v", err)
	}
}

// Whatever is done at the same time at both ends, what one goroutine sends arrives
// in its order, each message once, and nothing is left over or waits for ever.
func TestOrderProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		senders := rapid.IntRange(1, 4).Draw(rt, "senders")
		each := rapid.IntRange(0, 40).Draw(rt, "messages")
		moves := rapid.IntRange(0, 5).Draw(rt, "moves")
		receivers := rapid.IntRange(1, 3).Draw(rt, "receivers")
		patient := rapid.Bool().Draw(rt, "send")

		a, b := worker.NewMessageChannel()
		carrierIn, carrierOut := worker.NewMessageChannel()
		var sending sync.WaitGroup
		for s := range senders {
			sending.Go(func() {
				for i := range each {
					v := []int{s, i}
					var err error
					if patient {
						err = a.Send(enough(t), v)
					} else {
						err = a.Post(v)
					}
					if err != nil {
						t.Errorf("sender %d: %v", s, err)
					}
				}
			})
		}
		// The receiving end moves on and on while messages arrive.
		for range moves {
			post(t, carrierIn, b, b)
			b = receive[*worker.Port](t, carrierOut)
		}
		var mu sync.Mutex // guards got
		var got [][]int
		var receiving sync.WaitGroup
		for range receivers {
			receiving.Go(func() {
				for v, err := range b.Messages(enough(t)) {
					if err != nil {
						t.Errorf("receive: %v", err)
						return
					}
					mu.Lock()
					got = append(got, v.([]int))
					mu.Unlock()
				}
			})
		}
		sending.Wait()
		a.Close()
		receiving.Wait()
		if len(got) != senders*each {
			rt.Fatalf("%d messages, want %d", len(got), senders*each)
		}
		if receivers == 1 {
			next := make([]int, senders)
			for _, m := range got {
				if m[1] != next[m[0]] {
					rt.Fatalf("sender %d: message %d, want %d", m[0], m[1], next[m[0]])
				}
				next[m[0]]++
			}
		}
	})
}

func TestBroadcast(t *testing.T) {
	name := t.Name()
	a, b, c := worker.NewBroadcastChannel(name), worker.NewBroadcastChannel(name), worker.NewBroadcastChannel(name)
	other := worker.NewBroadcastChannel(name + " other")
	defer other.Close()
	defer c.Close()
	v := []any{1}
	if err := a.Post(v); err != nil {
		t.Fatal(err)
	}
	fromB, fromC := receive[[]any](t, b), receive[[]any](t, c)
	if fromB[0] = 2; fromC[0] != 1 || v[0] != 1 {
		t.Error("two members have the same slice")
	}
	if err := a.Post(func() {}); err == nil {
		t.Error("a function has been sent")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Post(1); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("post after closing: %v", err)
	}
	if _, err := b.Receive(enough(t)); !errors.Is(err, worker.ErrClosed) {
		t.Errorf("receive after closing: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSlowMemberLearnsWhatItMissed(t *testing.T) {
	a, b := worker.NewBroadcastChannel(t.Name()), worker.NewBroadcastChannel(t.Name())
	defer a.Close()
	defer b.Close()
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if err := a.Post(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(0, worker.DefaultQueue+3)
	if got := receive[int](t, b); got != 0 {
		t.Fatalf("got %d", got)
	}
	for i := 1; i < worker.DefaultQueue; i++ {
		if got := receive[int](t, b); got != i {
			t.Fatalf("got %d, want %d", got, i)
		}
	}
	send(5000, 5001)
	var missed *worker.MissedError
	if _, err := b.Receive(enough(t)); !errors.As(err, &missed) || missed.Messages != 3 {
		t.Errorf("got %v, want 3 missed", err)
	}
	if got := receive[int](t, b); got != 5000 {
		t.Errorf("got %d", got)
	}
}

func ExampleNewMessageChannel() {
	a, b := worker.NewMessageChannel()
	if err := a.Post(map[string]any{"hello": "world"}); err != nil {
		fmt.Println(err)
	}
	v, err := b.Receive(context.Background())
	fmt.Println(v, err)
	// Output: map[hello:world] <nil>
}
