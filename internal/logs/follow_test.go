package logs

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// lines returns n numbered lines of different lengths.
func lines(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s %d %s\n", name, i, strings.Repeat("y", i*7%97))
	}
	return b.String()
}

// zip compresses a file in place.
func zip(t testing.TB, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name + gzipExt)
	if err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(out)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), out.Close(), os.Remove(name)); err != nil {
		t.Fatal(err)
	}
}

// oldLog makes a log with old files, one of them compressed, of numbered lines.
func oldLog(t testing.TB, n int) (path string, all []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "out.log")
	text := lines("l", n)
	all = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	third := len(all) / 3
	for i, name := range []string{path + ".2", path + ".1", path} {
		part := all[i*third : (i+1)*third]
		if i == 2 {
			part = all[i*third:]
		}
		if err := os.WriteFile(name, []byte(strings.Join(part, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zip(t, path+".2")
	return path, all
}

// readAll returns the texts that a follower delivers until it ends.
func readAll(t testing.TB, f *Follower) []string {
	t.Helper()
	var all []string
	for {
		line, err := f.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line.Text)
	}
}

func TestHistoryGoesThroughOldFiles(t *testing.T) {
	path, all := oldLog(t, 3000)
	for _, n := range []int{0, 1, 2, 999, 1000, 1001, 1999, 2000, 2001, 2999, 3000, 3001, -1} {
		f := NewFollower(FollowOptions{})
		if err := f.Add(Source{Path: path}, n); err != nil {
			t.Fatal(err)
		}
		want := all
		if n >= 0 {
			want = all[max(0, len(all)-n):]
		}
		if got := readAll(t, f); !slices.Equal(got, want) {
			t.Errorf("last %d: got %d lines, want %d", n, len(got), len(want))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedOldFileIsPassedOver(t *testing.T) {
	path, all := oldLog(t, 300)
	if err := os.WriteFile(path+".2.gz", []byte("no gzip at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewFollower(FollowOptions{})
	defer f.Close()
	if err := f.Add(Source{Path: path}, 250); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, f); !slices.Equal(got, all[100:]) {
		t.Errorf("got %d lines, want the last 200", len(got))
	}
}

func TestLastLines(t *testing.T) {
	path, all := oldLog(t, 30)
	for _, n := range []int{-1, 0, 1, 5, 10, 11, 20} {
		got, err := LastLines(path, n)
		if want := all[len(all)-max(n, 0):]; err != nil || !slices.Equal(got, want) {
			t.Errorf("last %d: got %q, %v, want %q", n, got, err, want)
		}
	}
	dir := t.TempDir()
	if _, err := LastLines(filepath.Join(dir, "none"), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	for text, want := range map[string][]string{
		"":               nil,
		"\n":             {""},
		"a":              {"a"},
		"a\r\nb\xff":     {"a", "b\xff"},
		"\n\nx\x00\n":    {"", "x\x00"},
		"1\n2\n3\n4":     {"3", "4"},
		"1\n2\n3\n4\n\n": {"4", ""},
	} {
		name := filepath.Join(dir, "text")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := LastLines(name, 2); err != nil || !slices.Equal(got, want) {
			t.Errorf("last 2 of %q: %q, %v, want %q", text, got, err, want)
		}
	}
	// Bounded, whatever the length of a line.
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, []byte("first\n"+strings.Repeat("h", 1<<20)+"\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := LastLines(huge, 3); err != nil || len(got) != 2 || len(got[0]) > lastBytes || got[1] != "last" {
		t.Errorf("of a huge line: %d lines, %v", len(got), err)
	}
	zip(t, path+".1")
	if got, err := LastLines(path, 20); err != nil || !slices.Equal(got, all[10:]) {
		t.Errorf("with a compressed file: %q, %v", got, err)
	}
}

// What the readers return is what splitting the whole text would.
func TestReadersAgreeWithSplit(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "out.log")
		// Old files end in a newline, the present one need not.
		whole := ""
		for _, name := range []string{path + ".1", path} {
			var b strings.Builder
			for range rapid.IntRange(0, 6).Draw(t, "lines") {
				b.WriteString(strings.Repeat(rapid.StringMatching(`[a\x00\xff ]{0,3}`).Draw(t, "text"), rapid.SampledFrom([]int{1, 1, 40_000}).Draw(t, "times")))
				b.WriteByte('\n')
			}
			text := b.String()
			if name == path && rapid.Bool().Draw(t, "unended") {
				text += "end"
			}
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			whole += text
		}
		var all []string
		if whole != "" {
			all = strings.Split(strings.TrimSuffix(whole, "\n"), "\n")
		}
		n := rapid.IntRange(0, 14).Draw(t, "n")
		want := all[max(0, len(all)-n):]
		f := NewFollower(FollowOptions{})
		if err := f.Add(Source{Path: path}, n); err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			line, err := f.Next(context.Background())
			if err != nil {
				break
			}
			got = append(got, line.Text)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("follower: %d lines, want %d", len(got), len(want))
		}
		last, err := LastLines(path, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) < lastBytes && !slices.Equal(last, want) {
			t.Fatalf("LastLines: %q, want %q", last, want)
		}
	})
}

func TestLongLineComesInPieces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	long := strings.Repeat("0123456789", 250_000)
	text := long + "\nnext\nhalf"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := NewFollower(FollowOptions{})
	defer f.Close()
	if err := f.Add(Source{Path: path, ID: 3, Name: "api", Stream: "out"}, 3); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i := 0; ; i++ {
		line, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if line.Rest != (i > 0) || len(line.Text) > MaxLineBytes || line.ID != 3 || line.Name != "api" || line.Stream != "out" {
			t.Errorf("piece %d: %+v", i, line.Source)
		}
		if !line.At.IsZero() {
			t.Errorf("an old line has the time %v", line.At)
		}
		got.WriteString(line.Text)
		if !line.More {
			break
		}
	}
	if got.String() != long {
		t.Errorf("%d bytes in pieces, want %d", got.Len(), len(long))
	}
	if rest := readAll(t, f); !slices.Equal(rest, []string{"next", "half"}) {
		t.Errorf("after it: %q", rest)
	}
}

func TestOldestChangedComesFirst(t *testing.T) {
	dir := t.TempDir()
	f := NewFollower(FollowOptions{})
	defer f.Close()
	for i, age := range []time.Duration{1, 3, 2} {
		path := filepath.Join(dir, fmt.Sprint(i))
		err := os.WriteFile(path, fmt.Appendf(nil, "%d a\n%d b\n", i, i), 0o600)
		at := time.Now().Add(-age * time.Hour)
		if err := errors.Join(err, os.Chtimes(path, at, at), f.Add(Source{Path: path}, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := readAll(t, f), []string{"1 a", "1 b", "2 a", "2 b", "0 a", "0 b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// expect reads lines and holds them against what is wanted.
func expect(t *testing.T, f *Follower, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, w := range want {
		line, err := f.Next(ctx)
		if err != nil || line.Text != w {
			t.Fatalf("got %q, %v, want %q", line.Text, err, w)
		}
	}
}

func TestFollowWithoutPump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.log")
	f := NewFollower(FollowOptions{Follow: true})
	defer f.Close()
	if err := f.Add(Source{Path: path}, 10); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	_, _ = file.WriteString("made\nha")
	expect(t, f, "made")
	_, _ = file.WriteString("lf\n")
	expect(t, f, "half")
	_, _ = file.WriteString("question? ")
	expect(t, f, "question? ") // after a second
	_, _ = file.WriteString("\nnext\n")
	expect(t, f, "", "next")
	_ = file.Truncate(0)
	_, _ = file.WriteString("new\n")
	expect(t, f, "new")
	_, _ = file.WriteString("before it moves\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if err := os.WriteFile(path, []byte("after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, f, "before it moves", "after")
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("replaced\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	expect(t, f, "replaced")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := f.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}
