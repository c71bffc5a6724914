package ecosystem

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for _, c := range []struct {
		in    string
		want  []string
		shell bool
	}{
		{"", nil, false},
		{" \t ", nil, false},
		{"node server.js", []string{"node", "server.js"}, false},
		{`a "b c"  'd e'f`, []string{"a", "b c", "d ef"}, false},
		{`a '' ""`, []string{"a", "", ""}, false},
		{`a\ b c\\d`, []string{"a b", `c\d`}, false},
		{`"a\"b" "c\d" "$"`, []string{`a"b`, `c\d`, "$"}, true},
		{`'$x' "\$x" \$x`, []string{"$x", "$x", "$x"}, false},
		{"a \\\n b", []string{"a", "b"}, false},
		{"a \\\nb", []string{"a", "b"}, false},
		{"a\\\nb", []string{"ab"}, false},
		{"a\nb", []string{"a", "b"}, true},
		{"a|b", []string{"a|b"}, true},
		{"a && b", []string{"a", "&&", "b"}, true},
		{"ls *.js", []string{"ls", "*.js"}, true},
		{"ls '*.js'", []string{"ls", "*.js"}, false},
		{"a#b #c", []string{"a#b", "#c"}, true},
		{"a#b", []string{"a#b"}, false},
		{"a ~/x", []string{"a", "~/x"}, true},
		{"a x~", []string{"a", "x~"}, false},
		{"A=~/x", []string{"A=~/x"}, true},
		{`a {"x":1}`, []string{"a", "{x:1}"}, true},
		{"a --x=ä", []string{"a", "--x=ä"}, false},
	} {
		words, shell, err := splitWords(c.in)
		if err != nil {
			t.Errorf("splitWords(%q): %v", c.in, err)
			continue
		}
		if got := texts(words); !slices.Equal(got, c.want) || shell != c.shell {
			t.Errorf("splitWords(%q) = %q, shell %v; want %q, %v", c.in, got, shell, c.want, c.shell)
		}
	}
	for _, in := range []string{`'`, `"`, `a "b`, `a\`, `"\"`, `a 'b"`} {
		if _, _, err := splitWords(in); !errors.Is(err, errQuote) {
			t.Errorf("splitWords(%q) = %v, want errQuote", in, err)
		}
	}
}

func TestSplitWordsMarksAssignments(t *testing.T) {
	for in, want := range map[string]bool{
		"A=b": true, "A_1=": true, `A="b c"`: true, `A=b"c"`: true,
		`"A=b"`: false, `A"="b`: false, "1A=b": false, "=b": false, "a-b=c": false, `\A=b`: false, "Ab": false,
	} {
		words, _, err := splitWords(in)
		if err != nil || len(words) != 1 || words[0].assign != want {
			t.Errorf("splitWords(%q) = %+v, %v; want assign %v", in, words, err, want)
		}
	}
}

// lineOf draws text of the characters that matter to a shell's quoting.
var lineOf = rapid.StringOfN(rapid.SampledFrom([]rune(`ab "'\$ =-~#ä`+"\t")), 0, 30, -1)

func TestSplitWordsIsWhatTheShellDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := lineOf.Draw(t, "line")
		words, shell, err := splitWords(line)
		if shell || err != nil {
			return
		}
		out, err := exec.Command("/bin/sh", "-c", `printf '%s\0' `+line).Output()
		if err != nil {
			t.Fatalf("sh refuses %q: %v", line, err)
		}
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if got := texts(words); !slices.Equal(got, want) && (len(got) > 0 || !slices.Equal(want, []string{""})) {
			t.Fatalf("splitWords(%q) = %q, the shell says %q", line, got, want)
		}
	})
}

func TestQuoteWordSurvivesSplitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.String()).Draw(t, "words")
		quoted := make([]string, len(want))
		for i, w := range want {
			quoted[i] = quoteWord(w)
		}
		words, shell, err := splitWords(strings.Join(quoted, " "))
		if err != nil || shell || !slices.Equal(texts(words), want) {
			t.Fatalf("got %q, shell %v, %v; want %q", texts(words), shell, err, want)
		}
	})
}

func FuzzSplitWords(f *testing.F) {
	for _, s := range []string{"node server.js", `a "b\"" 'c'`, "A=1 x | y", "\\\n", `"`, "a\x00b", "\xff '"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, _, err := splitWords(text)
		if err != nil {
			return
		}
		size := 0
		for _, w := range words {
			size += len(w.text)
		}
		if size > len(text) {
			t.Fatalf("splitWords(%q) made %d bytes of %d", text, size, len(text))
		}
	})
}
