//go:build linux

package adopt

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What a program set on its MPTCP socket holds for the TCP socket that it gets; what
// it did not set stays at the default, and so at the kernel's to adjust.
func TestTCPSocketIsLikeTheMPTCPSocket(t *testing.T) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		model, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_MPTCP)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
			t.Skipf("MPTCP (Linux 5.6, net.mptcp.enabled): %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(model)
		tcp := func() int { return int(socketOf(family, unix.SOCK_STREAM, 0)) }

		fresh, like := tcp(), tcp()
		defer unix.Close(fresh)
		defer unix.Close(like)
		if err := imitate(like, model, family); err != nil {
			t.Fatal(err)
		}
		for _, o := range numbers(family) {
			want, err := unix.GetsockoptInt(fresh, o.level, o.name)
			got, gotErr := unix.GetsockoptInt(like, o.level, o.name)
			if got != want || !errors.Is(gotErr, err) {
				t.Errorf("option %d/%d: got %d %v, default %d %v", o.level, o.name, got, gotErr, want, err)
			}
		}
		if flags, err := unix.FcntlInt(uintptr(like), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("got flags %x, %v", flags, err)
		}

		set := map[[2]int]int{
			{unix.SOL_SOCKET, unix.SO_REUSEADDR}: 1, {unix.SOL_SOCKET, unix.SO_REUSEPORT}: 1,
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.SOL_SOCKET, unix.SO_RCVBUF}: 50000,
			{unix.IPPROTO_TCP, unix.TCP_NODELAY}: 1, {unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}: 7,
			{unix.IPPROTO_IP, unix.IP_FREEBIND}: 1, {unix.IPPROTO_TCP, unix.TCP_FASTOPEN}: 16,
		}
		if family == unix.AF_INET6 {
			set[[2]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}] = 1
		}
		for o, v := range set {
			if err := unix.SetsockoptInt(model, o[0], o[1], v); err != nil {
				t.Logf("MPTCP refuses option %d/%d: %v", o[0], o[1], err)
			}
		}
		if err := unix.SetsockoptLinger(model, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 5}); err != nil {
			t.Fatal(err)
		}
		if err := unix.SetsockoptTimeval(model, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 3}); err != nil {
			t.Fatal(err)
		}
		root := os.Geteuid() == 0
		if root {
			if err := errors.Join(unix.Fchown(model, 65534, 65533), unix.BindToDevice(model, "lo")); err != nil {
				t.Fatal(err)
			}
		}
		if err := imitate(like, model, family); err != nil {
			t.Fatal(err)
		}
		for _, o := range numbers(family) {
			want, err := unix.GetsockoptInt(model, o.level, o.name)
			if err != nil {
				continue
			}
			if got, err := unix.GetsockoptInt(like, o.level, o.name); err != nil || got != want {
				t.Errorf("option %d/%d: got %d %v, want %d", o.level, o.name, got, err, want)
			}
		}
		if l, err := getLinger(like); err != nil || l.Onoff != 1 || l.Linger != 5 {
			t.Errorf("got linger %+v %v", l, err)
		}
		if v, err := unix.GetsockoptTimeval(like, unix.SOL_SOCKET, unix.SO_RCVTIMEO); err != nil || v.Sec != 3 {
			t.Errorf("got timeout %+v %v", v, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(like, &st); err != nil || root && (st.Uid != 65534 || st.Gid != 65533) {
			t.Errorf("got owner %d:%d %v", st.Uid, st.Gid, err)
		}
		if name, err := unix.GetsockoptString(like, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || root && name != "lo" {
			t.Errorf("got device %q %v", name, err)
		}
	}
}
