package nodeipc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Worker is the primary's view of one Node process, from the start of its channel to the end.
// Its methods may be called from any goroutine, take effect in the order of the calls, and do not
// wait.
type Worker struct {
	o      WorkerOptions
	p      *Primary
	ch     *channel
	id     int32 // in the loop
	st     workerState
	seq    int64 // of our next message
	replay int64 // numbers up to this one were acted on by an earlier daemon

	keys    map[string]*hold
	restore []savedHold // still to be opened again after a restart
	opened  *opening    // the answer to the first line, if that is a listen
	waiting bool        // nothing is read until resume is called
	begun   lineStart
	tail    *uint32 // checksum of what may be left of a line that was acted on by an earlier daemon
	acted   int     // bytes at the start of the socket that were acted on, to be consumed
	hup     bool
	end     ending
	bye     bool // hang up as soon as the queue is empty
	bun     bool // internal lines have Bun's prefix

	handed handedOver
	closed atomic.Bool // for Send
}

// ending says how far a worker's end has come.
type ending int

const (
	attached ending = iota
	ended           // EOF: everything is let go, Disconnected was sent
	silenced        // Close was called: no more events
)

// hold is a listener that a worker holds.
type hold struct {
	savedHold
	base string
	addr net.Addr
	l    *listener // HandOff
	sock *socket   // otherwise
}

// Attach starts to speak with a worker. The error, if any, is about the channel itself; it is
// then still the caller's.
//
// With Saved, the worker has been running under an earlier daemon: it goes on where that one
// stopped. What was known is told again (Online, Listening, Ready, Leaving), and lines that the
// dead daemon had acted on but not yet consumed are acted on again, so that a message may come
// twice but is never lost.
func Attach(o WorkerOptions) (*Worker, error) {
	p := o.Primary
	if p == nil {
		p = NewPrimary(PrimaryOptions{})
	}
	fail := func(err error) (*Worker, error) {
		if o.Primary == nil {
			p.Close()
		}
		return nil, fmt.Errorf("attach worker %d: %w", o.Slot, err)
	}
	if p.err != nil {
		return fail(p.err)
	}
	ch, err := newChannel(o.Channel)
	if err != nil {
		return fail(err)
	}
	w := &Worker{o: o, p: p, ch: ch, keys: map[string]*hold{}}
	st, known := decodeWorkerState(o.Saved)
	w.st = st
	w.replay = st.Last
	// Microseconds: a new daemon's numbers never meet those of the last one, even if the clock was
	// set back, and stay below 2^53.
	w.st.Seq = max(time.Now().UnixMicro(), st.Seq+1<<32)
	w.seq = w.st.Seq
	w.restore = w.st.Held
	w.st.Held = nil
	w.ch.in.skipping = w.st.Torn == tornLine || w.st.Torn == tornHandle
	if w.st.Torn == tornDone {
		w.tail = &st.Tail
	}
	w.handed.stale = known
	if !p.loop.do(w.start) {
		_ = unix.Close(ch.fd)
		return fail(ErrClosed)
	}
	return w, nil
}

// Send passes one JSON value to process.on('message') of the worker. Errors: ErrClosed,
// ErrTooLarge, ErrBusy, or that it is not JSON.
func (w *Worker) Send(message []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, message); err != nil { // also takes newlines out
		return fmt.Errorf("send message: %w", err)
	}
	b.WriteByte('\n')
	data := b.Bytes()
	switch {
	case w.closed.Load():
		return fmt.Errorf("send message: %w", ErrClosed)
	case len(data) > w.ch.outMax:
		return fmt.Errorf("send message of %d bytes (at most %d): %w", len(data), w.ch.outMax, ErrTooLarge)
	case w.ch.queued.Load()+int64(len(data)) > maxQueuedBytes:
		return fmt.Errorf("send message: %w", ErrBusy)
	}
	w.ch.queued.Add(int64(len(data))) // until it is written or in the queue, which counts itself
	return w.do("send message", func() {
		w.ch.queued.Add(-int64(len(data)))
		w.write(line{data: data, fd: -1})
	})
}

// Rotate puts the worker into or out of the hand-off rotation. A new worker is in. What was handed
// to it before stays there. It has no effect on workers that accept by themselves.
func (w *Worker) Rotate(on bool) error {
	return w.do("rotate", func() {
		w.setOut(!on)
		if on {
			w.p.pumpAll()
		}
	})
}

// Expect has the connection that comes from a port of a client be handed to this worker,
// in rotation or not, and to no other. Over ends that, and reports whether no other got it.
func (w *Worker) Expect(from uint16) (over func() (reached bool)) {
	e := &expected{w: w}
	w.p.expecting.Store(from, e)
	w.p.expected.Add(1)
	return func() bool {
		w.p.expecting.Delete(from)
		w.p.expected.Add(-1)
		return !e.lost.Load()
	}
}

// expected is a connection that is for one worker.
type expected struct {
	w    *Worker
	lost atomic.Bool // it could not have it
}

// Unanswered returns how many connections the worker was handed that it has not taken
// yet, and since when the oldest of them waits.
func (w *Worker) Unanswered() (since time.Time, n int) {
	answered := make(chan struct{})
	if !w.p.loop.do(func() {
		defer close(answered)
		if n = len(w.handed.unacked); n > 0 {
			since = w.handed.unacked[0].sent
		}
	}) {
		return time.Time{}, 0
	}
	select {
	case <-answered:
		return since, n
	case <-w.p.loop.done:
		return time.Time{}, 0
	}
}

