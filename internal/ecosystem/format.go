package ecosystem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"paceline/internal/app"
)

// entry is one key of an app that is written.
type entry struct {
	key   string
	value any // string, bool, int64, float64, []string, []int, []entry, [][]entry
}

// entries are what an app file says of a spec: what differs from the defaults. Of the
// environment only the app's own variables are there.
func entries(s *app.Spec) []entry {
	var out []entry
	add := func(given bool, key string, v any) {
		if given {
			out = append(out, entry{key, v})
		}
	}
	def := app.Defaults()
	add(true, "name", s.Name)
	add(s.Namespace != "" && s.Namespace != "default", "namespace", s.Namespace)
	add(true, "script", s.Exec)
	add(len(s.Args) > 0, "args", s.Args)
	if s.Interpreter != "" {
		add(true, "interpreter", s.Interpreter)
		add(len(s.InterpreterArgs) > 0, "node_args", s.InterpreterArgs)
	} else {
		add(true, "interpreter", "none")
	}
	add(true, "cwd", s.Cwd)
	if s.User != nil {
		name := s.User.Name
		if name == "" {
			name = strconv.Itoa(int(s.User.UID))
		}
		add(true, "user", name)
		add(true, "gid", strconv.Itoa(int(s.User.GID)))
	}
	add(s.Instances != def.Instances || s.Mode == app.Cluster, "instances", int64(s.Instances))
	add(s.Mode == app.Fork && s.Instances > 1, "exec_mode", "fork")
	add(s.Balance != "", "balance", string(s.Balance))
	add(s.InstanceVar != "", "instance_var", s.InstanceVar)
	add(s.IncrementVar != "", "increment_var", s.IncrementVar)
	add(len(s.Sockets) > 0, "sockets", s.Sockets)
	var env []entry
	for _, name := range s.EnvOwn {
		if text, ok := s.Env[name]; ok {
			env = append(env, entry{name, text})
		}
	}
	add(len(env) > 0, "env", env)
	add(len(s.EnvFiles) > 0, "env_file", s.EnvFiles)
	if slices.Equal(s.FilterEnv, []string{"*"}) {
		add(true, "filter_env", true)
	} else {
		add(len(s.FilterEnv) > 0, "filter_env", s.FilterEnv)
	}
	add(s.NoAutostart, "autostart", false)
	add(s.NoAutorestart, "autorestart", false)
	add(s.MaxRestarts != def.MaxRestarts, "max_restarts", int64(s.MaxRestarts))
	duration := func(d, usual app.Duration, key string) { add(d != usual, key, d.String()) }
	duration(s.MinUptime, def.MinUptime, "min_uptime")
	duration(s.RestartDelay, 0, "restart_delay")
	duration(s.ExpBackoff, 0, "exp_backoff_restart_delay")
	add(len(s.StopExitCodes) > 0, "stop_exit_codes", s.StopExitCodes)
	add(s.NoRetry, "retry", false)
	add(s.MaxMemoryBytes > 0, "max_memory_restart", s.MaxMemoryBytes)
	add(s.CronRestart != "", "cron_restart", s.CronRestart)
	add(s.Job != "", "schedule", s.Job)
	if w := s.Watch; w != nil && !w.Off {
		if len(w.Paths) > 0 {
			add(true, "watch", w.Paths)
		} else {
			add(true, "watch", true)
		}
		add(w.Ignore != nil, "ignore_watch", w.Ignore)
		duration(w.Delay, 0, "watch_delay")
	}
	add(s.KillSignal != def.KillSignal, "kill_signal", s.KillSignal)
	duration(s.KillTimeout, def.KillTimeout, "kill_timeout")
	add(s.NoTreekill, "treekill", false)
	add(s.ShutdownWithMessage, "shutdown_with_message", true)
	add(s.WaitReady, "wait_ready", true)
	duration(s.ListenTimeout, def.ListenTimeout, "listen_timeout")
	add(s.Health != nil, "health", healthEntries(s.Health))
	add(s.OnHang != "", "on_hang", string(s.OnHang))
	duration(s.HangAfter, 0, "hang_after")
	file := func(path, key string) {
		if path == os.DevNull {
			path = "NULL"
		}
		add(path != "", key, path)
	}
	file(s.OutFile, "out_file")
	file(s.ErrFile, "error_file")
	file(s.LogFile, "log_file")
	file(s.PIDFile, "pid_file")
	add(s.MergeLogs, "merge_logs", true)
	add(s.LogTime && s.LogDateFormat == "", "time", true)
	add(s.LogDateFormat != "", "log_date_format", s.LogDateFormat)
	add(s.LogJSON, "log_type", "json")
	add(s.DisableLogs, "disable_logs", true)
	if s.LogMaxBytes < 0 {
		add(true, "log_max_size", "off")
	}
	add(s.LogMaxBytes > 0, "log_max_size", s.LogMaxBytes)
	add(s.LogKeep != 0, "log_keep", int64(max(s.LogKeep, 0)))
	add(s.LogForward != "", "log_forward", s.LogForward)
	var depends []string
	for _, d := range s.DependsOn {
		depends = append(depends, d.App+":"+string(d.Condition))
	}
	add(len(depends) > 0, "depends_on", depends)
	if l := s.Limits; l != nil {
		var limits []entry
		if l.MemoryBytes > 0 {
			limits = append(limits, entry{"memory", l.MemoryBytes})
		}
		if l.CPU > 0 {
			limits = append(limits, entry{"cpu", l.CPU})
		}
		if l.Pids > 0 {
			limits = append(limits, entry{"pids", int64(l.Pids)})
		}
		add(true, "limits", limits)
	}
	add(len(s.Hooks) > 0, "hooks", hookEntries(s.Hooks))
	add(len(s.PostUpdate) > 0, "post_update", s.PostUpdate)
	return out
}

