package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"paceline/internal/api"
)

// peerKey is where a connection's context holds who is at its other end, a peer.
type peerKey struct{}

// peer is who has connected; -1 is what is not known.
type peer struct {
	uid int
	pid int // 0: of a process that we do not see
}

// withPeer asks the kernel who has connected.
func (d *daemon) withPeer(ctx context.Context, c net.Conn) context.Context {
	p := peer{uid: -1}
	if u, ok := c.(*net.UnixConn); ok {
		found, err := peerOf(u)
		switch {
		case err != nil:
			d.log.Warn("ask who connects", "error", err)
		case found.pid != 0 || !nameless(d.Home):
			p = found
		}
		// An abstract socket can be reached from all containers that share our
		// network, and user 0 there need not be user 0 here.
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// ownUser lets the daemon's own user through alone. The socket's mode says so
// already; the peer's credentials hold even if somebody has changed it.
func (d *daemon) ownUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := r.Context().Value(peerKey{}).(peer); !ok || p.uid != os.Geteuid() {
			d.log.Warn("refuse API request", "uid", p.uid)
			d.fail(w, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf(
				"the daemon of %s belongs to user %d; run pace as that user, or set PACELINE_HOME", d.Home, os.Geteuid())})
			return
		}
		next.ServeHTTP(w, r)
	})
}
