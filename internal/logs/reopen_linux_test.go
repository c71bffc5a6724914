package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReopenMakesMovedFilesAnew(t *testing.T) {
	dir := t.TempDir()
	p := testPump(t, Options{Journal: filepath.Join(dir, "journal")})
	path, half := filepath.Join(dir, "out.log"), filepath.Join(dir, "half.log")
	a, b := add(t, p, "a", FileSpec{Path: path}), add(t, p, "b", FileSpec{Path: half})
	a.print(t, "one\n")
	b.print(t, "beg")
	waitFor(t, "the lines", func() bool { return content(t, path) == "one\n" && content(t, half) == "beg" })
	for _, name := range []string{path, half} {
		must(t, os.Rename(name, name+"-moved"))
	}
	if n, err := p.Reopen(); n != 2 || err != nil {
		t.Fatalf("Reopen = %d, %v", n, err)
	}
	if got := content(t, path); got != "" {
		t.Errorf("the new file holds %q", got)
	}
	a.print(t, "two\n")
	b.print(t, "un\nnext\n")
	a.end(t)
	b.end(t)
	for name, want := range map[string]string{path + "-moved": "one\n", path: "two\n"} {
		if got := content(t, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	// Of a line that had been begun nothing is lost, wherever its end went to.
	rest, err := os.ReadFile(half)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got := content(t, half+"-moved") + string(rest); got != "begun\nnext\n" {
		t.Errorf("the other stream came out as %q", got)
	}
}
