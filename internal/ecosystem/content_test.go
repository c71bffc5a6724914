package ecosystem

import "testing"

func FuzzShebang(f *testing.F) {
	for _, s := range []string{"#!/bin/sh", "#! /usr/bin/env -S A=1 node -x\r\n", "#!/usr/bin/env 'x", `#!env ""`, "#!", "\x7fELF"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		if s := parseShebang(head); s != nil && s.program == "" {
			t.Fatalf("%q has an interpreter without a name", head)
		}
	})
}
