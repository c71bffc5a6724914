package drain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of linux/inet_diag.h and net/tcp_states.h; x/sys has none of them.
const (
	tcpdiagGetSock  = 18 // the old request: all address families in one walk
	reqBytecode     = 1
	attrInfo        = 2 // struct tcp_info
	bcJump          = 1
	bcSourceGE      = 2
	bcSourceLE      = 3
	tcpEstablished  = 1
	tcpFinWait1     = 4
	tcpFinWait2     = 5
	tcpCloseWait    = 8
	tcpListen       = 10
	diagRequestSize = 60 // struct inet_diag_req
	diagRequestV2   = 56 // struct inet_diag_req_v2
	diagMessageSize = 72 // struct inet_diag_msg
	sockIDSize      = 48 // struct inet_diag_sockid
)

// maxPorts is how many the jumps of a filter can pass over.
const maxPorts = 3000

// socket is a line of a dump.
type socket struct {
	conn
	family  uint8
	id      [sockIDSize]byte // addresses, ports and cookie, as the kernel has them
	listens bool
	queued  uint32 // connections to be accepted
}

// portFilter returns the program by which the kernel shows only sockets of these local
// ports. Each port is two comparisons and a jump to the end, which accepts; past the
// end means that the socket is not wanted.
func portFilter(ports []uint16) []byte {
	const compare, jump = 8, 4 // an operation, and one whose third field is the port
	block := 2*compare + jump
	total := len(ports)*block - jump
	var b []byte
	op := func(code, yes uint8, no int) {
		b = append(b, code, yes)
		b = binary.NativeEndian.AppendUint16(b, uint16(no))
	}
	for i, port := range ports {
		begin := i * block
		next := begin + block // where it goes on if this is not the port
		if i == len(ports)-1 {
			next = total + 4
		}
		op(bcSourceGE, compare, next-begin)
		op(0, 0, int(port))
		op(bcSourceLE, compare, next-begin-compare)
		op(0, 0, int(port))
		if i < len(ports)-1 {
			op(bcJump, jump, total-(begin+2*compare))
		}
	}
	return b
}

// extensions asks for tcp_info.
const extensions = 1 << (attrInfo - 1)

// header returns the head of a netlink message.
func header(kind, flags uint16, seq uint32, length int) []byte {
	e := binary.NativeEndian
	b := e.AppendUint32(make([]byte, 0, length), uint32(length))
	b = e.AppendUint16(b, kind)
	b = e.AppendUint16(b, flags)
	b = e.AppendUint32(b, seq)
	return e.AppendUint32(b, 0)
}

// requestOne returns the message that asks for one socket that was seen before. The
// acknowledgement is the end of the answer, which may hold nothing that is wanted.
func requestOne(s socket, seq uint32) []byte {
	b := header(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_REQUEST|unix.NLM_F_ACK, seq, unix.SizeofNlMsghdr+diagRequestV2)
	b = append(b, s.family, unix.IPPROTO_TCP, extensions, 0)
	b = append(b, 0xff, 0xff, 0xff, 0xff) // in any state
	return append(b, s.id[:]...)
}

// request returns the message that asks for the sockets of some local ports: of one
// family, or by the old kind of request of all.
func request(family uint8, seq uint32, states uint32, ports []uint16) []byte {
	filter := portFilter(ports)
	e := binary.NativeEndian
	var b []byte
	if family == unix.AF_UNSPEC {
		length := unix.SizeofNlMsghdr + diagRequestSize + unix.SizeofNlAttr + len(filter)
		b = header(tcpdiagGetSock, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, length)
		b = append(b, 0, 0, 0, extensions)
		b = append(b, make([]byte, sockIDSize)...) // any addresses
		b = e.AppendUint32(b, states)
		b = append(b, make([]byte, 4)...)
	} else {
		length := unix.SizeofNlMsghdr + diagRequestV2 + unix.SizeofNlAttr + len(filter)
		b = header(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, seq, length)
		b = append(b, family, unix.IPPROTO_TCP, extensions, 0)
		b = e.AppendUint32(b, states)
		b = append(b, make([]byte, sockIDSize)...)
	}
	b = e.AppendUint16(b, uint16(unix.SizeofNlAttr+len(filter)))
	b = e.AppendUint16(b, reqBytecode)
	return append(b, filter...)
}

var (
	errCut    = errors.New("message from sock_diag is cut short")
	errNoInfo = errors.New("sock_diag gives no tcp_info")
)

// parseDump calls emit for each socket in what was read for request seq, and tells
// whether that was the last. Errors: errCut, errNoInfo, an errno.
func parseDump(b []byte, seq uint32, emit func(socket)) (done bool, err error) {
	e := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(e.Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return false, errCut
		}
		kind, of := e.Uint16(b[4:]), e.Uint32(b[8:])
		body := b[unix.SizeofNlMsghdr:length]
		b = b[min(len(b), align(length)):]
		if of != seq { // of a request that was given up
			continue
		}
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) < 4 {
				return true, errCut
			}
			if code := int32(e.Uint32(body)); code < 0 {
				return true, unix.Errno(-code)
			}
			return true, nil
		case tcpdiagGetSock, unix.SOCK_DIAG_BY_FAMILY:
			s, ok, err := parseSocket(body)
			if err != nil {
				return false, err
			}
			if ok {
				emit(s)
			}
		}
	}
	if len(b) > 0 {
		return false, errCut
	}
	return false, nil
}