func healthEntries(h *app.Health) []entry {
	if h == nil {
		return nil
	}
	var out []entry
	def := app.HealthDefaults()
	for _, c := range []struct {
		name  string
		check *app.HealthCheck
	}{{"startup", h.Startup}, {"readiness", h.Readiness}, {"liveness", h.Liveness}} {
		if c.check == nil {
			continue
		}
		var one []entry
		switch {
		case c.check.HTTP != "":
			one = append(one, entry{"http", c.check.HTTP})
		case c.check.TCP != "":
			one = append(one, entry{"tcp", c.check.TCP})
		default:
			one = append(one, entry{"exec", c.check.Exec})
		}
		for _, d := range []struct {
			key       string
			is, usual app.Duration
		}{{"interval", c.check.Interval, def.Interval}, {"timeout", c.check.Timeout, def.Timeout}, {"delay", c.check.Delay, 0}} {
			if d.is != d.usual {
				one = append(one, entry{d.key, d.is.String()})
			}
		}
		if c.check.Retries != def.Retries {
			one = append(one, entry{"retries", int64(c.check.Retries)})
		}
		out = append(out, entry{c.name, one})
	}
	return out
}

// FormatJSON writes an app file in JSON that reads as the specs.
func FormatJSON(specs []app.Spec) []byte {
	var apps []json.RawMessage
	for i := range specs {
		apps = append(apps, jsonEntries(entries(&specs[i])))
	}
	return indented(map[string]any{"apps": apps})
}

func indented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("ecosystem: encode an app file: %v", err)) // it holds only plain values
	}
	return b.Bytes()
}

// jsonEntries keeps the order of the keys.
func jsonEntries(list []entry) json.RawMessage {
	out := []byte{'{'}
	for i, e := range list {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, e.key), ':')
		if nested, ok := e.value.([]entry); ok {
			out = append(out, jsonEntries(nested)...)
			continue
		}
		if several, ok := e.value.([][]entry); ok {
			var items []json.RawMessage
			for _, one := range several {
				items = append(items, jsonEntries(one))
			}
			out = append(out, bytes.TrimSpace(indented(items))...)
			continue
		}
		out = append(out, bytes.TrimSpace(indented(e.value))...)
	}
	return append(out, '}')
}

// FormatYAML writes an app file in YAML that reads as the specs. Each line of
// comments stands at its head.
func FormatYAML(specs []app.Spec, comments []string) ([]byte, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range specs {
		list.Content = append(list.Content, yamlEntries(entries(&specs[i])))
	}
	doc := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{yamlText("apps"), list}}
	out, err := yaml.Dump(doc, yaml.WithIndent(2))
	if err != nil {
		return nil, fmt.Errorf("write YAML: %w", err)
	}
	var head strings.Builder
	for _, c := range comments {
		head.WriteString("# " + strings.ReplaceAll(c, "\n", " ") + "\n")
	}
	return append([]byte(head.String()), out...), nil
}

func yamlText(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func yamlEntries(list []entry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range list {
		n.Content = append(n.Content, yamlText(e.key), yamlValue(e.value))
	}
	return n
}

func yamlValue(v any) *yaml.Node {
	scalar := func(tag, text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text} }
	switch v := v.(type) {
	case []entry:
		return yamlEntries(v)
	case [][]entry:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, one := range v {
			n.Content = append(n.Content, yamlEntries(one))
		}
		return n
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case int64:
		return scalar("!!int", strconv.FormatInt(v, 10))
	case float64:
		return scalar("!!float", strconv.FormatFloat(v, 'g', -1, 64))
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, s := range v {
			n.Content = append(n.Content, textNode(s))
		}
		return n
	case []int:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, i := range v {
			n.Content = append(n.Content, scalar("!!int", strconv.Itoa(i)))
		}
		return n
	case string:
		return textNode(v)
	}
	panic(fmt.Sprintf("ecosystem: %T is no value of an app file", v))
}

// textNode quotes a text that would read as something else.
func textNode(s string) *yaml.Node {
	n := yamlText(s)
	n.Tag = "!!str"
	return n
}
