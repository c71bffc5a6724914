package kernel

import (
	"testing"
	"testing/fstest"
)

// tree is a file system with what a process sees of its cgroups.
func tree(membership, mounts string, files map[string]string) fstest.MapFS {
	root := fstest.MapFS{
		"proc/self/cgroup":    {Data: []byte(membership)},
		"proc/self/mountinfo": {Data: []byte(mounts)},
	}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text + "\n")}
	}
	return root
}

const (
	v2Mount     = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	hybridMount = "22 27 0:21 / /proc rw,relatime - proc proc rw\n" +
		"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
		"34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	hybrid = "9:name=systemd:/\n3:cpuset:/\n1:cpu:/a/b\n0::/\n"
)

func TestQuota(t *testing.T) {
	for _, c := range []struct {
		name, membership, mounts string
		files                    map[string]string
		want                     float64
	}{
		{"nothing mounted", "0::/\n", "", nil, 0},
		{"nothing readable", "", "", nil, 0},
		{"v2 without limit", "0::/user.slice/x\n", v2Mount, map[string]string{"sys/fs/cgroup/user.slice/x/cpu.max": "max 100000"}, 0},
		{"v2 own limit", "0::/user.slice/x\n", v2Mount, map[string]string{"sys/fs/cgroup/user.slice/x/cpu.max": "150000 100000"}, 1.5},
		{"v2 the least of the ancestors", "0::/a/b/c\n", v2Mount, map[string]string{
			"sys/fs/cgroup/a/b/c/cpu.max": "300000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "100000 50000",
		}, 2},
		{"v2 in a container", "0::/\n", v2Mount, map[string]string{"sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5},
		{"v2 from another namespace", "0::/../../x\n", v2Mount, map[string]string{"sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5},
		{"v2 nonsense", "0::/a\n", v2Mount, map[string]string{"sys/fs/cgroup/a/cpu.max": "many 0"}, 0},
		{"hybrid, limit in v1", hybrid, hybridMount, map[string]string{
			"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
			"sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "1", "sys/fs/cgroup/unified/cgroup.procs": "1",
		}, 2.5},
		{"hybrid without limit", hybrid, hybridMount, map[string]string{
			"sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us": "100000",
		}, 0},
		{
			"v1 in a container that shows its own part", "4:cpu,cpuacct:/docker/ab12\n",
			"7 1 0:9 /docker/ab12 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
			map[string]string{
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "120000", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
			},
			1.2,
		},
		{
			"a mount point with a blank", "0::/a\n", "31 23 0:28 / /my\\040groups rw - cgroup2 none rw\n",
			map[string]string{"my groups/a/cpu.max": "200000 100000"},
			2,
		},
	} {
		if got := quota(tree(c.membership, c.mounts, c.files)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLimitRoundsUp(t *testing.T) {
	for _, c := range []struct {
		cpus  int
		quota float64
		want  int
	}{{8, 0, 8}, {8, 0.1, 1}, {8, 1, 1}, {8, 1.1, 2}, {8, 7.5, 8}, {8, 100, 8}, {0, 0, 1}, {1, 0.5, 1}} {
		if got := limit(c.cpus, c.quota); got != c.want {
			t.Errorf("limit(%d, %v) = %d, want %d", c.cpus, c.quota, got, c.want)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add(hybrid, hybridMount)
	f.Add("0::/../x\n", v2Mount)
	f.Add("0::\n", "1 2 3 / .. rw - cgroup2 x y\n")
	f.Fuzz(func(t *testing.T, membership, mounts string) {
		root := tree(membership, mounts, map[string]string{"sys/fs/cgroup/cpu.max": "1 2"})
		if q := quota(root); q < 0 {
			t.Fatalf("quota %v", q)
		}
	})
}