// parseSocket reads a struct inet_diag_msg and what follows. It is not ok in a state
// that nothing is to be waited for in.
func parseSocket(b []byte) (s socket, ok bool, err error) {
	if len(b) < diagMessageSize {
		return s, false, errCut
	}
	e := binary.NativeEndian
	s.family, s.id = b[0], [sockIDSize]byte(b[4:])
	s.port = binary.BigEndian.Uint16(b[4:])
	s.cookie = uint64(e.Uint32(b[44:])) | uint64(e.Uint32(b[48:]))<<32
	s.inode = e.Uint32(b[68:])
	switch b[1] {
	case tcpEstablished:
		s.side = open
	case tcpCloseWait:
		s.side = halfClosed
	case tcpFinWait1, tcpFinWait2:
		s.side = answered
	case tcpListen:
		s.listens, s.queued = true, e.Uint32(b[56:])
		return s, true, nil
	default:
		return s, false, nil
	}
	s.unread = e.Uint32(b[56:])
	for b = b[diagMessageSize:]; len(b) >= unix.SizeofNlAttr; {
		length, kind := int(e.Uint16(b)), e.Uint16(b[2:])
		if length < unix.SizeofNlAttr || length > len(b) {
			return s, false, errCut
		}
		if kind == attrInfo {
			s.setInfo(b[unix.SizeofNlAttr:length])
			if s.side == halfClosed { // the client's FIN counts as a byte
				s.unread -= min(s.unread, 1)
				s.received -= min(s.received, 1)
			}
			return s, true, nil
		}
		b = b[min(len(b), align(length)):]
	}
	if s.inode == 0 { // closed: all that is left are numbers, in FIN_WAIT2 or TIME_WAIT
		return s, false, nil
	}
	return s, false, errNoInfo
}

// setInfo reads a struct tcp_info. Older kernels have less of it: before 4.19 there
// is no count of the bytes sent, for which that of segments serves.
func (c *conn) setInfo(b []byte) {
	var info unix.TCPInfo
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)), b)
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	c.unsent, c.flying = info.Notsent_bytes, info.Unacked
	c.sinceSent, c.sinceReceived, c.sinceAck = ms(info.Last_data_sent), ms(info.Last_data_recv), ms(info.Last_ack_recv)
	c.received, c.sent = info.Bytes_received, info.Bytes_sent-info.Bytes_retrans
	if len(b) < int(unsafe.Offsetof(info.Bytes_retrans))+8 {
		c.sent = uint64(info.Data_segs_out - info.Total_retrans)
	}
	c.segments, c.acks = info.Data_segs_in, info.Segs_out-info.Data_segs_out
}

// align rounds up to netlink's boundary.
func align(n int) int { return (n + 3) &^ 3 }

// diag asks the kernel for sockets.
type diag struct {
	fd       int
	seq      uint32
	states   uint32
	ports    []uint16
	families []uint8
	buffer   []byte
}

func openDiag(ports []uint16) (*diag, error) {
	if len(ports) > maxPorts {
		return nil, fmt.Errorf("look at connections of %d ports: more than %d", len(ports), maxPorts)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	// The kernel answers at once; if it ever did not, nobody should wait for ever.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		unix.Close(fd) //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("set a limit for sock_diag: %w", err)
	}
	ports = slices.Compact(slices.Sorted(slices.Values(ports)))
	return &diag{
		fd: fd, ports: ports,
		states:   1<<tcpEstablished | 1<<tcpFinWait1 | 1<<tcpFinWait2 | 1<<tcpCloseWait | 1<<tcpListen,
		families: []uint8{unix.AF_UNSPEC},
		// The kernel fills at most 32 KiB per message.
		buffer: make([]byte, 64<<10),
	}, nil
}

func (d *diag) close() { unix.Close(d.fd) } //nolint:errcheck // nothing was written

// dump calls emit for each socket of the ports. The kernel walks its whole table of
// connections for it, 0.6 ms for one of 262144 rows, but shows only these. The old
// request has it do so once and not per family; without it there are two walks.
func (d *diag) dump(emit func(socket)) error {
	for _, family := range d.families {
		err := d.dumpFamily(family, emit)
		if family == unix.AF_UNSPEC && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)) {
			d.families = []uint8{unix.AF_INET, unix.AF_INET6}
			return d.dump(emit)
		}
		if err != nil {
			return fmt.Errorf("look at connections: %w", err)
		}
	}
	return nil
}

func (d *diag) dumpFamily(family uint8, emit func(socket)) error {
	d.seq++
	message := request(family, d.seq, d.states, d.ports)
	if _, err := ignoringEINTR(func() (int, error) { return unix.Write(d.fd, message) }); err != nil {
		return err
	}
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(d.fd, d.buffer) })
		if err != nil {
			return err
		}
		if done, err := parseDump(d.buffer[:n], d.seq, emit); done || err != nil {
			return err
		}
	}
}

// one looks at a socket again, which takes some microseconds, however many others there
// are; false if it is gone.
func (d *diag) one(s socket) (again socket, ok bool, err error) {
	d.seq++
	message := requestOne(s, d.seq)
	_, err = ignoringEINTR(func() (int, error) { return unix.Write(d.fd, message) })
	for done := false; err == nil && !done; {
		var n int
		if n, err = ignoringEINTR(func() (int, error) { return unix.Read(d.fd, d.buffer) }); err == nil {
			done, err = parseDump(d.buffer[:n], d.seq, func(s socket) { again, ok = s, true })
		}
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE) {
		return socket{}, false, nil
	}
	if err != nil {
		err = fmt.Errorf("look at a connection: %w", err)
	}
	return again, ok, err
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
