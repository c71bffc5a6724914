package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type sample struct {
	Next int               `json:"next"`
	Apps []string          `json:"apps,omitempty"`
	Env  map[string]string `json:"env,omitempty"`
}

func TestLoadReturnsWhatSaveWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	rapid.Check(t, func(t *rapid.T) {
		want := sample{
			Next: rapid.Int().Draw(t, "next"),
			Apps: rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "apps"),
			Env:  rapid.MapOfN(rapid.String(), rapid.String(), 1, 5).Draw(t, "env"),
		}
		if err := Save(path, want); err != nil {
			t.Fatal(err)
		}
		var got sample
		if err := Load(path, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("loaded something else (-want +got):\n%s", diff)
		}
	})
}

func TestSaveIsPrivateAndLeavesNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, sample{Next: 1}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("folder holds %q, want the state file alone", got)
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	var got sample
	if err := Load(filepath.Join(t.TempDir(), "state.json"), &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestLoadMovesAnUnusableFileAside(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    error
	}{
		"empty":           {"", ErrCorrupt},
		"torn":            {`{"version":1,"data":{"next":`, ErrCorrupt},
		"zeroes":          {"\x00\x00\x00\x00", ErrCorrupt},
		"other shape":     {`{"version":1,"data":{"next":"many"}}`, ErrCorrupt},
		"no data":         {`{"version":1}`, ErrCorrupt},
		"null data":       {`{"version":1,"data":null}`, ErrCorrupt},
		"something after": {`{"version":1,"data":{}}{}`, ErrCorrupt},
		"a later version": {`{"version":2,"data":[]}`, ErrVersion},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.json")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			got := sample{Next: 7}
			err := Load(path, &got)
			if !errors.Is(err, test.want) {
				t.Fatalf("got error %v, want %v", err, test.want)
			}
			if diff := cmp.Diff(sample{Next: 7}, got); diff != "" {
				t.Errorf("the value was touched:\n%s", diff)
			}
			left := names(t, dir)
			if len(left) != 1 || !strings.HasPrefix(left[0], "state.json.") || !strings.Contains(err.Error(), left[0]) {
				t.Fatalf("folder holds %q, error is %q: want one kept file that the error names", left, err)
			}
			kept, err := os.ReadFile(filepath.Join(dir, left[0]))
			if err != nil {
				t.Fatal(err)
			}
			if string(kept) != test.content {
				t.Errorf("kept %q, want %q", kept, test.content)
			}
		})
	}
}

func TestSaveKeepsTheOldFileOnFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if err := Save(path, sample{Next: 1}); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, make(chan int)); err == nil {
		t.Fatal("a channel was saved")
	}
	var got sample
	if err := Load(path, &got); err != nil || got.Next != 1 {
		t.Errorf("got %+v, %v; want the first value", got, err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"version":1,"data":{"next":1,"apps":["a"]}}`, `{"version":3}`, `[1]`, "\xff", `{"version":1,"data":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "state.json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var got sample
		err := Load(path, &got)
		if err == nil {
			var again sample
			if err := Save(path, got); err != nil {
				t.Fatal(err)
			}
			if err := Load(path, &again); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%q: %v is neither corrupt nor of another version", content, err)
		}
		if left := names(t, dir); len(left) != 1 || left[0] == "state.json" {
			t.Fatalf("%q: folder holds %q, want the file kept under another name", content, left)
		}
	})
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
