package daemon

import (
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"paceline/internal/drain"
	"paceline/internal/freeze"
	"paceline/internal/keeper"
	"paceline/internal/proctree"
	"paceline/internal/supervisor"
)

// Promote implements supervisor.Host.
func (h *host) Promote(r supervisor.Ref) {
	p := h.find(keyOf(r))
	if p == nil {
		return
	}
	if c := h.sharedBy(p); c != nil {
		c.promote(p.key)
	}
}

// Together implements supervisor.Host.
func (h *host) Together(name string) bool {
	h.mu.Lock()
	c := h.clusters[name]
	h.mu.Unlock()
	return c != nil && c.together()
}

// drainAdopted takes a program out of rotation and tells the supervisor when none
// of its connections has a request in flight. How long that may take is the
// supervisor's to say, whose stop signal ends it. False: it serves nothing of ours.
func (h *host) drainAdopted(p *process) bool {
	c := h.sharedBy(p)
	if c == nil {
		return false
	}
	is, ok := c.has(p.key)
	if !ok {
		return false
	}
	ctx, cancel := context.WithCancel(h.ending)
	go func() { // ends with the process or the daemon
		defer cancel()
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
	}()
	go func() {
		defer cancel()
		c.setLeaving(p.key)
		c.leaveRotation(ctx, is)
		o := drain.Options{PIDs: []int{p.pid}, Ports: c.ports(), Queues: c.alone(p, is)}
		if w := p.worker.Load(); p.Spec.Runtime != "" && w != nil {
			o.Closed = w.Drain(drainOptions(p.Spec)) == nil // each of its answers closes the connection now
		}
		if o.Queues {
			c.drained(p.key, drain.Wait(ctx, o))
			p.sink(supervisor.Drained{})
			return
		}
		r, release := h.drainShared(ctx, c, is, o)
		defer release()
		c.drained(p.key, r)
		p.sink(supervisor.Drained{})
		awaitDeaf(ctx, o)
	}()
	return true
}

// freeze makes the process in a seat stand still while its queue is moved. A seat
// without a process is no error.
func (h *host) freeze(c *cluster, number int) (thaw func(), err error) {
	p := h.find(c.inSeat(number))
	if p == nil || h.freezer == nil {
		return func() {}, nil
	}
	h.mu.Lock()
	target := freeze.Target{
		Roots: []freeze.Process{{PID: p.pid, StartTicks: p.startTicks}}, Cgroup: p.cgroup,
	}
	h.mu.Unlock()
	select {
	case <-p.ended: // what may be left of its tree is being killed
		return func() {}, nil
	default:
	}
	return h.freezer.Freeze(target)
}

// followProcessor follows what processor time the processes get that a seat or a slot of
// Node's has, not that of their children: whoever accepts in those is judged by the
// clock alone.
func (h *host) followProcessor(c *cluster, number int) (starved func(less time.Duration) bool) {
	c.mu.Lock()
	keys := slices.Collect(maps.Keys(c.serving[number])) // a reload has two in a slot
	c.mu.Unlock()
	if len(keys) == 0 {
		keys = []string{c.inSeat(number)}
	}
	var meters []proctree.Meter
	for _, key := range keys {
		if pid := h.pidOf(key); pid != 0 {
			meters = append(meters, proctree.Measure(pid))
		}
	}
	return func(less time.Duration) bool {
		return slices.ContainsFunc(meters, func(m proctree.Meter) bool { return m.Starved(less) })
	}
}

// drained notes what a process still had in hand when its drain was over.
func (c *cluster) drained(key string, r drain.Result) {
	c.log.Debug("drained", "app", c.name, "process", key, "idle", r.Idle, "busy", r.Busy, "took", r.Took, "error", r.Err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut += r.Busy
}

// alone reports whether nothing new comes to the sockets of a process that has left
// the rotation. Sockets that are handed over are the same for all epochs.
func (c *cluster) alone(p *process, is seat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memory.Mechanism != mechanismShared || c.memory.Epoch > is.Epoch && len(p.Spec.Sockets) == 0
}

// ports returns the TCP ports that the app listens on.
func (c *cluster) ports() (ports []uint16) {
	for _, counters := range c.set.Counters() {
		if _, port, err := net.SplitHostPort(counters.Address); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

// leaveRotation takes a process out of rotation and returns when it has accepted
// all that will ever come to it, or ctx ends.
func (c *cluster) leaveRotation(ctx context.Context, is seat) {
	c.place()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for c.moved(is) && !c.set.Drained(is.Epoch) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// freezerName is the entry in which the keeper holds what says which processes a
// daemon has made stand still.
const freezerName = "freezer"

// openFreezer has what an earlier daemon had made stand still go on.
func (h *host) openFreezer() {
	entry, _ := h.kept.entry(freezerName)
	z, err := freeze.New(entry.File)
	if err == nil && entry.File == nil {
		err = h.keeper.Keep(keeper.Named{Name: freezerName, File: z.File()})
	}
	if err != nil {
		h.log.Warn("queues of programs that stand still cannot be moved", "error", err)
		return
	}
	h.freezer = z
}

// holds reports whether the process in a seat still has the socket with an inode.
func (h *host) holds(c *cluster, number int, inode uint64) bool {
	pid := h.pidOf(c.inSeat(number))
	return pid != 0 && holdsSocket(pid, inode)
}