// Drain takes the worker out of the rotation and tells the preload (see Preload) that the end is
// near: responses then close their connections, http2 sessions say goodbye, and idle connections
// get until Grace is over to be used once more. The worker's servers stay open; Disconnect closes
// them. Without the preload only the rotation changes.
func (w *Worker) Drain(o DrainOptions) error {
	return w.do("drain", func() {
		w.setOut(true)
		w.write(line{data: drainLine(o), fd: -1})
	})
}

// Disconnect makes a cluster worker close its servers, wait until their connections have ended,
// and close the channel, which is told as Disconnected; it then ends by itself unless something
// keeps its event loop alive. In fork mode it closes the channel, no more.
func (w *Worker) Disconnect() error {
	return w.do("disconnect", func() {
		if w.o.Primary == nil {
			w.bye = true
			w.hangUp()
			return
		}
		w.setOut(true)
		w.write(line{data: w.mark(disconnectLine(w.nextSeq())), fd: -1})
	})
}

// Close lets go of the channel: after the process has ended, or when the worker is not ours any
// more. What it had not acknowledged goes to other workers; its addresses are kept for successors.
// No event follows, but for one that is under way.
func (w *Worker) Close() error {
	w.closed.Store(true)
	w.p.loop.do(func() {
		w.finish()
		w.end = silenced
	})
	return nil
}

func (w *Worker) do(what string, f func()) error {
	ok := !w.closed.Load() && w.p.loop.do(func() {
		if w.end == attached {
			f()
		}
	})
	if !ok {
		return fmt.Errorf("%s: %w", what, ErrClosed)
	}
	return nil
}

// From here on everything runs on the loop's goroutine.

func (w *Worker) start() {
	if w.end != attached { // closed already
		return
	}
	id, err := w.p.loop.add(w.ch.fd, w)
	if err != nil {
		w.warn("%v", err)
		w.finish()
		return
	}
	w.id = id
	w.p.workers = append(w.p.workers, w)
	w.waiting = true // a new worker is ready to be read at once, another when its listeners are open
	w.restoreNext()
}

// restored is called when all that the worker held is open again.
func (w *Worker) restored() {
	w.tell(w.st.Online, Event{Kind: Online})
	for _, h := range w.holds() {
		w.tell(h.Listening, Event{Kind: Listening, Addr: h.addr})
	}
	w.tell(w.st.Ready, Event{Kind: Ready})
	w.tell(w.st.Leaving, Event{Kind: Leaving})
	w.save()
	w.resume()
	w.p.pumpAll()
}

// holds in the order of their making.
func (w *Worker) holds() []*hold {
	all := make([]*hold, 0, len(w.keys))
	for _, h := range w.keys {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b *hold) int { return int(a.Seq - b.Seq) })
	return all
}

func (w *Worker) setOut(out bool) {
	if w.st.Out != out {
		w.st.Out = out
		w.save()
	}
}

func (w *Worker) save() {
	if w.o.Save == nil {
		return
	}
	w.st.Held = w.st.Held[:0]
	for _, h := range w.holds() {
		w.st.Held = append(w.st.Held, h.savedHold)
	}
	w.st.Held = append(w.st.Held, w.restore...)
	w.o.Save(w.st.encode())
}

func (w *Worker) nextSeq() int64 {
	w.seq++
	return w.seq
}

// mark puts Bun's prefix before an internal line if the worker uses it.
func (w *Worker) mark(b []byte) []byte {
	if !w.bun {
		return b
	}
	return append([]byte{bunPrefix}, b...)
}

func (w *Worker) tell(is bool, e Event) {
	if is && w.o.Event != nil && w.end != silenced {
		w.o.Event(e)
	}
}

func (w *Worker) warn(format string, a ...any) {
	w.tell(true, Event{Kind: Warning, Text: fmt.Sprintf(format, a...)})
}

// write sends or queues a line. A worker that is gone shows it by EOF, not here.
func (w *Worker) write(l line) {
	if queued, _ := w.ch.write(l); queued {
		w.p.loop.watchWrite(w.ch.fd, w.id, true)
	}
}

func (w *Worker) hangUp() {
	if w.bye && len(w.ch.queue) == 0 {
		w.ch.hangUp()
	}
}

// writable goes on with the queue.
func (w *Worker) writable() {
	if err := w.ch.flush(); err != nil {
		return
	}
	w.p.loop.watchWrite(w.ch.fd, w.id, false)
	w.hangUp()
	if w.waiting {
		w.resume()
	}
	w.p.pumpAll()
}

// finish lets go of everything. Connections that the worker has not acknowledged are given to the
// others, so all that it wrote has to be read before.
func (w *Worker) finish() {
	if w.end != attached {
		return
	}
	w.end = ended
	w.closed.Store(true)
	if w.id != 0 {
		w.p.loop.remove(w.ch.fd, w.id)
	}
	_ = unix.Close(w.ch.fd)
	w.p.workers = slices.DeleteFunc(w.p.workers, func(o *Worker) bool { return o == w })
	for key := range w.keys {
		w.release(key, false)
	}
	w.ch.queue = nil
	w.takeBack()
	w.tell(true, Event{Kind: Disconnected})
	if w.o.Primary == nil {
		w.p.loop.stop()
	}
}
