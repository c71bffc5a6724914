package daemon

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"paceline/internal/adopt"
	"paceline/internal/app"
	"paceline/internal/port"
	"paceline/internal/supervisor"
)

// seat is the place of one process among those that share their app's ports. Each
// has its own, also beside its predecessor: so the two of a reload can be put into
// rotation and taken out one by one.
type seat struct {
	Number int    `json:"number"`
	Index  int    `json:"index"` // of the instance
	Epoch  uint64 `json:"epoch,omitempty"`
	Trial  bool   `json:"trial,omitempty"` // it gets no connections yet
}

// seatOf returns the process's seat, a new one if it has none.
func (c *cluster) seatOf(p *process) seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	if is, ok := c.memory.Seats[p.key]; ok {
		return is
	}
	taken := map[int]bool{}
	for _, other := range c.memory.Seats {
		taken[other.Number] = true
	}
	is := seat{Index: p.Index, Epoch: c.memory.Epoch, Trial: p.Trial}
	for taken[is.Number] {
		is.Number++
	}
	if is.Trial {
		is.Epoch++ // with the other successors of its reload
	}
	c.memory.Seats[p.key] = is
	c.keep(c.encode())
	return is
}

// has returns the process's seat, if it has one.
func (c *cluster) has(key string) (is seat, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is, ok = c.memory.Seats[key]
	return is, ok
}

// inSeat returns the key of the process in a seat, "" if it is free.
func (c *cluster) inSeat(number int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, is := range c.memory.Seats {
		if is.Number == number {
			return key
		}
	}
	return ""
}

// bind binds the socket of an adopted program.
func (c *cluster) bind(p *process, b adopt.Bind) error {
	c.seatOf(p)
	to, scope := unscoped(b.Addr)
	if p.Spec.Remap == "" {
		err := c.set.Bind(b.File, to, scope, b.V6Only)
		return c.inUse(port.Address{Network: "tcp", Host: to.Addr().String(), Port: int(to.Port())}, err)
	}
	return c.bindElsewhere(b.File, to, b.V6Only)
}

// adopt makes the socket of a program that listens part of its app's port, and
// returns what the program has to have in its place; nil: it keeps its own. Errors:
// port.ErrForeign if it is none that we have bound.
func (c *cluster) adopt(p *process, f *os.File, backlog int) (replacement *os.File, err error) {
	is := c.seatOf(p)
	l, err := c.join(f, is, backlog)
	if err != nil {
		return nil, err
	}
	c.opened(l.Group.Mechanism(), l.Group.Reason())
	if l.Replace {
		return l.File, nil
	}
	return nil, l.File.Close()
}

// join makes a socket that of a seat, in rotation if its process is to be.
func (c *cluster) join(f *os.File, is seat, backlog int) (*port.Listener, error) {
	c.placing.Lock()
	defer c.placing.Unlock()
	use := c.rotation()[is.Number]
	l, err := c.set.Join(f, is.Number, port.Seat{Epoch: is.Epoch, Rank: is.Index}, backlog, use)
	if err == nil && use {
		c.placed[is.Number] = true
	}
	return l, err
}

// opened notes how the connections of a port are dealt out, and why not otherwise.
func (c *cluster) opened(mechanism, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory.Mechanism == mechanism && c.memory.Reason == reason {
		return
	}
	c.memory.Mechanism, c.memory.Reason = mechanism, reason
	c.keep(c.encode())
}

// mechanism returns that of the port opened last.
func (c *cluster) mechanism() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.Mechanism
}

// promote ends the trial of a process.
func (c *cluster) promote(key string) {
	c.mu.Lock()
	is, ok := c.memory.Seats[key]
	if !ok || !is.Trial {
		c.mu.Unlock()
		return
	}
	is.Trial = false
	c.memory.Seats[key] = is
	switched := is.Epoch > c.memory.Epoch
	if switched {
		c.memory.Epoch = is.Epoch
	}
	c.keep(c.encode())
	c.mu.Unlock()
	c.place()
	if switched {
		if err := c.set.Switch(is.Epoch); err != nil {
			c.log.Error("give connections to the new release", "app", c.name, "error", err)
		}
	}
}

// retire says that a process listens no more: it has ended.
func (c *cluster) retire(key string) {
	if is, ok := c.has(key); ok {
		c.setLeaving(key)
		c.set.Retire(is.Number)
		c.place() // another one that was kept out may be needed now
	}
}

