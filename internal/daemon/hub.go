package daemon

import (
	"sync"

	"paceline/internal/app"
)

// hub passes events on to whoever follows them. Publishing never waits: a
// follower that is too slow loses its place and is told so by a closed channel.
type hub struct {
	stamp     func(app.Event) app.Event // numbers and keeps an event; must not wait
	mu        sync.Mutex                // guards what follows, and holds the order of the numbers
	followers map[chan app.Event]struct{}
	slow      int // how many followers have lost their place
}

// followerBuffer is how many events a follower may lag behind: a start of the
// largest app fits.
const followerBuffer = 4 * app.MaxInstances

func newHub(stamp func(app.Event) app.Event) *hub {
	return &hub{stamp: stamp, followers: map[chan app.Event]struct{}{}}
}

// publish hands the event to all followers.
func (h *hub) publish(e app.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e = h.stamp(e)
	for c := range h.followers {
		select {
		case c <- e:
		default:
			delete(h.followers, c)
			close(c)
			h.slow++
		}
	}
}

// dropped returns how many followers were too slow.
func (h *hub) dropped() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slow
}

// follow returns the events from now on; stop ends that. The channel is closed
// when the follower was too slow.
func (h *hub) follow() (events <-chan app.Event, stop func()) { return h.followWithin(followerBuffer) }

// followWithin is follow for one that may lag behind by so many events alone.
func (h *hub) followWithin(buffer int) (events <-chan app.Event, stop func()) {
	c := make(chan app.Event, buffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.followers[c]; ok {
			delete(h.followers, c)
			close(c)
		}
	}
}
