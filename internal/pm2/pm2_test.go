package pm2

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paceline/internal/app"
	"paceline/internal/inspect"
)

// plain are the fields of PM2 7.0.4's pm2_env after `pm2 start s.js --name b` and a
// stop, without the variables, and what its in-app agent and its kill have added.
const plain = `name filter_env namespace env merge_logs vizion autostart autorestart watch instance_var pmx automation treekill
	username windowsHide kill_retry_time node_args pm_exec_path pm_cwd exec_interpreter exec_mode instances pm_out_log_path
	pm_err_log_path pm_pid_path km_link vizion_running NODE_APP_INSTANCE FOO unique_id status pm_uptime axm_actions axm_monitor
	axm_options axm_dynamic created_at pm_id restart_time unstable_restarts version node_version exit_code`

// rich are those after a start with many options, of an app of two instances.
const rich = `name filter_env namespace args log_date_format time env max_memory_restart restart_delay instances kill_timeout
	cron_restart vizion autostart autorestart watch instance_var pmx automation treekill username windowsHide kill_retry_time
	node_args pm_exec_path pm_cwd exec_interpreter exec_mode pm_out_log_path pm_err_log_path pm_pid_path km_link vizion_running
	NODE_APP_INSTANCE FOO unique_id status pm_uptime axm_actions axm_monitor axm_options axm_dynamic created_at pm_id restart_time
	unstable_restarts version node_version`

func sample() (plain, rich Instance) {
	s := app.Defaults()
	s.Name, s.Exec, s.Cwd, s.Interpreter = "b", "/srv/s.js", "/srv", "/usr/bin/node"
	s.Runtime = app.RuntimeNode
	s.Env = map[string]string{"FOO": "bar"}
	at := time.UnixMilli(1795727784072)
	plain = Instance{
		Spec: &s, User: "root", Version: "3.4.5", Interpreter: "node", PIDFile: "/h/pids/b-0.pid", Env: true,
		Status: &app.Status{
			Name: "b", State: app.Stopped, CreatedAt: at, OutFile: "/h/logs/b-out.log", ErrFile: "/h/logs/b-error.log",
			LastExit: &app.Exit{Started: at}, CPU: 1, MemoryBytes: 2,
		},
	}
	r := s
	r.Mode, r.Instances, r.Args, r.LogTime = app.Cluster, 2, []string{"x", "y"}, true
	r.MaxMemoryBytes, r.RestartDelay, r.CronRestart = 200<<20, app.Duration(100*time.Millisecond), "0 0 * * *"
	r.KillTimeout = app.Duration(2 * time.Second)
	rich = plain
	rich.Spec = &r
	rich.Status = &app.Status{Name: "b", ID: 1, State: app.Online, PID: 7, StartedAt: at, CreatedAt: at, CPU: 2.1379, MemoryBytes: 1 << 20}
	return plain, rich
}

func TestEnvHasPM2sFieldsInItsOrder(t *testing.T) {
	a, b := sample()
	for want, in := range map[string]Instance{plain: a, rich: b} {
		var got []string
		for _, m := range Env(in) {
			got = append(got, m.Key)
		}
		if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
			t.Errorf("-PM2 +ours\n%s", diff)
		}
	}
}

func TestProcess(t *testing.T) {
	a, b := sample()
	a.Env, b.Env = false, false
	if text := string(inspect.AppendJSON(nil, Process(a))); strings.Contains(text, "FOO") ||
		!strings.HasSuffix(text, `"exit_code":0},"pm_id":0,"monit":{"memory":0,"cpu":0}}`) ||
		!strings.Contains(text, `"pm_uptime":1795727784072`) {
		t.Errorf("got %s", text)
	}
	if text := string(inspect.AppendJSON(nil, Process(b))); !strings.HasPrefix(text, `{"pid":7,"name":"b","pm2_env":{"name":"b",`) ||
		!strings.HasSuffix(text, `"monit":{"memory":1048576,"cpu":2.1}}`) {
		t.Errorf("got %s", text)
	}
}

// TestAVariableTakesNoFieldsPlace: PM2 lists an app started with name=evil in its
// environment as evil.
func TestAVariableTakesNoFieldsPlace(t *testing.T) {
	in, _ := sample()
	in.Spec.Env = map[string]string{"name": "evil", "status": "evil", "pm_id": "evil", "exit_code": "evil"}
	for _, m := range Env(in) {
		if m.Value == "evil" {
			t.Errorf("%s is evil", m.Key)
		}
	}
	if env, _ := Env(in).Get("env"); len(env.(inspect.Object)) != 4 {
		t.Errorf("env is %v", env)
	}
}

