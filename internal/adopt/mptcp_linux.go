package adopt

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// replaceMPTCP puts a TCP socket in the place of an MPTCP one that is not bound yet: an
// MPTCP socket cannot be in a group of SO_REUSEPORT with a program of ours. A client
// that speaks MPTCP falls back to TCP by itself. Go programs listen with MPTCP unless
// told otherwise.
func (s *Server) replaceMPTCP(c *call, sock *socket) error {
	raw, err := unix.Socket(sock.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fmt.Errorf("make TCP socket: %w", err)
	}
	defer unix.Close(raw) //nolint:errcheck // duplicated by then, or not bound
	if err := imitate(raw, sock.fd, sock.family); err != nil {
		return err
	}
	f, number, err := unpolled(raw)
	if err != nil {
		return fmt.Errorf("duplicate TCP socket: %w", err)
	}
	if err := s.setFD(c, sock, raw); err != nil {
		return errors.Join(fmt.Errorf("give it a TCP socket: %w", err), f.Close())
	}
	old := sock.file
	sock.file, sock.fd, sock.mptcp = f, number, false
	return old.Close()
}

// imitate gives a socket what was set on another of the same family: its owner, its
// mode and its options, as far as they have to do with listening or are inherited by
// connections.
func imitate(fd, model, family int) error {
	var ours, theirs unix.Stat_t
	if err := errors.Join(unix.Fstat(fd, &ours), unix.Fstat(model, &theirs)); err != nil {
		return fmt.Errorf("compare sockets: %w", err)
	}
	// The owner of a socket decides who may share its port.
	if ours.Uid != theirs.Uid || ours.Gid != theirs.Gid {
		if err := unix.Fchown(fd, int(theirs.Uid), int(theirs.Gid)); err != nil {
			return fmt.Errorf("give TCP socket to user %d: %w", theirs.Uid, err)
		}
	}
	flags, err := unix.FcntlInt(uintptr(model), unix.F_GETFL, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	}
	if err != nil {
		return fmt.Errorf("copy mode of socket: %w", err)
	}
	for _, o := range numbers(family) {
		v, err := unix.GetsockoptInt(model, o.level, o.name)
		if err != nil { // not known to this kernel, or not to MPTCP
			continue
		}
		if now, err := unix.GetsockoptInt(fd, o.level, o.name); err != nil || now == v {
			continue
		}
		if o.halved { // the kernel doubles what it is given
			v /= 2
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, v); err != nil {
			return fmt.Errorf("copy option %d/%d of socket: %w", o.level, o.name, err)
		}
	}
	return imitateRest(fd, model)
}

// imitateRest copies the options that are not numbers.
func imitateRest(fd, model int) error {
	for _, o := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if v, err := unix.GetsockoptTimeval(model, unix.SOL_SOCKET, o); err == nil && (v.Sec != 0 || v.Usec != 0) {
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, o, v); err != nil {
				return fmt.Errorf("copy timeout of socket: %w", err)
			}
		}
	}
	if v, err := getLinger(model); err == nil && v.Onoff != 0 {
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &v); err != nil {
			return fmt.Errorf("copy SO_LINGER: %w", err)
		}
	}
	if v, err := unix.GetsockoptString(model, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err == nil && v != "" {
		if err := unix.BindToDevice(fd, v); err != nil {
			return fmt.Errorf("bind TCP socket to device %s: %w", v, err)
		}
	}
	v, err := unix.GetsockoptString(model, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if now, nowErr := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err == nil && nowErr == nil && now != v {
		if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, v); err != nil {
			return fmt.Errorf("copy congestion control of socket: %w", err)
		}
	}
	return nil
}

// getLinger is what x/sys lacks.
func getLinger(fd int) (l unix.Linger, err error) {
	size := uint32(unsafe.Sizeof(l))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return l, errno
	}
	return l, nil
}

// number is an option that is an int.
type number struct {
	level, name int
	halved      bool
}

func numbers(family int) []number {
	list := []number{
		{level: unix.SOL_SOCKET, name: unix.SO_REUSEADDR},
		{level: unix.SOL_SOCKET, name: unix.SO_REUSEPORT},
		{level: unix.SOL_SOCKET, name: unix.SO_KEEPALIVE},
		{level: unix.SOL_SOCKET, name: unix.SO_PRIORITY},
		{level: unix.SOL_SOCKET, name: unix.SO_MARK},
		{level: unix.SOL_SOCKET, name: unix.SO_OOBINLINE},
		{level: unix.SOL_SOCKET, name: unix.SO_RCVLOWAT},
		{level: unix.SOL_SOCKET, name: unix.SO_INCOMING_CPU},
		{level: unix.SOL_SOCKET, name: unix.SO_RCVBUF, halved: true},
		{level: unix.SOL_SOCKET, name: unix.SO_SNDBUF, halved: true},
		{level: unix.IPPROTO_TCP, name: unix.TCP_NODELAY},
		{level: unix.IPPROTO_TCP, name: unix.TCP_KEEPIDLE},
		{level: unix.IPPROTO_TCP, name: unix.TCP_KEEPINTVL},
		{level: unix.IPPROTO_TCP, name: unix.TCP_KEEPCNT},
		{level: unix.IPPROTO_TCP, name: unix.TCP_DEFER_ACCEPT},
		{level: unix.IPPROTO_TCP, name: unix.TCP_FASTOPEN},
		{level: unix.IPPROTO_TCP, name: unix.TCP_USER_TIMEOUT},
		{level: unix.IPPROTO_TCP, name: unix.TCP_NOTSENT_LOWAT},
		{level: unix.IPPROTO_IP, name: unix.IP_TOS},
		{level: unix.IPPROTO_IP, name: unix.IP_FREEBIND},
		{level: unix.IPPROTO_IP, name: unix.IP_TRANSPARENT},
	}
	if family == unix.AF_INET6 {
		list = append(list,
			number{level: unix.IPPROTO_IPV6, name: unix.IPV6_V6ONLY},
			number{level: unix.IPPROTO_IPV6, name: unix.IPV6_TCLASS},
			number{level: unix.IPPROTO_IPV6, name: unix.IPV6_FREEBIND},
			number{level: unix.IPPROTO_IPV6, name: unix.IPV6_TRANSPARENT},
		)
	}
	return list
}
