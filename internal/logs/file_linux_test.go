package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRotationKeepsEveryByte(t *testing.T) {
	for _, limit := range []int64{1, 100, 4096, 50_000, 1 << 20} {
		for _, mode := range modes {
			t.Run(fmt.Sprintf("max=%d,%s", limit, mode), func(t *testing.T) {
				p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
				f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log"), MaxBytes: limit, Keep: 5000, Form: formOf(mode)}
				want := lines("a", int(min(100, limit*50)))
				for len(want) < int(3*limit) {
					want += want
				}
				want += strings.Repeat("long", 300) + "\nend"
				s := add(t, p, "a", f)
				s.print(t, want)
				s.end(t)
				got := string(whole(t, f.Path))
				got = unform(t, got, mode)
				if got != want {
					t.Fatalf("%d bytes came out, not the same %d", len(got), len(want))
				}
				list, err := listRotated(f.Path)
				if err != nil || len(list) < 2 {
					t.Fatalf("%d old files, error %v", len(list), err)
				}
				for _, old := range list {
					text := string(unzipped(t, old))
					if !strings.HasSuffix(text, "\n") {
						t.Errorf("%s ends in %q", old.name, text[max(0, len(text)-20):])
					}
					// A line that has been begun is ended, and a single one may be
					// longer than the limit.
					if int64(len(text)) > limit+200 && strings.Count(text, "\n") > 1 {
						t.Errorf("%s has %d bytes", old.name, len(text))
					}
				}
			})
		}
	}
}

