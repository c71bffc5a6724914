package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/app"
	"paceline/internal/probe"
)

func TestJudge(t *testing.T) {
	spec := app.Defaults()
	at := now()
	base := func() *facts {
		st := app.Status{Ports: []string{"127.0.0.1:4000", "/run/x"}}
		return &facts{spec: &spec, before: st, after: st, listened: true, began: at, over: at.Add(time.Second), stopped: &app.Exit{}, signal: caughtSignal}
	}
	node, long := spec, spec
	node.Runtime, node.Mode = app.RuntimeNode, app.Cluster
	long.ListenTimeout = app.Duration(time.Minute)
	result := func(o probe.Outcome, after time.Duration, kept bool) probe.Result {
		return probe.Result{Began: at.Add(after), Outcome: o, Kept: kept}
	}
	for name, c := range map[string]struct {
		set  func(*facts)
		want []fault
	}{
		"good":                 {func(*facts) {}, nil},
		"late":                 {func(f *facts) { f.took = 3100 * time.Millisecond }, []fault{bindsLate}},
		"late, as configured":  {func(f *facts) { f.spec, f.took = &long, 10*time.Second }, []fault{bindsLate}},
		"moves":                {func(f *facts) { f.after.Ports = []string{"127.0.0.1:4001"} }, []fault{moves}},
		"listens on more":      {func(f *facts) { f.after.Ports = []string{"127.0.0.1:4001", "127.0.0.1:4000"} }, nil},
		"default signal":       {func(f *facts) { f.stopped, f.signal = nil, defaultSignal }, []fault{noHandler}},
		"ignored signal":       {func(f *facts) { f.stopped, f.signal = nil, ignoredSignal }, []fault{ignoresStop}},
		"nothing known":        {func(f *facts) { f.stopped, f.signal = nil, unknownSignal }, nil},
		"behaviour counts":     {func(f *facts) { f.signal = defaultSignal }, nil},
		"out of memory":        {func(f *facts) { f.stopped = &app.Exit{Code: -1, Signal: "SIGKILL", OOM: true} }, nil},
		"ended by its runtime": {func(f *facts) { f.stopped = &app.Exit{Code: -1, Signal: "SIGINT"} }, []fault{noHandler}},
		"a Node worker": {func(f *facts) {
			f.spec, f.stopped = &node, &app.Exit{Code: -1, Signal: "SIGINT"}
			f.load = []probe.Result{result(probe.Dropped, 1, true)}
		}, nil},
		"cut":            {func(f *facts) { f.load = []probe.Result{result(probe.Cut, 1, false)} }, []fault{cutsRequests}},
		"reset":          {func(f *facts) { f.load = []probe.Result{result(probe.Reset, 1, false)} }, []fault{cutsRequests}},
		"reset before":   {func(f *facts) { f.load = []probe.Result{result(probe.Reset, -1, false)} }, []fault{failsAnyway}},
		"dropped before": {func(f *facts) { f.load = []probe.Result{result(probe.Dropped, -1, true)} }, []fault{dropsKept}},
		"closed":         {func(f *facts) { f.load = []probe.Result{result(probe.Closed, 1, true)} }, []fault{dropsKept}},
		"under way at the reload": {func(f *facts) {
			r := result(probe.Reset, -time.Second, false)
			r.Took = 2 * time.Second
			f.load = []probe.Result{r}
		}, []fault{cutsRequests}},
		"refused": {func(f *facts) { f.load = []probe.Result{result(probe.Refused, 1, false)} }, []fault{losesOthers}},
		"hung":    {func(f *facts) { f.load = []probe.Result{result(probe.Hung, 1, false)} }, []fault{losesOthers}},
		"daemonized, and twice a note": {func(f *facts) {
			f.before.Notes = []string{app.NoteDaemonized + ": pid 7 listens"}
			f.after.Notes = f.before.Notes
		}, []fault{forksAway}},
		"several": {func(f *facts) {
			f.took, f.stopped = 4*time.Second, &app.Exit{Code: -1, Signal: "SIGKILL"}
			f.load = []probe.Result{result(probe.Closed, 1, true), result(probe.Cut, 1, false)}
		}, []fault{bindsLate, ignoresStop, cutsRequests, dropsKept}},
	} {
		f := base()
		c.set(f)
		var got []fault
		for _, one := range judge(f) {
			got = append(got, one.fault)
			if strings.ContainsAny(one.text, "\n%") {
				t.Errorf("%s: text %q", name, one.text)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestRemedies(t *testing.T) {
	table := remedies()
	if len(table) != len(faults()) {
		t.Errorf("%d rows for %d faults", len(table), len(faults()))
	}
	known := []language{inNode, inPython, inGo, inRuby, inPHP, inJava, inOther}
	spec := app.Defaults()
	spec.KillSignal = "term"
	for _, of := range faults() {
		if table[of][inOther] == "" {
			t.Errorf("%s: nothing for other languages", of)
		}
		for lang, text := range table[of] {
			if !slices.Contains(known, lang) || len(text) > 400 || strings.Contains(text, "\n") {
				t.Errorf("%s, %s: %q", of, lang, text)
			}
		}
		if text := remediesFor(&spec)(of); text == "" || strings.Contains(text, "{SIG}") || strings.Contains(text, "{KILL}") || strings.Contains(text, "{INT}") {
			t.Errorf("%s: %q", of, text)
		}
	}
	spec.Runtime = app.RuntimeNode
	if got := remediesFor(&spec)(noHandler); !strings.Contains(got, "process.on('SIGTERM'") {
		t.Errorf("got %q", got)
	}
}

func TestLanguageOf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec app.Spec
		want language
	}{
		{app.Spec{Runtime: app.RuntimeNode, Interpreter: "/usr/bin/x"}, inNode},
		{app.Spec{Interpreter: "/usr/bin/python3.12", Exec: "/a"}, inPython},
		{app.Spec{Exec: "/opt/bin/gunicorn"}, inPython},
		{app.Spec{Exec: "/usr/bin/php8.2"}, inPHP},
		{app.Spec{Exec: "/usr/bin/java"}, inJava},
		{app.Spec{Exec: write("a", "#!/usr/bin/env -S ruby -w\n")}, inRuby},
		{app.Spec{Exec: write("b", "#!/opt/python3\n")}, inPython},
		{app.Spec{Exec: write("c", "#!\n")}, inOther},
		{app.Spec{Exec: write("d", "#!"+strings.Repeat("x", 300)+"\n")}, inOther},
		{app.Spec{Exec: write("e", "")}, inOther},
		{app.Spec{Exec: self}, inGo},
		{app.Spec{Exec: "/nowhere/at/all"}, inOther},
		{app.Spec{Interpreter: "/usr/bin/perl", Exec: write("f", "#!/usr/bin/python3\n")}, inOther},
	} {
		if got := languageOf(&c.spec); got != c.want {
			t.Errorf("%+v: got %s, want %s", c.spec.Exec, got, c.want)
		}
	}
}

func TestParseDisposition(t *testing.T) {
	for text, want := range map[string]disposition{
		"SigIgn:\t0000000000000000\nSigCgt:\t0000000000000002\n": caughtSignal,
		"SigIgn:\t0000000000000002\nSigCgt:\t0000000000000000\n": ignoredSignal,
		"SigIgn:\t0000000000000001\nSigCgt:\t0000000000000004\n": defaultSignal,
		"SigIgn:\t0000000000000002\n":                            unknownSignal,
		"SigIgn:\tx\nSigCgt:\t2\n":                               unknownSignal,
		"":                                                       unknownSignal,
	} {
		if got := parseDisposition(text, 2); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := dispositionOf(os.Getpid(), "SIGINT"); got != caughtSignal && got != unknownSignal {
		t.Errorf("a Go program: got %q", got)
	}
	for _, pid := range []int{0, -1, 1 << 30} {
		if got := dispositionOf(pid, "SIGINT"); got != unknownSignal {
			t.Errorf("pid %d: got %q", pid, got)
		}
	}
}

func TestCopyHasAValidName(t *testing.T) {
	spec := app.Defaults()
	spec.Exec, spec.Cwd = "/x", "/"
	for _, name := range []string{"api", strings.Repeat("x", 128), strings.Repeat("ü", 64)} {
		spec.Name = name
		c := copyOf(&spec, time.Second)
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
		if again := copyOf(&spec, time.Second); again.Name == c.Name {
			t.Errorf("two copies are %s", c.Name)
		}
	}
}
