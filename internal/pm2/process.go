// Package pm2 puts apps into the shapes of PM2, which scripts read: its list of
// processes, the environment of a process, and its file of saved apps.
package pm2

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // a name's digest, as RFC 9562 has it for UUIDs; it guards nothing
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"paceline/internal/app"
	"paceline/internal/inspect"
)

// Version is PM2's that the shapes are taken from.
const Version = "7.0.4"

// Instance is one instance, and what is asked to be told of it.
type Instance struct {
	Spec    *app.Spec
	Status  *app.Status
	PIDFile string
	User    string // who runs it, unless Spec.User says it
	Version string // of the program; "" is not known
	// Interpreter is how PM2 would name Spec.Interpreter: "node"; "" is the path itself.
	Interpreter string
	Env         bool    // with the environment, which may hold secrets
	AXM         app.AXM // what the process reports of itself
}

// Process returns the instance as `pm2 jlist` has it.
func Process(in Instance) inspect.Object {
	s := in.Status
	pid, memory, cpu := s.PID, uint64(0), 0.0
	if s.State == app.Online {
		memory, cpu = s.MemoryBytes, math.Round(s.CPU*10)/10 // as PM2: one decimal
	}
	return inspect.Object{
		{Key: "pid", Value: pid},
		{Key: "name", Value: in.Spec.Name},
		{Key: "pm2_env", Value: Env(in)},
		{Key: "pm_id", Value: s.ID},
		{Key: "monit", Value: inspect.Object{{Key: "memory", Value: memory}, {Key: "cpu", Value: cpu}}},
	}
}

// Env returns what PM2 calls pm2_env: the settings that were given, with PM2's
// names and in its order, the environment, and how the instance fares. Times are
// milliseconds since 1970. What PM2 does not have stands at the end.
func Env(in Instance) inspect.Object {
	r := record{in: in, o: make(inspect.Object, 0, 64+2*len(in.Spec.Env))}
	r.program()
	r.policy()
	r.place()
	r.life()
	return r.o
}

// record is a pm2_env in the making.
type record struct {
	in Instance
	o  inspect.Object
}

func (r *record) add(key string, value any) {
	r.o = append(r.o, inspect.Member{Key: key, Value: value})
}

// given adds a setting that PM2 shows only if it was given.
func (r *record) given(given bool, key string, value any) {
	if given {
		r.add(key, value)
	}
}

// program is what runs, up to its environment.
func (r *record) program() {
	s := r.in.Spec
	r.add("name", s.Name)
	r.add("filter_env", list(s.FilterEnv))
	r.add("namespace", namespace(s))
	r.given(len(s.Args) > 0, "args", s.Args)
	if s.LogDateFormat != "" || s.LogTime {
		format := s.LogDateFormat
		if format == "" {
			format = "YYYY-MM-DDTHH:mm:ss"
		}
		r.add("log_date_format", format)
	}
	r.given(s.LogTime && s.LogDateFormat == "", "time", true)
	r.given(s.DisableLogs, "disable_logs", true)
	r.given(s.LogJSON, "log_type", "json")
	if r.in.Env {
		env := make(inspect.Object, 0, len(s.Env))
		for _, name := range slices.Sorted(maps.Keys(s.Env)) {
			env = append(env, inspect.Member{Key: name, Value: variable(r.in, name)})
		}
		r.add("env", env)
	}
}

