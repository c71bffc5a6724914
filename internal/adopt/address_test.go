package adopt

import (
	"net/netip"
	"testing"
)

func TestAddress(t *testing.T) {
	v4 := append([]byte{afInet, 0, 0x1f, 0x90, 127, 0, 0, 1}, make([]byte, 8)...)
	v6 := func(ip string, zone byte) []byte {
		a := netip.MustParseAddr(ip).As16()
		return append(append([]byte{afInet6, 0, 0x1f, 0x90, 0, 0, 0, 0}, a[:]...), zone, 0, 0, 0)
	}
	for _, test := range []struct {
		name string
		b    []byte
		want string // "" if it is not for us
	}{
		{"IPv4", v4, "127.0.0.1:8080"},
		{"IPv4 in a storage", append(v4, make([]byte, 112)...), "127.0.0.1:8080"},
		{"IPv4, too short", v4[:15], ""},
		{"IPv4, too long", append(v4, make([]byte, 113)...), ""},
		{"IPv6", v6("::1", 0), "[::1]:8080"},
		{"IPv6 without zone", v6("fe80::1", 3)[:24], "[fe80::1]:8080"},
		{"IPv6 with half a zone", v6("fe80::1", 3)[:27], "[fe80::1]:8080"},
		{"IPv6 with zone", v6("fe80::1", 3), "[fe80::1%3]:8080"},
		{"IPv6 where a zone does not count", v6("2001:db8::1", 3), "[2001:db8::1]:8080"},
		{"mapped", v6("::ffff:127.0.0.1", 3), "[::ffff:127.0.0.1]:8080"},
		{"IPv6, too short", v6("::1", 0)[:23], ""},
		{"nothing", nil, ""},
		{"one byte", []byte{2}, ""},
		{"unix", append([]byte{1, 0}, make([]byte, 30)...), ""},
		{"no family", make([]byte, 28), ""},
	} {
		got, _, ok := address(test.b)
		if ok != (test.want != "") || ok && got.String() != test.want {
			t.Errorf("%s: got %s %t, want %q", test.name, got, ok, test.want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(append([]byte{afInet, 0, 0x1f, 0x90, 127, 0, 0, 1}, make([]byte, 8)...))
	f.Add(append([]byte{afInet6, 0, 0x1f, 0x90}, make([]byte, 24)...))
	f.Add([]byte{afInet6, 0, 0, 1, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, family, ok := address(b)
		if !ok {
			return
		}
		if !a.IsValid() || len(b) < sizeInet || len(b) > sizeStorage || a.Addr().Is4() != (family == afInet) {
			t.Errorf("% x: got %s, family %d", b, a, family)
		}
		if a.Addr().Zone() != "" && len(b) < sizeInet6 {
			t.Errorf("% x: a zone from nowhere: %s", b, a)
		}
		again, err := netip.ParseAddrPort(a.String())
		if err != nil || again != a {
			t.Errorf("% x: %s is read as %s, %v", b, a, again, err)
		}
	})
}

func FuzzNote(f *testing.F) {
	f.Add((&note{Last: 5, Calls: []request{{ID: 5, TID: 1, NR: 49}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNote(b)
		if err != nil || n.Version == 0 {
			return
		}
		again, err := decodeNote(n.encode())
		if err != nil || again.Last != n.Last || len(again.Calls) != len(n.Calls) {
			t.Errorf("%s: got %+v, %v", b, again, err)
		}
	})
}
