package reportdir

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTheNewestAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reports")
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	var last string
	for i := range maxFiles + 5 {
		path, err := Save(dir, "a:b/c d", i, at.Add(time.Duration(i)*time.Second), []byte("text\n"))
		if err != nil {
			t.Fatal(err)
		}
		last = path
	}
	if want := "20260701T120054.000-a_b_c_d-54.txt"; filepath.Base(last) != want {
		t.Errorf("the file is %s, want %s", filepath.Base(last), want)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != maxFiles || !strings.HasSuffix(files[0], "-5.txt") {
		t.Errorf("%d files, the first is %v (%v)", len(files), files[:1], err)
	}
	info, err := os.Stat(last)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestSizeIsCapped(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for i := range 30 {
		path, err := Save(dir, "big", 0, at.Add(time.Duration(i)*time.Second), bytes.Repeat([]byte("x"), maxReport+1))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) != maxReport || !bytes.HasSuffix(b, []byte("left out)\n")) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != maxTotal/maxReport {
		t.Errorf("%d files (%v), want %d", len(files), err, maxTotal/maxReport)
	}
}
