package daemon

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"paceline/internal/api"
)

// peerKey is where a connection's context holds who is at its other end.
type peerKey struct{}

// withPeer asks the kernel who has connected.
func (d *daemon) withPeer(ctx context.Context, c net.Conn) context.Context {
	uid := -1
	if u, ok := c.(*net.UnixConn); ok {
		found, near, err := peerUID(u)
		switch {
		case err != nil:
			d.log.Warn("ask who connects", "error", err)
		case near || !nameless(d.Home):
			uid = found
		}
		// An abstract socket can be reached from all containers that share our
		// network, and user 0 there need not be user 0 here.
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// ownUser lets the daemon's own user through alone. The socket's mode says so
// already; the peer's credentials hold even if somebody has changed it.
func (d *daemon) ownUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if uid, ok := r.Context().Value(peerKey{}).(int); !ok || uid != os.Geteuid() {
			d.log.Warn("refuse API request", "uid", uid)
			d.fail(w, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf(
				"the daemon of %s belongs to user %d; run pace as that user, or set PACELINE_HOME", d.Home, os.Geteuid())})
			return
		}
		next.ServeHTTP(w, r)
	})
}
