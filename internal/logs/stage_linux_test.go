package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLargeBurstsGoThroughTheStage(t *testing.T) {
	dir := t.TempDir()
	p := testPump(t, Options{Journal: filepath.Join(dir, "journal")})
	s := add(t, p, "a", FileSpec{Path: filepath.Join(dir, "out.log"), MaxBytes: -1})
	want := lines("a", 200_000) // 11 MB
	s.print(t, want)
	s.end(t)
	if got := content(t, s.path); got != want {
		t.Errorf("the file has %d bytes, want the %d that were printed", len(got), len(want))
	}
	var used node
	must(t, p.do(func(l *loop) { used = l.stage.node }))
	if used != nodeAt(t, s.path) {
		t.Errorf("the stage was used for %v, want the file", used)
	}
}

// A file that takes no splice after all gets what is in the stage by write.
func TestStageIsWrittenWhereSpliceFails(t *testing.T) {
	dir := t.TempDir()
	p := testPump(t, Options{Journal: filepath.Join(dir, "journal")})
	s := add(t, p, "a", FileSpec{Path: filepath.Join(dir, "out.log"), MaxBytes: -1})
	s.print(t, "one\n")
	waitFor(t, "the line", func() bool { return content(t, s.path) == "one\n" })
	must(t, p.do(func(l *loop) {
		_, err := unix.Write(l.stage.write, []byte("two\nthr"))
		must(t, err)
		for _, st := range l.streams {
			l.unstage(st, unix.EINVAL)
			if f := st.targets[0].file; f.splice || !f.lineOpen() {
				t.Errorf("splice %v, within a line %v", f.splice, f.lineOpen())
			}
		}
	}))
	s.print(t, "ee\n")
	s.end(t)
	if got := content(t, s.path); got != "one\ntwo\nthree\n" {
		t.Errorf("the file has %q", got)
	}
}

func TestWhatAKillLeavesInTheStage(t *testing.T) {
	for _, c := range []struct{ name, done, said string }{
		{name: "its file is there"},
		{name: "its file is another one", done: "replace", said: "is another file now; 9 bytes are lost"},
		{name: "no file is known", done: "forget", said: "nothing says which file it belongs to; 9 bytes are lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path, at := filepath.Join(dir, "out.log"), filepath.Join(dir, "journal")
			must(t, os.WriteFile(path, []byte("one\ntw"), 0o600))
			killed, err := OpenStage(nil)
			must(t, err)
			defer killed.Close()
			if c.done != "forget" {
				j, err := openJournal(at, t.Logf)
				must(t, err)
				if !killed.takes(j, &file{path: path, node: nodeAt(t, path), regular: true}) {
					t.Fatal("the stage does not take the file")
				}
				must(t, unix.Close(j.fd))
			}
			_, err = unix.Write(killed.write, []byte("o\nthree\nf"))
			must(t, err)
			if c.done == "replace" {
				must(t, os.Rename(path, path+".old"))
				must(t, os.WriteFile(path, []byte("one\ntw"), 0o600))
			}

			fd, err := unix.FcntlInt(killed.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
			must(t, err)
			next, err := OpenStage(os.NewFile(uintptr(fd), "stage"))
			must(t, err)
			var said []string
			p, err := New(Options{Journal: at, Stage: next, Log: func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }})
			must(t, err)
			must(t, p.Close())
			want := "one\ntw"
			if c.said == "" {
				want = "one\ntwo\nthree\nf"
			}
			if got := content(t, path); got != want {
				t.Errorf("the file has %q, want %q", got, want)
			}
			if text := strings.Join(said, "\n"); !strings.HasSuffix(text, c.said) || (c.said == "") != (text == "") {
				t.Errorf("said %q, want %q", text, c.said)
			}
			if n := killed.left(); n > 0 {
				t.Errorf("%d bytes are still in the stage", n)
			}
		})
	}
}