// policy is how it is kept up.
func (r *record) policy() {
	s, usual := r.in.Spec, app.Defaults()
	r.given(s.MaxMemoryBytes > 0, "max_memory_restart", s.MaxMemoryBytes)
	r.given(s.RestartDelay > 0, "restart_delay", millis(s.RestartDelay))
	r.given(s.ExpBackoff > 0, "exp_backoff_restart_delay", millis(s.ExpBackoff))
	r.given(s.WaitReady, "wait_ready", true)
	r.given(s.Instances > 1, "instances", s.Instances)
	r.given(s.KillTimeout != usual.KillTimeout, "kill_timeout", millis(s.KillTimeout))
	r.given(s.ShutdownWithMessage, "shutdown_with_message", true)
	r.given(s.ListenTimeout != usual.ListenTimeout, "listen_timeout", millis(s.ListenTimeout))
	r.given(s.CronRestart != "", "cron_restart", s.CronRestart)
	single := s.Mode == app.Fork && s.Instances == 1
	r.given(s.MergeLogs || single, "merge_logs", true)
	r.add("vizion", true)
	r.add("autostart", !s.NoAutostart)
	r.add("autorestart", !s.NoAutorestart)
	r.given(len(s.StopExitCodes) > 0, "stop_exit_codes", s.StopExitCodes)
	r.add("watch", watching(s))
	if w := s.Watch; w != nil {
		r.given(w.Ignore != nil, "ignore_watch", list(w.Ignore))
		r.given(w.Delay > 0, "watch_delay", millis(w.Delay))
	}
	r.given(s.MaxRestarts != usual.MaxRestarts, "max_restarts", s.MaxRestarts)
	r.given(s.MinUptime != usual.MinUptime, "min_uptime", millis(s.MinUptime))
	r.add("instance_var", instanceVar(s))
	r.given(s.IncrementVar != "", "increment_var", s.IncrementVar)
	r.add("pmx", true)
	r.add("automation", true)
	r.add("treekill", !s.NoTreekill)
	r.add("username", r.username())
	r.add("windowsHide", true)
	r.add("kill_retry_time", 100)
	if u := s.User; u != nil {
		r.add("uid", int64(u.UID))
		r.add("gid", int64(u.GID))
	}
}

func (r *record) username() string {
	u := r.in.Spec.User
	switch {
	case u == nil:
		return r.in.User
	case u.Name == "":
		return strconv.FormatUint(uint64(u.UID), 10)
	}
	return u.Name
}

// place is where it runs and where its files are.
func (r *record) place() {
	s, st := r.in.Spec, r.in.Status
	r.add("node_args", list(s.InterpreterArgs))
	r.add("pm_exec_path", s.Exec)
	r.add("pm_cwd", s.Cwd)
	r.add("exec_interpreter", interpreter(r.in))
	r.add("exec_mode", string(Mode(s))+"_mode")
	r.given(s.Instances == 1, "instances", 1)
	r.given(st.LogFile != "", "pm_log_path", st.LogFile)
	r.add("pm_out_log_path", cmp.Or(st.OutFile, os.DevNull))
	r.add("pm_err_log_path", cmp.Or(st.ErrFile, os.DevNull))
	r.add("pm_pid_path", r.in.PIDFile)
	r.add("km_link", false)
	r.add("vizion_running", false)
	r.add(instanceVar(s), st.Index)
}

// reported is what a process has said of itself, or what stands for nothing.
func reported(raw []byte, nothing any) any {
	if v, err := inspect.Parse(raw); err == nil && v != nil {
		return v
	}
	return nothing
}

// life is how it fares.
func (r *record) life() {
	s := r.in.Status
	if r.in.Env {
		r.flatten()
	}
	r.add("unique_id", UniqueID(r.in.Spec.Name, s.ID, s.CreatedAt))
	r.add("status", Status(r.in))
	began := s.StartedAt
	if began.IsZero() && s.LastExit != nil {
		began = s.LastExit.Started
	}
	r.add("pm_uptime", moment(began))
	r.add("axm_actions", reported(r.in.AXM.Actions, []any{}))
	r.add("axm_monitor", reported(r.in.AXM.Monitor, inspect.Object{}))
	r.add("axm_options", options(r.in))
	r.add("axm_dynamic", inspect.Object{})
	r.add("created_at", moment(s.CreatedAt))
	r.add("pm_id", s.ID)
	r.add("restart_time", s.Restarts)
	unstable := s.Unstable
	if s.State == app.Errored {
		unstable = 0 // PM2 begins to count anew
	}
	r.add("unstable_restarts", unstable)
	version := r.in.Version
	if version == "" {
		version = notKnown
	}
	r.add("version", version)
	r.add("node_version", notKnown)
	if e := s.LastExit; e != nil {
		r.add("exit_code", max(e.Code, 0)) // PM2 says 0 where a signal ended it
		r.given(e.Signal != "", "exit_signal", e.Signal)
	}
	r.given(s.Reason != "", "reason", s.Reason)
	r.given(len(s.Ports) > 0, "ports", s.Ports)
}

