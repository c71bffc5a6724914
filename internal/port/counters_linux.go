package port

import (
	"slices"
	"strings"
	"unsafe"

	"paceline/internal/port/dispatch"

	"golang.org/x/sys/unix"
)

// Counters returns the counters of all TCP groups, by address.
func (s *Set) Counters() (counters []Counters) {
	_ = s.do(func() { // a closed set has none
		for _, g := range s.sorted() {
			if g.asked.Network != "unix" && !isUDP(g.asked) {
				counters = append(counters, g.count())
			}
		}
	})
	return counters
}

func (g *Group) count() Counters {
	c := g.tally
	c.Address, c.Mechanism, c.Reason = g.addr.String(), g.Mechanism(), g.reason
	for _, l := range g.lanes {
		c.Dropped += drops(l.fd)
		if waiting, _, err := queue(l.fd); err == nil {
			c.Waiting += waiting
			c.MaxWaiting = max(c.MaxWaiting, waiting)
		}
	}
	g.tally.MaxWaiting = c.MaxWaiting
	c.Dealt = -1
	if g.dispatch != nil {
		c.Dealt = 0
		for slot := range dispatch.MaxSlots {
			c.Dealt += int64(g.dispatch.Share(slot))
		}
	}
	return c
}

// Loads appends the load of each TCP socket to list, those of an address one after the
// other: that of each rank in a kernel group, else that of the socket that new
// connections go to. With anew Peak begins anew: whoever looks every second asks so.
func (s *Set) Loads(list []Load, anew bool) []Load {
	_ = s.do(func() { // nobody waits at a closed set
		for _, g := range s.groups {
			if g.asked.Network != "unix" && !isUDP(g.asked) {
				list = g.loads(list, anew)
			}
		}
	})
	return list
}

func (g *Group) loads(list []Load, anew bool) []Load {
	begin, address := len(list), g.addr.String()
	for _, l := range g.lanes {
		waiting, _, err := queue(l.fd)
		if err != nil {
			continue
		}
		g.tally.MaxWaiting = max(g.tally.MaxWaiting, waiting)
		one := Load{Address: address, Rank: -1, Waiting: waiting, Peak: max(waiting, l.peak), Dealt: -1}
		if l.peak = one.Peak; anew {
			l.peak = 0
		}
		if g.dispatch == nil {
			if l.number == g.current {
				list = append(list, one)
			}
			continue
		}
		if len(l.slots) <= 1 { // else it serves several instances, and nobody knows which
			one.Rank = l.rank
			one.Dealt = int64(g.dispatch.Share(l.number) - l.before)
		}
		list = merge(list, begin, one)
	}
	for i := range list[begin:] {
		if one := &list[begin+i]; one.Dealt >= 0 {
			one.Dealt += g.accepted[one.Rank]
		}
	}
	return list
}

// merge adds a load to those of the same rank from begin on: a reload has two.
func merge(list []Load, begin int, one Load) []Load {
	for i := range list[begin:] {
		if l := &list[begin+i]; l.Rank == one.Rank {
			l.Waiting, l.Peak = l.Waiting+one.Waiting, max(l.Peak, one.Peak)
			if one.Dealt < 0 || l.Dealt < 0 {
				l.Dealt = -1
			} else {
				l.Dealt += one.Dealt
			}
			return list
		}
	}
	return append(list, one)
}

// depart remembers what a lane was dealt.
func (g *Group) depart(l *lane) {
	if g.dispatch == nil {
		return
	}
	if g.accepted == nil {
		g.accepted = map[int]int64{}
	}
	g.accepted[l.rank] += int64(g.dispatch.Share(l.number) - l.before)
}

// sorted returns the groups by address.
func (s *Set) sorted() []*Group {
	groups := make([]*Group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b *Group) int { return strings.Compare(a.addr.String(), b.addr.String()) })
	return groups
}

// Where the drops are in what SO_MEMINFO fills (linux/sock_diag.h: SK_MEMINFO_DROPS,
// SK_MEMINFO_VARS).
const (
	memInfoDrops = 8
	memInfoVars  = 9
)

// drops returns how many packets the kernel has dropped at a socket: at a listener
// those that would have begun, or ended, a handshake for which there was no room.
func drops(fd int) int64 {
	var info [memInfoVars]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, // Linux 4.12
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return int64(info[memInfoDrops])
}
