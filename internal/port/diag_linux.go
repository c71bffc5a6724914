package port

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sizes and states of the kernel's sock_diag interface (linux/inet_diag.h).
const (
	diagRequest = 56 // struct inet_diag_req_v2
	diagAnswer  = 72 // struct inet_diag_msg
	synReceived = 3  // TCP_SYN_RECV
	listens     = 10 // TCP_LISTEN
)

// handshakes returns the clients whose handshake with a port of ours has begun and
// is not over. It needs no right, and takes some 0.1 ms on a machine with few
// connections.
func handshakes(port int) (map[netip.AddrPort]bool, error) {
	found := map[netip.AddrPort]bool{}
	return found, dumpDiag(port, synReceived, func(answer []byte) { found[client(answer)] = true })
}

// dumpDiag calls each with every TCP socket that is bound to a port and in a state.
func dumpDiag(port, state int, each func(answer []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing is lost with it
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, diagQuery(family, port, state), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return os.NewSyscallError("sendto", err)
		}
		if err := receiveDiag(fd, each); err != nil {
			return err
		}
	}
	return nil
}

func diagQuery(family byte, port, state int) []byte {
	q := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+diagRequest)
	binary.NativeEndian.PutUint32(q, uint32(cap(q)))
	binary.NativeEndian.PutUint16(q[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(q[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	q = append(q, family, unix.IPPROTO_TCP, 0, 0)
	q = binary.NativeEndian.AppendUint32(q, 1<<state)
	q = binary.BigEndian.AppendUint16(q, uint16(port))
	return q[:cap(q)]
}

// receiveDiag reads the answers to one query.
func receiveDiag(fd int, each func(answer []byte)) error {
	buf := make([]byte, 32<<10) // a dump comes in pieces of 8 to 32 KiB
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR { //nolint:errorlint // a system call returns it bare
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		done, err := parseDiag(buf[:n], each)
		if done || err != nil {
			return err
		}
	}
}

// parseDiag reads one piece, and reports whether it is the last.
func parseDiag(piece []byte, each func(answer []byte)) (done bool, err error) {
	for len(piece) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(piece))
		if length < unix.SizeofNlMsghdr || length > len(piece) {
			return false, fmt.Errorf("read sock_diag: a message of %d bytes", length)
		}
		body := piece[unix.SizeofNlMsghdr:length]
		switch binary.NativeEndian.Uint16(piece[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, fmt.Errorf("read sock_diag: %w", syscall.EPROTO)
			}
			return false, fmt.Errorf("read sock_diag: %w", syscall.Errno(-int32(binary.NativeEndian.Uint32(body))))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < diagAnswer {
				return false, fmt.Errorf("read sock_diag: an answer of %d bytes", len(body))
			}
			each(body)
		}
		piece = piece[min((length+3)&^3, len(piece)):]
	}
	return false, nil
}

// client reads the far end: family and three bytes more, then the ports and the two
// addresses of 16 bytes each.
func client(answer []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(answer[6:])
	if answer[0] == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(answer[24:28])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(answer[24:40])).Unmap(), port)
}

// listener reads what a socket is bound to, and its inode.
func listener(answer []byte) (netip.Addr, string) {
	inode := strconv.FormatUint(uint64(binary.NativeEndian.Uint32(answer[diagAnswer-4:])), 10)
	if answer[0] == unix.AF_INET {
		return netip.AddrFrom4([4]byte(answer[8:12])), inode
	}
	return netip.AddrFrom16([16]byte(answer[8:24])), inode
}
