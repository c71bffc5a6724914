package pm2

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
	"paceline/internal/inspect"
)

// Dump returns the content of dump.pm2: a list of pm2_env without what belongs to
// a process's present number.
func Dump(instances []Instance) []byte {
	list := make([]inspect.Object, len(instances))
	for i, in := range instances {
		in.Env = true
		list[i] = slices.DeleteFunc(Env(in), func(m inspect.Member) bool {
			return slices.Contains([]string{"instances", "pm_id", "reason", "ports", "exit_signal"}, m.Key)
		})
	}
	var any []any
	for _, o := range list {
		any = append(any, o)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, inspect.AppendJSON(nil, any), "", "  "); err != nil {
		panic("pm2: the dump is no JSON: " + err.Error()) // it has just been made
	}
	return b.Bytes()
}

// Saved is an app of a dump.
type Saved struct {
	Spec    app.Spec
	Stopped bool // it was, and is to be listed as stopped
}

// dumped is what is read of one process of a dump. PM2's settings and the user's
// variables share one level there, so that any field may have any type.
type dumped struct {
	Name, Namespace string
	Exec            string `json:"pm_exec_path"`
	Cwd             string `json:"pm_cwd"`
	Interpreter     string `json:"exec_interpreter"`
	Mode            string `json:"exec_mode"`
	Status          string
}

// ReadDump reads a dump.pm2: each app once, with as many instances as there are
// entries of it. look finds an interpreter's path. A word of warnings is about an
// app that cannot be had of it; err is about the whole.
func ReadDump(text []byte, look func(word string) (string, error)) (list []Saved, warnings []string, err error) {
	var entries []map[string]json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, nil, fmt.Errorf("read the dump: %w", err)
	}
	at := map[string]int{}
	for i, e := range entries {
		saved, err := readEntry(e, look)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("entry %d of the dump is left out: %v", i+1, err))
			continue
		}
		if n, known := at[saved.Spec.Name]; known {
			list[n].Spec.Instances++
			list[n].Stopped = list[n].Stopped && saved.Stopped
			continue
		}
		at[saved.Spec.Name] = len(list)
		list = append(list, saved)
	}
	return list, warnings, nil
}

func readEntry(e map[string]json.RawMessage, look func(string) (string, error)) (Saved, error) {
	f := fields(e)
	d := dumped{
		Name: f.text("name"), Namespace: f.text("namespace"), Exec: f.text("pm_exec_path"), Cwd: f.text("pm_cwd"),
		Interpreter: f.text("exec_interpreter"), Mode: f.text("exec_mode"), Status: f.text("status"),
	}
	s := app.Defaults()
	s.Name, s.Exec, s.Cwd, s.PM2 = d.Name, d.Exec, d.Cwd, true
	if d.Namespace != "default" {
		s.Namespace = d.Namespace
	}
	if d.Mode == "cluster_mode" {
		s.Mode = app.Cluster
	}
	if d.Interpreter != "none" && d.Interpreter != "" {
		path, err := look(d.Interpreter)
		if err != nil {
			return Saved{}, fmt.Errorf("%s: its interpreter: %w", d.Name, err)
		}
		s.Interpreter = path
		if base := filepath.Base(path); base == "node" || base == "nodejs" {
			s.Runtime = app.RuntimeNode
		}
	}
	s.Args, s.InterpreterArgs, s.FilterEnv = f.words("args"), f.words("node_args"), f.words("filter_env")
	s.Env = f.env()
	f.policy(&s)
	f.logs(&s)
	f.firstNumber(&s)
	if err := s.Validate(); err != nil {
		return Saved{}, fmt.Errorf("%s: %w", d.Name, err)
	}
	return Saved{Spec: s, Stopped: d.Status == "stopped"}, nil
}

// fields reads a dump's entry; what has another type than it should is not there.
type fields map[string]json.RawMessage

func get[T any](f fields, name string) (v T) {
	if err := json.Unmarshal(f[name], &v); err != nil {
		var none T
		return none
	}
	return v
}

func (f fields) text(name string) string { return get[string](f, name) }

func (f fields) flag(name string) bool { return get[bool](f, name) }

