package inspect

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `-12`, `1.5`, `"a\u003cb"`, `[]`, `{}`, `[1,[2,{"z":1,"a":[null,"x"]}]]`, `{"b":{"value":"3 MB"},"a":0}`,
	} {
		v, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want := strings.ReplaceAll(text, `\u003c`, "<")
		if got := string(AppendJSON(nil, v)); got != want {
			t.Errorf("%s became %s", text, got)
		}
	}
	for _, text := range []string{``, `{`, `[1,`, `1 2`, `{"a"}`, strings.Repeat("[", 2000), `nul`} {
		if v, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"x",null,{"b":true}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if err != nil {
			return
		}
		once := AppendJSON(nil, v)
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("%q is written as %q, which is not read: %v", text, once, err)
		}
		if twice := AppendJSON(nil, again); string(once) != string(twice) {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
}
