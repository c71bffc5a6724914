package nodeipc

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a Socket whose File has become a bare descriptor.
type socket struct {
	fd      int
	addr    net.Addr
	handOff bool
	sticky  bool // ByClient
	close   func()
}

func takeSocket(s *Socket) (*socket, error) {
	if s == nil || s.File == nil {
		return nil, syscall.EINVAL
	}
	fd, err := takeFD(s.File)
	if err != nil {
		return nil, err
	}
	return &socket{fd: fd, addr: s.Addr, handOff: s.HandOff, sticky: s.ByClient, close: s.Close}, nil
}

// letGo closes the descriptor and, if the app itself gave the address up, tells the owner.
func (s *socket) letGo(byApp bool) {
	_ = unix.Close(s.fd)
	if byApp && s.close != nil {
		s.close()
	}
}

// flagReuseAddr is libuv's UV_UDP_REUSEADDR in a request: several sockets may be bound to one address.
const flagReuseAddr = 4

// opening is a listen whose socket is being opened, on a goroutine of its own since that takes
// bind, listen and a word with the keeper.
type opening struct {
	key   string
	ready bool
	sock  *socket
	err   error
}

// query answers a queryServer.
func (w *Worker) query(m *message) verdict {
	if m.seq <= w.replay {
		w.repeat(m.seq)
		return done
	}
	p, req := w.p, m.query.Request
	req.Slot = w.o.Slot
	base := req.key()
	for _, h := range w.keys {
		if h.base == base {
			req.Nth++
		}
	}
	key := base
	if req.Nth > 0 {
		// The worker keeps its listeners by key, so another one needs another.
		for n := 1; w.keys[key] != nil; n++ {
			key = base + "#" + strconv.Itoa(n)
		}
	}
	switch {
	case w.o.Primary == nil || p.o.Open == nil, req.FD >= 0 && !slices.Contains(p.o.FDs, req.FD):
		return w.refuse(m.seq, key, syscall.EINVAL)
	case req.Nth > 0 && req.FD < 0 && (!req.udp() || req.Flags&flagReuseAddr == 0):
		return w.refuse(m.seq, key, syscall.EADDRINUSE) // as the kernel would say: it is bound
	}
	if m.query.data != nil && p.st.Data[base] == nil {
		p.st.Data[base] = m.query.data
		p.save()
	}
	h := &hold{savedHold: savedHold{Key: key, Seq: m.seq, Request: req}, base: base}
	if l := p.listeners[key]; l != nil {
		w.opened = nil
		return w.answer(h, l, nil)
	}
	switch o := w.opened; {
	case o == nil:
		w.opened = p.open(key, req, w)
		return held
	case !o.ready:
		return held
	case o.err != nil:
		w.opened = nil
		return w.refuse(m.seq, key, o.err)
	case o.sock == nil: // somebody else's opening of this key, which was no hand-off
		w.opened = nil
		return w.query(m)
	default:
		w.opened = nil
		return w.answer(h, nil, o.sock)
	}
}

// answer gives the worker a listener to hold: l, or the socket s for itself.
func (w *Worker) answer(h *hold, l *listener, s *socket) verdict {
	h.HandOff = l != nil
	w.hold(h, l, s)
	w.st.Last = max(w.st.Last, h.Seq)
	w.save()
	w.reply(h)
	return done
}

func (w *Worker) hold(h *hold, l *listener, s *socket) {
	h.l, h.sock = l, s
	w.keys[h.Key] = h
	if s != nil {
		h.addr = s.addr
	}
	if l != nil {
		h.addr = l.sock.addr
		l.holders = append(l.holders, &holder{w: w, l: l})
		w.p.accepted.add(l.address, w.o.Slot, 0)
		w.p.pump(l)
	}
}

// reply writes the answer to a queryServer that succeeded.
func (w *Worker) reply(h *hold) {
	inner := answer(h.Seq, w.nextSeq(), 0, h.Key, w.p.st.Data[h.base], h.addr)
	if h.l != nil {
		w.write(line{data: append(w.mark(inner), '\n'), fd: -1, reply: true})
		return
	}
	if h.sock == nil {
		return // restored without a socket of its own; the worker has one
	}
	out := line{data: w.mark(appendEnvelope(nil, h.Request.udp(), inner)), fd: h.sock.fd, reply: true}
	w.handed.fifo = append(w.handed.fifo, sentHandle{line: out, seq: w.seq, key: h.Key, ack: h.Seq})
	w.write(out)
}

// refuse answers a queryServer with the error that the app's listen shall have.
func (w *Worker) refuse(seq int64, key string, err error) verdict {
	errno := syscall.EINVAL
	errors.As(err, &errno)
	if !errors.As(err, new(syscall.Errno)) {
		w.warn("listen on %s: %v", key, err)
	}
	w.st.Last = max(w.st.Last, seq)
	w.st.failed(savedFail{Seq: seq, Errno: -int(errno), Key: key})
	w.save()
	w.replyErrno(seq, -int(errno), key)
	return done
}

func (w *Worker) replyErrno(seq int64, errno int, key string) {
	b := append(w.mark(answer(seq, w.nextSeq(), errno, key, nil, nil)), '\n')
	w.write(line{data: b, fd: -1, reply: true})
}

// repeat gives the answer that an earlier daemon gave to the same question; the worker ignores it
// if it had that one. There is none if the listener has been closed since: then it had.
func (w *Worker) repeat(seq int64) {
	for _, h := range w.keys {
		if h.Seq == seq {
			w.reply(h)
		}
	}
	for _, f := range w.st.Failed {
		if f.Seq == seq {
			w.replyErrno(seq, f.Errno, f.Key)
		}
	}
}