func TestOldFilesAreCompressedAndThenRemoved(t *testing.T) {
	dir := t.TempDir()
	f := FileSpec{Path: filepath.Join(dir, "out.log"), MaxBytes: 10_000, Keep: 3}
	// What processes left that were killed in the middle of compressing.
	old := "left behind\n"
	for name, text := range map[string]string{".1": old, tempExt: "half"} {
		if err := os.WriteFile(f.Path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := testPump(t, Options{timing: timing{settle: time.Millisecond}})
	s := add(t, p, "a", f)
	zipped := func() bool {
		list, err := listRotated(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if !r.gzip {
				return false
			}
		}
		_, err = os.Lstat(f.Path + tempExt)
		return len(list) > 0 && len(list) <= f.Keep && errors.Is(err, fs.ErrNotExist)
	}
	waitFor(t, "compression of the old file", zipped)
	if info, err := os.Stat(f.Path + ".1.gz"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the compressed file: %v %v", info, err)
	}
	if got := unzipped(t, rotated{f.Path + ".1.gz", 1, true}); string(got) != old {
		t.Errorf("compressed file holds %q", got)
	}
	var all strings.Builder
	for i := range 6 {
		text := lines(fmt.Sprint(i), 180) // about 10 KB: one file each
		all.WriteString(text)
		s.print(t, text)
		waitFor(t, "the text", func() bool { b, _ := os.ReadFile(f.Path); return strings.Contains(string(b), fmt.Sprint(i, " 179 ")) })
		waitFor(t, "compression", zipped)
	}
	s.end(t)
	if list, err := listRotated(f.Path); err != nil || len(list) != f.Keep {
		t.Errorf("%d old files are left, want %d; %v", len(list), f.Keep, err)
	}
	if got := string(whole(t, f.Path)); got == "" || !strings.HasSuffix(all.String(), got) {
		t.Errorf("%d bytes in all files are not the last of %d", len(got), all.Len())
	}
}

func TestManyWritersOneFile(t *testing.T) {
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	f := FileSpec{Path: filepath.Join(t.TempDir(), "all.log"), MaxBytes: 400_000, Keep: 1000}
	stop := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { close(stop) })
	want := map[string][]byte{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for i := range 10 {
		s := add(t, p, fmt.Sprint(i), f)
		writers.Go(func() {
			name := fmt.Sprintf("w%d", i)
			all := numberedWriter(s.File, name, uint64(i), 3000, stop)
			s.end(t)
			mu.Lock()
			defer mu.Unlock()
			want[name] = all
		})
	}
	writers.Wait()
	checkLines(t, whole(t, f.Path), "plain", want)
}

func TestSuccessorStartsOnALineOfItsOwn(t *testing.T) {
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log")}
	old := add(t, p, "old", f)
	old.print(t, "one\npan")
	waitFor(t, "the beginning of a line", func() bool { b, _ := os.ReadFile(f.Path); return string(b) == "one\npan" })
	next := add(t, p, "next", f)
	next.print(t, "I am next\n") // has to wait for the end of the line
	old.print(t, "ic\nlast")
	old.end(t)
	next.end(t)
	if got, want := content(t, f.Path), "one\npanic\nI am next\nlast"; got != want && got != "one\npanic\nlast\nI am next\n" {
		t.Errorf("got %q, want %q", got, want)
	}
	third := add(t, p, "third", f) // a later life
	third.print(t, "third\n")
	third.end(t)
	if got := content(t, f.Path); !strings.HasSuffix(got, "\nthird\n") {
		t.Errorf("got %q", got)
	}
}

func TestStandingLineDoesNotHoldOthersUp(t *testing.T) {
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log")}
	prompt, other := add(t, p, "prompt", f), add(t, p, "other", f)
	long := strings.Repeat("p", 3<<16)
	prompt.print(t, long) // more than fits into a pipe, no end
	other.print(t, "hello\n")
	want := long + "\nhello\n"
	waitFor(t, "the other's line", func() bool { b, _ := os.ReadFile(f.Path); return string(b) == want })
	prompt.print(t, "end\n")
	prompt.end(t)
	other.end(t)
	if got := content(t, f.Path); got != want+"end\n" {
		t.Errorf("got ...%q", got[len(long):])
	}
}

func TestPipeFilledBySingleBytes(t *testing.T) {
	p := testPump(t, Options{})
	f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log")}
	s, other := add(t, p, "a", f), add(t, p, "b", f)
	// Each splice takes a page of the pipe for itself: full with a few bytes.
	bytesFile, err := os.Create(filepath.Join(t.TempDir(), "bytes"))
	if err != nil {
		t.Fatal(err)
	}
	defer bytesFile.Close()
	if _, err := bytesFile.WriteString(strings.Repeat("z", 40)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(40) {
		if _, err := unix.Splice(int(bytesFile.Fd()), &i, int(s.Fd()), nil, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	s.print(t, "\n")
	s.end(t)
	other.end(t)
	if got, want := content(t, f.Path), strings.Repeat("z", 40)+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOthersChangeTheFile(t *testing.T) {
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	dir := t.TempDir()
	f := FileSpec{Path: filepath.Join(dir, "out.log")}
	s := add(t, p, "a", f)
	holds := func(path, want string) {
		t.Helper()
		waitFor(t, want, func() bool { b, _ := os.ReadFile(path); return string(b) == want })
	}
	s.print(t, "before\n")
	holds(f.Path, "before\n")
	if err := os.Truncate(f.Path, 0); err != nil {
		t.Fatal(err)
	}
	s.print(t, "truncated\n")
	holds(f.Path, "truncated\n") // no hole
	other, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(other, "by hand")
	other.Close()
	s.print(t, "appended\n")
	holds(f.Path, "truncated\nby hand\nappended\n")
	if err := os.Remove(f.Path); err != nil {
		t.Fatal(err)
	}
	s.print(t, "removed\n")
	holds(f.Path, "removed\n")
	if err := os.Rename(f.Path, f.Path+"-moved"); err != nil {
		t.Fatal(err)
	}
	n := 0
	waitFor(t, "a new file", func() bool { // it is noticed within a second
		n++
		s.print(t, fmt.Sprintln(n))
		_, err := os.Stat(f.Path)
		return err == nil
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s.print(t, "folder gone\n")
	waitFor(t, "a new folder", func() bool { b, _ := os.ReadFile(f.Path); return strings.HasSuffix(string(b), "folder gone\n") })
	s.end(t)
}

func TestFlush(t *testing.T) {
	p := testPump(t, Options{})
	dir := t.TempDir()
	f := FileSpec{Path: filepath.Join(dir, "out.log"), MaxBytes: 1000}
	s := add(t, p, "a", f)
	s.print(t, lines("a", 100))
	waitFor(t, "rotation", func() bool { b, _ := os.ReadFile(f.Path); return strings.Contains(string(b), "a 99 ") })
	idle := filepath.Join(dir, "idle.log")
	if err := os.WriteFile(idle, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(f.Path, idle, filepath.Join(dir, "missing"), os.DevNull); err != nil {
		t.Fatal(err)
	}
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if info, err := e.Info(); err != nil || info.Size() > 0 {
			t.Errorf("%s has %d bytes, %v", e.Name(), info.Size(), err)
		}
	}
	if len(list) != 2 {
		t.Errorf("%d files are left", len(list))
	}
	s.print(t, "again\n")
	s.end(t)
	if got := content(t, f.Path); got != "again\n" {
		t.Errorf("got %q", got)
	}
}

func TestTwoNamesOfOneFile(t *testing.T) {
	p := testPump(t, Options{})
	dir := t.TempDir()
	real, link, hard := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "hard")
	if err := errors.Join(os.WriteFile(real, nil, 0o600), os.Symlink(real, link), os.Link(real, hard)); err != nil {
		t.Fatal(err)
	}
	out, err := add(t, p, "out", FileSpec{Path: link}, FileSpec{Path: real}), add(t, p, "err", FileSpec{Path: hard})
	out.print(t, "out\n")
	err.print(t, "err\n")
	out.end(t)
	err.end(t)
	if got := content(t, real); got != "out\nerr\n" && got != "err\nout\n" {
		t.Errorf("got %q", got)
	}
}

func TestAddNamesTheFileItCannotOpen(t *testing.T) {
	p := testPump(t, Options{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dir := t.TempDir()
	_, err = p.Add(StreamSpec{Pipe: r, Files: []FileSpec{{Path: filepath.Join(dir, "good")}, {Path: dir}}})
	if !errors.Is(err, unix.EISDIR) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v, want an EISDIR that names %s", err, dir)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("the pipe has still a reader: %v", err)
	}
}

func TestCloseLeavesWhatIsInThePipe(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	f := FileSpec{Path: filepath.Join(t.TempDir(), "out.log")}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	kept, err := unix.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	p := testPump(t, Options{Journal: journal})
	if _, err := p.Add(StreamSpec{Name: "a", Pipe: r, Files: []FileSpec{f}}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.WriteString("first li")
	waitFor(t, "the first half", func() bool { b, _ := os.ReadFile(f.Path); return string(b) == "first li" })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = w.WriteString("ne\nsecond\n")
	if _, err := p.Add(StreamSpec{Pipe: w}); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if err := p.Flush(); !errors.Is(err, ErrClosed) {
		t.Errorf("Flush after Close: %v", err)
	}
	next := testPump(t, Options{Journal: journal})
	s, err := next.Add(StreamSpec{Name: "a", Pipe: os.NewFile(uintptr(kept), "pipe"), Files: []FileSpec{f}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the rest", func() bool { b, _ := os.ReadFile(f.Path); return string(b) == "first line\nsecond\n" })
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	p := testPump(t, Options{})
	for _, s := range []*source{add(t, p, "none"), add(t, p, "null", FileSpec{Path: os.DevNull})} {
		s.print(t, strings.Repeat("x", 1<<20))
		s.end(t)
	}
}

func TestFIFO(t *testing.T) {
	p := testPump(t, Options{})
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s := add(t, p, "a", FileSpec{Path: path})
	// Nobody reads: the program must not be held up for long.
	s.print(t, strings.Repeat("0123456789\n", 30_000))
	r, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.HasSuffix(got.String(), "could not be written here and were dropped\n") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	s.print(t, "end\n")
	for !strings.HasSuffix(got.String(), "dropped\nend\n") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	s.end(t)
}
