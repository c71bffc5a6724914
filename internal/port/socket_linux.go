package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// newSocket makes a socket as Node expects it, non-blocking, with raw calls: Go's
// net package would make it MPTCP and register it with the runtime's poller, which
// would wake this process for each connection.
func newSocket(family, kind int) (int, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return fd, os.NewSyscallError("socket", err)
}

// bindTCP returns a bound socket. With reusePort it can join a group that is bound
// to the address already; without, it fails with EADDRINUSE if anybody is, also a
// program that uses SO_REUSEPORT itself.
func bindTCP(to unix.Sockaddr, v6only, reusePort bool) (_ int, err error) {
	fd, err := newSocket(familyOf(to), unix.SOCK_STREAM)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // nothing was written to it
		}
	}()
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, true); err != nil {
		return -1, err
	}
	if reusePort {
		if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
			return -1, err
		}
	}
	if familyOf(to) == unix.AF_INET6 {
		if err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only); err != nil {
			return -1, err
		}
	}
	return fd, os.NewSyscallError("bind", unix.Bind(fd, to))
}

// foundGroup binds the first socket of a SO_REUSEPORT group. There is no moment in
// which the port is bound and another program could join: the bind is done without
// SO_REUSEPORT, which is set afterwards.
func foundGroup(to unix.Sockaddr, v6only bool) (_ int, err error) {
	fd, err := bindTCP(to, v6only, false)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // nothing was written to it
		}
	}()
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
		return -1, err
	}
	if portOf(to) != 0 {
		return fd, nil
	}
	// A socket that was bound to port 0 forgets its port when it is shut down, which
	// moving a queue does; one that was bound to the same port by number does not.
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return -1, os.NewSyscallError("getsockname", err)
	}
	named, err := bindTCP(bound, v6only, true)
	if err != nil {
		return -1, err
	}
	return named, os.NewSyscallError("close", unix.Close(fd))
}

func bindUDP(a Address, to unix.Sockaddr) (_ int, err error) {
	fd, err := newSocket(familyOf(to), unix.SOCK_DGRAM)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // nothing was written to it
		}
	}()
	if a.ReuseAddr {
		if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, true); err != nil {
			return -1, err
		}
	}
	if familyOf(to) == unix.AF_INET6 {
		if err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, a.V6Only); err != nil {
			return -1, err
		}
	}
	return fd, os.NewSyscallError("bind", unix.Bind(fd, to))
}

// candidates returns what to bind for an address, in order of preference.
func candidates(a Address) ([]unix.Sockaddr, error) {
	if a.Port < 0 || a.Port > 65535 {
		return nil, syscall.EINVAL
	}
	any4 := &unix.SockaddrInet4{Port: a.Port}
	any6 := &unix.SockaddrInet6{Port: a.Port}
	family := a.Network[min(3, len(a.Network)):]
	if a.Host == "" {
		switch {
		case family == "4":
			return []unix.Sockaddr{any4}, nil
		case family == "6" || a.V6Only:
			return []unix.Sockaddr{any6}, nil
		default:
			return []unix.Sockaddr{any6, any4}, nil // as Node does; IPv6 may be switched off
		}
	}
	ip, err := netip.ParseAddr(a.Host)
	if err != nil || ip.Is4() && family == "6" || ip.Is6() && family == "4" {
		return nil, syscall.EINVAL
	}
	if ip.Is4() {
		return []unix.Sockaddr{&unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}}, nil
	}
	zone, err := zoneID(ip.Zone())
	if err != nil {
		return nil, err
	}
	return []unix.Sockaddr{&unix.SockaddrInet6{Port: a.Port, Addr: ip.As16(), ZoneId: zone}}, nil
}

func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, syscall.ENODEV
	}
	return uint32(i.Index), nil
}

func zoneName(id uint32) string {
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(id), 10)
}

// firstOf tries each address in turn; the error is that of the last.
func firstOf(to []unix.Sockaddr, bind func(unix.Sockaddr) (int, error)) (fd int, err error) {
	for _, sa := range to {
		if fd, err = bind(sa); err == nil {
			return fd, nil
		}
	}
	return -1, err
}

func listen(fd, backlog int) error {
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// moveQueue hands what waits at a socket to the others of its group, for which the
// kernel asks the group's program, and has it listen again. New connections must
// not be dealt to it meanwhile.
func moveQueue(fd, limit int) error {
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		return os.NewSyscallError("shutdown", err)
	}
	return listen(fd, limit)
}

// queue returns how many connections wait at a TCP listener and how many may.
func queue(fd int) (waiting, limit int, err error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, os.NewSyscallError("getsockopt", err)
	}
	return int(info.Unacked), int(info.Sacked), nil // so it is for listeners: man 7 tcp does not say it
}

// listening reports whether the socket accepts connections.
func listening(fd int) bool {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && v == 1
}

func option(fd, level, name int) (bool, error) {
	v, err := unix.GetsockoptInt(fd, level, name)
	return v != 0, os.NewSyscallError("getsockopt", err)
}

func setOption(fd, level, name int, on bool) error {
	v := 0
	if on {
		v = 1
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, v))
}

func familyOf(sa unix.Sockaddr) int {
	switch sa.(type) {
	case *unix.SockaddrInet4:
		return unix.AF_INET
	case *unix.SockaddrInet6:
		return unix.AF_INET6
	default:
		return unix.AF_UNIX
	}
}

func portOf(sa unix.Sockaddr) int {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return sa.Port
	case *unix.SockaddrInet6:
		return sa.Port
	default:
		return 0
	}
}

// boundTo returns a socket's address in both forms.
func boundTo(fd int, network string) (unix.Sockaddr, net.Addr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, nil, os.NewSyscallError("getsockname", err)
	}
	var ip net.IP
	var zone string
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		ip = sa.Addr[:]
	case *unix.SockaddrInet6:
		ip = sa.Addr[:]
		if sa.ZoneId != 0 {
			zone = zoneName(sa.ZoneId)
		}
	case *unix.SockaddrUnix:
		return sa, &net.UnixAddr{Net: "unix", Name: sa.Name}, nil
	default:
		return nil, nil, fmt.Errorf("getsockname: unexpected %T", sa)
	}
	if len(network) >= 3 && network[:3] == "udp" {
		return sa, &net.UDPAddr{IP: ip, Port: portOf(sa), Zone: zone}, nil
	}
	return sa, &net.TCPAddr{IP: ip, Port: portOf(sa), Zone: zone}, nil
}

func duplicate(fd int) (int, error) {
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return d, os.NewSyscallError("fcntl", err)
}

// duplicateOf returns a duplicate of a file's descriptor.
func duplicateOf(f *os.File) (fd int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if ctl := conn.Control(func(p uintptr) { fd, err = duplicate(int(p)) }); ctl != nil {
		return -1, ctl
	}
	return fd, err
}

// fileOf returns a duplicate of the descriptor as a file that the Go runtime does
// not poll. os.NewFile registers whatever is non-blocking with the poller, which
// would then wake this process at each connection; it looks only once, so it gets
// to see another descriptor first.
func fileOf(fd int, name string) (*os.File, error) {
	placeholder, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	f := os.NewFile(uintptr(placeholder), name)
	if err := unix.Dup3(fd, placeholder, unix.O_CLOEXEC); err != nil {
		return nil, errors.Join(os.NewSyscallError("dup3", err), f.Close())
	}
	return f, nil
}
