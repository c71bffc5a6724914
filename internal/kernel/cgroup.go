package kernel

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// group is where this process stands in one cgroup hierarchy. Paths are below
// the root of a file system, without a leading slash.
type group struct {
	mount string // where the hierarchy is mounted: "sys/fs/cgroup"
	dir   string // this process's group, as far up as can be seen from here
}

var (
	errNotMounted = errors.New("not mounted")
	errNoGroup    = errors.New("this process has no group there")
)

// groupV2 finds the unified hierarchy (Linux 4.5).
func groupV2(root fs.FS) (group, error) {
	return findGroup(root, "0", "", func(kind string, _ []string) bool { return kind == "cgroup2" })
}

// groupV1 finds the hierarchy of a controller of version 1.
func groupV1(root fs.FS, controller string) (group, error) {
	return findGroup(root, "", controller, func(kind string, options []string) bool {
		return kind == "cgroup" && slices.Contains(options, controller)
	})
}

// findGroup joins what /proc says about this process's membership (the line
// with that id, or with that controller) with the mount that match accepts.
func findGroup(root fs.FS, id, controller string, match func(kind string, options []string) bool) (group, error) {
	mount, top, err := findMount(root, match)
	if err != nil {
		return group{}, err
	}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return group{}, err
	}
	for line := range strings.Lines(string(text)) { // hierarchy-id:controllers:path
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) < 3 || id != "" && f[0] != id || controller != "" && !slices.Contains(strings.Split(f[1], ","), controller) {
			continue
		}
		// In a container the mount may show only the part from top down, while
		// the path is the host's. A path outside it (another cgroup namespace)
		// leaves the mount's own top, which is what limits us.
		dir := mount
		if below, ok := cutPath(f[2], top); ok {
			dir = path.Join(mount, below)
		}
		if _, err := fs.Stat(root, dir); err != nil {
			dir = mount
		}
		return group{mount: mount, dir: dir}, nil
	}
	return group{}, errNoGroup
}

// findMount returns the mount point and the mounted folder of the first mount
// that match accepts by its type and its super block's options.
func findMount(root fs.FS, match func(kind string, options []string) bool) (mount, top string, err error) {
	text, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 /top /mount rw,noatime [optional...] - type source options
		left, right, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 || !match(r[0], strings.Split(r[2], ",")) {
			continue
		}
		return strings.TrimPrefix(unescape(l[4]), "/"), unescape(l[3]), nil
	}
	return "", "", errNotMounted
}

// ancestors returns dir and the folders above it down to mount, nearest first.
func (g group) ancestors() []string {
	dirs := []string{g.dir}
	for dir := g.dir; dir != g.mount && len(dir) > len(g.mount); {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// cutPath takes the leading folder top off name.
func cutPath(name, top string) (string, bool) {
	if top == "/" {
		return name, strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "/..")
	}
	rest, ok := strings.CutPrefix(name, top)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// unescape undoes the octal escapes of blanks in mountinfo.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}
