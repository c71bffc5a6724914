package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"paceline/internal/api"
	"paceline/internal/app"
)

func TestShowTellsWhatWasAskedFor(t *testing.T) {
	s := app.Defaults()
	s.Name, s.Exec, s.Cwd, s.NoAutostart, s.MaxMemoryBytes = "api", "/no/such/api", "/srv", true, 300<<20
	s.CronRestart, s.Source, s.EnvFiles, s.EnvName = "0 3 * * *", "/srv/ecosystem.config.js", []string{"/srv/.env"}, "production"
	s.Watch = &app.Watch{Paths: []string{"/srv/src"}, Ignore: []string{"*.log"}, Delay: app.Duration(time.Second)}
	s.DependsOn = []app.Dependency{{App: "db", Condition: app.DependReady}}
	check := app.HealthDefaults()
	check.HTTP = "http://127.0.0.1:3000/health"
	s.Health = &app.Health{Liveness: &check}
	s.Limits = &app.Limits{MemoryBytes: 1 << 30, CPU: 0.5, Pids: 100}
	s.User = &app.User{Name: "www", UID: 33, GID: 33, Groups: []uint32{33, 100}}
	s.NoRetry, s.IncrementVar, s.InstanceVar = true, "PORT", "NUMBER"
	up := app.Status{ID: 0, Name: "api", State: app.Online, PID: 7, Checks: []app.Checked{
		{Name: "liveness", Why: "exit status 1: not\nnow", At: now().Add(-time.Minute)},
		{Name: "startup", OK: true, At: now().Add(-time.Hour)},
	}}
	given := app.Status{ID: 1, Name: "api", State: app.Errored, NextRestart: now().Add(2 * time.Minute)}
	f := newFake(t, map[string]func(*http.Request) any{
		api.OpApps: give([]api.AppInfo{{Spec: s, Instances: []app.Status{up, given}}}),
	})
	for _, name := range []string{"show", "describe", "desc", "info"} {
		r := f.run(name, "api")
		for _, want := range []string{
			"autostart no", "memory limit 300mb", "cron restart 0 3 * * *, next at 2026-11-24 03:00:00",
			"watch /srv/src without *.log, after 1s", "depends on db (ready)",
			"liveness check http://127.0.0.1:3000/health every 10s, fails after 3 without an answer within 2s",
			"limits memory 1gb, 0.5 cpu, 100 pids", "user www (uid 33, gid 33)", "env files /srv/.env",
			"app file /srv/ecosystem.config.js", "env of the file production",
			"user www (uid 33, gid 33), groups 33 100", "increment var PORT", "instance var NUMBER", "not tried again later",
			"ready no liveness fails: exit status 1: not; now, since 11:59:00 startup passes, since 11:00:00",
			"next start 12:02:00, in 2m0s",
		} {
			if text := strings.Join(strings.Fields(r.stdout), " "); !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", name, want, r.stdout)
			}
		}
	}
}
