package kernel

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// quota returns how many CPUs the cgroups of this process allow, as a fraction;
// 0 means no limit. A group's limit holds for all below it, so the least of its
// ancestors' counts. Version 1 and 2 may be mounted side by side, with the cpu
// controller in either.
func quota(root fs.FS) float64 {
	least := 0.0
	note := func(cpus float64) {
		if cpus > 0 && (least == 0 || cpus < least) {
			least = cpus
		}
	}
	if g, err := groupV2(root); err == nil {
		for _, dir := range g.ancestors() {
			f := strings.Fields(content(root, path.Join(dir, "cpu.max"))) // "200000 100000", "max 100000"
			if len(f) == 2 {
				note(ratio(f[0], f[1]))
			}
		}
	}
	if g, err := groupV1(root, "cpu"); err == nil {
		for _, dir := range g.ancestors() {
			note(ratio(content(root, path.Join(dir, "cpu.cfs_quota_us")), content(root, path.Join(dir, "cpu.cfs_period_us"))))
		}
	}
	return least
}

// limit combines the number of CPUs that a process may run on with its quota:
// a fraction counts as one more, since a worker that gets half a CPU still
// serves, and one that is missing leaves that half idle.
func limit(cpus int, quota float64) int {
	if quota > 0 && quota < float64(cpus) {
		whole := int(quota)
		if float64(whole) < quota {
			whole++
		}
		cpus = whole
	}
	return max(cpus, 1)
}

// ratio returns quota/period, 0 if there is no quota ("max", -1) or nonsense.
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	if err != nil || !(q > 0) {
		return 0
	}
	p, err := strconv.ParseFloat(period, 64)
	if err != nil || !(p > 0) {
		return 0
	}
	return q / p
}

// content returns the trimmed text of a file, "" if it cannot be read.
func content(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
