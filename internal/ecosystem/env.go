package ecosystem

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// withheld are variables that belong to one process and would mislead another:
// Node's channel, socket activation, the notification socket of systemd, and
// the shell's note of the last command.
var withheld = []string{
	"NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE", "NODE_UNIQUE_ID", "NODE_APP_INSTANCE",
	"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "_",
}

// pm2Fields are what PM2 adds to the environment of its processes, under plain
// names: withheld only if pm_id tells that the caller runs under PM2.
var pm2Fields = []string{
	"pm_id", "name", "namespace", "exec_mode", "status", "pm_uptime", "created_at", "restart_time",
	"unstable_restarts", "pm_exec_path", "pm_cwd", "pm_out_log_path", "pm_err_log_path", "pm_log_path", "pm_pid_path",
	"exec_interpreter", "instances", "instance_var", "username", "merge_logs", "vizion", "vizion_running", "autostart",
	"autorestart", "watch", "pmx", "automation", "treekill", "windowsHide", "kill_retry_time", "km_link", "unique_id",
	"axm_actions", "axm_monitor", "axm_options", "axm_dynamic", "env", "node_args", "filter_env", "exit_code",
	"prev_restart_delay", "_pm2_version", "version", "node_version", "SILENT",
}

// appEnv returns the environment that an app gets of the caller's: without what
// belongs to the caller's own process. Values that are not UTF-8 cannot be
// carried in JSON; skipped names them.
func appEnv(environ []string) (env map[string]string, skipped []string) {
	env = make(map[string]string, len(environ))
	for _, kv := range environ {
		key, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok || key == "" || slices.Contains(withheld, key) || strings.HasPrefix(key, "PACELINE_"):
		case strings.ContainsRune(kv, 0): // only a program can make it up
		case !utf8.ValidString(kv):
			skipped = append(skipped, strings.ToValidUTF8(key, "?"))
		default:
			env[key] = value
		}
	}
	if _, under := env["pm_id"]; under {
		for key := range env {
			if slices.Contains(pm2Fields, key) || strings.HasPrefix(key, "PM2_") {
				delete(env, key)
			}
		}
	}
	return env, skipped
}

// setEnv adds "KEY=value" assignments to env.
func setEnv(env map[string]string, assignments []string) {
	for _, kv := range assignments {
		if key, value, ok := strings.Cut(kv, "="); ok {
			env[key] = value
		}
	}
}

// inherit returns the environment that an app gets of the caller's, less what the
// words of filter name: see app.Spec.FilterEnv.
func inherit(environ, filter []string) (env map[string]string, skipped []string) {
	if slices.Equal(filter, []string{"*"}) {
		return map[string]string{}, nil
	}
	env, skipped = appEnv(environ)
	for key := range env {
		if slices.ContainsFunc(filter, func(word string) bool { return word != "" && strings.Contains(key, word) }) {
			delete(env, key)
		}
	}
	return env, skipped
}

// pathOf returns the caller's PATH, by which programs are found whatever the app
// inherits.
func pathOf(environ []string) string {
	for _, kv := range slices.Backward(environ) {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			return path
		}
	}
	return ""
}
