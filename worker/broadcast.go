package worker

import (
	"context"
	"fmt"
	"iter"

	"paceline/worker/clone"
)

// BroadcastChannel is a member of the group of its name: what one member posts
// all others receive, each its own clone. All methods may be called concurrently.
//
// Nobody waits for a slow member: of what finds its queue full (DefaultQueue
// messages) it only learns how much it was.
type BroadcastChannel struct {
	name string
	port *Port // whose in is the member's queue; nothing leaves by it
}

// NewBroadcastChannel joins the group of that name in this process. Close leaves it.
func NewBroadcastChannel(name string) *BroadcastChannel {
	port, _ := NewMessageChannel()
	b := &BroadcastChannel{name: name, port: port}
	process.join(b)
	return b
}

// Name is the name of the group.
func (b *BroadcastChannel) Name() string { return b.name }

// Post sends every other member of the group a clone of v. Messages of one
// goroutine reach each member in their order.
//
// Errors: ErrClosed, *clone.Error; no member has got it then.
func (b *BroadcastChannel) Post(v any) error {
	if b.port.in.isClosed() {
		return ErrClosed
	}
	members := process.members(b.name)
	copies := make([]any, len(members))
	for i, m := range members {
		if m == b {
			continue
		}
		var err error
		if copies[i], err = clone.Clone(v); err != nil {
			return err
		}
	}
	for i, m := range members {
		if m == b {
			continue
		}
		m.port.in.offer(message{value: copies[i]})
	}
	return nil
}

// Receive waits for the next message of the group.
//
// Errors: *MissedError in the place of messages that were lost; ErrClosed after Close; and the cause of ctx.
func (b *BroadcastChannel) Receive(ctx context.Context) (any, error) {
	v, err := b.port.Receive(ctx)
	if n, ok := v.(missed); ok {
		return nil, &MissedError{Name: b.name, Messages: int(n)}
	}
	return v, err
}

// Messages are the messages of the group as they come, until Close. An error ends
// them, but not the channel.
func (b *BroadcastChannel) Messages(ctx context.Context) iter.Seq2[any, error] {
	return messages(ctx, b)
}

// Close leaves the group and drops what waits. It returns nil, also if called again.
func (b *BroadcastChannel) Close() error {
	process.leave(b)
	b.port.shut()
	return nil
}

// MissedError says that a member of a broadcast channel has read too slowly.
type MissedError struct {
	Name     string
	Messages int // how many it has missed
}

func (e *MissedError) Error() string {
	return fmt.Sprintf("broadcast channel %s: %d messages missed, as the reader is too slow", e.Name, e.Messages)
}