// number reads a number, or a text that is one.
func (f fields) number(name string) (n int64, ok bool) {
	if err := json.Unmarshal(f[name], &n); err == nil && len(f[name]) > 0 {
		return n, true
	}
	n, err := strconv.ParseInt(f.text(name), 10, 64)
	return n, err == nil
}

func (f fields) words(name string) []string {
	if list := get[[]string](f, name); len(list) > 0 {
		return list
	}
	if words := strings.Fields(f.text(name)); len(words) > 0 {
		return words
	}
	return nil
}

// env leaves out what PM2 has added: an object under the app's name, and its own.
func (f fields) env() map[string]string {
	env := map[string]string{}
	for name, value := range get[map[string]json.RawMessage](f, "env") {
		if name == "unique_id" || name == "PM2_USAGE" || name == "PM2_HOME" {
			continue
		}
		var text string
		switch {
		case json.Unmarshal(value, &text) == nil && string(value) != "null":
			env[name] = text
		case len(value) > 0 && strings.ContainsRune("-0123456789tf", rune(value[0])): // a number, true or false
			env[name] = string(value)
		}
	}
	return env
}

// firstNumber brings increment_var back to the value of the first instance.
func (f fields) firstNumber(s *app.Spec) {
	n, err := strconv.Atoi(s.Env[s.IncrementVar])
	if index, ok := f.number(instanceVar(s)); ok && err == nil {
		s.Env[s.IncrementVar] = strconv.Itoa(n - int(index))
	}
}

// policy reads how it is kept up; 0 and what is missing are the defaults.
func (f fields) policy(s *app.Spec) {
	duration := func(name string, to *app.Duration) {
		if n, ok := f.number(name); ok && n > 0 {
			*to = app.Duration(time.Duration(n) * time.Millisecond)
		}
	}
	duration("kill_timeout", &s.KillTimeout)
	duration("listen_timeout", &s.ListenTimeout)
	duration("min_uptime", &s.MinUptime)
	duration("restart_delay", &s.RestartDelay)
	duration("exp_backoff_restart_delay", &s.ExpBackoff)
	if n, ok := f.number("max_restarts"); ok {
		s.MaxRestarts = int(n)
	}
	if n, ok := f.number("max_memory_restart"); ok {
		s.MaxMemoryBytes = n
	}
	s.CronRestart = f.text("cron_restart")
	s.NoAutorestart = string(f["autorestart"]) == "false"
	s.NoAutostart = string(f["autostart"]) == "false"
	s.NoTreekill = string(f["treekill"]) == "false"
	s.WaitReady, s.ShutdownWithMessage = f.flag("wait_ready"), f.flag("shutdown_with_message")
	s.IncrementVar = f.text("increment_var")
	if v := f.text("instance_var"); v != "NODE_APP_INSTANCE" {
		s.InstanceVar = v
	}
	if codes := get[[]int](f, "stop_exit_codes"); len(codes) > 0 {
		s.StopExitCodes = codes
	} else if n, ok := f.number("stop_exit_codes"); ok {
		s.StopExitCodes = []int{int(n)}
	}
	paths := get[[]string](f, "watch")
	if !f.flag("watch") && len(paths) == 0 {
		return
	}
	s.Watch = &app.Watch{Ignore: get[[]string](f, "ignore_watch")}
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(s.Cwd, p)
		}
		s.Watch.Paths = append(s.Watch.Paths, p)
	}
	duration("watch_delay", &s.Watch.Delay)
}

// logs reads where the output goes; PM2 has put the instance's id into the names.
func (f fields) logs(s *app.Spec) {
	id := "-" + strings.TrimSuffix(f.text("pm_pid_path")[strings.LastIndexByte(f.text("pm_pid_path"), '-')+1:], ".pid")
	file := func(name string) string {
		path := f.text(name)
		ext := filepath.Ext(path)
		return strings.TrimSuffix(strings.TrimSuffix(path, ext), id) + ext
	}
	s.OutFile, s.ErrFile = file("pm_out_log_path"), file("pm_err_log_path")
	s.LogFile = file("pm_log_path")
	s.MergeLogs = f.flag("merge_logs") && s.Mode == app.Cluster
	s.LogDateFormat, s.LogTime = f.text("log_date_format"), f.text("log_date_format") != ""
	s.LogJSON, s.DisableLogs = f.text("log_type") == "json", f.flag("disable_logs")
}
