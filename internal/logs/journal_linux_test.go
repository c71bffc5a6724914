package logs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func testJournal(t testing.TB, path string) *journal {
	t.Helper()
	j, err := openJournal(path, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(j.fd) })
	return j
}

func TestJournalRemembersOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := testJournal(t, path)
	for i := range uint64(100) {
		j.own(node{1, i}, i+1)
	}
	j.own(node{1, 5}, 77)
	j.forget(node{1, 6})
	j.own(node{2, 6}, 88) // takes the free slot
	if _, err := openJournal(path, t.Logf); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("a second pump gets the journal: %v", err)
	}
	_ = unix.Close(j.fd)
	next := testJournal(t, path)
	if diff := cmp.Diff(j.owner, next.owner, cmp.AllowUnexported(node{})); diff != "" {
		t.Errorf("owners after reopening:\n%s", diff)
	}
	next.forgetGone(func(k node) bool { return k.dev == 2 })
	if len(next.owner) != 1 || next.ownerOf(node{2, 6}) != 88 {
		t.Errorf("owners left: %v", next.owner)
	}
	var none *journal
	none.own(node{}, 1)
	none.begin(&intent{})
	none.end()
	if none.ownerOf(node{}) != 0 {
		t.Error("no journal knows an owner")
	}
}

func TestJournalOfAnotherBootIsIgnored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j := testJournal(t, path)
	j.own(node{1, 1}, 1)
	_, _ = unix.Pwrite(j.fd, []byte("0"), bootOffset+3)
	_, _ = unix.Pwrite(j.fd, []byte("x"), bootOffset+4)
	_ = unix.Close(j.fd)
	if next := testJournal(t, path); len(next.owner) != 0 {
		t.Errorf("owners: %v", next.owner)
	}
}

func TestIntentSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	rapid.Check(t, func(t *rapid.T) {
		j, err := openJournal(path, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(j.fd)
		want := intent{raw: rapid.IntRange(0, 1<<30).Draw(t, "raw"), commit: -1}
		for i := range rapid.IntRange(0, 2).Draw(t, "steps") {
			want.commit = i
			want.steps = append(want.steps, step{
				path:  strings.Repeat("p", rapid.IntRange(0, 4095).Draw(t, "path")),
				node:  node{rapid.Uint64().Draw(t, "dev"), rapid.Uint64().Draw(t, "ino")},
				size:  rapid.Int64Range(0, 1<<62).Draw(t, "size"),
				width: rapid.IntRange(0, 1<<14-1).Draw(t, "width"), json: rapid.Bool().Draw(t, "json"), mid: rapid.Bool().Draw(t, "mid"),
			})
		}
		j.begin(&want)
		got, ok := j.readIntent(intentOffset, slotOffset)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(intent{}, step{}, node{})); !ok || diff != "" {
			t.Fatalf("read: %v\n%s", ok, diff)
		}
		j.end()
		if _, ok := j.readIntent(intentOffset, slotOffset); ok {
			t.Fatal("the intent is still there after its end")
		}
	})
}

// Each state in which a kill can leave two files, one with times, that get the
// same block: the next pump reads the rest of the pipe, so the files must hold
// what has left it.
func TestRecoverBringsFilesToWhatHasLeftThePipe(t *testing.T) {
	dir := t.TempDir()
	own, all := filepath.Join(dir, "own"), filepath.Join(dir, "all")
	block := "one\ntwo"
	stamp := "2006-01-02T15:04:05.000-07:00 "
	stamped := string(appendStamped(nil, []byte(block), stamp, false))
	for written := range len(stamped) + 1 { // of the combined file
		for left := range len(block) + 1 {
			if left > 0 && written < len(stamped) {
				continue // it leaves the pipe last
			}
			must(t, os.WriteFile(own, []byte("before\n"+block[:left]), 0o600))
			must(t, os.WriteFile(all, []byte("old\n"+stamped[:written]), 0o600))
			path := filepath.Join(dir, "journal")
			j := testJournal(t, path)
			j.begin(&intent{raw: len(block), commit: 0, steps: []step{
				{path: own, node: nodeAt(t, own), size: 7},
				{path: all, node: nodeAt(t, all), size: 4, width: len(stamp)},
			}})
			_ = unix.Close(j.fd)
			_ = unix.Close(testJournal(t, path).fd)
			want := "old\n" + string(appendStamped(nil, []byte(block[:left]), stamp, false))
			if got := content(t, all); got != want {
				t.Errorf("written %d, left %d: the combined file holds %q, want %q", written, left, got, want)
			}
			if got := content(t, own); got != "before\n"+block[:left] {
				t.Errorf("the own file holds %q", got)
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func nodeAt(t testing.TB, path string) node {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return node{st.Dev, st.Ino}
}

func FuzzIntent(f *testing.F) {
	f.Add(make([]byte, 24))
	f.Add(make([]byte, 52))
	f.Fuzz(func(t *testing.T, b []byte) {
		if in, ok := decodeIntent(b); ok && in.commit >= len(in.steps) {
			t.Errorf("commit %d of %d", in.commit, len(in.steps))
		}
	})
}
