package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) jlistCommand() *cobra.Command {
	var showEnv bool
	cmd := &cobra.Command{
		Use:   "jlist [target...]",
		Short: "List instances as JSON, in PM2's shape",
		Long: `jlist prints a JSON array with an object per instance, with the fields of PM2's
jlist. The environment, which may hold secrets, is left out unless --show-env asks
for it.`,
		Example: `  pace jlist
  pace jlist | jq -r '.[] | select(.pm2_env.status == "errored") | .name'
  pace jlist --show-env api`,
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			apps, err := c.client.Apps(cmd.Context(), api.AppsQuery{Targets: args, Env: showEnv})
			if err != nil {
				return err
			}
			text, err := json.Marshal(pm2List(apps, showEnv))
			if err != nil {
				return fmt.Errorf("encode the list: %w", err)
			}
			c.printf("%s\n", text)
			return nil
		},
	}
	cmd.Flags().BoolVar(&showEnv, "show-env", false, "with the environment of each app, which may hold secrets")
	return cmd
}

// The types below are PM2's jlist, field by field in its order. Times are
// milliseconds since 1970, durations milliseconds.
type pm2Process struct {
	PID   int     `json:"pid"` // 0 without a process
	Name  string  `json:"name"`
	Env   pm2Env  `json:"pm2_env"`
	ID    int     `json:"pm_id"`
	Monit pm2Load `json:"monit"`
}

type pm2Load struct {
	Memory uint64  `json:"memory"` // bytes
	CPU    float64 `json:"cpu"`    // per cent of one core
}

// pm2Env is made of parts, all of which appear at its one level.
type pm2Env struct {
	pm2Program
	pm2Policy
	pm2Life
}

// pm2Program is what runs.
type pm2Program struct {
	Name            string   `json:"name"`
	Namespace       string   `json:"namespace"`
	Args            []string `json:"args,omitempty"`
	Env             *pm2Vars `json:"env,omitempty"` // only if asked for
	NodeArgs        []string `json:"node_args"`
	ExecPath        string   `json:"pm_exec_path"`
	Cwd             string   `json:"pm_cwd"`
	ExecInterpreter string   `json:"exec_interpreter"` // "none" if the program runs by itself
	ExecMode        string   `json:"exec_mode"`        // "fork_mode" or "cluster_mode"
	Instances       int      `json:"instances"`
	OutLog          string   `json:"pm_out_log_path"`
	ErrLog          string   `json:"pm_err_log_path"`
	Log             string   `json:"pm_log_path,omitempty"`
	PIDFile         string   `json:"pm_pid_path"`
	AppInstance     int      `json:"NODE_APP_INSTANCE"`
	Version         string   `json:"version"`      // of the app: not known
	NodeVersion     string   `json:"node_version"` // not known
}

// pm2Vars is an environment; unlike a map it is shown even if empty.
type pm2Vars struct{ vars map[string]string }

// MarshalJSON writes the variables as one object.
func (v pm2Vars) MarshalJSON() ([]byte, error) {
	if v.vars == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(v.vars)
}

// pm2Policy is how it is kept up.
type pm2Policy struct {
	MergeLogs           bool   `json:"merge_logs"`
	Autorestart         bool   `json:"autorestart"`
	Watch               bool   `json:"watch"`
	InstanceVar         string `json:"instance_var"`
	Treekill            bool   `json:"treekill"`
	MaxRestarts         int    `json:"max_restarts"`
	MinUptime           int64  `json:"min_uptime"`
	RestartDelay        int64  `json:"restart_delay,omitempty"`
	ExpBackoff          int64  `json:"exp_backoff_restart_delay,omitempty"`
	StopExitCodes       []int  `json:"stop_exit_codes,omitempty"`
	KillSignal          string `json:"kill_signal"`
	KillTimeout         int64  `json:"kill_timeout"`
	ListenTimeout       int64  `json:"listen_timeout"`
	WaitReady           bool   `json:"wait_ready,omitempty"`
	ShutdownWithMessage bool   `json:"shutdown_with_message,omitempty"`
	Time                bool   `json:"time,omitempty"`
}

