package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/app"
)

// filled returns a value with nothing zero in it, so that a new field of a Status
// is seen by the tests below.
func filled(t *testing.T, typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch {
	case typ == reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Date(2026, 7, 5, 4, 3, 2, 100_200_300, time.FixedZone("", 2*3600)))
	case typ.Kind() == reflect.String:
		v.SetString("plain text")
	case typ.Kind() == reflect.Bool:
		v.SetBool(true)
	case typ.Kind() == reflect.Float64:
		v.SetFloat(12.75)
	case v.CanInt():
		v.SetInt(1_234_567)
	case v.CanUint():
		v.SetUint(1_234_567)
	case typ.Kind() == reflect.Pointer:
		v.Set(reflect.New(typ.Elem()))
		v.Elem().Set(filled(t, typ.Elem()))
	case typ.Kind() == reflect.Slice:
		v.Set(reflect.Append(v, filled(t, typ.Elem()), filled(t, typ.Elem())))
	case typ.Kind() == reflect.Struct:
		for i := range typ.NumField() {
			v.Field(i).Set(filled(t, typ.Field(i).Type))
		}
	default:
		t.Fatalf("%s: the test cannot make one", typ)
	}
	return v
}

func TestBriefsAreWrittenAsJSONIs(t *testing.T) {
	full := Brief(filled(t, reflect.TypeFor[app.Status]()).Interface().(app.Status))
	texts := []string{"", "with \"quotes\" \\ and <b>&amp;", "line\nand\ttab\x00\x7f", "ünï ✓ \u2028", "broken \xff utf-8"}
	list := []app.Status{full, {}, {ID: 1, Mode: app.Fork, State: app.Online, CPU: 100}}
	for _, text := range texts {
		s := full
		s.Name, s.Reason, s.BalanceReason, s.Ports = text, text, text, []string{text, text}
		list = append(list, s)
	}
	for _, cpu := range []float64{0, 0.1, 1e-7, 5e-324, 1.0 / 3, 99.9, 1600, 1e20, 1e21, 1e300} {
		list = append(list, app.Status{CPU: cpu})
	}
	for n := range len(list) + 1 {
		want, err := json.Marshal(list[:n])
		if err != nil {
			t.Fatal(err)
		}
		got := Briefs(list[:n]).AppendJSON(nil)
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Fatal(d)
		}
		var read Briefs
		if err := read.decode(got); err != nil {
			t.Fatal(err)
		}
		var wanted []app.Status
		if err := json.Unmarshal(want, &wanted); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wanted, []app.Status(read)); d != "" {
			t.Fatal(d)
		}
	}
}

// What a daemon usually answers must not take the slow way unseen.
func TestBriefsAreReadByHand(t *testing.T) {
	full := Brief(filled(t, reflect.TypeFor[app.Status]()).Interface().(app.Status))
	odd := full
	odd.Name, odd.Reason = "ünï", "exit \"1\" <b>"
	for _, list := range []Briefs{{}, {full}, {odd, full}, {{}, {CPU: 0.1}}} {
		text := list.AppendJSON(nil)
		r := briefReader{data: text, text: string(text)}
		if r.list(); r.other {
			t.Errorf("%s: not read by hand", text)
		}
	}
}

func TestBriefsOfAnotherVersion(t *testing.T) {
	for text, want := range map[string]Briefs{
		`[{"id":3,"name":"a","new":{"x":[1]}}]`: {{ID: 3, Name: "a"}},
		` [ {"ID": 3} ] `:                       {{ID: 3}},
		`null`:                                  nil,
	} {
		var got Briefs
		if err := got.decode([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for _, text := range []string{``, `{}`, `[`, `[{"id":1}`, `[{"id":1}]x`, `[{"id":1.5}]`, `[{"id":01}]`, `[{"cpu":1.}]`, `[{"name":"a}]`, `[{"started_at":"x"}]`} {
		var got Briefs
		if err := got.decode([]byte(text)); err == nil {
			t.Errorf("%s: read as %v", text, got)
		}
	}
}

func FuzzBriefs(f *testing.F) {
	f.Add(`[{"id":0,"name":"api","index":0,"mode":"cluster","state":"online","pid":5,"restarts":0,"started_at":"2026-11-27T00:10:26.754Z","cpu":0.5,"memory_bytes":9}]`)
	f.Add(`[{"id":1,"ports":["*:1","*:2"],"last_exit":{"code":1,"signal":"}\""},"ready":true},{"id":2,"reason":"\u00e4"}]`)
	f.Add(`[{"last_exit":{"code":1},"last_exit":{"oom":true}}]`)
	f.Add(`[{"ready":tru`)
	f.Add(`[{"reason":"\`)
	f.Fuzz(func(t *testing.T, text string) {
		r := briefReader{data: []byte(text), text: text}
		list := r.list()
		if r.other {
			return
		}
		var want []app.Status
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("read %q, which is none: %v", text, err)
		}
		if d := cmp.Diff(want, []app.Status(list)); d != "" {
			t.Fatalf("%q: %s", text, d)
		}
	})
}

func BenchmarkBriefs(b *testing.B) {
	list := make(Briefs, 500)
	for i := range list {
		list[i] = app.Status{
			ID: i, Name: "server", Index: i, Mode: app.Cluster, State: app.Online, PID: 1000 + i, Ready: true,
			StartedAt: time.Now().Truncate(time.Millisecond), Ports: []string{"*:3000"}, CPU: 0.1, MemoryBytes: 50 << 20,
		}
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			list.AppendJSON(nil)
		}
	})
	text := list.AppendJSON(nil)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			var got Briefs
			if err := got.decode(text); err != nil || len(got) != len(list) {
				b.Fatal(err, len(got))
			}
		}
	})
	b.Run("read by encoding-json", func(b *testing.B) {
		for b.Loop() {
			var got Briefs
			if err := got.decode([]byte(strings.Replace(string(text), ",", ", ", 1))); err != nil || len(got) != len(list) {
				b.Fatal(err, len(got))
			}
		}
	})
}
