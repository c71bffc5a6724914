package settings

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSettingsComeBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), Name)
	s, err := Load(file)
	if err != nil || len(s.All()) != 0 {
		t.Fatalf("without a file: %v, %v", s, err)
	}
	for _, kv := range [][2]string{{"solo", "v"}, {"api.level", "debug"}, {"api:port.inner", "1"}} {
		app, name, err := Split(kv[0])
		if err != nil {
			t.Fatal(err)
		}
		s.Set(app, name, kv[1])
	}
	if err := s.Save(file); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if s, err = Load(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		app, name string
		values    int
	}{{"", "solo", 1}, {"api", "level", 1}, {"", "api", 2}, {"", "nope", 0}, {"api", "nope", 0}} {
		if values, ok := s.Get(c.app, c.name); ok != (c.values > 0) || ok && len(values) != c.values {
			t.Errorf("get %q of %q: %v, %v", c.name, c.app, values, ok)
		}
	}
	s.Unset("api", "level")
	s.Unset("nope", "nope")
	s.Unset("", "solo")
	if all := s.All(); len(all) != 1 || all[0] != [2]string{"api:port.inner", "1"} {
		t.Errorf("left: %v", all)
	}
	s.Unset("", "all")
	if len(s.All()) != 0 {
		t.Errorf("left: %v", s.All())
	}
}

func TestSplitRefusesEmptyParts(t *testing.T) {
	for _, key := range []string{"", ".x", "a.", ":", "a:"} {
		if _, _, err := Split(key); err == nil {
			t.Errorf("%q passes", key)
		}
	}
}

func TestABrokenFileStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil {
		t.Error("it passes")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "{" {
		t.Errorf("it became %q, %v", text, err)
	}
}

func TestParseTotal(t *testing.T) {
	for text, want := range map[string]int64{"500M": 500 << 20, "4G": 4 << 30, "1000": 1000, "2gib": 2 << 30, "1kb": 1024, "off": 0} {
		if got, err := ParseTotal(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "G", "4X", "99999999T", "1.5G"} {
		if got, err := ParseTotal(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
