package pm2

import (
	"strconv"
	"time"

	"paceline/internal/inspect"
)

// Environ returns the variables that PM2 gives to a process beyond the app's own:
// the plain ones among the fields of its record. The process is about to start, at
// now, with this home.
func Environ(in Instance, home string, now time.Time) map[string]string {
	in.Env = false
	env := map[string]string{"PM2_HOME": home, "PM2_USAGE": "CLI"}
	for _, m := range Env(in) {
		switch v := m.Value.(type) {
		case string:
			env[m.Key] = v
		case bool, int, int64:
			env[m.Key] = string(inspect.AppendJSON(nil, v))
		}
	}
	for _, later := range []string{"version", "node_version", "exit_code", "exit_signal", "reason"} {
		delete(env, later) // PM2 does not know them yet
	}
	env["status"] = "launching"
	env["pm_uptime"] = strconv.FormatInt(now.UnixMilli(), 10)
	return env
}
