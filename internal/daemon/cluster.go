package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"paceline/internal/app"
	"paceline/internal/nodeipc"
	"paceline/internal/port"
)

// cluster is what the processes of one app share: the ports they listen on and,
// for Node, the primary's side of the cluster protocol.
type cluster struct {
	name    string
	set     *port.Set
	primary *nodeipc.Primary    // nil if the app's processes are no workers of Node's
	keep    func(memory []byte) // keeps the memory below beyond the daemon's death
	// neighbour returns the name of another app that has a port; "" if none has.
	neighbour func(number int) string
	log       *slog.Logger

	policy app.Balance // as asked for; "" is round robin

	// placing is held while the ports are told of a change of the rotation, so that two
	// changes reach them in order. Nothing that they ask back takes it.
	placing sync.Mutex

	mu     sync.Mutex // guards what follows
	memory clusterMemory
	// serving holds, by slot, the keys of the processes that listen: during a
	// reload a slot has two, and stays in rotation until the last has left.
	serving map[int]map[string]struct{}
	slots   map[int]struct{}  // that have a socket
	refused map[string]string // by process: why it could not listen
	settled bool              // the seats that an earlier daemon gave have been gone through
	leaving map[string]bool   // by process: it finishes what it has, and gets no more
	placed  map[int]bool      // by seat or slot: what the ports were told last; guarded by placing
	rested  map[string]bool   // by process: its worker is out of the hand-off rotation; guarded by placing
	cut     int               // connections with a request in flight when their process had to end
	remaps  map[netip.AddrPort]netip.AddrPort
}

