package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
)

// originFields lists where an app comes from, and what it runs as.
func originFields(s *app.Spec, add func(name, value string)) {
	source := s.Source
	if source != "" && s.EnvName != "" {
		source += ", --env " + s.EnvName
	}
	add("app file", source)
	add("user", userText(s.User))
	add("env files", strings.Join(s.EnvFiles, ", "))
	add("not inherited", filterText(s.FilterEnv))
	add("increment var", s.IncrementVar)
	add("instance var", s.InstanceVar)
}

// triggerFields lists what starts, restarts or bounds an app.
func triggerFields(s *app.Spec, add func(name, value string)) {
	add("depends on", dependsText(s.DependsOn))
	for _, name := range slices.Sorted(maps.Keys(s.Health.Checks())) {
		add(name+" check", checkText(s.Health.Checks()[name]))
	}
	add("watch", watchText(s))
	add("cron restart", s.CronRestart)
	add("job", s.Job)
	if s.MaxMemoryBytes > 0 {
		add("memory bound", memory(uint64(s.MaxMemoryBytes))+", reloaded above it")
	}
	add("limits", limitsText(s.Limits))
}

func userText(u *app.User) string {
	if u == nil {
		return ""
	}
	text := fmt.Sprintf("uid %d, gid %d", u.UID, u.GID)
	if u.Name != "" {
		text = u.Name + ", " + text
	}
	if len(u.Groups) > 0 {
		text += ", groups " + strings.Trim(fmt.Sprint(u.Groups), "[]")
	}
	return text
}

func filterText(words []string) string {
	if len(words) == 1 && words[0] == "*" {
		return "everything"
	}
	return strings.Join(words, ", ")
}

// dependsText is "db (ready), migrate (completed)".
func dependsText(list []app.Dependency) string {
	words := make([]string, len(list))
	for i, d := range list {
		words[i] = fmt.Sprintf("%s (%s)", d.App, d.Condition)
	}
	return strings.Join(words, ", ")
}

func checkText(c *app.HealthCheck) string {
	what := c.HTTP
	switch {
	case c.TCP != "":
		what = "tcp " + c.TCP
	case len(c.Exec) > 0:
		what = "exec " + words(c.Exec)
	}
	text := fmt.Sprintf("%s every %s, within %s, fails after %d", what, c.Interval, c.Timeout, c.Retries)
	if c.Delay > 0 {
		text += fmt.Sprintf(", first after %s", c.Delay)
	}
	return text
}

func watchText(s *app.Spec) string {
	w := s.Watch
	if w == nil {
		return ""
	}
	text := strings.Join(w.Paths, ", ")
	if text == "" {
		text = s.Cwd
	}
	switch {
	case w.Ignore == nil:
		text += ", but not dotfiles and node_modules"
	case len(w.Ignore) > 0:
		text += ", but not " + strings.Join(w.Ignore, ", ")
	}
	if w.Delay > 0 {
		text += fmt.Sprintf(", %s after a change", w.Delay)
	}
	if w.Off {
		text += " (off at present)"
	}
	return text
}

func limitsText(l *app.Limits) string {
	if l == nil {
		return ""
	}
	var parts []string
	if l.MemoryBytes > 0 {
		parts = append(parts, "memory "+memory(uint64(l.MemoryBytes)))
	}
	if l.CPU > 0 {
		parts = append(parts, "cpu "+strconv.FormatFloat(l.CPU, 'f', -1, 64))
	}
	if l.Pids > 0 {
		parts = append(parts, "pids "+strconv.Itoa(l.Pids))
	}
	return strings.Join(parts, ", ")
}

// timeFields lists when something is to happen to an instance.
func timeFields(s *app.Status, now time.Time, add func(name, value string)) {
	when := func(t time.Time) string {
		return fmt.Sprintf("%s, in %s", clock(t, now), t.Sub(now).Round(100*time.Millisecond))
	}
	if !s.NextRestart.IsZero() && (s.State == app.Waiting || s.State == app.Errored) {
		add("next start", when(s.NextRestart))
	}
	if !s.NextRun.IsZero() {
		add("next run", when(s.NextRun))
	}
}

// checkFields lists what an instance's health checks have said last.
func checkFields(s *app.Status, now time.Time, add func(name, value string)) {
	for _, c := range s.Checks {
		text := "passes"
		if !c.OK {
			text = "fails: " + oneLine(c.Why)
		}
		add(c.Name, text+", since "+clock(c.At, now))
	}
}
