package cli

import (
	"net/http"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

// TestShowTellsWhatAFileSays: every part of an app that pm2's flags do not have.
func TestShowTellsWhatAFileSays(t *testing.T) {
	spec := app.Defaults()
	spec.Name, spec.Exec, spec.Cwd = "api", "/srv/api", "/srv"
	spec.Source, spec.EnvName, spec.EnvFiles = "/srv/ecosystem.config.js", "production", []string{"/srv/.env", "/srv/more.env"}
	spec.User = &app.User{Name: "www", UID: 33, GID: 33, Groups: []uint32{33, 100}}
	spec.FilterEnv, spec.IncrementVar, spec.InstanceVar = []string{"TOKEN", "SECRET"}, "PORT", "NUMBER"
	spec.DependsOn = []app.Dependency{{App: "db", Condition: app.DependReady}, {App: "migrate", Condition: app.DependCompleted}}
	startup, live := app.HealthDefaults(), app.HealthDefaults()
	startup.TCP, startup.Delay = "127.0.0.1:80", app.Duration(time.Second)
	live.Exec = []string{"./alive.sh", "--quick and easy"}
	spec.Health = &app.Health{Startup: &startup, Liveness: &live}
	spec.Watch = &app.Watch{Off: true, Ignore: []string{"*.tmp"}, Delay: app.Duration(time.Second)}
	spec.CronRestart, spec.MaxMemoryBytes, spec.NoRetry = "0 3 * * *", 300<<20, true
	spec.Limits = &app.Limits{MemoryBytes: 512 << 20, CPU: 0.5, Pids: 200}
	up := app.Status{
		ID: 0, Name: "api", State: app.Online, PID: 7, NextRun: now().Add(90 * time.Minute),
		Reason: "liveness check fails: exit status 1",
		Checks: []app.Checked{
			{Name: "liveness", Why: "exit status 1: not\nnow", At: now().Add(-time.Minute)},
			{Name: "startup", OK: true, At: now().Add(-time.Hour)},
		},
	}
	given := app.Status{ID: 1, Name: "api", State: app.Errored, NextRestart: now().Add(2 * time.Minute), Reason: "16 fast failures in a row"}

	job := app.Defaults()
	job.Name, job.Exec, job.Cwd, job.Job, job.FilterEnv = "backup", "/srv/backup", "/srv", "0 3 * * *", []string{"*"}
	job.User = &app.User{UID: 1000, GID: 1000}
	job.Watch = &app.Watch{Paths: []string{"/srv/src"}, Ignore: []string{}}
	rests := app.Status{ID: 2, Name: "backup", State: app.Stopped, NextRun: now().Add(time.Hour), LastExit: &app.Exit{Code: 3, At: now().Add(-time.Hour)}}

	f := newFake(t, map[string]func(*http.Request) any{api.OpApps: func(*http.Request) any {
		return []api.AppInfo{{Spec: spec, Instances: []app.Status{up, given}}, {Spec: job, Instances: []app.Status{rests}}}
	}})
	golden(t, "show_parts.txt", f.run("show", "all").stdout)
}