// listening finds the listener that a worker reports by address, and real port.
func (w *Worker) listening(r *Request) {
	for _, h := range w.holds() {
		same := h.Request.Address == r.Address && h.Request.AddressType == r.AddressType &&
			h.Request.FD == r.FD && h.Request.Index == r.Index
		if same && (h.Request.Port == r.Port || h.Request.Port == 0) {
			if !h.Listening {
				h.Listening = true
				w.save()
			}
			w.tell(true, Event{Kind: Listening, Addr: h.addr})
			return
		}
	}
}

func (w *Worker) serverClosed(seq int64, key string) {
	if seq <= w.replay || w.keys[key] == nil {
		return // done by an earlier daemon; by now the key may be another listener's
	}
	w.st.Last = max(w.st.Last, seq)
	addr := w.keys[key].addr
	w.release(key, true)
	w.save()
	w.tell(true, Event{Kind: Closed, Addr: addr})
}

// release takes a listener from the worker. When its last holder is gone it is closed if that was
// the app's wish, and kept for successors if the worker died.
func (w *Worker) release(key string, byApp bool) {
	h := w.keys[key]
	delete(w.keys, key)
	if h.sock != nil {
		h.sock.letGo(byApp)
	}
	if h.l != nil {
		h.l.holders = slices.DeleteFunc(h.l.holders, func(o *holder) bool { return o.w == w })
		if len(h.l.holders) == 0 && byApp {
			w.p.drop(h.l, true)
		}
	}
	if byApp {
		w.p.forgetData(h.base)
	}
}

// restoreNext opens again what the worker held under an earlier daemon, one by one.
func (w *Worker) restoreNext() {
	for w.end == attached && len(w.restore) > 0 {
		s := w.restore[0]
		h := &hold{savedHold: s, base: s.Request.key()}
		h.Request.Slot = w.o.Slot
		l, o := w.p.listeners[s.Key], w.opened
		switch {
		case l != nil && s.HandOff:
			w.hold(h, l, nil)
		case l != nil: // it accepts on a descriptor of its own, whatever Open says now
			h.addr = l.sock.addr
			w.hold(h, nil, nil)
		case o == nil:
			w.opened = w.p.open(s.Key, h.Request, w)
			return
		case !o.ready:
			return
		case o.err != nil:
			w.warn("open %s again: %v", s.Key, o.err)
		case o.sock == nil: // another worker's opening of this key, which was no hand-off
			w.opened = nil
			continue
		case s.HandOff: // the worker has no descriptor, whatever Open says now
			w.hold(h, w.p.listen(s.Key, o.sock), nil)
		default:
			w.hold(h, nil, o.sock)
		}
		w.opened = nil
		w.restore = w.restore[1:]
	}
	if w.end == attached {
		w.restored()
	}
}

// open asks the owner for a socket. The result reaches all workers that wait for the key.
func (p *Primary) open(key string, req Request, w *Worker) *opening {
	o := &opening{key: key}
	waiting := p.opening[key]
	p.opening[key] = append(waiting, waiter{w, o})
	if len(waiting) > 0 {
		return o // the first one asks; for a hand-off socket that is enough
	}
	p.opens.Go(func() {
		var s *socket
		answer, err := p.o.Open(req)
		if err == nil {
			s, err = takeSocket(answer)
		}
		if err == nil && req.udp() {
			s.handOff = false
		}
		if !p.loop.do(func() { p.openDone(key, s, err) }) && s != nil {
			s.letGo(false)
		}
	})
	return o
}

func (p *Primary) openDone(key string, s *socket, err error) {
	waiters := p.opening[key]
	delete(p.opening, key)
	first := waiters[0]
	switch {
	case err != nil:
		first.o.err = err
	case s.handOff:
		if p.listeners[key] == nil {
			p.listen(key, s)
		} else {
			s.letGo(false)
		}
	case first.w.end != attached:
		s.letGo(false)
	default:
		first.o.sock = s
	}
	for _, x := range waiters {
		x.o.ready = true
		switch {
		case x.w.end != attached:
		case len(x.w.restore) > 0:
			x.w.restoreNext()
		default:
			x.w.resume()
		}
	}
}

// waiter is a worker that waits for a key to be opened.
type waiter struct {
	w *Worker
	o *opening
}

// listen makes a listener for hand-off.
func (p *Primary) listen(key string, s *socket) *listener {
	l := &listener{p: p, key: key, sock: s, line: newconnStart(key)}
	l.start = len(l.line)
	if s.addr != nil {
		l.address = s.addr.String()
	}
	p.listeners[key] = l
	p.order = append(p.order, l)
	_ = unix.SetNonblock(s.fd, true) // or an accept that came too late would stop everything
	id, err := p.loop.add(s.fd, l)
	if err != nil {
		p.warn(l, fmt.Sprintf("accept on %s: %v", key, err))
	}
	l.id = id
	return l
}

// drop closes a listener, with the connections that nobody was there to take.
func (p *Primary) drop(l *listener, byApp bool) {
	delete(p.listeners, l.key)
	p.order = slices.DeleteFunc(p.order, func(o *listener) bool { return o == l })
	p.loop.remove(l.sock.fd, l.id)
	for _, c := range l.parked {
		p.discard(c)
	}
	l.parked = nil
	l.sock.letGo(byApp)
}

// forgetData drops the shared data of an address that no worker listens on any more.
func (p *Primary) forgetData(base string) {
	if p.st.Data[base] == nil {
		return
	}
	for _, w := range p.workers {
		for _, h := range w.keys {
			if h.base == base {
				return
			}
		}
	}
	delete(p.st.Data, base)
	p.save()
}
