package daemon

import (
	"log/slog"
	"net"
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
