package adopt

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// The families and sizes of socket addresses that we read: struct sockaddr_in, and
// struct sockaddr_in6 without and with its last field, as the kernel takes both.
const (
	afInet       = 2
	afInet6      = 10
	sizeInet     = 16
	sizeInet6Old = 24
	sizeInet6    = 28
	// sizeStorage is the longest that bind(2) takes, struct sockaddr_storage.
	sizeStorage = 128
)

// address reads what a program passed to bind(2). False means that it is not for us:
// the kernel will know what to say.
func address(b []byte) (_ netip.AddrPort, family int, ok bool) {
	if len(b) < 2 || len(b) > sizeStorage {
		return netip.AddrPort{}, 0, false
	}
	family = int(binary.NativeEndian.Uint16(b))
	switch {
	case family == afInet && len(b) >= sizeInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:])), family, true
	case family == afInet6 && len(b) >= sizeInet6Old:
		zone := uint32(0)
		if len(b) >= sizeInet6 {
			zone = binary.NativeEndian.Uint32(b[24:])
		}
		return netip.AddrPortFrom(zoned(netip.AddrFrom16([16]byte(b[8:24])), zone), binary.BigEndian.Uint16(b[2:])), family, true
	}
	return netip.AddrPort{}, family, false
}

// zoned adds an interface where it counts; with other addresses the kernel does not
// look at it.
func zoned(a netip.Addr, zone uint32) netip.Addr {
	if zone == 0 || !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast() || a.Is4In6() {
		return a
	}
	return a.WithZone(strconv.FormatUint(uint64(zone), 10))
}
