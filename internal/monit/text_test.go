package monit

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text ~":                       "plain text ~",
		"\x1b[31mred\x1b[0m":                 "red",
		"\x1b]0;title\x07after":              "after",
		"\x1b]8;;http://x\x1b\\link":         "link",
		"\x1bP+q544e\x1b\\x":                 "x",
		"\x1b]never ends":                    "never ends",
		"\x1b[2J\x1b[H\x1b[?1049lgone":       "gone",
		"\x1b[3":                             "",
		"\x1b":                               "",
		"\x1bc\x1b(0reset":                   "reset",
		"a\tb":                               "a       b",
		"日\tb":                               "日      b",
		"bell\x07 back\x08 del\x7f c1\u009b": "bell  back  del  c1 ",
		"windows\r":                          "windows",
		"over\rwritten":                      "over written",
		"\xff\xfe":                           "\uFFFD\uFFFD",
		"日本語":                                "日本語",
		"👨‍👩‍👧 👍🏽 ❤️ 🇩🇪": "👨👩👧 👍 ❤ DE",
		"a\u202egnp.exe":             "agnp.exe",
		"z\u0301\u0302\u0303\u0304a": "z\u0301\u0302a",
		"1️⃣":                        "1",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := clean(strings.Repeat("x", longest+1)); got != strings.Repeat("x", longest)+ellipsis {
		t.Errorf("a line that is too long ends with %q", got[len(got)-10:])
	}
}

// Whatever an app writes is text of a known width afterwards, for terminals that
// count code points as for those that count clusters.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "a", "\x1b[31mred\x1b[0m", "\x1b]0;t\x07", "\x1bP", "\xff", "日\t本", "👨‍👩‍👧", "e\u0301\u0301\u0301", "각", "क्षि", "\u0600a", "\u1100\u1161", "a\u2028b", "🇩🇪🇫"} {
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, line string, n int) {
		text := clean(line)
		for _, r := range text {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("clean(%q) = %q has %U", line, text, r)
			}
		}
		if wc, clusters := ansi.StringWidthWc(text), ansi.StringWidth(text); wc != clusters {
			t.Fatalf("clean(%q) = %q is %d or %d columns wide", line, text, wc, clusters)
		}
		n = n & 0xff
		if got := width(left(text, n)); got != n {
			t.Fatalf("left(%q, %d) = %q, %d columns", text, n, left(text, n), got)
		}
		if got := width(right(text, n)); got != n {
			t.Fatalf("right(%q, %d) = %q, %d columns", text, n, right(text, n), got)
		}
		for _, part := range append(wrapped(text, max(n, 2)), filled(text, max(n, 2))...) {
			if width(part) > max(n, 2) {
				t.Fatalf("%q wrapped at %d has %q", text, n, part)
			}
		}
	})
}
