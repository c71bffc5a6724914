package axm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/app"
)

// told is what an app with @pm2/io 6.1 was seen to send.
var told = []string{
	`{"type":"axm:option:configuration","data":{"error":true}}`,
	`{"type":"axm:action","data":{"action_name":"km:heapdump","action_type":"internal","arity":2}}`,
	`{"type":"axm:option:configuration","data":{"latency":true,"metrics":{"v8":true},"module_name":"api"}}`,
	`{"type":"axm:action","data":{"action_name":"hello","action_type":"custom","arity":1}}`,
	`{"type":"application:dependencies","data":{"@pm2/io":{"version":"^6.1.0"}}}`,
	`{"type":"axm:monitor","data":{"Heap Size":{"historic":true,"unit":"MiB","type":"internal/v8/heap/total","value":"9.23"},"Users":{"historic":true,"value":3}}}`,
	`{"type":"axm:monitor","data":{"Latency":{"unit":"ms","value":"1.37"},"Heap Size":{"historic":true,"unit":"MiB","type":"internal/v8/heap/total","value":"9.5"}}}`,
}

func reportOf(t *testing.T, messages ...string) (r Report) {
	t.Helper()
	for _, m := range messages {
		var err error
		if r, err = r.Add(Parse([]byte(m))); err != nil {
			t.Fatalf("%s: %v", m, err)
		}
	}
	return r
}

func TestReport(t *testing.T) {
	if !(Report{}).Empty() {
		t.Error("the zero report is not empty")
	}
	r := reportOf(t, told...)
	want := []app.Metric{{Name: "Heap Size", Value: "9.5", Unit: "MiB"}, {Name: "Users", Value: "3"}, {Name: "Latency", Value: "1.37", Unit: "ms"}}
	if d := cmp.Diff(want, r.Metrics()); d != "" {
		t.Error(d)
	}
	if got := r.Actions(); !slices.Equal(got, []string{"hello", "km:heapdump"}) {
		t.Errorf("actions %q", got)
	}
	raw := r.Raw()
	for _, c := range []struct{ got, want string }{
		{string(raw.Actions), `[{"action_name":"km:heapdump","action_type":"internal","arity":2},{"action_name":"hello","action_type":"custom","arity":1}]`},
		{string(raw.Monitor), `{"Heap Size":{"historic":true,"unit":"MiB","type":"internal/v8/heap/total","value":"9.5"},"Users":{"historic":true,"value":3},"Latency":{"unit":"ms","value":"1.37"}}`},
		{string(raw.Options), `{"error":true,"latency":true,"metrics":{"v8":true},"module_name":"api"}`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
	empty := (Report{}).Raw()
	if string(empty.Actions)+string(empty.Monitor)+string(empty.Options) != "[]{}{}" {
		t.Errorf("an empty report is %s", empty)
	}
}

// Whoever reads a report while the next message comes must not see it change.
func TestReportsAreValues(t *testing.T) {
	before := reportOf(t, told...)
	was := string(before.Raw().Monitor)
	if _, err := before.Add(Parse([]byte(`{"type":"axm:monitor","data":{"Users":{"value":99},"New":1}}`))); err != nil {
		t.Fatal(err)
	}
	if now := string(before.Raw().Monitor); now != was {
		t.Errorf("the report became %s", now)
	}
}

func TestWhatIsSavedComesBack(t *testing.T) {
	r := reportOf(t, told...)
	back, err := Decode(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	want, got := r.Raw(), back.Raw()
	want.Monitor = json.RawMessage("{}")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestReportIsBounded(t *testing.T) {
	var r Report
	var err error
	for i := range MaxMetrics + 50 {
		var one error
		r, one = r.Add(Parse(fmt.Appendf(nil, `{"type":"axm:monitor","data":{"m%d":{"value":%d}}}`, i, i)))
		err = errors.Join(err, one)
	}
	if n := len(r.Metrics()); n != MaxMetrics || !errors.Is(err, ErrTooMuch) {
		t.Errorf("%d metrics are kept, %v", n, err)
	}
	long := strings.Repeat("x", MaxBytes/3)
	for i := range 5 {
		r, err = r.Add(Parse(fmt.Appendf(nil, `{"type":"axm:action","data":{"action_name":"a%d","x":"%s"}}`, i, long)))
	}
	if n := len(r.Actions()); n != 2 || !errors.Is(err, ErrTooMuch) {
		t.Errorf("%d long actions are kept, %v", n, err)
	}
	// Room that a shorter value frees can be used again.
	r = reportOf(t, fmt.Sprintf(`{"type":"axm:monitor","data":{"a":"%s"}}`, strings.Repeat("x", MaxBytes-100)),
		`{"type":"axm:monitor","data":{"a":1}}`, fmt.Sprintf(`{"type":"axm:monitor","data":{"b":"%s"}}`, strings.Repeat("x", MaxBytes-100)))
	if n := len(r.Metrics()); n != 2 {
		t.Errorf("%d metrics, want 2", n)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Kind{
		`"ready"`: Other, `{"type":"axm:monitor"}`: Other, `{"type":"axm:monitor","data":3}`: Other,
		`{"type":"axm:trace","data":{}}`: Other, `{"a":"axm:"`: Other, `["axm:"]`: Other,
		told[0]: Options, told[1]: Action, told[5]: Monitor, `{"type":"axm:reply","data":{"action_name":"x"}}`: Reply,
	} {
		if got := Parse([]byte(text)).Kind; got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
	r, ok := Parse([]byte(`{"type":"axm:reply","data":{"at":1,"action_name":"hello","return":{"hi":1}}}`)).Returned()
	if !ok || r.Action != "hello" || string(r.Return) != `{"hi":1}` {
		t.Errorf("reply %+v, %v", r, ok)
	}
	if r, ok := Parse([]byte(`{"type":"axm:reply","data":{"action_name":"x"}}`)).Returned(); !ok || string(r.Return) != "null" {
		t.Errorf("reply without a value %+v, %v", r, ok)
	}
	if _, ok := Parse([]byte(`{"type":"axm:reply","data":{"action_name":7}}`)).Returned(); ok {
		t.Error("a reply without a name is one")
	}
}

func TestCall(t *testing.T) {
	params := `a "b"`
	if got := string(Call("hello", nil)); got != `"hello"` {
		t.Error(got)
	}
	if got := string(Call("hello", &params)); got != `{"msg":"hello","opts":"a \"b\""}` {
		t.Error(got)
	}
}

// FuzzReport: no message makes a report that is not JSON, exceeds the bounds or is
// another one after it was saved.
func FuzzReport(f *testing.F) {
	for _, m := range told {
		f.Add([]byte(m), []byte(m))
	}
	f.Add([]byte(`{"type":"axm:monitor","data":{"a":null,"a":"\ud800","":[]}}`), []byte(`{"type":"axm:action","data":{"action_name":"\u0000"}}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var r Report
		for _, b := range [][]byte{first, second, first} {
			m := Parse(b)
			m.Returned()
			r, _ = r.Add(m) // what is malformed is left out
		}
		raw := r.Raw()
		for _, b := range [][]byte{raw.Actions, raw.Monitor, raw.Options} {
			if !json.Valid(b) || len(b) > 8*MaxBytes {
				t.Fatalf("%d bytes, which are not JSON: %.200q", len(b), b)
			}
		}
		r.Metrics()
		back, err := Decode(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if string(back.Raw().Actions) != string(raw.Actions) || string(back.Raw().Options) != string(raw.Options) {
			t.Fatalf("saved %s %s, came back as %s %s", raw.Actions, raw.Options, back.Raw().Actions, back.Raw().Options)
		}
	})
}