// pm2Life is how it fares.
type pm2Life struct {
	Status   string `json:"status"`
	Uptime   int64  `json:"pm_uptime"` // when the present process began, 0 without one
	Created  int64  `json:"created_at"`
	ID       int    `json:"pm_id"`
	Restarts int    `json:"restart_time"`
	Unstable int    `json:"unstable_restarts"`
	ExitCode *int   `json:"exit_code,omitempty"`
	// What PM2 does not have.
	ExitSignal string   `json:"exit_signal,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	Ports      []string `json:"ports,omitempty"`
}

// pm2List puts apps into PM2's shape, by id.
func pm2List(apps []api.AppInfo, env bool) []pm2Process {
	list := []pm2Process{}
	for i := range apps {
		a := &apps[i]
		for n := range a.Instances {
			s := &a.Instances[n]
			p := pm2Process{
				PID: s.PID, Name: s.Name, ID: s.ID,
				Env: pm2Env{pm2Program: pm2ProgramOf(a, s), pm2Policy: pm2PolicyOf(&a.Spec), pm2Life: pm2LifeOf(s)},
			}
			if n < len(a.PIDFiles) {
				p.Env.PIDFile = a.PIDFiles[n]
			}
			if env {
				p.Env.Env = &pm2Vars{a.Spec.Env}
			}
			if s.State == app.Online {
				p.Monit = pm2Load{Memory: s.MemoryBytes, CPU: s.CPU}
			}
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b pm2Process) int { return a.ID - b.ID })
	return list
}

func pm2ProgramOf(a *api.AppInfo, s *app.Status) pm2Program {
	spec := &a.Spec
	p := pm2Program{
		Name: s.Name, Namespace: spec.Namespace, Args: spec.Args, NodeArgs: spec.InterpreterArgs,
		ExecPath: spec.Exec, Cwd: spec.Cwd, ExecInterpreter: spec.Interpreter,
		ExecMode: string(spec.Mode) + "_mode", Instances: spec.Instances,
		OutLog: s.OutFile, ErrLog: s.ErrFile, Log: s.LogFile, AppInstance: s.Index,
		Version: "N/A", NodeVersion: "N/A",
	}
	if p.Namespace == "" {
		p.Namespace = "default"
	}
	if p.ExecInterpreter == "" {
		p.ExecInterpreter = "none"
	}
	if p.NodeArgs == nil {
		p.NodeArgs = []string{}
	}
	return p
}

func pm2PolicyOf(s *app.Spec) pm2Policy {
	p := pm2Policy{
		MergeLogs: s.MergeLogs, Autorestart: !s.NoAutorestart, InstanceVar: s.InstanceVar, Treekill: !s.NoTreekill,
		MaxRestarts: s.MaxRestarts, MinUptime: millis(s.MinUptime), RestartDelay: millis(s.RestartDelay),
		ExpBackoff: millis(s.ExpBackoff), StopExitCodes: s.StopExitCodes, KillSignal: s.KillSignal,
		KillTimeout: millis(s.KillTimeout), ListenTimeout: millis(s.ListenTimeout), WaitReady: s.WaitReady,
		ShutdownWithMessage: s.ShutdownWithMessage, Time: s.LogTime,
	}
	if p.InstanceVar == "" {
		p.InstanceVar = "NODE_APP_INSTANCE"
	}
	return p
}

func pm2LifeOf(s *app.Status) pm2Life {
	l := pm2Life{
		Status: string(s.State), Uptime: moment(s.StartedAt), Created: moment(s.CreatedAt), ID: s.ID,
		Restarts: s.Restarts, Unstable: s.Unstable, Reason: s.Reason, Ports: s.Ports,
	}
	if s.State == app.Waiting {
		l.Status = "waiting restart"
	}
	if e := s.LastExit; e != nil {
		code := max(e.Code, 0) // PM2 says 0 where a signal ended it
		l.ExitCode, l.ExitSignal = &code, e.Signal
	}
	return l
}

func millis(d app.Duration) int64 { return time.Duration(d).Milliseconds() }

func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