// flatten repeats the variables among the settings, as PM2 does; but one of
// theirs that has a setting's name does not take its place.
func (r *record) flatten() {
	taken := make(map[string]bool, len(r.o)+len(lateFields))
	for i := range r.o {
		taken[r.o[i].Key] = true
	}
	for _, name := range lateFields {
		taken[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.in.Spec.Env)) {
		if !taken[name] {
			r.add(name, variable(r.in, name))
		}
	}
}

// variable is the value of a variable: a text, but increment_var is the instance's own
// number.
func variable(in Instance, name string) any {
	value := in.Spec.Env[name]
	if name == in.Spec.IncrementVar {
		if first, err := strconv.Atoi(value); err == nil {
			return first + in.Status.Index
		}
	}
	return value
}

// lateFields come after the variables.
var lateFields = []string{
	"unique_id", "status", "pm_uptime", "axm_actions", "axm_monitor", "axm_options", "axm_dynamic", "created_at",
	"pm_id", "restart_time", "unstable_restarts", "version", "node_version", "exit_code", "exit_signal", "reason", "ports",
}

// notKnown is PM2's word for a version that is not known.
const notKnown = "N/A"

// State is PM2's word for a state.
func State(s app.State) string {
	if s == app.Waiting {
		return "waiting restart"
	}
	return string(s)
}

// Shown are the fields that `pm2 env` prints: the variables and what PM2 itself has
// added to them, none of the settings.
func Shown(in Instance) inspect.Object {
	in.Env = true
	var shown inspect.Object
	for _, m := range Env(in) {
		switch m.Key {
		case instanceVar(in.Spec), "km_link", "vizion_running", "namespace", "version", "node_version":
			shown = append(shown, m)
			continue
		}
		if _, ok := in.Spec.Env[m.Key]; ok && m.Value == variable(in, m.Key) {
			shown = append(shown, m)
		}
	}
	return shown
}

// Status is PM2's word for how the instance fares. To PM2 a process is online as soon
// as it runs, unless it is to say that it is ready.
func Status(in Instance) string {
	if in.Status.State == app.Launching && in.Status.PID != 0 && !in.Spec.WaitReady {
		return string(app.Online)
	}
	return State(in.Status.State)
}

// Mode is PM2's word for how an app runs: to PM2 only Node programs are in a cluster,
// and it would run what a dump calls so by node.
func Mode(s *app.Spec) app.Mode {
	if s.Runtime != app.RuntimeNode {
		return app.Fork
	}
	return s.Mode
}

// options is what an instance has told of itself. A Node app under PM2 always tells
// under which name it does: scripts count that as one more place where its name stands.
func options(in Instance) any {
	told := reported(in.AXM.Options, inspect.Object{})
	o, ok := told.(inspect.Object)
	begun := !in.Status.StartedAt.IsZero() || in.Status.LastExit != nil
	if !ok || !begun || in.Spec.Runtime != app.RuntimeNode {
		return told
	}
	for _, m := range []inspect.Member{
		{Key: "module_conf", Value: inspect.Object{}},
		{Key: "module_name", Value: in.Spec.Name},
		{Key: "module_version", Value: Version},
	} {
		if _, given := o.Get(m.Key); !given {
			o = append(o, m)
		}
	}
	return o
}

// UniqueID returns PM2's unique_id of an instance: a UUID that stays the same for
// its whole life.
func UniqueID(name string, id int, created time.Time) string {
	sum := sha1.Sum(fmt.Appendf(nil, "paceline\x00%s\x00%d\x00%d", name, id, created.UnixNano())) //nolint:gosec // see the import
	sum[6] = sum[6]&0x0f | 0x50                                                                   // version 5: of a name
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func interpreter(in Instance) string {
	switch {
	case in.Spec.Interpreter == "":
		return "none"
	case in.Interpreter != "":
		return in.Interpreter
	}
	return in.Spec.Interpreter
}

func watching(s *app.Spec) any {
	if !s.Watching() {
		return false
	}
	if len(s.Watch.Paths) > 0 {
		return s.Watch.Paths
	}
	return true
}

func namespace(s *app.Spec) string {
	if s.Namespace == "" {
		return "default"
	}
	return s.Namespace
}

func instanceVar(s *app.Spec) string {
	if s.InstanceVar == "" {
		return "NODE_APP_INSTANCE"
	}
	return s.InstanceVar
}

// list is never null.
func list(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

func millis(d app.Duration) int64 { return time.Duration(d).Milliseconds() }

func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
