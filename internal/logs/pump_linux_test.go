package logs

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// testPump is a pump that is closed, and held against leaks, at the end.
func testPump(t testing.TB, o Options) *Pump {
	t.Helper()
	if o.Log == nil {
		o.Log = t.Logf
	}
	fds := openFiles(t)
	if o.Journal != "" {
		stage, err := OpenStage(nil)
		if err != nil {
			t.Fatal(err)
		}
		o.Stage = stage
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if now := openFiles(t); now > fds {
			t.Errorf("%d descriptors are open, %d before", now, fds)
		}
		goleak.VerifyNone(t)
	})
	return p
}

func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list {
		// The runtime's own epoll and eventfd come with the first file.
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}

// source is a stream whose write end the test holds.
type source struct {
	*os.File
	path string // of the last file
	done chan struct{}
	once sync.Once
}

func add(t testing.TB, p *Pump, name string, files ...FileSpec) *source {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &source{File: w, done: make(chan struct{})}
	for _, f := range files {
		s.path = f.Path
	}
	if _, err := p.Add(StreamSpec{Name: name, Pipe: r, Files: files, Done: func() { close(s.done) }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return s
}

func (s *source) print(t testing.TB, text string) {
	t.Helper()
	if _, err := s.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// end closes the write end and waits until the pump has written everything.
func (s *source) end(t testing.TB) {
	t.Helper()
	s.once.Do(func() { _ = s.Close() })
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		t.Fatal("the stream has not ended")
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// waitFor asks until ok says yes: for what others (the kernel, a compressor) do.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestPlainFileHoldsExactlyTheBytes(t *testing.T) {
	p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
	path := filepath.Join(t.TempDir(), "new", "dir", "out.log")
	s := add(t, p, "a", FileSpec{Path: path})
	want := "one\r\n\x00two\n\xff\xfe\nno end"
	s.print(t, want[:5])
	waitFor(t, "the first bytes", func() bool { b, _ := os.ReadFile(path); return string(b) == want[:5] })
	s.print(t, want[5:])
	s.end(t)
	if got := content(t, path); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLineOfManyMegabytes(t *testing.T) {
	for _, mode := range []string{"plain", "shared", "time", "json"} {
		t.Run(mode, func(t *testing.T) {
			p := testPump(t, Options{Journal: filepath.Join(t.TempDir(), "journal")})
			spec := FileSpec{Path: filepath.Join(t.TempDir(), "out.log"), MaxBytes: -1, Form: formOf(mode)}
			s := add(t, p, "a", spec)
			if mode == "shared" {
				other := add(t, p, "b", spec)
				defer other.end(t)
			}
			size := 64 << 20
			if mode != "plain" {
				size = 8 << 20
			}
			line := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			if _, err := s.Write(line); err != nil {
				t.Fatal(err)
			}
			s.end(t)
			got := []byte(unform(t, content(t, spec.Path), mode))
			if !bytes.Equal(got, line) {
				t.Errorf("%d bytes came out, not the same %d", len(got), len(line))
			}
		})
	}
}

// unzipped returns the content of an old file.
func unzipped(t testing.TB, old rotated) []byte {
	t.Helper()
	if _, err := os.Stat(old.name); err != nil && !old.gzip { // it has been compressed meanwhile
		old.name, old.gzip = old.name+".gz", true
	}
	b := []byte(content(t, old.name))
	if !old.gzip {
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	b, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
