package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"paceline/internal/api"
	"paceline/internal/ready"
)

// Bounds of what a client may cost.
const (
	headerTimeout = 10 * time.Second // for a request's head to arrive
	bodyTimeout   = 20 * time.Second // for the whole of it
	writeTimeout  = 30 * time.Second // for a client to take what is written
	idleTimeout   = 75 * time.Second // of a kept connection
	maxHeader     = 16 << 10         // bytes
	maxBody       = 8 << 10          // bytes
	maxStreams    = 48               // tabs that are open at the same time
	// lastAnswers is how long answers in hand may take when the dashboard ends: less
	// than an app's default kill_timeout.
	lastAnswers = time.Second
)

// Tell is called once, when the dashboard listens: with its URL, and the fingerprint
// of its certificate, "" without TLS.
type Tell func(url, fingerprint string)

// Main is the dashboard's process: args follow Role on its command line. It ends
// when ctx does.
func Main(ctx context.Context, args []string, getenv func(string) string, out, errs io.Writer) error {
	o, err := Parse(args)
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	var told error
	err = Serve(ctx, o, errs, func(url, fingerprint string) {
		if _, told = fmt.Fprintln(out, "dashboard at "+url); told == nil && fingerprint != "" {
			_, told = fmt.Fprintln(out, "certificate "+fingerprint)
		}
		told = errors.Join(told, ready.Say(getenv))
	})
	return errors.Join(err, told)
}

// Serve shows the dashboard until ctx ends. What goes wrong, and who does what, is
// written to journal. It does not begin without a token, nor on an address that
// others reach without TLS.
func Serve(ctx context.Context, o Options, journal io.Writer, tell Tell) error {
	o = o.complete()
	if err := o.check(); err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	token, err := o.readToken()
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	l, fingerprint, leaf, err := listen(ctx, o)
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	address, over := l.Addr().String(), fingerprint != ""
	client := api.New(api.Options{Home: o.Home})
	defer client.Close()
	s := newServer(config{
		daemon: client, token: token, address: address, tls: over, file: o.sessionFile(),
		hosts: allowed(o, isLoopback(l.Addr()), leaf), log: log.New(journal, "", log.LstdFlags), now: time.Now,
	})
	if tell != nil {
		tell(reachable(o, address, over), fingerprint)
	}
	return s.run(ctx, l)
}

// Address is where browsers will find the dashboard, and the fingerprint of the
// certificate that it will show, "" without TLS. A certificate of our own is made
// if there is none yet.
func (o Options) Address(ctx context.Context) (url, fingerprint string, err error) {
	o = o.complete()
	if err := o.check(); err != nil {
		return "", "", err
	}
	ip, err := resolve(ctx, hostOf(o.Listen))
	if err != nil {
		return "", "", err
	}
	if o.secure(ip) {
		c, err := o.Certificate(time.Now())
		if err != nil {
			return "", "", err
		}
		fingerprint = Fingerprint(c)
	}
	return reachable(o, o.Listen, fingerprint != ""), fingerprint, nil
}

// secure tells whether an address needs TLS, or has it because that was asked for.
func (o Options) secure(ip netip.Addr) bool { return !ip.IsLoopback() || o.Cert != "" }

// reachable is the URL of what listens on address: by the name that was asked for,
// and by this machine's own where all addresses were.
func reachable(o Options, address string, secure bool) string {
	host, port := hostOf(o.Listen), ""
	if _, p, err := net.SplitHostPort(address); err == nil {
		port = p
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
		if len(o.Names) > 0 {
			host = o.Names[0]
		} else if name, err := os.Hostname(); err == nil && name != "" {
			host = name
		}
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port) + "/"
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// listen opens the address, with TLS if there is a certificate or the address is not
// for this machine alone.
func listen(ctx context.Context, o Options) (l net.Listener, fingerprint string, leaf *x509.Certificate, err error) {
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, "", nil, err
	}
	ip, err := resolve(ctx, host)
	if err != nil {
		return nil, "", nil, err
	}
	var config *tls.Config
	if o.secure(ip) {
		c, err := o.Certificate(time.Now())
		if err != nil {
			return nil, "", nil, err
		}
		config = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		fingerprint, leaf = Fingerprint(c), c.Leaf
	}
	l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(ip.String(), port))
	if err != nil {
		return nil, "", nil, fmt.Errorf("%w; choose another address by --listen", err)
	}
	if config != nil {
		return tls.NewListener(l, config), fingerprint, leaf, nil
	}
	if !isLoopback(l.Addr()) {
		return nil, "", nil, errors.Join(fmt.Errorf("%s is not for this machine alone, and there is no TLS", l.Addr()), l.Close())
	}
	return l, "", nil, nil
}

// resolve turns a name into one address, so that what is looked at is what is
// listened on.
func resolve(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the address of %s: %w", host, err)
	}
	for _, ip := range list { // IPv4 first: that is what people mean by localhost
		if ip = ip.Unmap(); ip.Is4() {
			return ip, nil
		}
	}
	return list[0].Unmap(), nil
}

// config is what a server needs to know.
type config struct {
	daemon  source
	token   string
	address string // where it listens
	tls     bool
	file    string // in which sessions outlive us; "" means none
	hosts   func(host string) bool
	log     *log.Logger
	now     func() time.Time
}

// server answers browsers.
type server struct {
	config
	sessions *sessions
	kept     *sessionFile
	attempts *attempts
	feed     *feed
	history  historyCache
	streams  chan struct{} // a place for each tab
	closing  chan struct{} // closed when streams have to end
}

func newServer(c config) *server {
	s := &server{
		config: c, sessions: newSessions(c.now), attempts: newAttempts(c.token, c.now),
		feed: newFeed(c.daemon, c.log), streams: make(chan struct{}, maxStreams), closing: make(chan struct{}),
	}
	s.kept = &sessionFile{name: c.file, token: digestOf(c.token), from: s.sessions}
	s.keep(s.kept.load)
	return s
}

// keep does something with the file of sessions. That it cannot be done is no reason
// not to go on.
func (s *server) keep(do func() error) {
	if err := do(); err != nil {
		s.log.Print(err)
	}
}

// run serves on l, which it closes, until ctx ends.
func (s *server) run(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	feeding, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	wg.Go(func() { s.feed.run(feeding) })
	h := &http.Server{
		Handler: s.handler(), ErrorLog: s.log,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	ended := make(chan error, 1)
	wg.Go(func() { ended <- h.Serve(l) })
	select {
	case err := <-ended:
		return fmt.Errorf("dashboard: %w", err)
	case <-ctx.Done():
	}
	close(s.closing)
	s.keep(s.kept.save) // with when each was used last
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	if err := h.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("dashboard: %w", err)
	}
	if err := h.Close(); err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	return nil
}
