package daemon

import (
	"log/slog"
	"net"

	"golang.org/x/sys/unix"
)

// peerListener accepts the connections of this user alone. The socket's mode
// says so already; the peer's credentials hold even if somebody changed it.
type peerListener struct {
	*net.UnixListener
	uid int
	log *slog.Logger
}

// Accept returns the next connection of the daemon's own user.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && uid == l.uid {
			return c, nil
		}
		l.log.Warn("refuse API connection", "uid", uid, "error", err)
		if err := c.Close(); err != nil {
			l.log.Debug("close refused connection", "error", err)
		}
	}
}

// peerUID asks the kernel who is at the other end.
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return -1, err
	}
	if credErr != nil {
		return -1, credErr
	}
	return int(cred.Uid), nil
}
