package jseval

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
)

// machine is what the os module tells. What is read from /proc is there on Linux
// alone; elsewhere it is an error that says so.
func machine(what string) (any, error) {
	switch what {
	case "parallelism":
		return runtime.NumCPU(), nil
	case "cpus":
		return processors(), nil
	case "hostname":
		return os.Hostname()
	case "user":
		return account()
	case "interfaces":
		return interfaces()
	case "totalmem":
		return meminfo("MemTotal")
	case "freemem":
		return meminfo("MemAvailable")
	case "uptime":
		return procNumber("/proc/uptime", 0)
	case "loadavg":
		list := make([]any, 3)
		for i := range list {
			n, err := procNumber("/proc/loadavg", i)
			if err != nil {
				return nil, err
			}
			list[i] = n
		}
		return list, nil
	case "uname":
		return map[string]any{
			"sysname": map[string]string{"linux": "Linux", "darwin": "Darwin"}[runtime.GOOS], "release": procText("/proc/sys/kernel/osrelease"),
			"version": procText("/proc/sys/kernel/version"), "machine": map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH],
		}, nil
	}
	return nil, &codeError{code: "ERR_PACELINE_UNAVAILABLE", message: "os: " + what + " is not available in a config file"}
}

// processors is one entry for each CPU that is online, whatever the affinity, as
// in Node. The times are not measured.
func processors() []any {
	type cpu struct{ model, mhz string }
	var found []cpu
	for line := range strings.Lines(procText("/proc/cpuinfo") + "\n") {
		k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		switch {
		case k == "processor":
			found = append(found, cpu{model: "unknown"})
		case k == "model name" && len(found) > 0:
			found[len(found)-1].model = v
		case k == "cpu MHz" && len(found) > 0:
			found[len(found)-1].mhz = v
		}
	}
	for len(found) == 0 || len(found) < runtime.NumCPU() {
		found = append(found, cpu{model: "unknown"})
	}
	out := make([]any, len(found))
	for i, c := range found {
		mhz, _ := strconv.ParseFloat(c.mhz, 64) // 0 where it is not told
		out[i] = map[string]any{
			"model": c.model, "speed": int(mhz),
			"times": map[string]any{"user": 0, "nice": 0, "sys": 0, "idle": 0, "irq": 0},
		}
	}
	return out
}

func account() (any, error) {
	u, err := user.Current()
	if err != nil {
		return nil, &codeError{code: "ENOENT", message: fmt.Sprintf("os.userInfo: %v", err)}
	}
	return map[string]any{
		"uid": os.Getuid(), "gid": os.Getgid(), "username": u.Username, "homedir": u.HomeDir, "shell": shell(u.Username),
	}, nil
}

func shell(name string) any {
	for line := range strings.Lines(procText("/etc/passwd") + "\n") {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[0] == name {
			return f[6]
		}
	}
	return nil
}

// interfaces is JSON of pairs, as the order of the interfaces is kept.
func interfaces() (any, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, &codeError{code: "EIO", message: fmt.Sprintf("os.networkInterfaces: %v", err)}
	}
	out := [][2]any{}
	for _, i := range list {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		var entries []address
		for _, a := range addrs {
			if ipnet, ok := a.(*net.IPNet); ok {
				entries = append(entries, addressOf(i, ipnet))
			}
		}
		if entries != nil {
			out = append(out, [2]any{i.Name, entries})
		}
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// address is an entry of os.networkInterfaces, with the fields in Node's order.
type address struct {
	Address  string `json:"address"`
	Netmask  string `json:"netmask"`
	Family   string `json:"family"`
	MAC      string `json:"mac"`
	Internal bool   `json:"internal"`
	CIDR     string `json:"cidr"`
	ScopeID  *int   `json:"scopeid,omitempty"`
}

func addressOf(i net.Interface, n *net.IPNet) address {
	a := address{
		Address: n.IP.String(), Netmask: net.IP(n.Mask).String(), Family: "IPv4", MAC: i.HardwareAddr.String(),
		Internal: i.Flags&net.FlagLoopback != 0, CIDR: n.String(),
	}
	if a.MAC == "" {
		a.MAC = "00:00:00:00:00:00"
	}
	if n.IP.To4() == nil {
		scope := 0
		if n.IP.IsLinkLocalUnicast() {
			scope = i.Index
		}
		a.Family, a.ScopeID = "IPv6", &scope
	}
	return a
}

func meminfo(field string) (any, error) {
	for line := range strings.Lines(procText("/proc/meminfo") + "\n") {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == field+":" {
			kb, err := strconv.ParseFloat(f[1], 64)
			return kb * 1024, err
		}
	}
	return nil, unknownHere("memory")
}

func procNumber(file string, field int) (any, error) {
	f := strings.Fields(procText(file))
	if field >= len(f) {
		return nil, unknownHere(file)
	}
	return strconv.ParseFloat(f[field], 64)
}

func unknownHere(what string) error {
	return &codeError{code: "ERR_PACELINE_UNAVAILABLE", message: fmt.Sprintf("os: %s is not known on %s", what, runtime.GOOS)}
}

// procText is "" where there is no such file.
func procText(file string) string {
	b, err := readFile(file, 1<<20)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
