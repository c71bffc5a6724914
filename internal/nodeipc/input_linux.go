package nodeipc

import (
	"bytes"
	"errors"
	"hash/crc32"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// verdict says what becomes of a line that was looked at.
type verdict int

const (
	done   verdict = iota // acted on
	held                  // not acted on: it is looked at again after resume
	commit                // acted on, and answered (handleAck) as soon as it is consumed
)

// fairRounds is how many buffers full one worker may have us read before the others' turn.
const fairRounds = 2

var lineSendHandleAck = []byte(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")

// ready is called by the loop.
func (w *Worker) ready(events uint32) {
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		w.hup = true
	}
	if events&unix.EPOLLOUT != 0 {
		w.writable()
	}
	w.read()
}

// resume goes on reading after a line was held or a reply had to wait, if nothing else is in the way.
func (w *Worker) resume() {
	if w.ch.replies > 0 || len(w.restore) > 0 {
		return
	}
	w.waiting = false
	w.read()
}

// read acts on the complete lines in the socket, as many as is fair to others. The bytes of a line are consumed only after it
// was acted on and its reply written: when the daemon is killed in between, the next one finds
// the line still there.
func (w *Worker) read() {
	buf := w.p.scratch
	for round := 0; w.end == attached && !w.waiting; round++ {
		if round == fairRounds {
			w.p.loop.again = append(w.p.loop.again, w)
			return
		}
		if w.acted > 0 && !w.consume(w.acted) {
			return
		}
		n, cut, err := w.ch.peek(buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil || n == 0: // ECONNRESET: the peer closed with unread bytes from us
			w.finish()
			return
		}
		acted, v := w.actAll(buf[:n])
		w.acted = acted
		if w.end != attached {
			return
		}
		if w.ch.replies > 0 { // resumed by writable
			w.waiting = true
			return
		}
		if acted > 0 && !w.consume(acted) {
			return
		}
		switch {
		case v == held:
			w.waiting = true
			return
		case v == commit:
			w.write(line{data: lineSendHandleAck, fd: -1})
		case acted > 0 && acted < n, cut && acted == n:
			// What follows may be complete by now, or the end.
		case acted == n && n < len(buf) && !w.hup:
			return // that was all; more comes with an event
		case acted == n:
			// There is more, or the end, whose event has been.
		case n == len(buf) && n < w.ch.outMax*2:
			buf = make([]byte, 4*n) // a long line: look at all that is there
			round--
		case cut, n >= w.ch.inMax && !w.mayGrow(n):
			// The end is hidden behind the descriptors that came with its start, or there is no
			// room for it.
			if !w.swallow(buf[:n]) {
				return
			}
		case w.hup:
			w.warn("channel closed within a line of %d bytes", n)
			w.finish()
			return
		default:
			return // half a line: an event tells of the rest
		}
	}
}

// actAll acts on the complete lines in buf and returns how many bytes they span.
func (w *Worker) actAll(buf []byte) (acted int, v verdict) {
	for {
		line, n, dropped := w.ch.in.next(buf[acted:])
		switch {
		case n == 0:
			return acted, done
		case dropped:
			v = w.dropped()
		case w.tail != nil && w.doneBefore(buf[acted:acted+n]):
			v = done
		default:
			v = w.act(line)
		}
		if v == held {
			return acted, v
		}
		if w.ch.in.partial() {
			w.ch.in.taken()
			w.untear(buf[acted : acted+n])
		}
		acted += n
		if v == commit || w.end != attached || w.ch.replies > 0 {
			return acted, v
		}
	}
}

// mayGrow says whether to give a long line's start that stays in the socket some more time to
// become whole. Once part of it is consumed there is nothing left to win.
func (w *Worker) mayGrow(n int) bool {
	now := w.p.loop.now
	if w.ch.in.partial() {
		return false
	}
	if n != w.begun.bytes {
		w.begun = lineStart{bytes: n, since: now}
	}
	if due := w.begun.since.Add(growPatience); now.Before(due) {
		w.p.loop.alarmAt(due)
		return true
	}
	w.begun = lineStart{}
	return false
}

// lineStart is a long start of a line in the socket, and since when it has had that length.
type lineStart struct {
	bytes int
	since time.Time
}

// growPatience is after how long a writer that does not go on is taken to wait for room.
const growPatience = 100 * time.Millisecond

// doneBefore says whether the first line after a restart is but the tail of one that the last
// daemon had acted on.
func (w *Worker) doneBefore(line []byte) bool {
	tail := *w.tail
	w.tail = nil
	return crc32.ChecksumIEEE(line) == tail
}

func (w *Worker) consume(n int) bool {
	w.acted = 0
	if err := w.ch.consume(w.p.scratch, n); err != nil {
		w.warn("%v", err)
		w.finish()
		return false
	}
	if w.st.Torn == tornDone {
		w.st.Torn, w.st.Tail = "", 0
		w.save()
	}
	return true
}

// swallow consumes part of a long line into memory. If we die before its end, the next daemon
// has to know that what it finds is not the start of a line.
func (w *Worker) swallow(part []byte) bool {
	if w.st.Torn == "" {
		w.st.Torn = tornLine
		if bytes.HasPrefix(part, []byte(`{"cmd":"NODE_HANDLE",`)) {
			w.st.Torn = tornHandle
		}
		w.save()
	}
	w.ch.in.swallow(part)
	return w.consume(len(part))
}

// untear is called when the line that was swallowed is acted on; tail is what is left of it.
func (w *Worker) untear(tail []byte) {
	w.st.Torn, w.st.Tail = tornDone, crc32.ChecksumIEEE(tail)
	w.save()
}

// dropped is called at the end of a line that is too long, or whose start was lost.
func (w *Worker) dropped() verdict {
	if w.st.Torn == tornHandle {
		if v := w.canAck(); v == held {
			return v
		}
		w.warn("dropped a message that came with a handle: larger than %d bytes or cut by a restart", maxLineBytes)
		return commit
	}
	w.warn("dropped a message: larger than %d bytes or cut by a restart", maxLineBytes)
	return done
}

// canAck says whether a handle could be acknowledged right after its line is consumed. Between the
// two lies the only moment at which a kill of the daemon loses something: a worker that waits for
// an acknowledgement sends nothing more, and one that gets two of them dies. Hence it must not
// have to wait for room.
func (w *Worker) canAck() verdict {
	if len(w.ch.queue) > 0 || w.ch.unread() > w.ch.outMax {
		w.p.loop.watchWrite(w.ch.fd, w.id, true)
		return held
	}
	return commit
}

// act does what a line asks for.
func (w *Worker) act(b []byte) verdict {
	m := parseLine(b)
	w.bun = w.bun || m.bun
	switch m.kind {
	case msgAck:
		w.acknowledged(m.ack, m.accepted)
	case msgHandleAck:
		w.handleArrived()
	case msgHandleNack:
		w.handleLost()
	case msgUser:
		w.userMessage(m.body)
	case msgHandle:
		if v := w.canAck(); v == held {
			return v
		}
		if len(m.body) > 0 && internalFields(m.body) == nil {
			w.userMessage(m.body)
		}
		return commit
	case msgOnline:
		w.st.Online = true
		w.save()
		w.tell(true, Event{Kind: Online})
	case msgQuery:
		return w.query(&m)
	case msgListening:
		w.listening(&m.query.Request)
	case msgClose:
		w.serverClosed(m.seq, m.key)
	case msgLeaving:
		w.st.Leaving = true
		w.save()
		w.tell(true, Event{Kind: Leaving})
		w.write(line{data: w.mark(acknowledge(m.seq, w.nextSeq())), fd: -1, reply: true})
	case msgSocketCount, msgSocketNotify:
		w.write(line{data: socketReply(m.kind, m.body), fd: -1, reply: true})
	case msgInvalid:
		w.warn("not JSON on the channel: %.60q", b)
	case msgIgnored:
	}
	return done
}

func (w *Worker) userMessage(body []byte) {
	if string(body) == `"ready"` {
		w.st.Ready = true
		w.save()
		w.tell(true, Event{Kind: Ready})
		return
	}
	w.tell(true, Event{Kind: Message, Message: slices.Clone(body)})
}
