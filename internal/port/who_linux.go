package port

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// WhoHas names the process that holds an address, like "nginx (pid 4711)", for the
// message about an address in use; "" if that cannot be told, most often because
// the process is another user's. It reads all of /proc/*/fd, which takes some
// milliseconds, or more on a machine with many processes.
func WhoHas(a Address) string {
	var inodes map[string]bool
	switch {
	case a.Network == "unix":
		inodes = unixInodes(abstract(a.Path))
	case isUDP(a):
		inodes = inetInodes(a, "udp", func(string) bool { return true })
	default:
		var err error
		if inodes, err = listenerInodes(a); err != nil || len(inodes) == 0 { // a connection's own end, say
			inodes = inetInodes(a, "tcp", func(string) bool { return true })
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	pid := holder(inodes)
	if pid == 0 {
		return ""
	}
	name := "a process"
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		name = strings.TrimSpace(string(comm))
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}

// listenerInodes returns the sockets that listen on what a asks for. A program waits
// in its bind call meanwhile, and /proc/net/tcp takes seconds where there are a
// hundred thousand connections.
func listenerInodes(a Address) (map[string]bool, error) {
	asked, _ := netip.ParseAddr(a.Host) // not valid: any
	found := map[string]bool{}
	return found, dumpDiag(a.Port, listens, func(answer []byte) {
		if bound, inode := listener(answer); overlap(bound, asked) {
			found[inode] = true
		}
	})
}

// inetInodes returns the sockets that are bound to what a asks for.
func inetInodes(a Address, proto string, want func(state string) bool) map[string]bool {
	asked, _ := netip.ParseAddr(a.Host) // not valid: any
	found := map[string]bool{}
	for _, file := range []string{"/proc/net/" + proto, "/proc/net/" + proto + "6"} {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
		lines(file, func(fields []string) {
			if len(fields) < 10 || !want(fields[3]) {
				return
			}
			ip, port, ok := parseLocal(fields[1])
			if ok && port == a.Port && fields[9] != "0" && overlap(ip, asked) {
				found[fields[9]] = true
			}
		})
	}
	return found
}

// overlap reports whether two listeners on one port would collide, as far as their
// addresses tell. It takes every "::" for one of both families.
func overlap(bound, asked netip.Addr) bool {
	return !asked.IsValid() || asked.IsUnspecified() || bound.IsUnspecified() ||
		bound.Unmap() == asked.Unmap().WithZone("")
}

// parseLocal reads an address like 0100007F:1F90: 32-bit words in the machine's
// byte order, which is little-endian wherever Paceline runs.
func parseLocal(s string) (netip.Addr, int, bool) {
	host, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.Addr{}, 0, false
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.Addr{}, 0, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.Addr{}, 0, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ip, int(number), ok
}

func unixInodes(path string) map[string]bool {
	found := map[string]bool{}
	// Num RefCount Protocol Flags Type St Inode Path
	lines("/proc/net/unix", func(fields []string) {
		if len(fields) >= 8 && strings.Join(fields[7:], " ") == path {
			found[fields[6]] = true
		}
	})
	return found
}

func lines(file string, each func(fields []string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }() // only read
	in := bufio.NewScanner(f)
	for in.Scan() {
		each(strings.Fields(in.Text()))
	}
}

// holder returns the lowest pid that has one of the sockets open: of a server with
// workers that is nearly always the one that started the others.
func holder(inodes map[string]bool) int {
	folders, err := filepath.Glob("/proc/[0-9]*/fd")
	if err != nil {
		return 0
	}
	var pids []int
	for _, folder := range folders {
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(folder))); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range pids {
		folder := fmt.Sprintf("/proc/%d/fd", pid)
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // another user's, or gone
		}
		for _, e := range entries {
			target, err := os.Readlink(folder + "/" + e.Name())
			inode, ok := strings.CutPrefix(target, "socket:[")
			if err == nil && ok && inodes[strings.TrimSuffix(inode, "]")] {
				return pid
			}
		}
	}
	return 0
}
