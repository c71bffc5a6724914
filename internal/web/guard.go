package web

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// policy lets a page load what we serve and nothing else: no inline script or style,
// no frame around it, no form that leaves it, no text that becomes HTML.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// guard stands before every route: it sets the headers that protect the page, and
// refuses what no page of ours would ask.
type guard struct {
	hosts func(host string) bool // whether this is how a browser may call us
	tls   bool
	next  http.Handler
}

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store") // files say otherwise
	switch {
	case !g.hosts(r.Host):
		// A name that an attacker has pointed at this address: DNS rebinding.
		refuse(w, http.StatusMisdirectedRequest, "this is not a name of the dashboard; `pace web --host NAME` adds one")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost:
		h.Set("Allow", "GET, HEAD, POST")
		refuse(w, http.StatusMethodNotAllowed, "GET and POST are all there is")
	case !g.sameOrigin(r):
		refuse(w, http.StatusForbidden, "the request comes from another site")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// sameOrigin refuses requests that another site's page makes. A page may be linked
// to, and so be navigated to from anywhere; nothing else may be asked for by others,
// a neighbour port's pages included.
func (g guard) sameOrigin(r *http.Request) bool {
	scheme := "http"
	if g.tls {
		scheme = "https"
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != scheme+"://"+r.Host {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.URL.Path == "/"
}

// fromBrowser tells that a browser vouches for where a request comes from.
func fromBrowser(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// allowed returns which Host headers are ours. An attacker needs a name to have a
// browser believe that our answers are his: so addresses are let through, for the
// loopback ones only those.
func allowed(o Options, loopback bool, leaf *x509.Certificate) func(host string) bool {
	names := append([]string{"localhost"}, o.Names...)
	if host := hostOf(o.Listen); host != "" {
		names = append(names, host)
	}
	if !loopback {
		if host, err := os.Hostname(); err == nil {
			names = append(names, host)
		}
	}
	return func(hostport string) bool {
		host := hostOf(hostport)
		if _, port, err := net.SplitHostPort(hostport); err == nil && strings.Trim(port, "0123456789") != "" {
			return false // no port, so who knows where the name ends
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			return !loopback || ip.Unmap().IsLoopback() || slices.Contains(names, host)
		}
		host = strings.TrimSuffix(strings.ToLower(host), ".")
		if host == "" {
			return false
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) }) {
			return true
		}
		return leaf != nil && leaf.VerifyHostname(host) == nil
	}
}

// hostOf takes the port, and brackets, off.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

// The names of the two halves of a session. The cookie's holds the port, as
// dashboards on several ports of a host share their cookies.
const keyHeader = "Paceline-Key"

func (s *server) cookieName() string {
	_, port, _ := net.SplitHostPort(s.address)
	name := "pace-" + port
	if s.tls {
		name = "__Host-" + name
	}
	return name
}

// who is what a request has been recognised by.
type who struct {
	session *session // nil: the token itself, as scripts send it
	remote  string
}

// recognise finds out whether a request may be answered; if not it answers why.
func (s *server) recognise(w http.ResponseWriter, r *http.Request) (who, bool) {
	me := who{remote: r.RemoteAddr}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return me, s.tryToken(w, r, strings.TrimSpace(token))
	}
	if c, err := r.Cookie(s.cookieName()); err == nil {
		me.session = s.sessions.find(c.Value, r.Header.Get(keyHeader))
	}
	if me.session == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Paceline"`)
		refuse(w, http.StatusUnauthorized, "sign in, or send the token as a bearer")
		return me, false
	}
	if r.Method == http.MethodPost && !fromBrowser(r) {
		refuse(w, http.StatusForbidden, "the browser does not say which page asks; scripts send the token as a bearer")
		return me, false
	}
	return me, true
}

// tryToken compares a token; if it is wrong it answers so.
func (s *server) tryToken(w http.ResponseWriter, r *http.Request, token string) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		s.log.Printf("remote address %q: %v", r.RemoteAddr, err)
	}
	ok, wait := s.attempts.try(token, from.Addr())
	switch {
	case ok:
		return true
	case wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
		refuse(w, http.StatusTooManyRequests, "too many wrong tokens; try again in "+wait.String())
	default:
		s.log.Printf("wrong token from %s", from.Addr())
		w.Header().Set("WWW-Authenticate", `Bearer realm="Paceline", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "that is not the token; it is in "+tokenPlace)
	}
	return false
}

// tokenPlace is told to who has a wrong one: not where the home is.
const tokenPlace = "the file web/token of Paceline's home, and `pace web --new-token` makes another"
