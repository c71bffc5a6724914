package drain

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// message returns a netlink message.
func message(kind uint16, seq uint32, body []byte) []byte {
	e := binary.NativeEndian
	b := e.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = e.AppendUint16(b, kind)
	b = e.AppendUint16(b, 0)
	b = e.AppendUint32(b, seq)
	b = e.AppendUint32(b, 0)
	b = append(b, body...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

// diagMessage returns a struct inet_diag_msg with two attributes.
func diagMessage(state uint8, inode uint32, info unix.TCPInfo, size int) []byte {
	e := binary.NativeEndian
	b := make([]byte, diagMessageSize)
	b[0], b[1] = unix.AF_INET, state
	binary.BigEndian.PutUint16(b[4:], 8080)
	e.PutUint32(b[44:], 7)
	e.PutUint32(b[48:], 1)
	e.PutUint32(b[56:], 12)
	e.PutUint32(b[68:], inode)
	attribute := func(kind uint16, value []byte) {
		b = e.AppendUint16(b, uint16(unix.SizeofNlAttr+len(value)))
		b = e.AppendUint16(b, kind)
		b = append(b, value...)
		b = append(b, make([]byte, align(len(b))-len(b))...)
	}
	attribute(8, []byte{0}) // INET_DIAG_SHUTDOWN comes unasked
	if size > 0 {
		attribute(attrInfo, unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info))[:size])
	}
	return b
}

func TestParseDump(t *testing.T) {
	info := unix.TCPInfo{
		Last_data_sent: 4, Last_data_recv: 8, Last_ack_recv: 12, Bytes_received: 101, Bytes_sent: 300, Bytes_retrans: 100,
		Notsent_bytes: 3, Unacked: 2, Data_segs_in: 5, Data_segs_out: 6, Segs_out: 9, Total_retrans: 1,
	}
	const all, before419 = int(unsafe.Sizeof(info)), 192
	c := conn{
		cookie: 1<<32 | 7, inode: 99, port: 8080, unread: 12, unsent: 3, flying: 2, segments: 5, acks: 3, received: 101, sent: 200,
		sinceSent: 4 * time.Millisecond, sinceReceived: 8 * time.Millisecond, sinceAck: 12 * time.Millisecond,
	}
	half := c
	half.side, half.unread, half.received = halfClosed, 11, 100
	older := c
	older.sent = 5
	errno := binary.NativeEndian.AppendUint32(nil, uint32(0xffffffff)) // -EPERM
	whole := message(tcpdiagGetSock, 1, diagMessage(tcpEstablished, 99, info, all))
	for _, test := range []struct {
		name string
		b    []byte
		want []socket
		done bool
		err  error
	}{
		{name: "nothing"},
		{name: "a connection", b: whole, want: []socket{{conn: c}}},
		{name: "two", b: append(append([]byte{}, whole...), whole...), want: []socket{{conn: c}, {conn: c}}},
		{name: "by a new request", b: message(unix.SOCK_DIAG_BY_FAMILY, 1, diagMessage(tcpEstablished, 99, info, all)), want: []socket{{conn: c}}},
		{name: "before 4.19", b: message(tcpdiagGetSock, 1, diagMessage(tcpEstablished, 99, info, before419)), want: []socket{{conn: older}}},
		{name: "half closed", b: message(tcpdiagGetSock, 1, diagMessage(tcpCloseWait, 99, info, all)), want: []socket{{conn: half}}},
		{name: "listening", b: message(tcpdiagGetSock, 1, diagMessage(tcpListen, 99, info, 0)), want: []socket{
			{conn: conn{cookie: 1<<32 | 7, inode: 99, port: 8080}, listens: true, queued: 12},
		}},
		{name: "what is left of a closed one", b: message(tcpdiagGetSock, 1, diagMessage(tcpFinWait2, 0, info, 0))},
		{name: "another state", b: message(tcpdiagGetSock, 1, diagMessage(11, 99, info, all))},
		{name: "of another request", b: message(tcpdiagGetSock, 2, nil)},
		{name: "end", b: append(append([]byte{}, whole...), message(unix.NLMSG_DONE, 1, make([]byte, 4))...), want: []socket{{conn: c}}, done: true},
		{name: "error", b: message(unix.NLMSG_ERROR, 1, errno), done: true, err: unix.EPERM},
		{name: "error at the end", b: message(unix.NLMSG_DONE, 1, errno), done: true, err: unix.EPERM},
		{name: "without tcp_info", b: message(tcpdiagGetSock, 1, diagMessage(tcpEstablished, 99, info, 0)), err: errNoInfo},
		{name: "cut header", b: whole[:15], err: errCut},
		{name: "cut message", b: whole[:80], err: errCut},
		{name: "cut body", b: message(tcpdiagGetSock, 1, make([]byte, 71)), err: errCut},
		{name: "cut end", b: message(unix.NLMSG_DONE, 1, make([]byte, 3)), done: true, err: errCut},
	} {
		var got []socket
		done, err := parseDump(test.b, 1, func(s socket) { got = append(got, s) })
		if done != test.done || !errors.Is(err, test.err) {
			t.Errorf("%s: done %t, %v; want %t, %v", test.name, done, err, test.done, test.err)
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
			continue
		}
		for i := range got {
			if got[i].family != unix.AF_INET || binary.BigEndian.Uint16(got[i].id[:]) != 8080 {
				t.Errorf("%s: family %d, id %v", test.name, got[i].family, got[i].id)
			}
			got[i].family, got[i].id = 0, [sockIDSize]byte{}
			if got[i] != test.want[i] {
				t.Errorf("%s: %+v, want %+v", test.name, got[i], test.want[i])
			}
		}
	}
}

