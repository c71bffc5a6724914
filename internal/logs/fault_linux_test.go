package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk is a file system of one megabyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	if errors.Is(err, unix.EPERM) {
		t.Skip("mounting a small file system needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

var droppedLine = regexp.MustCompile(`(?m)^pace: (\d+) bytes of output could not be written here and were dropped\n`)

func TestFullDisk(t *testing.T) {
	for _, mode := range []string{"plain", "shared", "time", "json", "combined on a good disk"} {
		t.Run(mode, func(t *testing.T) {
			disk, good := smallDisk(t), t.TempDir()
			ballast := filepath.Join(disk, "ballast")
			if err := os.WriteFile(ballast, make([]byte, 600<<10), 0o600); err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var said []string
			p := testPump(t, Options{timing: timing{retry: 20 * time.Millisecond}, Journal: filepath.Join(good, "journal"), Log: func(format string, a ...any) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, fmt.Sprintf(format, a...))
			}})
			f := FileSpec{Path: filepath.Join(disk, "out.log"), MaxBytes: -1, Form: formOf(mode)}
			files := []FileSpec{f}
			if strings.HasPrefix(mode, "combined") {
				files = append(files, FileSpec{Path: filepath.Join(good, "all.log"), MaxBytes: -1})
			}
			s := add(t, p, "a", files...)
			if mode == "shared" {
				defer add(t, p, "b", f).end(t)
			}
			want := lines("a", 20_000)
			s.print(t, want) // 1.1 MB, with room for 0.4: this must not block
			waitFor(t, "the message", func() bool { mu.Lock(); defer mu.Unlock(); return len(said) > 0 })
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the notice", func() bool { b, _ := os.ReadFile(f.Path); return strings.Contains(string(b), "pace: ") })
			s.print(t, "better now\n")
			s.end(t)

			got := unform(t, content(t, f.Path), mode)
			dropped := 0
			for _, m := range droppedLine.FindAllStringSubmatch(got, -1) {
				n, err := strconv.Atoi(m[1])
				if err != nil {
					t.Fatal(err)
				}
				dropped += n
			}
			parts := droppedLine.Split(got, -1)
			before, after := parts[0], parts[len(parts)-1]
			kept := len(before) + len(after) - len("better now\n")
			// The line that did not fit is ended by us.
			if before = strings.TrimSuffix(before, "\n"); !strings.HasPrefix(want, before) {
				t.Errorf("what was written before ends in ...%q", before[max(0, len(before)-100):])
			}
			if !strings.HasSuffix(want+"better now\n", after) || !strings.HasPrefix(after, "a ") && after != "better now\n" {
				t.Errorf("what was written after begins with %.100q", after)
			}
			if sum := kept + dropped; sum != len(want) && sum != len(want)+1 {
				t.Errorf("%d bytes were kept, %d dropped, together %d, printed were %d", kept, dropped, sum, len(want))
			}
			counted := p.Written([]string{f.Path, "/none"})
			if w := counted[0]; w.DroppedBytes != int64(dropped) || w.DroppedLines > 20_000 || w.Bytes < int64(kept) {
				t.Errorf("counted %+v, of which %d bytes were dropped and %d kept", w, dropped, kept)
			}
			if counted[1] != (Written{}) {
				t.Errorf("counted %+v of a file that there is not", counted[1])
			}
			if len(files) == 2 {
				if got := content(t, files[1].Path); got != want+"better now\n" {
					t.Errorf("the file on the good disk has %d bytes, want %d", len(got), len(want)+11)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(said) != 2 || !strings.Contains(said[0], "no space left") || !strings.Contains(said[1], "again") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestFullDiskIsFreedByRemovingTheLog(t *testing.T) {
	disk := smallDisk(t)
	p := testPump(t, Options{timing: timing{retry: 20 * time.Millisecond}})
	s := add(t, p, "a", FileSpec{Path: filepath.Join(disk, "out.log"), MaxBytes: -1})
	s.print(t, strings.Repeat("0123456789\n", 300_000)) // 3.3 MB, the pipe holds 1
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a new file", func() bool { b, _ := os.ReadFile(s.path); return strings.Contains(string(b), "pace: ") })
	s.print(t, "end\n")
	s.end(t)
	if got := content(t, s.path); !strings.HasSuffix(got, "\nend\n") {
		t.Errorf("the file ends in ...%q", got[max(0, len(got)-50):])
	}
}

func TestFullDevice(t *testing.T) {
	p := testPump(t, Options{})
	s := add(t, p, "a", FileSpec{Path: "/dev/full"}, FileSpec{Path: filepath.Join(t.TempDir(), "out.log")})
	want := lines("a", 10_000)
	s.print(t, want)
	s.end(t)
	if got := content(t, s.path); got != want {
		t.Errorf("the good file has %d bytes, want %d", len(got), len(want))
	}
}
