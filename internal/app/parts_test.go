package app

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	old, now := Defaults(), Defaults()
	old.Name, now.Name = "api", "api"
	now.Instances, now.CronRestart = 4, "0 3 * * *"
	old.Env = map[string]string{"A": "1", "GONE": "x", "SAME": "s"}
	now.Env = map[string]string{"A": "2", "SAME": "s", "NEW": "n"}
	var got []string
	for _, c := range Diff(&old, &now) {
		got = append(got, c.String())
	}
	want := []string{
		`cron_restart (default) -> "0 3 * * *"`, "instances 1 -> 4",
		"env.A changed", "env.GONE removed", "env.NEW added",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if list := Diff(&now, &now); len(list) != 0 {
		t.Errorf("a spec differs from itself: %v", list)
	}
}

func TestStartOrder(t *testing.T) {
	spec := func(name string, after ...string) Spec {
		s := Spec{Name: name}
		for _, a := range after {
			s.DependsOn = append(s.DependsOn, Dependency{App: a, Condition: DependReady})
		}
		return s
	}
	names := func(list []Spec) string {
		var out []string
		for _, s := range list {
			out = append(out, s.Name)
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		specs []Spec
		want  string
	}{
		{[]Spec{spec("a"), spec("b")}, "a b"},
		{[]Spec{spec("web", "db", "cache"), spec("cache", "db"), spec("db")}, "db cache web"},
		{[]Spec{spec("web", "elsewhere"), spec("a")}, "web a"},
	} {
		got, err := StartOrder(c.specs)
		if err != nil || names(got) != c.want {
			t.Errorf("order is %q, %v; want %q", names(got), err, c.want)
		}
	}
	_, err := StartOrder([]Spec{spec("x"), spec("a", "b"), spec("b", "c"), spec("c", "b")})
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "b -> c -> b") {
		t.Errorf("a cycle gives %v", err)
	}
}

func TestParts(t *testing.T) {
	valid := func(change func(*Spec)) error {
		s := Defaults()
		s.Name, s.Exec, s.Cwd = "api", "/bin/true", "/"
		change(&s)
		return s.Validate()
	}
	check := func(change func(*HealthCheck)) func(*Spec) {
		return func(s *Spec) {
			c := HealthDefaults()
			c.TCP = "127.0.0.1:80"
			change(&c)
			s.Health = &Health{Readiness: &c}
		}
	}
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string // in the error; "" for none
	}{
		"check":             {check(func(*HealthCheck) {}), ""},
		"two ways":          {check(func(c *HealthCheck) { c.HTTP = "http://localhost/" }), "health.readiness: name one of"},
		"no way":            {check(func(c *HealthCheck) { c.TCP = "" }), "name one of"},
		"not a url":         {check(func(c *HealthCheck) { c.TCP, c.HTTP = "", "localhost/x" }), "is not a URL"},
		"no port":           {check(func(c *HealthCheck) { c.TCP = "localhost" }), "is not an address"},
		"short interval":    {check(func(c *HealthCheck) { c.Interval = Duration(time.Millisecond) }), "is below 100ms"},
		"no retries":        {check(func(c *HealthCheck) { c.Retries = 0 }), "retries 0 is below 1"},
		"itself":            {func(s *Spec) { s.DependsOn = []Dependency{{"api", DependReady}} }, "depends on itself"},
		"condition":         {func(s *Spec) { s.DependsOn = []Dependency{{"db", "healthy"}} }, "none of started, ready, completed"},
		"relative env file": {func(s *Spec) { s.EnvFiles = []string{".env"} }, "not an absolute path"},
		"job and cron":      {func(s *Spec) { s.Job, s.CronRestart = "* * * * *", "* * * * *" }, "either run at times"},
		"job of two":        {func(s *Spec) { s.Job, s.Instances, s.Mode = "* * * * *", 2, Cluster }, "cannot have 2 instances"},
		"negative memory":   {func(s *Spec) { s.Limits = &Limits{MemoryBytes: -1} }, "limits.memory -1"},
		"tiny cpu":          {func(s *Spec) { s.Limits = &Limits{CPU: 0.001} }, "0.01 of a core"},
		"relative watch":    {func(s *Spec) { s.Watch = &Watch{Paths: []string{"src"}} }, "not an absolute path"},
	} {
		err := valid(c.change)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestNothingIgnoredSurvives: an empty ignore_watch is not the default one.
func TestNothingIgnoredSurvives(t *testing.T) {
	for _, ignore := range [][]string{nil, {}, {"*.tmp"}} {
		text, err := json.Marshal(Watch{Ignore: ignore})
		if err != nil {
			t.Fatal(err)
		}
		var back Watch
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if (back.Ignore == nil) != (ignore == nil) || !slices.Equal(back.Ignore, ignore) {
			t.Errorf("%#v became %#v by way of %s", ignore, back.Ignore, text)
		}
	}
}
