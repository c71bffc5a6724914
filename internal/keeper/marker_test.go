//go:build linux

package keeper

import "testing"

func TestKeyIn(t *testing.T) {
	own := "PATH=/bin\x00" + marker("/home/a") + "3.7\x00LANG=C\x00"
	for _, c := range []struct {
		environ, home, key string
		ok                 bool
	}{
		{own, "/home/a", "3.7", true},
		{own, "/home/b", "", false},
		{"X" + marker("/home/a") + "3.7\x00", "/home/a", "", false},
		{"", "/home/a", "", false},
	} {
		if key, ok := KeyIn([]byte(c.environ), c.home); key != c.key || ok != c.ok {
			t.Errorf("KeyIn(%q, %s) = %q, %v, want %q, %v", c.environ, c.home, key, ok, c.key, c.ok)
		}
	}
}
