package cli

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/pm2"
)

// sampleApps is an app of two instances, one of which has died, and one that is
// to be started again.
func sampleApps(env bool) []api.AppInfo {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd, spec.Interpreter = "api", "/srv/api/server.js", "/srv/api", "/opt/node-0/bin/node"
	spec.Args, spec.InterpreterArgs = []string{"--title", "it's ours"}, []string{"--harmony"}
	spec.Mode, spec.Instances, spec.Balance, spec.Runtime = app.Cluster, 2, app.RoundRobin, app.RuntimeNode
	spec.StopExitCodes, spec.WaitReady = []int{0, 130}, true
	if env {
		spec.Env = map[string]string{"PASSWORD": "hunter2", "PATH": "/bin"}
	}
	list := sample()[:2]
	for i := range list {
		list[i].Mechanism, list[i].CreatedAt = "hand-off", now().Add(-48*time.Hour)
		list[i].OutFile, list[i].ErrFile = "/h/logs/api-out-0.log", "/h/logs/api-error-0.log"
	}
	list[1].BalanceReason = "eBPF is not permitted here"
	list[1].Notes = []string{"no_new_privs is set: sudo in it cannot elevate", "epoll before listen: it may\nserve nobody"}
	list[1].LastExit = &app.Exit{
		Code: -1, Signal: "SIGKILL", OOM: true, At: now().Add(-2 * time.Minute), Uptime: app.Duration(90 * time.Minute), PID: 4000,
		Stderr: []string{"\x1b[31mallocating\x1b[0m", "more"},
	}
	tool := app.Defaults()
	tool.Name, tool.Exec, tool.Cwd, tool.NoAutorestart, tool.Namespace = "mailer", "/srv/mailer", "/srv", true, "batch"
	tool.Sockets = []string{"web=*:8080", "/run/x.sock"}
	mailer := sample()[3]
	mailer.ID = 9
	return []api.AppInfo{
		{Spec: tool, Instances: []app.Status{mailer}},
		{Spec: spec, EnvNames: []string{"PASSWORD", "PATH"}, PIDFiles: []string{"/h/pids/api-0.pid", "/h/pids/api-1.pid"}, Instances: list},
	}
}

func apps(r *http.Request) any { return sampleApps(r.URL.Query().Get("env") != "") }

func TestShow(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpApps: apps})
	hidden := f.run("show", "all")
	golden(t, "show.txt", hidden.stdout)
	if strings.Contains(hidden.stdout, "hunter2") {
		t.Error("show prints a secret")
	}
	for _, alias := range []string{"describe", "desc", "info"} {
		if r := f.run(alias, "all"); r.stdout != hidden.stdout {
			t.Errorf("%s is not show", alias)
		}
	}
	golden(t, "show_env.txt", f.run("show", "api", "--show-env").stdout)
	golden(t, "show_terminal.txt", f.with(t.Context(), Options{Terminal: terminal(80)}, "show", "api").stdout)
	f.set(api.OpApps, unknown)
	f.run("show", "x").want(t, 1, "", "not found")
}

func TestJlistHasPM2sShape(t *testing.T) {
	f := newFake(t, map[string]func(*http.Request) any{api.OpApps: apps})
	r := f.run("jlist")
	if strings.Contains(r.stdout, "hunter2") || strings.Contains(r.stdout, `"env":`) {
		t.Error("jlist prints the environment")
	}
	var list []struct {
		PID   *int                       `json:"pid"`
		Name  string                     `json:"name"`
		Env   map[string]json.RawMessage `json:"pm2_env"`
		ID    *int                       `json:"pm_id"`
		Monit map[string]float64         `json:"monit"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, p := range list {
		ids = append(ids, *p.ID)
		for field := range strings.FieldsSeq(`name namespace status pm_id pm_uptime created_at restart_time
			unstable_restarts exec_mode pm_exec_path pm_cwd exec_interpreter node_args instances NODE_APP_INSTANCE
			pm_out_log_path pm_err_log_path pm_pid_path autorestart version node_version
			watch instance_var treekill vizion pmx automation username unique_id axm_actions axm_monitor`) {
			if p.Env[field] == nil {
				t.Errorf("%s: pm2_env.%s is missing", p.Name, field)
			}
		}
		if p.PID == nil || len(p.Monit) != 2 {
			t.Errorf("%s: pid or monit is missing", p.Name)
		}
	}
	if !slices.Equal(ids, []int{0, 1, 9}) {
		t.Errorf("ids %v, want them in order", ids)
	}
	for field, want := range map[string]string{
		"status": `"waiting restart"`, "exec_mode": `"fork_mode"`, "exec_interpreter": `"none"`, "node_args": "[]",
		"exit_code": "7", "autorestart": "false", "namespace": `"batch"`, "pm_uptime": "0",
	} {
		if got := string(list[2].Env[field]); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
	if list[2].Monit["memory"] != 0 || list[0].Monit["memory"] != 54945382 {
		t.Errorf("monit: %v, %v", list[0].Monit, list[2].Monit)
	}
	var out strings.Builder
	var pretty []json.RawMessage
	if err := json.Unmarshal([]byte(f.run("jlist", "--show-env").stdout), &pretty); err != nil {
		t.Fatal(err)
	}
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(pretty); err != nil {
		t.Fatal(err)
	}
	me, err := json.Marshal(pm2.Me())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "jlist_env.json", strings.ReplaceAll(out.String(), `"username": `+string(me), `"username": "ME"`))
	f.set(api.OpApps, nil)
	f.run("jlist").want(t, 0, "[]\n", "")
}
