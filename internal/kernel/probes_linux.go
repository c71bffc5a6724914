package kernel

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// check is the definition of a probe: a line in one of the tables.
type check struct {
	name  string
	since string // first version of Linux: "5.3"; "" for a limit or setting
	use   string
	try   func() (found string, err error)
}

// probe is a check and its remembered answer.
type probe struct {
	check

	mu    sync.Mutex // guards what follows; held during try, which is short
	known bool
	found string
	err   error
}

// tables is everything that is probed, in the order that doctor prints.
var tables = func() (all []*probe) {
	for _, table := range [][]check{processChecks, socketChecks, cgroupChecks, limitChecks} {
		for _, c := range table {
			all = append(all, &probe{check: c})
		}
	}
	return all
}()

// Probes returns all that Paceline can probe on this system, in an order for
// reading: processes, sockets, cgroups, limits.
func Probes() []Probe {
	list := make([]Probe, 0, len(tables))
	for _, p := range tables {
		needs := ""
		if p.since != "" {
			needs = "Linux " + p.since
		}
		list = append(list, Probe{
			Name: p.name, Use: p.use, Needs: needs,
			Run:   func() error { _, err := p.answer(); return err },
			Found: func() string { found, _ := p.answer(); return found },
		})
	}
	return list
}

// answer tries once. What the kernel supports does not change, so that a yes
// or no is remembered; a limit, a setting, or a failure for want of memory or
// descriptors is looked at again.
func (p *probe) answer() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.found, p.err
	}
	found, err := p.try()
	if p.since == "" {
		return found, err
	}
	err, conclusive := explain(p.name, p.since, err)
	if conclusive {
		p.known, p.found, p.err = true, found, err
	}
	return found, err
}

// errMissing is the result of a try that sees by itself that the kernel lacks
// the feature; it is worth no mention.
var errMissing = errors.New("missing")

// explain turns the result of a try into what a user reads. conclusive is
// false if another try may end differently.
func explain(feature, since string, err error) (_ error, conclusive bool) {
	unsupported := &UnsupportedError{Feature: feature, Since: since, Running: release(), Err: err}
	if err == nil {
		return nil, true
	}
	if errors.Is(err, errMissing) {
		unsupported.Err = nil
		return unsupported, true
	}
	errno, bare := err.(unix.Errno) //nolint:errorlint // one that is wrapped has been put into words already
	if !bare {
		return err, true
	}
	switch errno {
	case unix.ENOSYS, unix.EINVAL, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.E2BIG, unix.ENOTTY, unix.ENOENT:
		return unsupported, true
	case unix.EPERM, unix.EACCES:
		return fmt.Errorf("%s is not permitted to this user: %w", feature, err), true
	}
	return fmt.Errorf("%s: %w", feature, err), false
}

// release is the running kernel's version, "6.18.44"; "" if unknown.
func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	version, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return version
}

// atLeast reports whether the running kernel is that version or a later one.
func atLeast(since string) bool {
	running, ok := parseVersion(release())
	want, _ := parseVersion(since)
	return ok && !running.less(want)
}
