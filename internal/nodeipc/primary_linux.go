package nodeipc

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Primary is the cluster primary of one app: it owns the listeners that the app's workers share,
// and the goroutine that serves them and the workers' channels.
type Primary struct {
	o        PrimaryOptions
	err      error // of NewPrimary, told by Attach
	loop     *loop
	accepted tally

	expecting sync.Map     // by the client's port: see Worker.Expect
	expected  atomic.Int32 // how many there are

	// The rest belongs to the loop's goroutine.
	st        primaryState
	listeners map[string]*listener // for hand-off
	order     []*listener
	workers   []*Worker
	opening   map[string][]waiter
	opens     sync.WaitGroup
	scratch   []byte // what is peeked from the channel that is being read
	spare     []*conn
}

// NewPrimary makes the primary of one app and starts its goroutine, which Close ends. It takes
// descriptors for that; if there are none left, Attach says so.
func NewPrimary(o PrimaryOptions) *Primary {
	p := &Primary{
		o:         o,
		st:        decodePrimaryState(o.Saved),
		listeners: map[string]*listener{},
		opening:   map[string][]waiter{},
	}
	if p.scratch = make([]byte, forkScratchBytes); o.Open != nil {
		p.scratch = make([]byte, scratchBytes)
	}
	p.loop, p.err = newLoop()
	if p.err != nil {
		return p
	}
	p.loop.onAlarm, p.loop.onStop = p.alarmed, p.shut
	go p.loop.run()
	return p
}

// Close lets go of all workers and listeners without telling anybody: workers keep what they have,
// Socket.Close is not called, no event follows. It waits for calls of Open that are under way, and
// must not be called from an Event.
func (p *Primary) Close() {
	if p.err != nil {
		return
	}
	p.loop.stop()
	<-p.loop.done
	p.opens.Wait()
}

// Trim closes the listeners that no attached worker holds, and tells their owners. When workers
// die their addresses are kept, so that connections wait for the successors; call this when the
// successors are up, for they may listen elsewhere.
func (p *Primary) Trim() {
	if p.err != nil {
		return
	}
	p.loop.do(func() {
		for _, l := range slices.Clone(p.order) {
			if len(l.holders) == 0 && len(p.opening) == 0 {
				p.drop(l, true)
			}
		}
	})
}

// alarmed runs when somebody's pause or patience may be over.
func (p *Primary) alarmed() {
	p.pumpAll()
	for _, w := range slices.Clone(p.workers) {
		if w.begun.bytes > 0 {
			w.read()
		}
	}
}

// shut runs on the loop's goroutine at its end.
func (p *Primary) shut() {
	for _, l := range slices.Clone(p.order) {
		p.drop(l, false)
	}
	for _, w := range slices.Clone(p.workers) {
		w.o.Event = nil
		w.finish()
	}
}

func (p *Primary) save() {
	if p.o.Save != nil {
		p.o.Save(p.st.encode())
	}
}

// warn tells the workers' observers about a listener: the first that holds it does.
func (p *Primary) warn(l *listener, text string) {
	for _, w := range p.workers {
		if w.keys[l.key] != nil {
			w.warn("%s", text)
			return
		}
	}
}
