package adopt

import (
	"errors"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"paceline/internal/kernel"
)

// socket is a program's TCP socket, as a duplicate.
type socket struct {
	file   *os.File
	fd     int // of file
	family int
	mptcp  bool
}

func (s *socket) v6only() bool {
	v, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	return s.family == unix.AF_INET6 && err == nil && v != 0
}

// local is what the socket is bound to; port 0 if to nothing.
func (s *socket) local() netip.AddrPort {
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(zoned(netip.AddrFrom16(sa.Addr), sa.ZoneId), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// decide finds out what becomes of a call. When in doubt it passes: the kernel knows
// what is wrong with it, and a program harms nobody but itself.
func (s *Server) decide(c *call) verdict {
	pass := verdict{pass: true}
	if c.pid == 0 { // gone, or in a process namespace that we do not see
		return pass
	}
	key, ok := s.o.Handler.Owner(c.pid)
	if !ok {
		return pass
	}
	fd := int(int32(c.Args[0]))
	if fd < 0 {
		return pass
	}
	raw, err := takeFD(c.TID, fd)
	if err != nil {
		if errors.Is(err, unix.EPERM) && c.NR != unix.SYS_SHUTDOWN && kernel.Waits(s.fd, c.ID) {
			s.o.Log("process %d does not let us have its sockets, so its ports are not shared: %v", c.pid, err)
		}
		return pass
	}
	f, number, err := unpolled(raw)
	_ = unix.Close(raw) // a duplicate
	if err != nil {
		s.o.Log("a call of process %d passes: %v", c.pid, err)
		return pass
	}
	sock := &socket{file: f, fd: number}
	defer func() { _ = sock.file.Close() }() // a duplicate
	if !s.inspect(sock) || !kernel.Waits(s.fd, c.ID) {
		return pass // it is none of ours, or a thread's that has taken over the number
	}
	defer runtime.KeepAlive(f)
	switch c.NR {
	case unix.SYS_BIND:
		err = s.bind(c, key, sock)
	case unix.SYS_LISTEN:
		err = s.listen(c, key, sock)
	case unix.SYS_SHUTDOWN:
		err = s.shut(c, key, sock)
	default:
		return pass
	}
	return s.verdictOf(c, err)
}

// verdictOf is what the program is told of an error.
func (s *Server) verdictOf(c *call, err error) verdict {
	if err == nil {
		return verdict{}
	}
	if errors.Is(err, ErrPass) {
		return verdict{pass: true}
	}
	if s.ctx.Err() != nil && errors.Is(err, s.ctx.Err()) {
		return verdict{leave: true}
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok && errno != 0 {
		return verdict{errno: errno}
	}
	s.o.Log("a call of process %d fails with EIO: %v", c.pid, err)
	return verdict{errno: unix.EIO}
}

// inspect reports whether a descriptor is a TCP socket in our network.
func (s *Server) inspect(sock *socket) bool {
	options := [...]int{unix.SO_DOMAIN, unix.SO_TYPE, unix.SO_PROTOCOL}
	var values [len(options)]int
	for i, name := range options {
		v, err := unix.GetsockoptInt(sock.fd, unix.SOL_SOCKET, name)
		if err != nil {
			return false
		}
		values[i] = v
	}
	sock.family, sock.mptcp = values[0], values[2] == unix.IPPROTO_MPTCP
	return (sock.family == unix.AF_INET || sock.family == unix.AF_INET6) && values[1] == unix.SOCK_STREAM &&
		(values[2] == unix.IPPROTO_TCP || sock.mptcp) && networkOf(sock.fd) == s.network
}

// networkOf identifies the network namespace of a socket, or for -1 ours. It is 0
// before Linux 5.14, where all count as one.
func networkOf(fd int) uint64 {
	if fd < 0 {
		var err error
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return 0
		}
		defer unix.Close(fd) //nolint:errcheck // never connected
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return cookie
}

// bind is bind(fd, address, length).
func (s *Server) bind(c *call, key string, sock *socket) error {
	length := int(int32(c.Args[2]))
	if length < sizeInet || length > sizeStorage {
		return ErrPass
	}
	b := make([]byte, min(length, sizeInet6))
	err := readMemory(c.TID, c.Args[1], b)
	if !kernel.Waits(s.fd, c.ID) {
		return ErrPass
	}
	if err != nil {
		if !errors.Is(err, unix.EFAULT) {
			s.o.Log("process %d does not let us read what it binds, so its ports are not shared: %v", c.pid, err)
		}
		return ErrPass
	}
	to, family, ok := address(b)
	local := sock.local()
	bound := local.Port() != 0
	switch {
	case !ok || family != sock.family || to.Port() == 0:
		return ErrPass
	case bound && (local != to || sock.mptcp):
		return ErrPass
	}
	low := int(to.Port()) < firstFreePort()
	if low && !mayBindLow(c.TID) {
		return ErrPass // we could, but it may not
	}
	if sock.mptcp {
		if err := s.replaceMPTCP(c, sock); err != nil {
			s.o.Log("process %d has an MPTCP socket, which cannot share a port: %v", c.pid, err)
			return ErrPass
		}
	}
	c.decided = true
	err = s.o.Handler.Bind(s.ctx, Bind{
		Key: key, PID: c.pid, File: sock.file, Addr: to, V6Only: sock.v6only(), Bound: bound,
	})
	if low && errors.Is(err, unix.EACCES) {
		return ErrPass // it may, but we could not
	}
	return err
}

// listen is listen(fd, backlog).
func (s *Server) listen(c *call, key string, sock *socket) error {
	local := sock.local()
	if local.Port() == 0 {
		return ErrPass
	}
	c.decided = true
	replacement, err := s.o.Handler.Listen(s.ctx, Listen{
		Key: key, PID: c.pid, File: sock.file, Addr: local, V6Only: sock.v6only(),
		Backlog: int(int32(c.Args[1])), MPTCP: sock.mptcp,
	})
	if replacement == nil {
		return err
	}
	defer func() { _ = replacement.Close() }() // a duplicate
	if err != nil {
		return err
	}
	conn, err := replacement.SyscallConn()
	if err != nil {
		return err
	}
	ctl := conn.Control(func(fd uintptr) { err = s.setFD(c, sock, int(fd)) })
	return errors.Join(ctl, err)
}

// setFD puts a socket in the place of sock, which a call is about.
func (s *Server) setFD(c *call, sock *socket, fd int) error {
	its := int(int32(c.Args[0]))
	closeOnExec := closesOnExec(c.TID, its)
	var watches []watched
	if !unwatched(c.pid, its, sock.fd) {
		watches = epollWatches(c.pid, its, inodeOf(sock.fd))
	}
	err := kernel.SetFD(s.fd, c.ID, fd, its, closeOnExec)
	if errors.Is(err, unix.ENOENT) {
		c.decided = false // if its caller lives, it has to be done once more
	}
	if err != nil {
		return err
	}
	if err := watchAgain(c.TID, its, sock.fd, fd, watches); err != nil {
		s.o.Log("process %d watches its socket before it listens, and may not hear of connections: %v", c.pid, err)
	}
	return nil
}

// inodeOf identifies a socket; 0 if that cannot be told.
func inodeOf(fd int) uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0
	}
	return st.Ino
}

// listening is asked first for a shutdown, which some servers do at the end of each
// connection: that is no matter for notes and handlers.
func listening(c *call) bool {
	fd, err := takeFD(c.TID, int(int32(c.Args[0])))
	if err != nil {
		return false
	}
	defer unix.Close(fd) //nolint:errcheck // a duplicate
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && v == 1
}

// named is asked first for a bind: whether it may be one to an address with a port,
// which is all that concerns us. Clients bind to port 0, and a Go program does so twice
// as it starts. Who changes the address afterwards has bound past us, no more.
func named(c *call) bool {
	length := int(int32(c.Args[2]))
	if length < sizeInet || length > sizeStorage {
		return false
	}
	b := make([]byte, min(length, sizeInet6))
	if readMemory(c.TID, c.Args[1], b) != nil {
		return true // what is wrong is found out later
	}
	to, _, ok := address(b)
	return ok && to.Port() != 0
}

// shut is shutdown(fd, how).
func (s *Server) shut(c *call, key string, sock *socket) error {
	if how := int32(c.Args[1]); how != unix.SHUT_RD && how != unix.SHUT_RDWR {
		return ErrPass
	}
	v, err := unix.GetsockoptInt(sock.fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || v != 1 || !s.o.Handler.Shut(key, sock.file) {
		return ErrPass
	}
	return nil
}