// stand gives the seat of a process that is gone free.
func (c *cluster) stand(key string) {
	c.placing.Lock()
	defer c.placing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if is, ok := c.memory.Seats[key]; ok {
		delete(c.memory.Seats, key)
		delete(c.placed, is.Number)
		c.keep(c.encode())
	}
	delete(c.refused, key)
	c.forget(key)
}

// moved reports whether connections go to a later epoch than the seat's: otherwise
// nobody can keep a shared queue from it, and there is no use in waiting.
func (c *cluster) moved(is seat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.Epoch > is.Epoch
}

// together reports whether the adopted processes take from one queue.
func (c *cluster) together() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.memory.Seats) > 0 && c.memory.Mechanism == mechanismShared
}

// resume takes up the seats that an earlier daemon had given: the living go on as
// they were, and those of processes that there are no more are free.
func (c *cluster) resume(alive func(key string) bool) {
	c.mu.Lock()
	seats := maps.Clone(c.memory.Seats)
	c.mu.Unlock()
	c.mu.Lock()
	c.settled = true
	for key := range c.memory.Aside {
		if !alive(key) {
			c.forget(key)
		}
	}
	c.mu.Unlock()
	for key := range seats {
		if !alive(key) {
			c.retire(key)
			c.stand(key)
		}
	}
	c.place()
}

// prune closes the addresses that nobody listens on any more, as after a reload to
// a release that has fewer.
func (h *host) prune(name string) {
	h.mu.Lock()
	c := h.clusters[name]
	h.mu.Unlock()
	if c == nil {
		return
	}
	c.set.Prune()
	if c.primary != nil {
		c.primary.Trim()
	}
}

// unscoped takes the zone, which is a number, off an address.
func unscoped(a netip.AddrPort) (netip.AddrPort, uint32) {
	scope, err := strconv.ParseUint(a.Addr().Zone(), 10, 32)
	if err != nil {
		return a, 0
	}
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port()), uint32(scope)
}

// bindElsewhere binds a program's socket to the throw-away address that stands for
// one of its own, the same for each of its processes.
func (c *cluster) bindElsewhere(f *os.File, a netip.AddrPort, v6only bool) error {
	c.mu.Lock()
	to, known := c.remaps[a]
	c.mu.Unlock()
	if known {
		return c.set.Bind(f, to, 0, v6only)
	}
	// A port that was free just now, as a rule is so still: Bind says if it is not. It
	// has to have a number, or the set takes it for the program's own affair.
	const tries = 8
	var err error
	for range tries {
		if to, err = freeAddress(loopbackFor(a.Addr(), v6only)); err != nil {
			return err
		}
		if err = c.set.Bind(f, to, 0, v6only); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remaps[a] = to
	return nil
}

// loopbackFor returns the loopback address for a socket of an address's family.
func loopbackFor(a netip.Addr, v6only bool) netip.Addr {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	switch {
	case a.Is4():
		return loopback
	case v6only:
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom16(loopback.As16())
}

// freeAddress returns a port at an address that nobody has.
func freeAddress(at netip.Addr) (netip.AddrPort, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at.Unmap(), 0)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return netip.AddrPortFrom(at, port), l.Close()
}

// handSockets opens the app's sockets for a process that is handed them.
func (c *cluster) handSockets(p *process) (files []*os.File, addrs []net.Addr, err error) {
	is := c.seatOf(p)
	c.set.Seat(is.Number, port.Seat{Epoch: is.Epoch, Rank: is.Index})
	for _, text := range p.Spec.Sockets {
		s, err := app.ParseSocket(text)
		if err != nil {
			return files, nil, err
		}
		address := port.Address{Network: s.Network, Host: s.Host, Port: int(s.Port), Path: s.Path}
		l, err := c.set.Open(address, is.Number)
		if err != nil {
			return files, nil, c.inUse(address, err)
		}
		files, addrs = append(files, l.File), append(addrs, l.Group.Addr())
		c.opened(l.Group.Mechanism(), l.Group.Reason())
	}
	return files, addrs, nil
}

// seated tells the supervisor where a process listens that was handed its sockets.
func (c *cluster) seated(p *process, addrs []net.Addr) {
	c.place()
	for _, a := range addrs {
		p.sink(supervisor.Listening{Addr: addrText(a), Shared: true})
	}
}
