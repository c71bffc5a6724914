package stacks

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// look is how often it is looked whether the inspector listens.
const look = 20 * time.Millisecond

// Node returns the JavaScript calls that a Node process is in, also in a loop that
// never ends. open sends it SIGUSR1, upon which it opens its inspector on a loopback
// address; the inspector stays open, so this is for a process that is about to end.
// Errors: ErrSilent, when it does not come to JavaScript before ctx ends.
func Node(ctx context.Context, pid int, open func() error) (string, error) {
	before := listeners(pid)
	if err := open(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrSilent, err)
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		for addr := range listeners(pid) {
			if !before[addr] && addr.Addr().IsLoopback() {
				return pause(ctx, addr)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", fmt.Errorf("%w: no inspector was opened", ErrSilent)
		}
	}
}

// pause has the inspector stop the program, and returns where.
func pause(ctx context.Context, addr netip.AddrPort) (string, error) {
	target, err := target(ctx, addr)
	if err != nil {
		return "", err
	}
	ws, err := dialWebSocket(ctx, addr, target)
	if err != nil {
		return "", err
	}
	defer func() { _ = ws.Close() }() // the program goes on with it
	for _, command := range []string{`{"id":1,"method":"Debugger.enable"}`, `{"id":2,"method":"Debugger.pause"}`} {
		if err := ws.write([]byte(command)); err != nil {
			return "", fmt.Errorf("%w: %w", ErrSilent, err)
		}
	}
	scripts := map[string]string{}
	for {
		message, err := ws.read()
		if err != nil {
			return "", fmt.Errorf("%w: it does not come to JavaScript: %w", ErrSilent, err)
		}
		if text, ok := paused(message, scripts); ok {
			return text, nil
		}
	}
}

// target asks the inspector for the path of its WebSocket.
func target(ctx context.Context, addr netip.AddrPort) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/json/list", http.NoBody)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(q)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSilent, err)
	}
	var targets []struct {
		URL string `json:"webSocketDebuggerUrl"`
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, a.Body, maxMessage)).Decode(&targets)
	if closed := a.Body.Close(); err == nil {
		err = closed
	}
	if err != nil || len(targets) == 0 {
		return "", fmt.Errorf("%w: its inspector offers nothing: %w", ErrSilent, err)
	}
	u, err := url.Parse(targets[0].URL)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSilent, err)
	}
	return u.Path, nil
}

// paused reads the event Debugger.paused, with the names of scripts that have been
// told before, to which it adds those of Debugger.scriptParsed.
func paused(message []byte, scripts map[string]string) (text string, ok bool) {
	var event struct {
		Method string
		Params struct {
			ScriptID, URL string
			CallFrames    []struct {
				FunctionName string
				Location     struct {
					ScriptID                 string
					LineNumber, ColumnNumber int
				}
			}
		}
	}
	if json.Unmarshal(message, &event) != nil {
		return "", false
	}
	if event.Method == "Debugger.scriptParsed" {
		scripts[event.Params.ScriptID] = event.Params.URL
	}
	if event.Method != "Debugger.paused" {
		return "", false
	}
	var b strings.Builder
	for _, f := range event.Params.CallFrames {
		name := f.FunctionName
		if name == "" {
			name = "(anonymous)"
		}
		// The protocol counts from 0, people from 1.
		where := f.Location
		fmt.Fprintf(&b, "    at %s (%s:%d:%d)\n", name, scripts[where.ScriptID], where.LineNumber+1, where.ColumnNumber+1)
	}
	return b.String(), true
}

// listeners returns the TCP addresses on which a process listens.
func listeners(pid int) map[netip.AddrPort]bool {
	own := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	found := map[netip.AddrPort]bool{}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if addr, inode, ok := parseListener(line); ok && own[inode] {
				found[addr] = true
			}
		}
	}
	return found
}

// parseListener reads a line of /proc/net/tcp or tcp6, if it is of a listening socket.
// The address is hexadecimal, in words of the machine's order, the port as usual.
func parseListener(line string) (addr netip.AddrPort, inode string, ok bool) {
	const listens = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listens {
		return addr, "", false
	}
	host, port, ok := strings.Cut(f[1], ":")
	if !ok || len(host) != 2*net.IPv4len && len(host) != 2*net.IPv6len {
		return addr, "", false
	}
	var raw []byte
	var number uint16
	if _, err := fmt.Sscanf(host, "%x", &raw); err != nil || len(raw)*2 != len(host) {
		return addr, "", false
	}
	if _, err := fmt.Sscanf(port, "%x", &number); err != nil {
		return addr, "", false
	}
	for i := 0; i < len(raw); i += 4 {
		word := hostOrder(raw[i : i+4])
		copy(raw[i:], word[:])
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), number), f[9], ok
}
