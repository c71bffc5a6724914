package daemon

import (
	"errors"
	"hash/fnv"
	"os"
	"strconv"
	"strings"

	"paceline/internal/app"
	"paceline/internal/cgroup"
)

// openCgroups finds out whether instances can have cgroups of their own.
func (h *host) openCgroups() {
	parent, err := cgroup.Open()
	if err != nil {
		h.log.Debug("no cgroups for instances", "error", err)
		return
	}
	h.cgroups = parent
}

// makeCgroup gives one of several copies a cgroup of its own: in it all of its
// processes can be made to stand still, also those that have left their parents. It
// can do without.
func (h *host) makeCgroup(p *process) *os.File {
	if dir := h.limit(p); dir != nil {
		return dir
	}
	if h.cgroups == nil || p.Spec.Mode != app.Cluster || !adopts(p.Spec) {
		return nil
	}
	group, err := h.cgroups.Make(h.cgroupName(p.key))
	if err != nil {
		h.log.Debug("make cgroup", "process", p.key, "error", err)
		return nil
	}
	p.cgroup, p.cgroupParent = group.Path, h.cgroups
	return group.Dir
}

// limit gives a process a cgroup with the app's limits. Where there can be none, it
// runs without, and whoever asks about it is told.
func (h *host) limit(p *process) *os.File {
	want := p.Spec.Limits
	if want == nil || *want == (app.Limits{}) {
		return nil
	}
	limits := cgroup.Limits{MemoryBytes: want.MemoryBytes, CPU: want.CPU, Pids: want.Pids}
	parent, err := cgroup.OpenLimited(limits)
	name := h.cgroupName(p.key)
	var group cgroup.Group
	if err == nil {
		group, err = parent.Make(name)
	}
	if err == nil {
		if err = parent.Limit(name, limits); err != nil {
			err = errors.Join(err, group.Dir.Close(), parent.Remove(name))
		}
	}
	if err != nil {
		h.remark(p, "runs without its limits: "+err.Error())
		return nil
	}
	p.cgroup, p.cgroupParent = group.Path, parent
	return group.Dir
}

// removeCgroup removes the cgroup of a process of which nothing is left.
func (h *host) removeCgroup(p *process) {
	if p.cgroup == "" {
		return
	}
	if err := p.cgroupParent.Remove(h.cgroupName(p.key)); err != nil {
		h.log.Debug("remove cgroup", "process", p.key, "error", err)
	}
}

// resumeCgroup finds the cgroup that an earlier daemon made for a process.
func (h *host) resumeCgroup(p *process) {
	if group := h.makeCgroup(p); group != nil {
		if err := group.Close(); err != nil {
			h.log.Debug("close cgroup", "process", p.key, "error", err)
		}
	}
}

// sweepCgroups removes what earlier daemons have left behind.
func (h *host) sweepCgroups() {
	if h.cgroups == nil {
		return
	}
	prefix := h.cgroupName("")
	err := h.cgroups.Sweep(prefix, func(name string) bool {
		return h.find(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "-", ".")) != nil
	})
	if err != nil && !errors.Is(err, cgroup.ErrBusy) {
		h.log.Debug("sweep cgroups", "error", err)
	}
}

// cgroupName is the name of a process's cgroup, where other homes have theirs, too.
func (h *host) cgroupName(key string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(h.home)) // never fails
	return "pace-" + strconv.FormatUint(uint64(hash.Sum32()), 16) + "-" + strings.ReplaceAll(key, ".", "-")
}
