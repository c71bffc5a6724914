package app

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1600": 1600 * time.Millisecond, "0": 0, "0.5": 500 * time.Microsecond, "1.6s": 1600 * time.Millisecond, "1h30m": 90 * time.Minute,
	} {
		if got, err := ParseDuration(text); err != nil || time.Duration(got) != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "soon", "1x", "1e300", "-1e300", "NaN", "Inf"} {
		if got, err := ParseDuration(bad); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", bad, got)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"1600", "1.6s", `"5m"`, "-1", "1e9", "null"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again Duration
		if err := json.Unmarshal(b, &again); err != nil || again != d {
			t.Errorf("%q is %v, and %v, %v after JSON %s", text, d, again, err, b)
		}
	})
}

func TestDurationInJSON(t *testing.T) {
	var got struct{ A, B Duration }
	if err := json.Unmarshal([]byte(`{"A": 1600, "B": "5m"}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.A != Duration(1600*time.Millisecond) || got.B != Duration(5*time.Minute) {
		t.Errorf("got %v and %v", got.A, got.B)
	}
	if err := json.Unmarshal([]byte(`{"A": "soon"}`), &got); err == nil {
		t.Error(`"soon" is no error`)
	}
}

func valid() Spec {
	s := Defaults()
	s.Name, s.Exec, s.Cwd = "api", "/srv/api.js", "/srv"
	return s
}

func TestValidate(t *testing.T) {
	if s := valid(); s.Validate() != nil {
		t.Fatalf("the valid spec: %v", s.Validate())
	}
	for name, c := range map[string]struct {
		change func(*Spec)
		says   string
	}{
		"no name":            {func(s *Spec) { s.Name = "" }, "empty"},
		"relative exec":      {func(s *Spec) { s.Exec = "api.js" }, "exec"},
		"relative cwd":       {func(s *Spec) { s.Cwd = "." }, "cwd"},
		"NUL in path":        {func(s *Spec) { s.Exec = "/a\x00b" }, "NUL"},
		"relative log":       {func(s *Spec) { s.ErrFile = "x.log" }, "error_file"},
		"mode":               {func(s *Spec) { s.Mode = "grid" }, "mode"},
		"no instances":       {func(s *Spec) { s.Instances = 0 }, "instances"},
		"too many instances": {func(s *Spec) { s.Instances = MaxInstances + 1 }, "instances"},
		"balance":            {func(s *Spec) { s.Balance = "luck" }, "balance"},
		"balance none":       {func(s *Spec) { s.Balance, s.Mode = None, Cluster }, "shares nothing"},
		"socket":             {func(s *Spec) { s.Sockets = []string{"web"} }, "want a port"},
		"socket not normal":  {func(s *Spec) { s.Sockets = []string{":80"} }, `"*:80"`},
		"socket twice":       {func(s *Spec) { s.Sockets = []string{"*:80", "a=*:80"} }, "twice"},
		"too many sockets":   {func(s *Spec) { s.Sockets = make([]string, MaxSockets+1) }, "more than 64"},
		"unshared sockets":   {func(s *Spec) { s.Sockets, s.Instances = []string{"*:80"}, 2 }, "mode cluster"},
		"remap":              {func(s *Spec) { s.Remap = "*:0" }, "remap"},
		"runtime":            {func(s *Spec) { s.Runtime = "perl" }, "runtime"},
		"max_restarts":       {func(s *Spec) { s.MaxRestarts = -1 }, "max_restarts"},
		"kill_timeout":       {func(s *Spec) { s.KillTimeout = -1 }, "kill_timeout"},
		"stop_exit_codes":    {func(s *Spec) { s.StopExitCodes = []int{0, 256} }, "256"},
		"kill_signal":        {func(s *Spec) { s.KillSignal = "SIGNOPE" }, "SIGNOPE"},
		"env key":            {func(s *Spec) { s.Env = map[string]string{"A=B": ""} }, "env"},
		"env value":          {func(s *Spec) { s.Env = map[string]string{"A": "\x00"} }, "env"},
		"NUL in args":        {func(s *Spec) { s.Args = []string{"\x00"} }, "args"},
	} {
		s := valid()
		c.change(&s)
		if err := s.Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Validate = %v, want ErrInvalid that says %q", name, err, c.says)
		}
	}
}

func TestValidName(t *testing.T) {
	for _, good := range []string{"api", "my app", "api-2", "2api", "über", "a.b_c", "12"} {
		if err := ValidName(good); err != nil {
			t.Errorf("ValidName(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "all", ".", "..", "-x", "a/b", "a\nb", "\xff", strings.Repeat("x", 129)} {
		if err := ValidName(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("ValidName(%q) = %v, want ErrInvalid", bad, err)
		}
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want []string
	}{
		{Spec{Exec: "/bin/x", Args: []string{"-p", "1"}}, []string{"/bin/x", "-p", "1"}},
		{Spec{Exec: "/a.js", Interpreter: "/node", InterpreterArgs: []string{"-r", "y"}, Args: []string{"z"}}, []string{"/node", "-r", "y", "/a.js", "z"}},
		{Spec{Exec: "/node", Interpreter: "/node", Args: []string{"-e", "1"}}, []string{"/node", "-e", "1"}},
	} {
		if path, argv := c.spec.Command(); path != c.want[0] || !slices.Equal(argv, c.want) {
			t.Errorf("Command of %+v = %s, %q, want %q", c.spec, path, argv, c.want)
		}
	}
}

func TestSignals(t *testing.T) {
	for text, want := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "term": syscall.SIGTERM, "Int": syscall.SIGINT, "9": syscall.SIGKILL, "34": 34} {
		if got, err := ParseSignal(text); err != nil || got != want {
			t.Errorf("ParseSignal(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "0", "-9", "65", "9x", "SIG", "SIGNOPE"} {
		if got, err := ParseSignal(bad); err == nil {
			t.Errorf("ParseSignal(%q) = %v, want an error", bad, got)
		}
	}
	if got := SignalName(34); got != "signal 34" {
		t.Errorf("SignalName(34) = %q", got)
	}
}

func TestExitSaysHow(t *testing.T) {
	for want, e := range map[string]Exit{
		"exit code 3":                       {Code: 3},
		"killed by SIGKILL":                 ExitOf(syscall.WaitStatus(syscall.SIGKILL)),
		"killed by SIGKILL (out of memory)": {Code: -1, Signal: "SIGKILL", OOM: true},
		"no such file":                      {Code: 1, Error: "no such file"},
	} {
		if got := e.String(); got != want {
			t.Errorf("%+v says %q, want %q", e, got, want)
		}
	}
	if e := ExitOf(syscall.WaitStatus(7 << 8)); e.Code != 7 || e.Signal != "" {
		t.Errorf("ExitOf(exit 7) = %+v", e)
	}
}
