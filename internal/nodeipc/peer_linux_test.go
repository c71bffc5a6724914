package nodeipc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer plays a worker, so that it can do what Node does rarely.
type peer struct {
	*Worker
	tb    testing.TB
	ev    *events
	fd    int
	buf   []byte
	fds   []int // received and not yet claimed by a line
	seq   int64
	taken map[int]bool // connections not yet replied to
}

func attachPeer(tb testing.TB, p *Primary, saved []byte, save func([]byte)) *peer {
	tb.Helper()
	ours, theirs, err := Pair()
	if err != nil {
		tb.Fatal(err)
	}
	return attachPeerOn(tb, p, ours, theirs, saved, save)
}

func attachPeerOn(tb testing.TB, p *Primary, ours, theirs *os.File, saved []byte, save func([]byte)) *peer {
	tb.Helper()
	return attachPeerWith(tb, theirs, WorkerOptions{Channel: ours, Primary: p, Saved: saved, Save: save})
}

// attachPeerWith is attachPeer with options of its own; Event is set here.
func attachPeerWith(tb testing.TB, theirs *os.File, o WorkerOptions) *peer {
	tb.Helper()
	fd, err := takeFD(theirs)
	if err != nil {
		tb.Fatal(err)
	}
	x := &peer{tb: tb, ev: newEvents(tb), fd: fd, taken: map[int]bool{}}
	o.Event = x.ev.add
	x.Worker, err = Attach(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(x.hangUp)
	return x
}

func (x *peer) hangUp() {
	if x.fd >= 0 {
		unix.Close(x.fd)
		for _, fd := range x.fds {
			unix.Close(fd)
		}
		for fd := range x.taken {
			unix.Close(fd)
		}
		x.fd, x.fds, x.taken = -1, nil, nil
	}
}

func (x *peer) write(text string) { x.tb.Helper(); x.writeWith(text, -1) }

func (x *peer) writeWith(text string, fd int) {
	x.tb.Helper()
	var oob []byte
	if fd >= 0 {
		oob = unix.UnixRights(fd)
	}
	for b := []byte(text); len(b) > 0; oob = nil {
		n, err := unix.SendmsgN(x.fd, b, oob, nil, 0)
		if err != nil {
			x.tb.Fatal(err)
		}
		b = b[n:]
	}
}

// send writes a NODE_CLUSTER message with the next number.
func (x *peer) send(fields string) int64 {
	x.tb.Helper()
	x.seq++
	x.write(fmt.Sprintf(`{"cmd":"NODE_CLUSTER",%s,"seq":%d}`+"\n", fields, x.seq))
	return x.seq
}

type got struct {
	Cmd, Act, Key, Type string
	Seq, Ack            int64
	Errno               *int
	Data                json.RawMessage
	Sockname            *struct {
		Address, Family string
		Port            int
	}
	Msg *got
	raw string
	fd  int
}

// next returns the next line, or nil if none comes within d.
func (x *peer) next(d time.Duration) *got {
	x.tb.Helper()
	late := time.Now().Add(d)
	for {
		if i := bytes.IndexByte(x.buf, '\n'); i >= 0 {
			g := &got{raw: string(x.buf[:i]), fd: -1}
			x.buf = x.buf[i+1:]
			raw := []byte(g.raw)
			if len(raw) > 0 && raw[0] == bunPrefix {
				raw = raw[1:]
			}
			if err := json.Unmarshal(raw, g); err != nil && raw[0] == '{' {
				x.tb.Fatalf("torn or wrong line %.100q: %v", g.raw, err)
			}
			if !json.Valid(raw) {
				x.tb.Fatalf("torn or wrong line %.100q", g.raw)
			}
			if g.Cmd == "NODE_HANDLE" && len(x.fds) > 0 {
				g.fd, x.fds = x.fds[0], x.fds[1:]
			}
			return g
		}
		left := time.Until(late)
		if left <= 0 {
			return nil
		}
		poll := []unix.PollFd{{Fd: int32(x.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(left.Milliseconds())+1); n == 0 || err != nil {
			continue
		}
		buf, oob := make([]byte, 64<<10), make([]byte, 64)
		n, oobn, _, _, err := unix.Recvmsg(x.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 {
			return nil
		}
		if oobn > 0 {
			msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
			fds, _ := unix.ParseUnixRights(&msgs[0])
			if len(fds) != 1 {
				x.tb.Fatalf("%d descriptors in one message, Node aborts", len(fds))
			}
			x.fds = append(x.fds, fds...)
		}
		x.buf = append(x.buf, buf[:n]...)
	}
}

func (x *peer) mustNext(what string) *got {
	x.tb.Helper()
	g := x.next(patience)
	if g == nil {
		x.tb.Fatalf("no %s came", what)
	}
	return g
}

// listen asks for a port and returns the answer.
func (x *peer) listen(fields string) *got {
	x.tb.Helper()
	seq := x.send(`"act":"queryServer","index":0,"data":null,` + fields)
	g := x.mustNext("answer to queryServer")
	inner := g
	if g.Cmd == "NODE_HANDLE" {
		inner = g.Msg
	}
	if inner.Ack != seq {
		x.tb.Fatalf("answer %s, want ack %d", g.raw, seq)
	}
	return g
}

const anyPort = `"address":"127.0.0.1","port":0,"addressType":4,"fd":null,"backlog":false`

// take receives a handed-off connection and confirms the descriptor; accept or refuse it with reply.
func (x *peer) take(d time.Duration) *got {
	x.tb.Helper()
	g := x.next(d)
	if g == nil {
		return nil
	}
	if g.Cmd != "NODE_HANDLE" || g.Msg == nil || g.Msg.Act != "newconn" || g.fd < 0 {
		x.tb.Fatalf("got %s with descriptor %d, want a new connection", g.raw, g.fd)
	}
	x.taken[g.fd] = true
	return g
}

func (x *peer) reply(g *got, accepted bool) {
	x.tb.Helper()
	x.write(`{"cmd":"NODE_HANDLE_ACK"}` + "\n")
	x.send(fmt.Sprintf(`"ack":%d,"accepted":%v`, g.Msg.Seq, accepted))
	if accepted {
		unix.Write(g.fd, []byte("hello"))
	}
	x.drop(g)
}

func (x *peer) drop(g *got) {
	delete(x.taken, g.fd)
	unix.Close(g.fd)
}

// dial connects n times, in the order of the results.
func dial(tb testing.TB, addr string, n int) []net.Conn {
	tb.Helper()
	var all []net.Conn
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

func greeted(c net.Conn) error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 5)
	_, err := c.Read(b)
	return err
}

func newPrimary(tb testing.TB, handOff bool) (*Primary, *sockets) {
	s := newSockets(handOff)
	tb.Cleanup(s.Close)
	return newPrimaryOn(tb, s.Open), s
}

func newPrimaryOn(tb testing.TB, open func(Request) (*Socket, error)) *Primary {
	p := NewPrimary(PrimaryOptions{Open: open})
	tb.Cleanup(p.Close)
	return p
}

func (g *got) port() int { return g.Sockname.Port }

func (g *got) addr() string { return fmt.Sprintf("127.0.0.1:%d", g.Sockname.Port) }