// clusterMemory is what a new daemon must know of a cluster.
type clusterMemory struct {
	Workers uint64          `json:"workers,omitempty"` // how many worker numbers are given out
	Primary json.RawMessage `json:"primary,omitempty"`
	Seats   map[string]seat `json:"seats,omitempty"` // by process
	Epoch   uint64          `json:"epoch,omitempty"` // of the present release
	// Aside are the processes, by key, whose checks say that they are not ready.
	Aside map[string]bool `json:"aside,omitempty"`
	// Mechanism is that of the port opened last, "" before the first, and Reason why
	// it is not the kernel's.
	Mechanism string `json:"mechanism,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// awaitRest returns when the ports of an app that is coming to rest are let go; the
// caller holds mu, which is free meanwhile.
func (h *host) awaitRest(name string) {
	for over := h.resting[name]; over != nil; over = h.resting[name] {
		h.mu.Unlock()
		<-over
		h.mu.Lock()
	}
}

// clusterOf returns the app's cluster, made anew or from what an earlier daemon
// kept. The caller holds mu: two processes of an app must meet in one cluster,
// and no process may join one that is being let go.
func (h *host) clusterOf(s *app.Spec) (*cluster, error) {
	if c := h.clusters[s.Name]; c != nil {
		return c, nil
	}
	c := &cluster{
		name: s.Name, policy: s.Balance, log: h.log,
		serving: map[int]map[string]struct{}{}, slots: map[int]struct{}{}, refused: map[string]string{},
		remaps: map[netip.AddrPort]netip.AddrPort{}, leaving: map[string]bool{}, placed: map[int]bool{},
		rested: map[string]bool{}, settled: true,
		keep: func(memory []byte) { h.note(clusterPrefix+s.Name, memory) },
	}
	c.neighbour = func(number int) string { return h.neighbour(c, number) }
	if entry, ok := h.kept.entry(clusterPrefix + s.Name); ok {
		if err := json.Unmarshal(entry.Note, &c.memory); err != nil {
			h.log.Warn("read cluster memory", "app", s.Name, "error", err)
		}
		c.settled = false // see resume
	}
	if c.memory.Seats == nil {
		c.memory.Seats = map[string]seat{}
	}
	if c.memory.Aside == nil {
		c.memory.Aside = map[string]bool{}
	}
	maps.Copy(c.rested, c.memory.Aside)
	policies := map[app.Balance]port.Policy{app.Shared: port.Shared, app.IPHash: port.IPHash}
	set, err := port.NewSet(port.Options{
		Name: portPrefix + s.Name + "/", Policy: policies[s.Balance], Store: portStore{h.keeper},
		Saved: h.kept.ports(portPrefix + s.Name + "/"), Watch: h.watch,
		Freeze:    func(number int) (func(), error) { return h.freeze(c, number) },
		Processor: func(number int) func(time.Duration) bool { return h.followProcessor(c, number) },
		Held:      func(number int, inode uint64) bool { return h.holds(c, number, inode) },
		Log:       func(format string, a ...any) { h.log.Warn(fmt.Sprintf(format, a...), "app", s.Name) },
	})
	if err != nil {
		return nil, fmt.Errorf("open ports of %s: %w", s.Name, err)
	}
	c.set = set
	if asksPrimary(s) {
		c.primary = nodeipc.NewPrimary(nodeipc.PrimaryOptions{
			Open: c.open, Saved: c.memory.Primary, Save: c.savePrimary,
		})
	}
	h.clusters[s.Name] = c
	return c, nil
}

// rest lets the ports of an app go that has no process left, else those of slots
// that are not wanted any more. While a process is about to be restarted its port
// stays: what connects meanwhile is served by the next.
func (h *host) rest(name string, wanted []int) {
	h.mu.Lock()
	h.awaitRest(name)
	c := h.clusters[name]
	if c == nil {
		h.mu.Unlock()
		return
	}
	for _, p := range h.processes {
		if p.cluster == c {
			h.mu.Unlock()
			c.release(wanted)
			return
		}
	}
	delete(h.clusters, name)
	over := make(chan struct{})
	h.resting[name] = over
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.resting, name)
		h.mu.Unlock()
		close(over)
	}()
	if c.primary != nil {
		c.primary.Close()
	}
	if err := c.set.Close(); err != nil {
		h.log.Warn("close ports", "app", name, "error", err)
	}
	h.note(clusterPrefix+name, nil)
}

// dealing says by which policy connections are dealt, how that is done, and why
// not in the way asked for.
func (c *cluster) dealing() (policy app.Balance, mechanism, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	policy = cmp.Or(c.policy, app.RoundRobin)
	if c.memory.Mechanism == mechanismShared {
		policy = app.Shared
	}
	return policy, c.memory.Mechanism, c.memory.Reason
}

// What lists show beside port's "kernel": where we accept and pass connections on,
// and where there is one queue for all.
const (
	mechanismHandOff = "hand-off"
	mechanismShared  = "shared socket"
)

// nextWorker gives out a worker number: cluster.worker.id in the process.
func (c *cluster) nextWorker() uint64 {
	c.mu.Lock()
	c.memory.Workers++
	number, memory := c.memory.Workers, c.encode()
	c.mu.Unlock()
	c.keep(memory)
	return number
}

func (c *cluster) savePrimary(primary []byte) {
	c.mu.Lock()
	c.memory.Primary = primary
	memory := c.encode()
	c.mu.Unlock()
	c.keep(memory)
}

// encode returns the memory as a note; the caller holds mu.
func (c *cluster) encode() []byte {
	note, err := json.Marshal(c.memory)
	if err != nil {
		panic("daemon: cluster memory cannot be encoded: " + err.Error())
	}
	return note
}

// serve notes that a process of the slot listens, or does no more. It returns for
// which slots place has to be told anew.
func (c *cluster) serve(slot int, key string, on bool) (anew []int) {
	c.mu.Lock()
	if on {
		if c.serving[slot] == nil {
			c.serving[slot] = map[string]struct{}{}
		}
		c.serving[slot][key] = struct{}{}
	} else {
		delete(c.serving[slot], key)
	}
	over := len(c.serving[slot]) == 0
	c.mu.Unlock()
	if over { // said each time: what served the slot may have ended while no daemon was there
		return []int{slot}
	}
	return nil
}

// refuse remembers why a process could not listen where it wanted.
func (c *cluster) refuse(key string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[key] = err.Error()
}

// refusal returns, once, why a process could not listen where it wanted.
func (c *cluster) refusal(p *process) string {
	key := p.key
	if isClusterNode(p.Spec) {
		key = slotKey(p.Index)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.refused[key]
	delete(c.refused, key)
	return text
}

// slotKey stands for the key of a process where only its slot is known.
func slotKey(slot int) string { return "slot " + strconv.Itoa(slot) }

// inUse says who has an address that is in use, another app of ours by its name.
func (c *cluster) inUse(a port.Address, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if name := c.neighbour(a.Port); name != "" {
		return fmt.Errorf("listen on %s: %w by app %s; stop that or set another port", a, syscall.EADDRINUSE, name)
	}
	if holder := port.WhoHas(a); holder != "" && !strings.Contains(err.Error(), holder) {
		err = fmt.Errorf("%w by %s", err, holder)
	}
	return fmt.Errorf("%w; free it or set another port", err)
}

// neighbour returns the name of another app that listens on a TCP port; "" if none
// does.
func (h *host) neighbour(c *cluster, number int) string {
	h.mu.Lock()
	others := maps.Clone(h.clusters)
	h.mu.Unlock()
	for name, other := range others {
		if other != c && number != 0 && slices.Contains(other.ports(), uint16(number)) {
			return name
		}
	}
	return ""
}

// clusterList appends what there is of shared things to list.
func (h *host) clusterList(list []*cluster) []*cluster {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clusters {
		list = append(list, c)
	}
	return list
}

// release ends the part of slots that are no longer wanted.
func (c *cluster) release(wanted []int) {
	c.mu.Lock()
	var leaving []int
	for slot := range c.slots {
		if !slices.Contains(wanted, slot) {
			leaving = append(leaving, slot)
			delete(c.slots, slot)
		}
	}
	c.mu.Unlock()
	for _, slot := range leaving {
		c.set.Release(slot)
	}
}

// open gives a worker the socket that it asks to listen on. Its errors reach the
// app as the errno of its own listen call.
func (c *cluster) open(r nodeipc.Request) (*nodeipc.Socket, error) {
	address := addressOf(r)
	l, err := c.set.Open(address, r.Slot)
	if err != nil {
		err = c.inUse(address, err)
		c.refuse(slotKey(r.Slot), err)
		return nil, err
	}
	handOff := c.policy != app.Shared && l.Group.Addr().Network() == "tcp" && !l.Group.Kernel()
	c.mu.Lock()
	c.slots[r.Slot] = struct{}{}
	c.mu.Unlock()
	mechanism := l.Group.Mechanism()
	if handOff {
		mechanism = mechanismHandOff
	}
	if l.Group.Addr().Network() == "tcp" || c.mechanism() == "" {
		c.opened(mechanism, l.Group.Reason()) // others are always shared, and do not speak for TCP
	}
	return &nodeipc.Socket{
		File: l.File, Addr: l.Group.Addr(), HandOff: handOff, ByClient: c.policy == app.IPHash,
		Close: func() { c.leave(l.Group, r.Slot) },
	}, nil
}

// leave ends a slot's part in a port, unless a successor in it serves there.
func (c *cluster) leave(g *port.Group, slot int) {
	c.mu.Lock()
	others := len(c.serving[slot]) > 1
	c.mu.Unlock()
	if !others {
		c.set.Leave(g, slot)
	}
}

// addressOf translates what a worker asks for.
func addressOf(r nodeipc.Request) port.Address {
	a := port.Address{
		Host: r.Address, Port: r.Port, Backlog: r.Backlog, Nth: r.Nth,
		V6Only:    r.Flags&flagV6Only != 0,
		ReuseAddr: r.Flags&flagReuseAddr != 0,
		Readable:  r.ReadableAll, Writable: r.WritableAll,
	}
	switch r.AddressType {
	case "udp4", "udp6":
		a.Network = r.AddressType
	case "-1":
		a.Network, a.Path, a.Host, a.Port = "unix", r.Address, "", 0
	case "6":
		a.Network = "tcp6"
	default:
		a.Network = "tcp"
	}
	if r.Port == 0 {
		a.Nth = r.Index
	}
	return a
}

// libuv's flags in a worker's request.
const (
	flagV6Only    = 1 // UV_TCP_IPV6ONLY, UV_UDP_IPV6ONLY
	flagReuseAddr = 4 // UV_UDP_REUSEADDR
)
