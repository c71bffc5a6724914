package kernel

import "testing"

func TestCodeMapping(t *testing.T) {
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"00400000-00a00000 r-xp 00000000 fe:00 99 /usr/bin/pace", true},
		{"00400000-00a00000 r--p 00000000 fe:00 99 /usr/bin/pace", true},
		{"00400000-00a00000 rw-p 00000000 fe:00 99 /usr/bin/pace", false},
		{"00400000-00a00000 r-xp 00000000 fe:00 99 /usr/bin/other", false},
		{"00a00000-00400000 r-xp 00000000 fe:00 99 /usr/bin/pace", false},
		{"7ffd0000-7ffd1000 r-xp 00000000 00:00 0 [vdso]", false},
		{"c000000000-c000400000 rw-p 00000000 00:00 0", false},
		{"", false},
	} {
		if _, _, ok := codeMapping(c.line, "/usr/bin/pace"); ok != c.ok {
			t.Errorf("codeMapping(%q) = %v, want %v", c.line, ok, c.ok)
		}
	}
}

func TestReleaseCode(t *testing.T) {
	if err := ReleaseCode(); err != nil {
		t.Fatal(err)
	}
	if v, ok := parseVersion("6.1.2"); !ok || v.major != 6 { // the code is still there
		t.Errorf("parseVersion after ReleaseCode = %v, %v", v, ok)
	}
}
