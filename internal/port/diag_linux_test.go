package port

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

func diagMessage(kind uint16, body []byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = append(m, make([]byte, unix.SizeofNlMsghdr-len(m))...)
	return append(m, body...)
}

func diagBody(family byte, port uint16, address ...byte) []byte {
	body := make([]byte, diagAnswer)
	body[0] = family
	binary.BigEndian.PutUint16(body[6:], port)
	copy(body[24:], address)
	return body
}

func TestParseDiag(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.7").As16()
	piece := diagMessage(unix.SOCK_DIAG_BY_FAMILY, diagBody(unix.AF_INET, 4711, 192, 0, 2, 7))
	piece = append(piece, diagMessage(unix.SOCK_DIAG_BY_FAMILY, diagBody(unix.AF_INET6, 4712, mapped[:]...))...)
	found := map[netip.AddrPort]bool{}
	add := func(answer []byte) { found[client(answer)] = true }
	if done, err := parseDiag(piece, add); done || err != nil {
		t.Errorf("got %v, %v", done, err)
	}
	if len(found) != 2 || !found[netip.MustParseAddrPort("192.0.2.7:4711")] || !found[netip.MustParseAddrPort("192.0.2.7:4712")] {
		t.Errorf("got %v", found)
	}
	if done, err := parseDiag(diagMessage(unix.NLMSG_DONE, make([]byte, 4)), add); !done || err != nil {
		t.Errorf("the end: got %v, %v", done, err)
	}
	refused := int32(-int(unix.ENOENT))
	body := binary.NativeEndian.AppendUint32(nil, uint32(refused))
	if _, err := parseDiag(diagMessage(unix.NLMSG_ERROR, body), add); asErrno(err) != unix.ENOENT {
		t.Errorf("an error: got %v, want ENOENT", err)
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(diagMessage(unix.SOCK_DIAG_BY_FAMILY, diagBody(unix.AF_INET, 1, 1, 2, 3, 4)))
	f.Add(diagMessage(unix.NLMSG_DONE, make([]byte, 4)))
	f.Add(diagMessage(unix.NLMSG_ERROR, nil))
	f.Add([]byte{17, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, piece []byte) {
		_, _ = parseDiag(piece, func([]byte) {})
	})
}
