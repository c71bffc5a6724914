package kernel

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limitChecks are about what this process was given.
var limitChecks = []check{
	{"CPUs", "", "-i max", func() (string, error) {
		q := quota(os.DirFS("/"))
		if q == 0 {
			return fmt.Sprintf("%d, no quota", CPUs()), nil
		}
		return fmt.Sprintf("%d, with a quota of %.3g", CPUs(), q), nil
	}},
	{"RLIMIT_NOFILE", "", "three descriptors and more for each instance", func() (string, error) {
		var l unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			return "", fmt.Errorf("read RLIMIT_NOFILE: %w", err)
		}
		// 4096 carries about 500 instances with their logs, channel and pidfd.
		if l.Max < 4096 {
			return fmt.Sprint(l.Max), fmt.Errorf("only %d descriptors: enough for some %d instances; raise it by ulimit -n or LimitNOFILE=", l.Max, l.Max/8)
		}
		return fmt.Sprintf("%d", l.Max), nil
	}},
	{"no_new_privs", "", "a filter on a child; a child that is set-uid", func() (string, error) {
		on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		switch {
		case err != nil:
			return "", fmt.Errorf("read no_new_privs: %w", err)
		case on == 1:
			return "on: apps cannot use sudo or set-uid programs", nil
		}
		return "off", nil
	}},
	{"seccomp filters on Paceline itself", "", "a sandbox around it may refuse what it needs", func() (string, error) {
		switch n := statusField("Seccomp_filters"); { // 5.9
		case n != "" && n != "0":
			return n, nil
		case statusField("Seccomp") == "2":
			return "some", nil
		}
		return "none", nil
	}},
	{"Yama ptrace_scope", "", "sharing the port of an unmodified program reads its memory", func() (string, error) {
		switch value := setting("kernel/yama/ptrace_scope"); value {
		case "":
			return "no Yama here", nil
		case "0", "1": // our apps are our children
			return value + ": children may be read", nil
		case "2":
			if os.Geteuid() == 0 {
				return "2: root may", nil
			}
			return value, fmt.Errorf("kernel.yama.ptrace_scope is 2: only root can share the port of an unmodified program")
		default:
			return value, fmt.Errorf("kernel.yama.ptrace_scope is %s: the port of an unmodified program cannot be shared", value)
		}
	}},
	{"container", "", "processes, memory and CPUs seen are the container's", func() (string, error) {
		return container(os.DirFS("/")), nil
	}},
}

// setting returns the value of a sysctl, "" if there is none of that name.
func setting(name string) string { return content(os.DirFS("/"), "proc/sys/"+name) }

// number reads a sysctl's value.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// statusField returns a field of /proc/self/status, "" if there is none.
func statusField(name string) string {
	for line := range strings.Lines(content(os.DirFS("/"), "proc/self/status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// container tells by the marks that the common runtimes leave which one we are
// in; there is no certain way.
func container(root fs.FS) string {
	for _, mark := range []struct{ file, name string }{
		{".dockerenv", "Docker"}, {"run/.containerenv", "Podman"}, {"var/run/secrets/kubernetes.io", "Kubernetes"},
	} {
		if _, err := fs.Stat(root, mark.file); err == nil {
			return mark.name + " (" + "/" + mark.file + " exists)"
		}
	}
	if kind := content(root, "run/systemd/container"); kind != "" { // systemd inside one writes it
		return kind
	}
	return "none seen"
}
