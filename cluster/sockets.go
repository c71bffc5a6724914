package cluster

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"paceline/internal/nodeipc"
)

// sockets are the listeners of a primary, by what workers ask for.
type sockets struct {
	handOff bool

	mu   sync.Mutex // guards what follows
	held map[socketKey]*socket
}

// socketKey is what makes two requests the same socket; see nodeipc.Request.
type socketKey struct {
	address     string
	port        int
	addressType string
	index, nth  int
}

// socket is one that workers share.
type socket struct {
	fd    int
	addr  net.Addr
	users map[int]struct{} // workers that have it
	path  string           // of its file, to be removed; "" if there is none
}

func newSockets(handOff bool) *sockets {
	return &sockets{handOff: handOff, held: map[socketKey]*socket{}}
}

// open gives a worker the socket that it asks for; it implements nodeipc.PrimaryOptions.
func (s *sockets) open(r nodeipc.Request) (*nodeipc.Socket, error) {
	key := socketKey{address: r.Address, port: r.Port, addressType: r.AddressType, nth: r.Nth}
	if r.Port == 0 {
		key.index = r.Index
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[key]
	if h == nil {
		var err error
		if h, err = bind(r); err != nil {
			return nil, err
		}
		s.held[key] = h
	}
	fd, err := duplicate(h.fd)
	if err != nil {
		if len(h.users) == 0 {
			delete(s.held, key)
			h.close()
		}
		return nil, err
	}
	h.users[r.Slot] = struct{}{}
	handOff := s.handOff && h.addr.Network() != "udp"
	return &nodeipc.Socket{
		File: os.NewFile(uintptr(fd), "listener"), Addr: h.addr, HandOff: handOff,
		Close: func() { s.release(key, h, r.Slot, handOff) },
	}, nil
}

// release is the end of a worker's server; with hand-off, of the last worker's.
func (s *sockets) release(key socketKey, h *socket, worker int, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(h.users, worker)
	if (all || len(h.users) == 0) && s.held[key] == h {
		delete(s.held, key)
		h.close()
	}
}

// forget takes note that a worker has ended. What only it had is kept: what connects
// meanwhile is served by its successor.
func (s *sockets) forget(worker int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		delete(h.users, worker)
	}
}

// closeAll lets go of all addresses.
func (s *sockets) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.held {
		h.close()
	}
	clear(s.held)
}

func (h *socket) close() {
	closeFD(h.fd)
	if h.path != "" {
		_ = os.Remove(h.path) // a leftover does no harm: bind replaces it
	}
}

// bind makes the socket for a request, listening unless it is UDP.
func bind(r nodeipc.Request) (*socket, error) {
	network, addr := networkOf(r)
	if network == "" {
		return nil, syscall.EINVAL
	}
	var c net.ListenConfig
	c.SetMultipathTCP(false) // a worker that is not Go's knows nothing of it
	if strings.HasPrefix(network, "udp") {
		if r.Flags&flagReuseAddr != 0 {
			c.Control = reuseAddr
		}
		conn, err := c.ListenPacket(context.Background(), network, addr)
		if err != nil {
			return nil, err
		}
		return keep(conn, conn.LocalAddr())
	}
	l, err := c.Listen(context.Background(), network, addr)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && stale(addr) {
		if err := os.Remove(addr); err != nil {
			return nil, err
		}
		l, err = c.Listen(context.Background(), network, addr)
	}
	if err != nil {
		return nil, err
	}
	u, isUnix := l.(*net.UnixListener)
	if isUnix {
		u.SetUnlinkOnClose(false)
	}
	h, err := keep(l, l.Addr())
	if err == nil && isUnix && !strings.HasPrefix(addr, "@") {
		h.path = addr
		if err = openTo(addr, r.ReadableAll, r.WritableAll); err != nil {
			h.close()
			return nil, err
		}
	}
	return h, err
}

// keep takes the descriptor of a socket out of the runtime's poller, which would wake the
// primary at each connection; l is closed.
func keep(l any, addr net.Addr) (*socket, error) {
	h := &socket{addr: addr, users: map[int]struct{}{}}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err == nil {
		ctlErr := raw.Control(func(fd uintptr) { h.fd, err = duplicate(int(fd)) })
		err = errors.Join(ctlErr, err)
	}
	closeErr := l.(interface{ Close() error }).Close()
	if err != nil {
		return nil, err
	}
	return h, closeErr
}

// flagReuseAddr is libuv's UV_UDP_REUSEADDR.
const flagReuseAddr = 4

// networkOf returns what to listen on in Go's words; "" if it is not known.
func networkOf(r nodeipc.Request) (network, addr string) {
	v6only := r.Flags&flagV6Only != 0
	switch r.AddressType {
	case "4":
		if network = "tcp4"; r.Address == "" {
			network = "tcp" // both families
		}
	case "6":
		if network = "tcp"; v6only {
			network = "tcp6"
		}
	case "udp4":
		network = "udp4"
	case "udp6":
		if network = "udp"; v6only {
			network = "udp6"
		}
	case "-1":
		// Node writes an abstract name with a NUL byte, after the working folder.
		if _, name, ok := strings.Cut(r.Address, "\x00"); ok {
			return "unix", "@" + name
		}
		if r.Address == "" {
			return "", ""
		}
		return "unix", r.Address
	default:
		return "", ""
	}
	return network, net.JoinHostPort(r.Address, strconv.Itoa(r.Port))
}

// stale reports whether a path is a socket file that nobody serves.
func stale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "unix", path)
	if err == nil {
		_ = conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// openTo gives everybody the right to connect.
func openTo(path string, readable, writable bool) error {
	if !readable && !writable {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	mode := info.Mode().Perm()
	if readable {
		mode |= 0o444
	}
	if writable {
		mode |= 0o222
	}
	return os.Chmod(path, mode)
}
