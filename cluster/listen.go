package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"paceline/internal/nodechild"
)

// Listen is net.Listen for an address that all workers of a primary share: each may
// listen on it, also on port 0, which is then the same for all. The networks are tcp, tcp4,
// tcp6 and unix. In a process that is no worker it is net.Listen.
//
// When the worker is to leave (see Context), nothing new comes out of Accept, which goes on
// waiting until all connections that it has returned are closed, and only then says
// net.ErrClosed. So a server that knows nothing of all this, and ends when its Accept
// fails, cuts nobody. Close ends Accept at once.
//
// Errors are those of the primary's bind and listen, such as syscall.EADDRINUSE, in a
// *net.OpError; ErrDisconnected when the worker is leaving.
func Listen(network, addr string) (net.Listener, error) { return self().listen(network, addr) }

// ListenPacket is net.ListenPacket for an address that all workers of a primary share:
// each datagram goes to one of them. The networks are udp, udp4 and udp6; others, and a
// process that is no worker, get net.ListenPacket. When the worker is to leave it is
// closed. Errors are those of Listen.
func ListenPacket(network, addr string) (net.PacketConn, error) {
	return self().listenPacket(network, addr)
}

func (p *process) listen(network, addr string) (net.Listener, error) {
	if !p.worker || p.own && strings.HasPrefix(network, "tcp") {
		var c net.ListenConfig
		return c.Listen(context.Background(), network, addr)
	}
	fail := func(where net.Addr, err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: where, Err: err}
	}
	if p.child == nil {
		return fail(nil, p.broken)
	}
	req, where, err := requestOf(network, addr)
	if err != nil {
		return fail(where, err)
	}
	g, err := p.query(&req)
	if err != nil {
		return fail(where, err)
	}
	l := &listener{source: g.Source, addr: where, closed: make(chan struct{})}
	l.init(p, req, g.Key)
	if g.Handle != nil {
		// Node's primary has only bound what it shares.
		if err = listenOn(g.Handle); err == nil {
			l.inner, err = net.FileListener(g.Handle)
		}
		err = errors.Join(err, g.Handle.Close())
		if err != nil {
			p.forget(l, req)
			return fail(where, errors.Join(err, p.child.Closed(g.Key)))
		}
		if u, ok := l.inner.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // the file is the primary's
		}
		l.addr = l.inner.Addr()
	} else if g.Addr != nil {
		l.addr = g.Addr
	}
	if err := p.join(l, req, l.addr); err != nil {
		return fail(where, errors.Join(err, l.Close()))
	}
	return l, nil
}

func (p *process) listenPacket(network, addr string) (net.PacketConn, error) {
	if !p.worker || !strings.HasPrefix(network, "udp") {
		var c net.ListenConfig
		return c.ListenPacket(context.Background(), network, addr)
	}
	fail := func(where net.Addr, err error) (net.PacketConn, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: where, Err: err}
	}
	if p.child == nil {
		return fail(nil, p.broken)
	}
	req, where, err := requestOf(network, addr)
	if err != nil {
		return fail(where, err)
	}
	g, err := p.query(&req)
	if err != nil {
		return fail(where, err)
	}
	c := &packetConn{}
	c.init(p, req, g.Key)
	inner := net.PacketConn(nil)
	if g.Handle == nil {
		err = errors.New("primary hands over no socket for datagrams")
	} else {
		inner, err = net.FilePacketConn(g.Handle)
		err = errors.Join(err, g.Handle.Close())
	}
	var ok bool
	if c.UDPConn, ok = inner.(*net.UDPConn); err == nil && !ok {
		err = errors.Join(fmt.Errorf("primary gave a %T", inner), inner.Close())
	}
	if err != nil {
		p.forget(c, req)
		return fail(where, errors.Join(err, p.child.Closed(g.Key)))
	}
	if err := p.join(c, req, c.LocalAddr()); err != nil {
		return fail(where, errors.Join(err, c.Close()))
	}
	return c, nil
}

