package port

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// boundEntry is the note with the addresses of Bind.
const boundEntry = "bound"

// maxBound is how many addresses are remembered, the newest ones: a program that
// binds one port after the other to connect from them must not fill the Store.
const maxBound = 128

// Bind binds a program's own plain TCP socket to an address, as bind(2) does, and
// remembers that the address is the set's: only what is bound to it by Bind can
// join, and an unrelated program's address is in use. scope is the index of the
// interface of a link-local address, and v6only is set on a socket for IPv6. f
// stays the caller's. To bind a socket to the address that it has is no error.
//
// Errors: ErrClosed, a syscall.Errno that errors.As finds; EADDRINUSE says who has
// the address, if that can be told.
func (s *Set) Bind(f *os.File, to netip.AddrPort, scope uint32, v6only bool) error {
	sa, a := addressTo(to, scope, v6only)
	var err error
	if e := s.do(func() { err = s.bind(f, sa, a) }); e != nil {
		err = e
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if holder := WhoHas(a); holder != "" {
			err = fmt.Errorf("%w by %s", err, holder)
		}
	}
	if err != nil {
		return wrap(a, err)
	}
	return nil
}

// addressTo returns an address in the kernel's form and in ours, as addressOf will
// find it.
func addressTo(to netip.AddrPort, scope uint32, v6only bool) (unix.Sockaddr, Address) {
	ip := to.Addr().WithZone("")
	a := Address{Network: "tcp", Port: int(to.Port())}
	if ip.Is4() {
		a.Host = ip.String()
		return &unix.SockaddrInet4{Addr: ip.As4(), Port: a.Port}, a
	}
	sa := &unix.SockaddrInet6{Addr: ip.As16(), Port: a.Port, ZoneId: scope}
	if scope != 0 && ip.IsLinkLocalUnicast() { // of others the kernel forgets it
		ip = ip.WithZone(zoneName(scope))
	}
	a.Host = ip.String()
	a.V6Only = v6only || !ip.IsUnspecified() && !ip.Is4In6() // the kernel sets it then
	return sa, a
}

func (s *Set) bind(f *os.File, to unix.Sockaddr, a Address) error {
	fd, err := duplicateOf(f)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // the socket lives on in its program
	if proto, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || proto != unix.IPPROTO_TCP {
		return syscall.EPROTONOSUPPORT
	}
	if has, err := addressOf(fd); err == nil && has.Port != 0 && has == a {
		return nil // the call was made before, by a thread that a signal took out of it
	}
	own, err := option(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if err != nil {
		return err
	}
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, true); err != nil {
		return err
	}
	if familyOf(to) == unix.AF_INET6 {
		if err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, a.V6Only); err != nil {
			return err
		}
	}
	if a.Port == 0 {
		return os.NewSyscallError("bind", unix.Bind(fd, to))
	}
	// Without SO_REUSEPORT, so that a port of somebody else's is never shared by
	// accident, whatever he has set.
	err = bindWith(fd, to, false)
	managed := err == nil || s.manages(a)
	if errors.Is(err, syscall.EADDRINUSE) && (managed || own) {
		err = bindWith(fd, to, true)
	}
	if err != nil {
		return errors.Join(err, setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, own))
	}
	if !managed {
		return nil // the program has joined its own kind, which we have nothing to do with
	}
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, true); err != nil {
		return err
	}
	s.remember(a)
	return nil
}

func bindWith(fd int, to unix.Sockaddr, reusePort bool) error {
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, reusePort); err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(fd, to))
}

// Managed reports whether the address that the socket is bound to is the set's, so
// that Adopt is for it. A socket that was bound to port 0, or past Bind, is its
// program's own affair.
func (s *Set) Managed(f *os.File) (is bool) {
	a, err := addressOfFile(f)
	if err != nil {
		return false
	}
	_ = s.do(func() { is = s.manages(a) }) // a closed set manages nothing
	return is
}

// addressOfFile returns the address that a program's socket is bound to.
func addressOfFile(f *os.File) (Address, error) {
	fd, err := duplicateOf(f)
	if err != nil {
		return Address{}, err
	}
	defer func() { _ = unix.Close(fd) }() // the socket lives on in its program
	return addressOf(fd)
}

// manages reports whether an address, without a backlog, is the set's.
func (s *Set) manages(a Address) bool {
	return s.groups[a] != nil || slices.Contains(s.bound, a)
}

func (s *Set) remember(a Address) {
	if slices.Contains(s.bound, a) {
		return
	}
	s.bound = append(s.bound, a)
	s.bound = s.bound[max(0, len(s.bound)-maxBound):]
	s.report(s.keepBound())
}

// forget ends what Bind began, with the group of the address.
func (s *Set) forget(a Address) error {
	i := slices.Index(s.bound, a)
	if i < 0 {
		return nil
	}
	s.bound = slices.Delete(s.bound, i, i+1)
	return s.keepBound()
}

func (s *Set) keepBound() error {
	switch {
	case s.o.Store == nil:
		return nil
	case len(s.bound) == 0:
		return s.drop(s.o.Name + boundEntry)
	default:
		return s.keep(s.o.Name+boundEntry, s.bound, nil)
	}
}

func (s *Set) restoreBound(note []byte) {
	if err := json.Unmarshal(note, &s.bound); err != nil {
		s.o.Log("read the addresses that programs had bound: %v", err)
	}
}
