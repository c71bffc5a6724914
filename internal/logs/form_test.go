package logs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// modes are the forms in which tests write logs.
var modes = []string{"plain", "time", "json"}

// formOf returns the form of a mode, nil for others than time and json.
func formOf(mode string) *Form {
	switch mode {
	case "time":
		return &Form{Date: "YYYY-MM-DDTHH:mm:ss"}
	case "json":
		return &Form{JSON: true, Stream: "out", ID: 3, Name: `a "b"`}
	}
	return nil
}

// stampWidth is that of mode time.
const stampWidth = len("2026-02-07T04:05:06: ")

// object is a line of mode json.
type object struct {
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Type      string    `json:"type"`
	ID        int       `json:"process_id"`
	Name      string    `json:"app_name"`
}

// unform returns what a program wrote of which text is the log.
func unform(t testing.TB, text, mode string) string {
	t.Helper()
	var b strings.Builder
	for i, line := range strings.SplitAfter(text, "\n") {
		switch {
		case line == "":
		case mode == "time":
			if _, err := time.Parse("2006-01-02T15:04:05: ", line[:min(stampWidth, len(line))]); err != nil {
				t.Fatalf("line %d has no time: %.100q", i, line)
			}
			b.WriteString(line[stampWidth:])
		case mode == "json":
			var o object
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("line %d is no object: %v: %.200q", i, err, line)
			}
			if o.Type != "out" || o.ID != 3 || o.Name != `a "b"` || o.Timestamp.IsZero() {
				t.Fatalf("line %d is %.300q", i, line)
			}
			b.WriteString(o.Message)
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestFormsAsPM2WritesThem(t *testing.T) {
	now := time.Date(2026, 11, 26, 21, 16, 47, 894*int(time.Millisecond), time.UTC)
	for _, c := range []struct {
		form *Form
		want string
	}{
		{nil, "oops\n\tb\x1b\xff\n"},
		{&Form{}, "oops\n\tb\x1b\xff\n"},
		{&Form{Date: "HH:mm"}, "21:16: oops\n21:16: \tb\x1b\xff\n"},
		{
			&Form{JSON: true, Stream: "err", ID: 1, Name: "js"},
			`{"message":"oops\n","timestamp":"2026-11-26T21:16:47.894Z","type":"err","process_id":1,"app_name":"js"}` + "\n" +
				`{"message":"\tb\u001b` + "\ufffd" + `\n","timestamp":"2026-11-26T21:16:47.894Z","type":"err","process_id":1,"app_name":"js"}` + "\n",
		},
		{
			&Form{JSON: true, Stream: "out", Name: "a", Date: `[the "day"] DD`},
			`{"message":"oops\n","timestamp":"the \"day\" 26","type":"out","process_id":0,"app_name":"a"}` + "\n" +
				`{"message":"\tb\u001b` + "\ufffd" + `\n","timestamp":"the \"day\" 26","type":"out","process_id":0,"app_name":"a"}` + "\n",
		},
	} {
		f, err := newForm(c.form)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.append(nil, []byte("oops\n\tb\x1b\xff\n"), now, false)); got != c.want {
			t.Errorf("%+v\ngot  %q\nwant %q", c.form, got, c.want)
		}
	}
	if _, err := newForm(&Form{Date: "a\nb"}); err == nil {
		t.Error("a date format with a newline is accepted")
	}
}

// FuzzForm: what the sizes say is what is written, and what was written of a block
// can be told from a part of the text.
func FuzzForm(f *testing.F) {
	for _, text := range []string{"", "\n", "a", "a\nb", "\"\\\n\n\x00\xff\u2028é", strings.Repeat("\x01", 100)} {
		f.Add([]byte(text), int64(300), 150)
	}
	now := time.Date(2026, 11, 26, 21, 16, 47, 0, time.UTC)
	f.Fuzz(func(t *testing.T, block []byte, limit int64, cut int) {
		for _, mode := range modes {
			form, err := newForm(formOf(mode))
			if err != nil {
				t.Fatal(err)
			}
			text := form.append(nil, block, now, false)
			if n := form.size(block, now, false); n != int64(len(text)) {
				t.Errorf("%s: size = %d, the text has %d", mode, n, len(text))
			}
			n := form.lines(block, limit, now, false)
			if n > 0 && (block[n-1] != '\n' || form.size(block[:n], now, false) > limit) {
				t.Errorf("%s: lines(%q, %d) = %d", mode, block, limit, n)
			}
			if next := bytes.IndexByte(block[n:], '\n') + 1; next > 0 && form.size(block[:n+next], now, false) <= limit {
				t.Errorf("%s: lines(%q, %d) = %d: another line fits", mode, block, limit, n)
			}
			if form == nil {
				continue
			}
			if got := form.raw(text, block, now, false); got != len(block) {
				t.Errorf("%s: raw = %d, want %d", mode, got, len(block))
			}
			if part := form.portion(block, now); len(block) > 0 && len(part) == 0 {
				t.Errorf("%s: nothing of %d bytes is a portion", mode, len(block))
			}
			if mode != "json" {
				continue
			}
			want := strings.ToValidUTF8(string(block), "")
			if utf8.Valid(block) && unform(t, string(text), mode) != want {
				t.Errorf("%q comes back as %q", block, unform(t, string(text), mode))
			}
			// What is left after a kill is what the first bytes alone would be.
			left := min(max(cut, 0), len(block))
			end, last := shortened(text, block[:left])
			if got, want := string(text[:end])+string(last), string(form.append(nil, block[:left], now, false)); got != want {
				t.Errorf("the first %d bytes of %q: %q, want %q", left, block, got, want)
			}
			again := append(text[:end:end], last...)
			again = append(again, text[min(len(again), len(text)):]...)
			if e, l := shortened(again, block[:left]); e != end || !bytes.Equal(l, last) {
				t.Errorf("a second time: %d %q, want %d %q", e, l, end, last)
			}
			cut = min(max(cut, 0), len(text))
			whole := form.unbroken(text[:cut])
			raw := form.raw(text[:cut], block, now, false)
			if back := form.append(nil, block[:raw], now, false); !bytes.Equal(back, text[:whole]) {
				t.Errorf("%d of %d bytes hold %q, which is %q", cut, len(text), text[:whole], back)
			}
		}
	})
}

func TestWholeRunes(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "a", "aé": "aé", "a\xc3": "a", "a\xe2\x82": "a", "a\xf0\x9f\x98": "a", "a😀": "a😀", "\x80\x80\x80": "\x80\x80\x80",
	} {
		if got := string(wholeRunes([]byte(text))); got != want {
			t.Errorf("wholeRunes(%q) = %q, want %q", text, got, want)
		}
	}
}
