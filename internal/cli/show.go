package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"paceline/internal/api"
	"paceline/internal/app"
)

func (c *cli) showCommand() *cobra.Command {
	var showEnv bool
	cmd := &cobra.Command{
		Use:     "show target...",
		Aliases: []string{"describe", "desc", "info"},
		Short:   "Tell everything about an app, and why it died",
		Long: `show prints how an app is configured, and of each instance how it fares: how the
last process ended and what it wrote last to stderr, restarts, when the next one
comes, what it waits for, what its health checks say, ports and log files. The
values of the environment, which may be secrets, are hidden unless --show-env asks
for them.

Under the name pm2 it prints PM2's box of facts, unless --show-env is given.`,
		Example: `  pace show api
  pace show 3
  pace show api --show-env`,
		Args:              atLeast(1, "an app: an id or a name"),
		ValidArgsFunction: c.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.asPM2() && !showEnv {
				return c.pm2Show(cmd.Context(), args)
			}
			apps, err := c.client.Apps(cmd.Context(), api.AppsQuery{Targets: args, Env: showEnv})
			if err != nil {
				return err
			}
			if len(apps) == 0 {
				return errors.New("there are no apps; to start one: pace start server.js")
			}
			for i := range apps {
				if i > 0 {
					c.printf("\n")
				}
				c.show(&apps[i], showEnv)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&showEnv, "show-env", false, "with the values of the environment, which may be secrets")
	return cmd
}

// show prints one app and its instances.
func (c *cli) show(a *api.AppInfo, env bool) {
	c.printf("%s\n", c.look.paint(bold, a.Spec.Name))
	c.fields(append(appFields(&a.Spec), moreFields(&a.Spec, c.Now())...))
	c.environment(a, env)
	for i := range a.Instances {
		s := &a.Instances[i]
		c.printf("\n%s %s\n", c.look.paint(bold, fmt.Sprintf("%s, instance %d", s.Name, s.ID)),
			c.look.paint(stateColour(s.State), string(s.State)))
		pidFile := ""
		if i < len(a.PIDFiles) {
			pidFile = a.PIDFiles[i]
		}
		c.fields(instanceFields(s, pidFile, c.Now()))
		if s.LastExit != nil && len(s.LastExit.Stderr) > 0 {
			c.printf("  %s\n", c.look.paint(dim, "last lines on stderr"))
			for _, line := range s.LastExit.Stderr {
				c.printf("    %s %s\n", c.look.paint(red, "|"), printable(line))
			}
		}
	}
}

// environment prints the variables, their values only if wanted.
func (c *cli) environment(a *api.AppInfo, values bool) {
	if values {
		c.printf("  %s\n", c.look.paint(dim, "environment"))
		for _, name := range slices.Sorted(maps.Keys(a.Spec.Env)) {
			c.printf("    %s=%s\n", name, oneLine(a.Spec.Env[name]))
		}
		return
	}
	if len(a.EnvNames) > 0 {
		c.printf("  %s\n", c.look.paint(dim, "environment (--show-env shows the values)"))
	}
	for _, name := range a.EnvNames {
		c.printf("    %s=***\n", name)
	}
}

// appFields lists what is configured.
func appFields(s *app.Spec) [][2]string {
	var f [][2]string
	add := func(name, value string) {
		if value != "" {
			f = append(f, [2]string{name, value})
		}
	}
	duration := func(d app.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	if s.Namespace != "default" {
		add("namespace", s.Namespace)
	}
	add("script", s.Exec)
	add("args", words(s.Args))
	interpreter := s.Interpreter
	if interpreter == "" {
		interpreter = "none"
	}
	add("interpreter", interpreter)
	add("interpreter args", words(s.InterpreterArgs))
	add("wrapper", s.Wrapper)
	add("cwd", s.Cwd)
	add("mode", string(s.Mode))
	add("balance", string(s.Balance))
	add("sockets", strings.Join(s.Sockets, ", "))
	add("instances", strconv.Itoa(s.Instances))
	restart := fmt.Sprintf("until %s in a row, each below %s of uptime", count(s.MaxRestarts, "failure"), s.MinUptime)
	switch {
	case s.Job != "":
		restart = "no, it is a job"
	case s.NoAutorestart:
		restart = "no"
	case s.NoRetry:
		restart += "; not tried again later"
	}
	add("autorestart", restart)
	add("restart delay", duration(s.RestartDelay))
	add("exp backoff", duration(s.ExpBackoff))
	add("stop exit codes", strings.Trim(fmt.Sprint(s.StopExitCodes), "[]"))
	stop := s.KillSignal
	if s.ShutdownWithMessage {
		stop = `the message "shutdown"`
	}
	stop += fmt.Sprintf(", SIGKILL after %s", s.KillTimeout)
	if s.NoTreekill {
		stop += ", the process alone"
	}
	add("stop", stop)
	ready := fmt.Sprintf("within %s", s.ListenTimeout)
	if s.WaitReady {
		ready = "at its 'ready' message, " + ready
	}
	add("ready", ready)
	add("logs go to", s.LogForward)
	add("log form", logForm(s))
	return f
}

// logForm says how the lines of an app are written, if not as they come.
func logForm(s *app.Spec) string {
	date := s.LogDateFormat
	if date == "" && s.LogTime {
		date = "YYYY-MM-DDTHH:mm:ss"
	}
	switch {
	case s.DisableLogs:
		return "nothing is stored"
	case s.LogJSON && date != "":
		return "JSON, with times as " + date
	case s.LogJSON:
		return "JSON"
	case date != "":
		return "times as " + date
	}
	return ""
}

// instanceFields lists how an instance fares.
func instanceFields(s *app.Status, pidFile string, now time.Time) [][2]string {
	var f [][2]string
	add := func(name, value string) {
		if value != "" {
			f = append(f, [2]string{name, value})
		}
	}
	add("reason", oneLine(s.Reason))
	if s.PID != 0 {
		add("pid", strconv.Itoa(s.PID))
		if !s.StartedAt.IsZero() {
			add("uptime", uptime(now.Sub(s.StartedAt))+", since "+clock(s.StartedAt, now))
		}
		add("cpu, memory", percent(s.CPU)+", "+memory(s.MemoryBytes))
		ready := "no"
		if s.Ready {
			ready = "yes"
		}
		if s.OutOfRotation {
			ready += ", out of rotation"
		}
		add("ready", ready)
		for _, c := range s.Checks {
			add(c.Name, oneLine(answered(c, now)))
		}
	}
	add("listens on", strings.Join(s.Ports, ", "))
	balance := string(s.Balance)
	if s.Mechanism != "" {
		balance += " by " + s.Mechanism
	}
	add("balance", balance)
	add("because", oneLine(s.BalanceReason))
	for _, note := range s.Notes {
		add("note", oneLine(note))
	}
	restarts := strconv.Itoa(s.Restarts)
	if s.Unstable > 0 {
		restarts += fmt.Sprintf(", %d of them fast failures in a row", s.Unstable)
	}
	add("restarts", restarts)
	if s.Draining {
		add("draining", "an older process still finishes its requests")
	}
	if e := s.LastExit; e != nil {
		add("last exit", lastExit(e, now))
	}
	if !s.NextRestart.IsZero() && (s.State == app.Waiting || s.State == app.Errored) {
		add("next start", fmt.Sprintf("%s, in %s", clock(s.NextRestart, now), s.NextRestart.Sub(now).Round(100*time.Millisecond)))
	}
	if !s.CreatedAt.IsZero() {
		add("created", clock(s.CreatedAt, now))
	}
	for i, m := range s.Metrics {
		name := "metrics"
		if i > 0 {
			name = ""
		}
		f = append(f, [2]string{name, oneLine(strings.TrimSpace(m.Name + ": " + m.Value + " " + m.Unit))})
	}
	add("actions", oneLine(strings.Join(s.Actions, ", ")))
	add("out log", s.OutFile)
	add("error log", s.ErrFile)
	add("combined log", s.LogFile)
	add("pid file", pidFile)
	return f
}

// lastExit says how a process ended, when, and how long it had run.
func lastExit(e *app.Exit, now time.Time) string {
	text := oneLine(e.String())
	if e.Wanted {
		text += ", as asked"
	}
	if !e.At.IsZero() {
		text += fmt.Sprintf(", at %s (%s ago)", clock(e.At, now), uptime(now.Sub(e.At)))
	}
	if e.Uptime > 0 {
		text += fmt.Sprintf(", after %s", time.Duration(e.Uptime).Round(time.Millisecond))
	}
	if e.PID != 0 {
		text += fmt.Sprintf(", pid %d", e.PID)
	}
	return text
}

// words writes arguments so that a shell would read them back.
func words(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\$&|;<>()*?[]#~`!{}") {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return oneLine(strings.Join(quoted, " "))
}
