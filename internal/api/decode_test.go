package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"paceline/internal/app"
)

func validSpec(name string) app.Spec {
	s := app.Defaults()
	s.Name, s.Exec, s.Cwd = name, "/bin/true", "/"
	return s
}

func body(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantInvalid holds an error to the rule for bad requests: CodeInvalid, one
// line that names what is wrong.
func wantInvalid(t *testing.T, err error, mention string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != CodeInvalid {
		t.Errorf("got error %#v, want code %s", err, CodeInvalid)
		return
	}
	if !strings.Contains(e.Message, mention) || strings.Contains(e.Message, "\n") {
		t.Errorf("got message %q, want one line with %q", e.Message, mention)
	}
}

func TestDecodeStart(t *testing.T) {
	want := StartRequest{Specs: []app.Spec{validSpec("api"), validSpec("worker")}, Force: true}
	got, err := DecodeStart(strings.NewReader(body(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	newer := strings.Replace(body(t, want), `{"specs"`, `{"colour":"red","specs"`, 1)
	if _, err := DecodeStart(strings.NewReader(newer)); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
}

func TestDecodeStartRefuses(t *testing.T) {
	spec := func(change func(*app.Spec)) string {
		s := validSpec("api")
		change(&s)
		return body(t, StartRequest{Specs: []app.Spec{s}})
	}
	for _, c := range []struct{ name, body, mention string }{
		{"nothing", "", "JSON"},
		{"another type", `[]`, "array"},
		{"a field's type", `{"specs":"all"}`, "specs"},
		{"more after it", `{"specs":[]} {}`, "JSON"},
		{"not UTF-8", "{\"specs\":[{\"name\":\"\xff\"}]}", "UTF-8"},
		{"no app", `{"specs":[]}`, "no app"},
		{"no name", spec(func(s *app.Spec) { s.Name = "" }), "name"},
		{"relative path", spec(func(s *app.Spec) { s.Exec = "server.js" }), "server.js"},
		{"namespace", spec(func(s *app.Spec) { s.Namespace = "all" }), "namespace"},
		{"instances", spec(func(s *app.Spec) { s.Instances = 1 << 40 }), "instances"},
		{"twice", body(t, StartRequest{Specs: []app.Spec{validSpec("api"), validSpec("api")}}), "twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeStart(strings.NewReader(c.body))
			wantInvalid(t, err, c.mention)
		})
	}
}

// endless is a body without end.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.read += len(b)
	return len(b), nil
}

func TestDecodeStopsReadingAtTheLimit(t *testing.T) {
	e := &endless{}
	_, err := DecodeStart(e)
	wantInvalid(t, err, "longer")
	if e.read > MaxBody+64<<10 {
		t.Errorf("read %d bytes of an endless body", e.read)
	}
}

func TestDecodeTargets(t *testing.T) {
	got, err := DecodeTargets(strings.NewReader(`{"targets":["0","api","/^x/"],"parallel":4}`))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(TargetsRequest{Targets: []string{"0", "api", "/^x/"}, Parallel: 4}, got); d != "" {
		t.Error(d)
	}
	for body, mention := range map[string]string{
		`{}`:                      "no target",
		`{"targets":[]}`:          "no target",
		`{"targets":[""]}`:        "empty",
		`{"targets":["a\u0000"]}`: "unprintable",
		`{"targets":["` + strings.Repeat("x", 5000) + `"]}`: "longer",
		`{"targets":["a"],"parallel":-1}`:                   "parallel",
	} {
		_, err := DecodeTargets(strings.NewReader(body))
		wantInvalid(t, err, mention)
	}
}

func TestScaleCount(t *testing.T) {
	const cpus = 8
	for _, c := range []struct {
		text          string
		present, want int // 0: refused
		mention       string
	}{
		{"4", 2, 4, ""},
		{"+2", 2, 4, ""},
		{"-1", 2, 1, ""},
		{"max", 2, 8, ""},
		{"4", 4, 0, "nothing to do"},
		{"max", 8, 0, "nothing to do"},
		{"-2", 2, 0, "leave none"},
		{"-5", 2, 0, "leave none"},
		{"0", 2, 0, "stop or delete"},
		{"+4096", 2, 0, "4098"},
		{"4097", 2, 0, "4096"},
		{"99999999999999999999", 2, 0, "99999"},
		{"many", 2, 0, "many"},
		{"", 2, 0, `""`},
		{"2.5", 2, 0, "2.5"},
	} {
		q := ScaleRequest{App: "api", Instances: c.text}
		got, err := q.Count(c.present, cpus)
		if got != c.want {
			t.Errorf("%q of %d: got %d, %v; want %d", c.text, c.present, got, err, c.want)
		}
		if c.want == 0 {
			wantInvalid(t, err, c.mention)
		}
	}
	if n, err := (ScaleRequest{App: "api", Instances: "max"}).Count(2, 0); n != 1 || err != nil {
		t.Errorf("max without a CPU: got %d, %v; want 1", n, err)
	}
}

func TestDecodeScaleAndUpdate(t *testing.T) {
	if q, err := DecodeScale(strings.NewReader(`{"app":"api","instances":"+2"}`)); err != nil || q.Instances != "+2" {
		t.Errorf("got %+v, %v", q, err)
	}
	_, err := DecodeScale(strings.NewReader(`{"app":"","instances":"2"}`))
	wantInvalid(t, err, "empty")
	_, err = DecodeScale(strings.NewReader(`{"app":"api","instances":2}`))
	wantInvalid(t, err, "instances")
	if q, err := DecodeUpdate(strings.NewReader(`{"binary":"/usr/bin/pace"}`)); err != nil || q.Binary != "/usr/bin/pace" {
		t.Errorf("got %+v, %v", q, err)
	}
	_, err = DecodeUpdate(strings.NewReader(`{"binary":"pace"}`))
	wantInvalid(t, err, "absolute")
}

func TestDecodeQueries(t *testing.T) {
	logs, err := DecodeLogs(url.Values{"target": {"api", "1"}, "lines": {"5"}, "stream": {"err"}, "follow": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(LogsQuery{Targets: []string{"api", "1"}, Lines: 5, Stream: Err, Follow: true}, logs); d != "" {
		t.Error(d)
	}
	if q, err := DecodeLogs(nil); err != nil || q.Stream != All || q.Follow || q.Lines != 0 {
		t.Errorf("no query: got %+v, %v", q, err)
	}
	for _, v := range []url.Values{{"lines": {"-1"}}, {"lines": {"x"}}, {"lines": {"100001"}}, {"stream": {"both"}}, {"target": {""}}} {
		_, err := DecodeLogs(v)
		wantInvalid(t, err, "")
	}
	if q, err := DecodeInstances(url.Values{"brief": {"1"}}); err != nil || !q.Brief {
		t.Errorf("brief: got %+v, %v", q, err)
	}
	if q, err := DecodeApps(url.Values{"env": {"0"}}); err != nil || q.Env {
		t.Errorf("env=0: got %+v, %v", q, err)
	}
}

func TestDecodeHistory(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for query, want := range map[string]HistoryQuery{
		"": {Series: SeriesNames(), Since: now.Add(-10 * time.Minute), Until: now, Step: app.Duration(time.Second)},
		"since=10m&series=queue": {
			Series: []string{"queue"}, Since: now.Add(-10 * time.Minute), Until: now, Step: app.Duration(time.Second),
		},
		"since=11m": {Series: SeriesNames(), Since: now.Add(-11 * time.Minute), Until: now, Step: app.Duration(time.Minute)},
		"since=2026-04-29T12:00:00Z&until=2026-04-30T14:00:00%2B02:00&target=a": {
			Targets: []string{"a"}, Series: SeriesNames(), Since: now.Add(-48 * time.Hour), Until: now.Add(-24 * time.Hour), Step: app.Duration(time.Hour),
		},
		"since=9000h": {Series: SeriesNames(), Since: now.Add(-9000 * time.Hour), Until: now, Step: app.Duration(time.Hour)},
		"step=1m":     {Series: SeriesNames(), Since: now.Add(-24 * time.Hour), Until: now, Step: app.Duration(time.Minute)},
	} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeHistory(v, now)
		if err != nil {
			t.Errorf("%q: %v", query, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", query, d)
		}
		again, err := DecodeHistory(got.values(), now)
		if d := cmp.Diff(got, again); d != "" || err != nil {
			t.Errorf("%q: changed when it came again: %v %s", query, err, d)
		}
	}
	for _, query := range []string{"step=2s", "step=x", "since=soon", "until=-5m", "series=luck", "target="} {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = DecodeHistory(v, now)
		wantInvalid(t, err, "")
	}
}

func TestPoints(t *testing.T) {
	text := body(t, Points{1, 1.2345678, math.NaN(), 4096123456, 0, math.Inf(1)})
	if text != "[1,1.235,null,4096123456,0,null]" {
		t.Errorf("got %s", text)
	}
	var p Points
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p) != 6 || p[1] != 1.235 || !math.IsNaN(p[2]) || p[3] != 4096123456 {
		t.Errorf("got %v, %v", p, err)
	}
	if err := json.Unmarshal([]byte(`["x"]`), &p); err == nil {
		t.Error("a word is no error")
	}
}

// FuzzDecode holds every request decoder to its promises: it never panics, its
// errors are CodeInvalid, and what it lets through is valid and stays the same
// through JSON.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(body(f, StartRequest{Specs: []app.Spec{validSpec("api")}})))
	f.Add([]byte(`{"targets":["all"],"parallel":2}`))
	f.Add([]byte(`{"app":"api","instances":"+2"}`))
	f.Add([]byte(`{"targets":["all"],"signal":"usr2","data":"YQo=","action":"x","params":"p","timeout_ms":5}`))
	f.Add([]byte(`{"binary":"/usr/bin/pace"}`))
	f.Add([]byte(`{"specs":[{"kill_timeout":"1e400s"}]}`))
	f.Add([]byte("{\"targets\":[\"\\ud800\"]}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := DecodeStart(bytes.NewReader(b)); stands(t, q, err, DecodeStart) {
			for i := range q.Specs {
				if err := q.Specs[i].Validate(); err != nil {
					t.Errorf("an invalid spec came through: %v", err)
				}
			}
		}
		if q, err := DecodeTargets(bytes.NewReader(b)); stands(t, q, err, DecodeTargets) && len(q.Targets) == 0 {
			t.Error("a request without a target came through")
		}
		if q, err := DecodeScale(bytes.NewReader(b)); stands(t, q, err, DecodeScale) {
			if n, err := q.Count(2, 2); err == nil && (n < 1 || n > app.MaxInstances || n == 2) {
				t.Errorf("%q makes %d of 2", q.Instances, n)
			}
		}
		if q, err := DecodeSignal(bytes.NewReader(b)); stands(t, q, err, DecodeSignal) && q.Signal == "" {
			t.Error("a request without a signal came through")
		}
		if q, err := DecodeSend(bytes.NewReader(b)); stands(t, q, err, DecodeSend) && len(q.Data) == 0 {
			t.Error("a request without data came through")
		}
		if q, err := DecodeTrigger(bytes.NewReader(b)); stands(t, q, err, DecodeTrigger) && q.Timeout() <= 0 {
			t.Errorf("a request that waits for %v came through", q.Timeout())
		}
		q, err := DecodeUpdate(bytes.NewReader(b))
		stands(t, q, err, DecodeUpdate)
	})
}

// stands checks an answer of a decoder, and tells whether it accepted.
func stands[T any](t *testing.T, q T, err error, again func(io.Reader) (T, error)) bool {
	t.Helper()
	if err != nil {
		wantInvalid(t, err, "")
		return false
	}
	second, err := again(strings.NewReader(body(t, q)))
	if err != nil {
		t.Errorf("refused when it came again: %v", err)
	} else if d := cmp.Diff(q, second, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("changed when it came again: %s", d)
	}
	return true
}

func TestDecodeStartNormalisesSockets(t *testing.T) {
	body := func(sockets string) string {
		return `{"specs":[{"name":"api","exec":"/x","cwd":"/","mode":"fork","instances":1,"kill_signal":"SIGINT","sockets":` + sockets + `}]}`
	}
	q, err := DecodeStart(strings.NewReader(body(`["web=:80", "unix:/run//x"]`)))
	if err != nil || len(q.Specs) != 1 || strings.Join(q.Specs[0].Sockets, " ") != "web=*:80 /run/x" {
		t.Errorf("got %+v, %v", q, err)
	}
	_, err = DecodeStart(strings.NewReader(body(`["localhost:80"]`)))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeInvalid || !strings.Contains(e.Message, "names are not looked up") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeEvents(t *testing.T) {
	q, err := DecodeEvents(url.Values{
		"target": {"api"}, "type": {"exit"}, "since": {"10m"}, "until": {"2026-01-31T12:00:00Z"}, "after": {"18446744073709551615"}, "lines": {"5"}, "follow": {"1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if ago := time.Since(q.Since); ago < 10*time.Minute || ago > time.Hour || q.Lines != 5 || q.After != 1<<64-1 || !q.Follow || !q.Old() {
		t.Errorf("got %+v", q)
	}
	if q, err := DecodeEvents(url.Values{"follow": {"1"}}); err != nil || q.Old() {
		t.Errorf("following alone: %+v, %v", q, err)
	}
	for _, v := range []url.Values{
		{"since": {"yesterday"}}, {"until": {"-5m"}}, {"after": {"-1"}}, {"lines": {"1000000"}}, {"target": {""}}, {"since": {"NaN"}},
	} {
		if q, err := DecodeEvents(v); err == nil {
			t.Errorf("%v: no error, but %+v", v, q)
		}
	}
}
