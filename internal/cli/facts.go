package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"paceline/internal/app"
	"paceline/internal/schedule"
)

// moreFields lists what of an app's configuration is there only if it was asked for.
func moreFields(s *app.Spec, now time.Time) [][2]string {
	var f [][2]string
	add := func(name, value string) {
		if value != "" {
			f = append(f, [2]string{name, oneLine(value)})
		}
	}
	if s.NoAutostart {
		add("autostart", "no")
	}
	if s.MaxMemoryBytes > 0 {
		add("memory limit", memory(uint64(s.MaxMemoryBytes))+", then it is replaced")
	}
	add("cron restart", pattern(s.CronRestart, now))
	add("job", pattern(s.Job, now))
	add("watch", watchRule(s))
	add("depends on", dependencies(s.DependsOn))
	checks := s.Health.Checks()
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		add(name+" check", asked(checks[name]))
	}
	if s.OnHang != "" || s.HangAfter != 0 {
		what := app.HangReport
		if s.OnHang != "" {
			what = s.OnHang
		}
		add("on hang", fmt.Sprintf("%s, after %s", what, s.HangLimit()))
	}
	add("limits", limits(s.Limits))
	for i := range s.Hooks {
		add("hook", hookText(&s.Hooks[i]))
	}
	if u := s.User; u != nil {
		text := fmt.Sprintf("uid %d, gid %d", u.UID, u.GID)
		if u.Name != "" {
			text = u.Name + " (" + text + ")"
		}
		if len(u.Groups) > 0 {
			text += ", groups " + strings.Trim(fmt.Sprint(u.Groups), "[]")
		}
		add("user", text)
	}
	add("env files", strings.Join(s.EnvFiles, ", "))
	add("env of the file", s.EnvName)
	add("filter env", strings.Join(s.FilterEnv, ", "))
	add("increment var", s.IncrementVar)
	add("instance var", s.InstanceVar)
	add("app file", s.Source)
	return f
}

// pattern tells when a cron pattern is next met.
func pattern(text string, now time.Time) string {
	if text == "" {
		return ""
	}
	parsed, err := schedule.Parse(text)
	if err != nil {
		return text + ": " + err.Error()
	}
	next := parsed.Next(now)
	if next.IsZero() {
		return text + ", never"
	}
	return text + ", next at " + clock(next, now)
}

func watchRule(s *app.Spec) string {
	w := s.Watch
	if w == nil {
		return ""
	}
	text := s.Cwd
	if len(w.Paths) > 0 {
		text = strings.Join(w.Paths, ", ")
	}
	switch {
	case len(w.Ignore) > 0:
		text += " without " + strings.Join(w.Ignore, ", ")
	case w.Ignore != nil:
		text += " without exception"
	}
	if w.Delay > 0 {
		text += ", after " + w.Delay.String()
	}
	if w.Off {
		text += "; switched off at present"
	}
	return text
}

func dependencies(list []app.Dependency) string {
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = d.App + " (" + string(d.Condition) + ")"
	}
	return strings.Join(texts, ", ")
}

// asked says what a check asks, and how often.
func asked(c *app.HealthCheck) string {
	what := c.HTTP
	switch {
	case c.TCP != "":
		what = "tcp " + c.TCP
	case len(c.Exec) > 0:
		what = words(c.Exec)
	}
	return fmt.Sprintf("%s every %s, fails after %d without an answer within %s", what, c.Interval, c.Retries, c.Timeout)
}

// answered says what a check has said last.
func answered(c app.Checked, now time.Time) string {
	text := "passes"
	if !c.OK {
		text = "fails: " + c.Why
	}
	return text + ", since " + clock(c.At, now)
}

func limits(l *app.Limits) string {
	if l == nil {
		return ""
	}
	var parts []string
	if l.MemoryBytes > 0 {
		parts = append(parts, "memory "+memory(uint64(l.MemoryBytes)))
	}
	if l.CPU > 0 {
		parts = append(parts, strconv.FormatFloat(l.CPU, 'g', -1, 64)+" cpu")
	}
	if l.Pids > 0 {
		parts = append(parts, strconv.Itoa(l.Pids)+" pids")
	}
	return strings.Join(parts, ", ")
}
