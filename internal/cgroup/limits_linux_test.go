package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paceline/internal/kernel"
)

// tree makes folders with files that look like a hierarchy: this machine's may have no
// controllers. What is written to a file replaces it, as nobody answers.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLimitsTakeTheFirstPlaceThatCan(t *testing.T) {
	root := tree(t, map[string]string{
		"cgroup.controllers":              "cpu memory pids",
		"unit/cgroup.controllers":         "cpu memory pids\n",
		"unit/cgroup.subtree_control":     "pids\n",
		"unit/manager/cgroup.controllers": "", "unit/manager/cgroup.subtree_control": "",
	})
	own := filepath.Join(root, "unit/manager")
	l := Limits{MemoryBytes: 64 << 20, CPU: 0.5, Pids: 20}
	p, err := openLimited([]string{own, filepath.Dir(own)}, l)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "unit"); p.dir != want {
		t.Errorf("taken %s, want %s", p.dir, want)
	}
	if got := content(t, filepath.Join(root, "unit/cgroup.subtree_control")); !strings.HasPrefix(got, "+cpu") {
		t.Errorf("written %q last", got)
	}
	if top, err := topOf(own); err != nil || top != root {
		t.Errorf("the top is %s, %v; want %s", top, err, root)
	}
	if _, err = openLimited([]string{own}, l); !errors.Is(err, kernel.ErrUnsupported) || !strings.Contains(err.Error(), "no memory controller") {
		t.Errorf("without controllers: %v", err)
	}
}

func TestLimitWritesTheFiles(t *testing.T) {
	root := tree(t, map[string]string{"g/memory.max": "max", "g/memory.oom.group": "0", "g/cpu.max": "max 100000", "g/pids.max": "max"})
	p := &Parent{dir: root}
	if err := p.Limit("g", Limits{MemoryBytes: 64 << 20, CPU: 1.5, Pids: 20}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"memory.max": "67108864", "cpu.max": "150000 100000"} {
		if got := content(t, filepath.Join(root, "g", file)); !strings.HasPrefix(got, want) {
			t.Errorf("%s holds %q, want %q", file, got, want)
		}
	}
	if err := p.Limit("missing", Limits{Pids: 1}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no group: %v", err)
	}
}

// TestLimitsHold runs a process in a group that may have two processes.
func TestLimitsHold(t *testing.T) {
	l := Limits{Pids: 2}
	p, err := OpenLimited(l)
	if errors.Is(err, kernel.ErrUnsupported) {
		t.Skipf("needs a cgroup v2 with the pids controller (root, or systemd's Delegate=yes with DelegateSubgroup=): %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := prefix(t, p) + "limited"
	g, err := p.Make(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Limit(name, l); err != nil {
		t.Fatal(err)
	}
	end := spawn(t, g)
	if got := strings.TrimSpace(content(t, filepath.Join(g.Path, "pids.max"))); got != "2" {
		t.Errorf("pids.max is %s", got)
	}
	end()
	if err := g.Dir.Close(); err != nil {
		t.Error(err)
	}
}