func TestEnviron(t *testing.T) {
	in, _ := sample()
	env := Environ(in, "/h", time.UnixMilli(5))
	for name, want := range map[string]string{
		"PM2_HOME": "/h", "PM2_USAGE": "CLI", "name": "b", "namespace": "default", "exec_mode": "fork_mode", "status": "launching",
		"pm_uptime": "5", "NODE_APP_INSTANCE": "0", "watch": "false", "instances": "1", "pm_id": "0", "unique_id": UniqueID("b", 0, in.Status.CreatedAt),
	} {
		if env[name] != want {
			t.Errorf("%s=%q, want %q", name, env[name], want)
		}
	}
	for _, name := range []string{"FOO", "version", "exit_code", "env"} {
		if value, ok := env[name]; ok {
			t.Errorf("%s=%q", name, value)
		}
	}
}

func found(word string) (string, error) {
	if word == "none-such" {
		return "", errors.New("not found")
	}
	return "/usr/bin/" + strings.TrimPrefix(word, "/usr/bin/"), nil
}

func TestDumpComesBack(t *testing.T) {
	a, b := sample()
	b2 := b
	r := *b.Spec
	r.Name = "c"
	st := *b.Status
	st.Name, st.OutFile, st.ErrFile = "c", "/h/logs/c-out-1.log", "/h/logs/c-error-1.log"
	b.Spec, b.Status, b.PIDFile = &r, &st, "/h/pids/c-1.pid"
	b2.Spec, b2.Status, b2.PIDFile = &r, &st, "/h/pids/c-1.pid"
	list, warnings, err := ReadDump(Dump([]Instance{a, b, b2}), found)
	if err != nil || len(warnings) > 0 || len(list) != 2 {
		t.Fatalf("got %v, %v, %v", list, warnings, err)
	}
	for i, want := range []*app.Spec{a.Spec, &r} {
		got := list[i].Spec
		w := *want
		w.PM2, w.Runtime = true, app.RuntimeNode
		w.OutFile, w.ErrFile = "/h/logs/"+w.Name+"-out.log", "/h/logs/"+w.Name+"-error.log"
		if w.LogTime {
			w.LogDateFormat = "YYYY-MM-DDTHH:mm:ss"
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", w.Name, diff)
		}
	}
	if !list[0].Stopped || list[1].Stopped {
		t.Errorf("stopped: %v, %v", list[0].Stopped, list[1].Stopped)
	}
	if text := string(Dump(nil)); text != "[]" {
		t.Errorf("an empty dump is %q", text)
	}
}

func TestReadDumpLeavesOutWhatCannotRun(t *testing.T) {
	text := `[{"name":"a","pm_exec_path":"/a.rb","pm_cwd":"/","exec_interpreter":"none-such"},{"name":3},
		{"name":"ok","pm_exec_path":"/ok","pm_cwd":"/","exec_interpreter":"none","env":{"X":"1","ok":{},"N":2},"args":"x y","watch":["src"],"max_restarts":"4"}]`
	list, warnings, err := ReadDump([]byte(text), found)
	if err != nil || len(list) != 1 || len(warnings) != 2 {
		t.Fatalf("got %v, %v, %v", list, warnings, err)
	}
	s := list[0].Spec
	if diff := cmp.Diff(map[string]string{"X": "1", "N": "2"}, s.Env); diff != "" || !slices.Equal(s.Args, []string{"x", "y"}) ||
		s.MaxRestarts != 4 || s.Watch == nil || !slices.Equal(s.Watch.Paths, []string{"/src"}) {
		t.Errorf("got %+v", s)
	}
	if _, _, err := ReadDump([]byte("{"), found); err == nil {
		t.Error("a broken dump passes")
	}
}

func FuzzReadDump(f *testing.F) {
	a, b := sample()
	f.Add(Dump([]Instance{a, b}))
	f.Add([]byte(`[{"name":"x","pm_exec_path":"/x","pm_cwd":"/","stop_exit_codes":"3","env":{"":"1"}}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, _, _ := ReadDump(text, found)
		for _, s := range list {
			if err := s.Spec.Validate(); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

// BenchmarkList is a jlist of 500 instances with 40 variables each.
func BenchmarkList(b *testing.B) {
	_, in := sample()
	for i := range 40 {
		in.Spec.Env[strings.Repeat("V", i+1)] = strings.Repeat("value", 8)
	}
	for b.Loop() {
		var text []byte
		for range 500 {
			text = inspect.AppendJSON(text[:0], Process(in))
		}
	}
}
