package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for _, test := range []struct{ json, want string }{
		{`[]`, `[]`},
		{`{}`, `{}`},
		{`[0,1]`, `[ 0, 1 ]`},
		{`{"node_args":["--harmony"],"a-b":1,"s":"it's"}`, `{ node_args: [ '--harmony' ], 'a-b': 1, s: "it's" }`},
		{`{"msg":"pong"}`, `{ msg: 'pong' }`},
		{`{"a":{"b":{"c":{"d":1}}}}`, "{\n  a: { b: { c: { d: 1 } } }\n}"},
		{`[1,2,3,4,5,6,7]`, "[\n  1, 2, 3, 4,\n  5, 6, 7\n]"},
		{`"a\u0001\\\t"`, `'a\x01\\\t'`},
	} {
		v, err := Parse([]byte(test.json))
		if err != nil {
			t.Fatalf("%s: %v", test.json, err)
		}
		if got := Text(v); got != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.json, got, test.want)
		}
		if got := string(AppendJSON(nil, v)); got != test.json {
			t.Errorf("%s came back as %s", test.json, got)
		}
	}
}

// TestTextIsNodes compares many made-up values with what Node prints of them.
func TestTextIsNodes(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node; scripts/deps.sh node installs it")
	}
	random := rand.New(rand.NewPCG(1, 2))
	var list []any
	for range 3000 {
		list = append(list, makeUp(random, 5))
	}
	script := `const {inspect} = require('util')
		const list = JSON.parse(require('fs').readFileSync(0, 'utf8'))
		console.log(JSON.stringify(list.map(v => inspect(v, {depth: null}))))`
	cmd := exec.CommandContext(t.Context(), node, "-e", script)
	cmd.Stdin = bytes.NewReader(AppendJSON(nil, list))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	for i, v := range list {
		if got := Text(v); got != want[i] {
			at := 0
			for at < min(len(got), len(want[i])) && got[at] == want[i][at] {
				at++
			}
			t.Fatalf("from byte %d: got\n%s\nnode prints\n%s", at, got[max(0, at-200):], want[i][max(0, at-200):])
		}
	}
}

// makeUp returns a value of at most so many levels.
func makeUp(r *rand.Rand, levels int) any {
	kind := r.IntN(10)
	if levels == 0 {
		kind = r.IntN(7)
	}
	switch kind {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return r.IntN(100_000)
	case 3:
		return float64(r.IntN(1000)) / 8
	case 4, 5, 6:
		return word(r)
	case 7:
		list := make([]any, r.IntN(9))
		for i := range list {
			list[i] = makeUp(r, levels-1)
		}
		return list
	case 8: // of one kind, which may stand in columns
		list := make([]any, r.IntN(130))
		numbers := r.IntN(2) == 0
		for i := range list {
			if list[i] = any(strings.Repeat("x", r.IntN(12))); numbers {
				list[i] = r.IntN(1000)
			}
		}
		return list
	}
	o := Object{}
	for i := range r.IntN(7) {
		o = append(o, Member{fmt.Sprintf("%sk%d", word(r), i), makeUp(r, levels-1)})
	}
	return o
}

func word(r *rand.Rand) string {
	alphabet := []rune("abcdefgh_ -'\"`$\\\n\té😀\x01\u0085")
	if r.IntN(3) > 0 {
		alphabet = alphabet[:9]
	}
	length := r.IntN(14)
	if r.IntN(8) == 0 {
		length = r.IntN(120)
	}
	text := make([]rune, length)
	for i := range text {
		text[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(text)
}

func TestLongStringsAndListsAreCut(t *testing.T) {
	if got := Text(strings.Repeat("x", 10_001)); !strings.HasSuffix(got, "x'... 1 more character") {
		t.Errorf("got an end of %q", got[len(got)-40:])
	}
	if got := Text(make([]int, 103)); !strings.HasSuffix(got, "... 3 more items\n]") {
		t.Errorf("got %s", got)
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":null}],"a":true}`, `[`, `"x" 1`, `-0`, `1e400`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if valid := json.Valid(text); err == nil != valid && !strings.Contains(fmt.Sprint(err), "float64") {
			t.Fatalf("%q: %v, but valid JSON is %v", text, err, valid)
		}
		if err != nil {
			return
		}
		again, err := Parse(AppendJSON(nil, v))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := Text(v), Text(again); a != b {
			t.Fatalf("%q became %q", a, b)
		}
	})
}
