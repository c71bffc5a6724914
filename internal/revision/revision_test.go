package revision

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestCommitIsGits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here")
	}
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	if got := Commit(dir); got != "" {
		t.Errorf("before the first commit: %q", got)
	}
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "one")
	below := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	same := func(where, folder string) {
		t.Helper()
		if got, want := Commit(folder), git(t, folder, "rev-parse", "HEAD"); got != want {
			t.Errorf("%s: got %q, want %q", where, got, want)
		}
	}
	same("loose", below)
	git(t, dir, "pack-refs", "--all")
	same("packed", below)
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	same("loose again", dir)
	git(t, dir, "checkout", "-q", "--detach", "HEAD~1")
	same("detached", dir)
	tree := filepath.Join(t.TempDir(), "tree")
	git(t, dir, "worktree", "add", "-q", "-b", "side", tree)
	same("worktree", tree)
	git(t, dir, "pack-refs", "--all")
	same("worktree, packed", tree)
}

func TestNoCheckout(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "main.sh")
	if err := os.WriteFile(script, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Of(script, dir); !strings.HasPrefix(got, "main.sh written 20") {
		t.Errorf("got %q", got)
	}
	if got := Of(filepath.Join(dir, "none"), dir); got != "" {
		t.Errorf("of nothing: %q", got)
	}
	for _, content := range []string{"", "gitdir: ", "gitdir: /nowhere", strings.Repeat("x", 100)} {
		if err := os.WriteFile(filepath.Join(dir, ".git"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Commit(dir); got != "" {
			t.Errorf(".git %q: got %q", content, got)
		}
	}
}
