package watch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// tree makes 10,000 files in 500 folders.
func tree(b *testing.B) string {
	dir := b.TempDir()
	for i := range 500 {
		folder := filepath.Join(dir, fmt.Sprint("d", i/20), fmt.Sprint("e", i%20))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		for k := range 20 {
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(k, ".js")), nil, 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	return dir
}

// BenchmarkSync is what it costs to begin to watch 10,000 files.
func BenchmarkSync(b *testing.B) {
	dir := tree(b)
	w := New(Options{Log: slog.New(slog.DiscardHandler), Fire: func(string, []string) {}})
	defer w.Close()
	for b.Loop() {
		w.Sync(map[string]Rule{"api": {Paths: []string{dir}, Base: dir}})
		w.Sync(nil)
	}
}

// BenchmarkChange is what one write among 10,000 files costs, up to the note that
// the app has changed.
func BenchmarkChange(b *testing.B) {
	dir := tree(b)
	l := newLoop(&Watcher{}, Options{Log: slog.New(slog.DiscardHandler)})
	l.sync(map[string]Rule{"api": {Paths: []string{dir}, Base: dir}})
	defer l.notify.Close()
	file := filepath.Join(dir, "d3", "e4", "5.js")
	for b.Loop() {
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			b.Fatal(err)
		}
		l.event(<-l.notify.Events)
	}
}
