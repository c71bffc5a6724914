package supervisor

import (
	"encoding/json"
	"fmt"
	"time"

	"paceline/internal/app"
)

// record is what the next daemon needs to know of an instance. It is kept by the
// Host at each change that matters, and in the state file a little later.
type record struct {
	Name       string    `json:"name"` // of its app
	Index      int       `json:"index"`
	Wanted     wanted    `json:"wanted"`
	Gen        uint64    `json:"gen"`                  // its process, or the last one
	Up         bool      `json:"up,omitempty"`         // that process was online
	Ready      bool      `json:"ready,omitempty"`      // and ready
	Ports      []string  `json:"ports,omitempty"`      // and listened here
	Shared     bool      `json:"shared,omitempty"`     // where a successor can listen beside it
	Restarting bool      `json:"restarting,omitempty"` // a command was replacing that process
	Restarts   int       `json:"restarts,omitempty"`
	Unstable   int       `json:"unstable,omitempty"`
	Delay      int64     `json:"delay,omitempty"` // the last wait before a restart, in nanoseconds
	Next       time.Time `json:"next,omitzero"`   // when a wait ends
	CreatedAt  time.Time `json:"created_at"`
	Exit       *app.Exit `json:"exit,omitempty"`
	Failed     string    `json:"failed,omitempty"` // why it was given up
}

// wanted says what an instance is to come back as.
type wanted string

const (
	wantRunning wanted = "running"
	wantStopped wanted = "stopped"
	wantErrored wanted = "errored" // given up, with the reason in Failed
	wantGone    wanted = "gone"    // it is being deleted
)

func (r record) encode() json.RawMessage {
	b, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("supervisor: encode record: %v", err)) // it holds only plain values
	}
	return b
}

// decodeRecord reads a record back. None at all is a fresh instance that is to run.
func decodeRecord(b []byte) (record, error) {
	r := record{Wanted: wantRunning}
	if len(b) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("read record: %w", err)
	}
	return r, nil
}

// recordOf is the record of an instance in this state.
func recordOf(m machine, l life, name string, index int, created, next time.Time) record {
	r := record{
		Name: name, Index: index, Wanted: wantRunning, Gen: l.gen,
		Restarts: m.restarts, Unstable: m.unstable, Delay: int64(m.delay), CreatedAt: created, Exit: m.exit,
	}
	switch {
	case m.then == thenEnd || m.then == thenDrain || m.phase == ended:
		r.Wanted = wantGone
	case m.then == thenStop || m.phase == stopped:
		r.Wanted = wantStopped
	case m.phase == errored || m.phase == stuck:
		r.Wanted, r.Failed = wantErrored, m.reason
	}
	switch m.phase {
	case online, draining:
		r.Up, r.Ready, r.Ports, r.Shared = true, m.ready, l.ports, l.shared
	case waiting:
		r.Next = next
	case errored:
		if m.retry {
			r.Next = next
		}
	}
	r.Restarting = m.then == thenStart
	return r
}