func FuzzParseDump(f *testing.F) {
	var info unix.TCPInfo
	for _, state := range []uint8{tcpEstablished, tcpCloseWait, tcpListen, 11} {
		f.Add(message(tcpdiagGetSock, 1, diagMessage(state, 99, info, int(unsafe.Sizeof(info)))))
	}
	f.Add(message(unix.NLMSG_DONE, 1, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		done, err := parseDump(b, 1, func(s socket) {
			if n++; s.listens && s.unread > 0 {
				t.Errorf("%+v listens and has data", s)
			}
		})
		if n > len(b)/diagMessageSize {
			t.Errorf("%d sockets in %d bytes", n, len(b))
		}
		if !done && err == nil && len(b)%4 != 0 && len(b) < unix.SizeofNlMsghdr {
			t.Errorf("%d bytes are whole messages", len(b))
		}
	})
}

// accepts runs a filter as the kernel does.
func accepts(t *testing.T, b []byte, port uint16) bool {
	t.Helper()
	e := binary.NativeEndian
	left, at := len(b), 0
	for left > 0 {
		yes := true
		switch b[at] {
		case bcSourceGE:
			yes = port >= e.Uint16(b[at+6:])
		case bcSourceLE:
			yes = port <= e.Uint16(b[at+6:])
		case bcJump:
			yes = false
		default:
			t.Fatalf("operation %d at %d", b[at], at)
		}
		step := int(b[at+1])
		if !yes {
			step = int(e.Uint16(b[at+2:]))
		}
		if step < 4 || step > left+4 || step%4 != 0 {
			t.Fatalf("step of %d at %d of %d", step, at, len(b))
		}
		left -= step
		at += step
	}
	return left == 0
}

func TestPortFilter(t *testing.T) {
	for _, ports := range [][]uint16{{1}, {80}, {80, 81}, {80, 443, 8080}, {0, 65535}} {
		b := portFilter(ports)
		for port := range 1 << 16 {
			want := false
			for _, p := range ports {
				want = want || int(p) == port
			}
			if got := accepts(t, b, uint16(port)); got != want {
				t.Fatalf("filter for %v: %d gives %t", ports, port, got)
			}
		}
	}
	many := make([]uint16, maxPorts)
	for i := range many {
		many[i] = uint16(2 * i)
	}
	b := portFilter(many)
	for _, port := range []uint16{0, 1, 2, 3000, 3001, 2*maxPorts - 2, 2*maxPorts - 1, 2 * maxPorts} {
		if got, want := accepts(t, b, port), port%2 == 0 && port < 2*maxPorts; got != want {
			t.Errorf("filter for %d ports: %d gives %t", maxPorts, port, got)
		}
	}
}

func TestSocketInode(t *testing.T) {
	for link, want := range map[string]uint32{"socket:[123]": 123, "socket:[4294967295]": 4294967295} {
		if got, ok := socketInode([]byte(link)); !ok || got != want {
			t.Errorf("%s: %d, %t", link, got, ok)
		}
	}
	for _, link := range []string{"", "socket:[", "socket:[]", "socket:[1", "socket:[x]", "pipe:[1]", "/socket:[1]", "socket:[4294967296]"} {
		if got, ok := socketInode([]byte(link)); ok {
			t.Errorf("%s: %d", link, got)
		}
	}
}
