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