// query asks the primary for an address, which it numbers if it is one of several on
// port 0. Nobody may ask for one twice: it is in use, and Node's primary fails an
// assertion.
func (p *process) query(req *nodechild.Request) (nodechild.Grant, error) {
	p.mu.Lock()
	if p.leaving {
		p.mu.Unlock()
		return nodechild.Grant{}, context.Cause(p.ctx)
	}
	in := p.indexes[nameOf(*req)]
	if len(in) > 0 && req.Port != 0 {
		p.mu.Unlock()
		return nodechild.Grant{}, syscall.EADDRINUSE
	}
	for has := true; has; {
		if _, has = in[req.Index]; has {
			req.Index++
		}
	}
	if in == nil {
		in = map[int]struct{}{}
		p.indexes[nameOf(*req)] = in
	}
	in[req.Index] = struct{}{}
	p.mu.Unlock()
	g, err := p.child.Query(context.Background(), *req) // ends with the channel at the latest
	if err != nil {
		p.forget(nil, *req)
		if errors.Is(err, nodechild.ErrClosed) {
			err = cmp.Or(context.Cause(p.ctx), ErrClosed)
		}
	}
	return g, err
}

// join tells the primary that a listener is there. The worker may have been told to
// leave meanwhile.
func (p *process) join(l leaver, req nodechild.Request, at net.Addr) error {
	p.mu.Lock()
	if p.leaving {
		p.mu.Unlock()
		return context.Cause(p.ctx)
	}
	p.listeners[l] = struct{}{}
	p.mu.Unlock()
	port := req.Port
	switch a := at.(type) {
	case *net.TCPAddr:
		port = a.Port
	case *net.UDPAddr:
		port = a.Port
	}
	return wrap("tell the primary", p.child.Listening(req, port))
}

func (p *process) forget(l leaver, req nodechild.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, l)
	name := nameOf(req)
	delete(p.indexes[name], req.Index)
	if len(p.indexes[name]) == 0 {
		delete(p.indexes, name)
	}
}

// nameOf is what makes two requests the same address.
func nameOf(r nodechild.Request) string {
	return r.Type + " " + r.Address + " " + strconv.Itoa(r.Port)
}

// requestOf writes an address as a Node worker would for the same one, so that both share
// it; where is the same in Go's form.
func requestOf(network, addr string) (nodechild.Request, net.Addr, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
		a, err := net.ResolveTCPAddr(network, addr)
		if err != nil {
			return nodechild.Request{}, nil, err
		}
		r := nodechild.Request{Port: a.Port, Type: "4"}
		switch {
		case network == "tcp" && (a.IP == nil || a.IP.IsUnspecified()):
			// Any address of both families, as in net.Listen; in Node that is listen(port).
		case network == "tcp6" && a.IP == nil, a.IP.IsUnspecified() && a.IP.To4() == nil:
			r.Address, r.Type, r.Flags = "::", "6", flagV6Only
		case a.IP == nil:
			r.Address = "0.0.0.0"
		case a.IP.To4() == nil:
			r.Address, r.Type = a.IP.String()+zone(a.Zone), "6"
		default:
			r.Address = a.IP.String()
		}
		return r, a, nil
	case "udp", "udp4", "udp6":
		a, err := net.ResolveUDPAddr(network, addr)
		if err != nil {
			return nodechild.Request{}, nil, err
		}
		r := nodechild.Request{Port: a.Port, Type: "udp4"}
		switch {
		case network == "udp" && (a.IP == nil || a.IP.IsUnspecified()):
			r.Address, r.Type = "::", "udp6"
		case network == "udp6" && a.IP == nil, a.IP.IsUnspecified() && a.IP.To4() == nil:
			r.Address, r.Type, r.Flags = "::", "udp6", flagV6Only
		case a.IP == nil:
			r.Address = "0.0.0.0"
		case a.IP.To4() == nil:
			r.Address, r.Type = a.IP.String()+zone(a.Zone), "udp6"
		default:
			r.Address = a.IP.String()
		}
		return r, a, nil
	case "unix":
		r, a, err := unixRequest(addr)
		return r, a, err
	}
	return nodechild.Request{}, nil, net.UnknownNetworkError(network)
}

// flagV6Only is libuv's UV_TCP_IPV6ONLY and UV_UDP_IPV6ONLY.
const flagV6Only = 1

func zone(name string) string {
	if name == "" {
		return ""
	}
	return "%" + name
}

// unixRequest is for a path, absolute as Node sends it, or an abstract name.
func unixRequest(addr string) (nodechild.Request, net.Addr, error) {
	a := &net.UnixAddr{Net: "unix", Name: addr}
	r := nodechild.Request{Address: addr, Port: -1, Type: "-1"}
	if name, ok := strings.CutPrefix(addr, "@"); ok {
		r.Address = "\x00" + name
		return r, a, nil
	}
	if addr == "" {
		return r, a, syscall.EINVAL
	}
	path, err := filepath.Abs(addr)
	r.Address = path
	return r, a, err
}
