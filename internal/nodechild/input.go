//go:build unix

package nodechild

import (
	"bytes"
	"slices"
	"syscall"
)

const (
	// maxLineBytes bounds what the primary can make us hold: a longer line is dropped.
	maxLineBytes = 16 << 20
	readBytes    = 64 << 10
	// maxRights is how many descriptors there is room for beside one read. Nobody sends more
	// than one, but what had no room would be lost without a trace.
	maxRights = 16
)

// input cuts what is read into lines, and keeps the descriptors that came with it until
// an envelope claims them.
type input struct {
	part     []byte // a line without its end so far
	skipping bool   // it is too long
	fds      []int
}

// next cuts the first line off buf; rest is what follows it. ok is false if buf has no
// whole line, and is then kept. The line is nil if it was too long, and valid until the
// next call.
func (in *input) next(buf []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		if in.skipping = in.skipping || len(in.part)+len(buf) > maxLineBytes; in.skipping {
			in.part = nil
			return nil, nil, false
		}
		in.part = append(in.part, buf...)
		return nil, nil, false
	}
	line, rest = buf[:i], buf[i+1:]
	switch {
	case in.skipping || len(in.part)+i > maxLineBytes:
		line = nil
	case len(in.part) > 0:
		line = append(in.part, line...)
	}
	in.part, in.skipping = nil, false
	return line, rest, true
}

// claim returns the descriptor for an envelope, -1 if it did not come.
func (in *input) claim() int {
	if len(in.fds) == 0 {
		return -1
	}
	fd := in.fds[0]
	in.fds = in.fds[1:]
	return fd
}

func (in *input) close() {
	for _, fd := range in.fds {
		_ = syscall.Close(fd)
	}
	in.fds = nil
}

// read serves the channel until it is gone.
func (c *Child) read() {
	var in input
	buf, oob := make([]byte, readBytes), make([]byte, syscall.CmsgSpace(4*maxRights))
	for {
		n, oobn, _, _, err := c.conn.ReadMsgUnix(buf, oob)
		n, oobn = max(n, 0), max(oobn, 0) // they are -1 with an error
		in.fds = append(in.fds, rights(oob[:oobn])...)
		for rest := buf[:n]; len(rest) > 0; {
			var line []byte
			var ok bool
			if line, rest, ok = in.next(rest); ok && len(line) > 0 {
				c.act(line, &in)
			}
		}
		if len(in.part) == 0 && !in.skipping {
			in.close() // they came with lines that are no envelopes
		}
		if err != nil || n == 0 {
			break // the primary is gone; what was half said means nothing
		}
	}
	in.close()
	c.gone()
}

// rights returns the descriptors in a control message.
func rights(oob []byte) (fds []int) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if list, err := syscall.ParseUnixRights(&m); err == nil {
			fds = append(fds, list...)
		}
	}
	return fds
}

// act does what a line asks for.
func (c *Child) act(line []byte, in *input) {
	m, envelope := parse(line)
	fd := -1
	if envelope {
		if fd = in.claim(); fd < 0 {
			_ = c.out.write(lineHandleNack, false) // it comes again
			return
		}
		_ = c.out.write(lineHandleAck, false)
	}
	switch m.kind {
	case msgUser:
		c.o.Event(Event{Kind: Message, Message: slices.Clone(m.body)})
	case msgAnswer:
		fd = c.answered(m, fd)
	case msgNewConn:
		fd = c.handedOver(m, fd)
	case msgDrain:
		c.o.Event(Event{Kind: Drain, Grace: m.grace})
	case msgDisconnect:
		c.o.Event(Event{Kind: Disconnect})
	case msgInvalid, msgIgnored, msgHandleAck, msgHandleNack: // we send no handles
	}
	if fd >= 0 {
		_ = syscall.Close(fd) // nobody wants it
	}
}

// answered passes an answer on to who asked, with its descriptor; what is returned is
// the caller's still.
func (c *Child) answered(m message, fd int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply, asked := c.asked[m.ack]
	delete(c.asked, m.ack)
	switch {
	case !asked: // a daemon that was started again repeats what it has answered
		return fd
	case reply == nil: // who asked has given up, and does not know what to close
		if m.errno == 0 && m.key != "" {
			c.seq++
			_ = c.out.write(closeLine(m.key, c.seq), false)
		}
		return fd
	}
	if m.errno == 0 && fd < 0 && m.key != "" && c.sources[m.key] == nil {
		// Here and not in Query: the first connection may come right behind.
		c.sources[m.key] = newSource(c, m.key)
	}
	reply <- answer{m, fd} // has room
	return -1
}

// handedOver takes a connection; what is returned is the caller's still.
func (c *Child) handedOver(m message, fd int) int {
	if fd < 0 {
		return fd // not in an envelope: nothing that could be accepted
	}
	c.mu.Lock()
	s := c.sources[m.key]
	c.mu.Unlock()
	if s == nil {
		_ = syscall.Close(fd)
		_ = c.acknowledge(m.seq, false)
		return -1
	}
	s.add(handed{fd: fd, seq: m.seq})
	return -1
}

// gone lets go of everything when the channel is.
func (c *Child) gone() {
	c.out.breakOff()
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	close(c.done)
	c.o.Event(Event{Kind: Gone}) // while listeners still wait: nothing has failed, all ends
	c.mu.Lock()
	sources := c.sources
	c.sources = map[string]*Source{}
	c.mu.Unlock()
	for _, s := range sources {
		s.Close()
	}
	_ = c.conn.Close()
}
