package logs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestTrimRemovesTheOldest: over all logs, whichever form they have, and never what is
// being written.
func TestTrimRemovesTheOldest(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now().Add(-time.Hour).Truncate(time.Second)
	var paths []string
	for i, name := range []string{"a.log", "a.log.1", "b.log.1.gz", "a.log.2", "b.log.2.gz", "b.log.3", "gone.log.1"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		changed := begin.Add(-time.Duration(i) * time.Minute)
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := Under(dir)
	if err != nil || len(paths) != 3 {
		t.Fatalf("logs %q, %v", paths, err)
	}
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, step := range []struct {
		most  int64
		files int
		left  []string
	}{
		{7000, 0, []string{"a.log", "a.log.1", "a.log.2", "b.log.1.gz", "b.log.2.gz", "b.log.3", "gone.log.1"}},
		{5500, 2, []string{"a.log", "a.log.1", "a.log.2", "b.log.1.gz", "b.log.2.gz"}},
		{3000, 2, []string{"a.log", "a.log.1", "b.log.1.gz"}},
		{10, 2, []string{"a.log"}},
	} {
		got, err := p.Trim(append(paths, paths...), step.most)
		if err != nil || got.Files != step.files || got.Bytes != int64(1000*step.files) || got.Left != int64(1000*len(step.left)) {
			t.Errorf("to %d: %+v, %v", step.most, got, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if !slices.Equal(left, step.left) {
			t.Errorf("to %d: left %q", step.most, left)
		}
	}
}

func TestLogOf(t *testing.T) {
	for name, want := range map[string]string{
		"a.log": "a.log", "a.log.1": "a.log", "a.log.12.gz": "a.log", "a.log.gz.tmp": "a.log", "a.log.gz": "a.log.gz", "1": "1", ".1": ".1", "a.": "a.",
	} {
		if got := logOf(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
