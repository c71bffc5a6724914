package ecosystem

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paceline/internal/app"
	"paceline/internal/dayjs"
	"paceline/internal/dotenv"
	"paceline/internal/schedule"
)

// times reads the flags with cron patterns.
func times(o *StartOptions, spec *app.Spec) error {
	for _, f := range []struct {
		flag, text string
		into       *string
	}{
		{"--cron-restart", o.Restart.Cron, &spec.CronRestart},
		{"--schedule", o.Restart.Schedule, &spec.Job},
	} {
		pattern := strings.TrimSpace(f.text)
		if pattern == "" || pattern == "0" {
			continue
		}
		if _, err := schedule.Parse(pattern); err != nil {
			return fmt.Errorf("%s %q: %w", f.flag, pattern, err)
		}
		*f.into = pattern
	}
	return nil
}

// limits reads the flags on memory and CPU.
func limits(o *StartOptions, spec *app.Spec) error {
	if text := o.Restart.MaxMemory; text != "" {
		n, ok := parseSize(text)
		if !ok {
			return flagError("--max-memory-restart", text, "a size such as 300M, 1G, 500K or bytes")
		}
		spec.MaxMemoryBytes = n
	}
	var l app.Limits
	if text := o.Limits.Memory; text != "" {
		n, ok := parseSize(text)
		if !ok {
			return flagError("--limit-memory", text, "a size such as 512M or 1G")
		}
		l.MemoryBytes = n
	}
	if text := o.Limits.CPU; text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if percent, ok := strings.CutSuffix(text, "%"); ok {
			n, err = strconv.ParseFloat(percent, 64)
			n /= 100
		}
		if err != nil || !(n == 0 || n >= 0.01 && n <= app.MaxInstances) {
			return flagError("--limit-cpu", text, "cores, such as 0.5, 2 or 50%")
		}
		l.CPU = n
	}
	if text := o.Limits.Pids; text != "" {
		n, err := count("limits.pids", text)
		if err != nil {
			return err
		}
		l.Pids = n
	}
	if l != (app.Limits{}) {
		spec.Limits = &l
	}
	return nil
}

// logFormat reads how lines are written.
func logFormat(o *StartOptions, spec *app.Spec) error {
	spec.LogDateFormat, spec.DisableLogs = o.Log.DateFormat, o.Log.Disable
	switch strings.ToLower(o.Log.Type) {
	case "", "raw":
	case "json":
		spec.LogJSON = true
	default:
		return flagError("--log-type", o.Log.Type, "json or raw")
	}
	if spec.LogDateFormat != "" {
		if _, err := dayjs.Parse(spec.LogDateFormat); err != nil {
			return fmt.Errorf("--log-date-format: %w", err)
		}
		spec.LogTime = true
	}
	return nil
}

// relations reads what an app has to do with others, and its variables' names.
func relations(o *StartOptions, spec *app.Spec) error {
	for _, text := range o.DependsOn {
		d := ParseDependency(text)
		if err := app.ValidName(d.App); err != nil {
			return flagError("--depends-on", text, "the name of an app, or NAME:started, NAME:ready or NAME:completed")
		}
		spec.DependsOn = append(spec.DependsOn, d)
	}
	if o.IncrementVar != "" && !validVariable(o.IncrementVar) {
		return flagError("increment_var", o.IncrementVar, "the name of a variable, e.g. PORT")
	}
	spec.IncrementVar, spec.EnvName, spec.Source = o.IncrementVar, o.EnvName, o.Source
	spec.FilterEnv = slices.Clone(o.FilterEnv)
	spec.Health, spec.Hooks = o.Health, o.Hooks
	spec.OnHang = app.HangPolicy(o.OnHang)
	if o.HangAfter != "" {
		d, err := app.ParseDuration(o.HangAfter)
		if err != nil {
			return flagError("hang_after", o.HangAfter, "a duration such as 10s")
		}
		spec.HangAfter = d
	}
	spec.PostUpdate = o.PostUpdate
	return nil
}

// ParseDependency reads "db" or "db:started"; ready is what an app waits for unless
// it says something else. The name is not checked.
func ParseDependency(text string) app.Dependency {
	if i := strings.LastIndexByte(text, ':'); i > 0 {
		if c := app.Condition(text[i+1:]); slices.Contains(app.Conditions(), c) {
			return app.Dependency{App: text[:i], Condition: c}
		}
	}
	return app.Dependency{App: text, Condition: app.DependReady}
}

// watch resolves the paths of --watch below cwd.
func watch(o *StartOptions, cwd string, spec *app.Spec) error {
	w := &o.Watch
	if !w.On && len(w.Paths) == 0 {
		return nil
	}
	rule := app.Watch{}
	for _, p := range w.Paths {
		if p != "" {
			rule.Paths = append(rule.Paths, join(cwd, p))
		}
	}
	if w.IgnoreSet || len(w.Ignore) > 0 {
		rule.Ignore = append([]string{}, w.Ignore...)
	}
	if w.Delay != "" {
		d, err := app.ParseDuration(w.Delay)
		if err != nil || d < 0 {
			return flagError("--watch-delay", w.Delay, "a duration such as 500ms or 2s")
		}
		rule.Delay = d
	}
	spec.Watch = &rule
	return nil
}

// envFiles resolves the .env files below cwd. They are read when a process starts;
// here they have to be there.
func envFiles(o *StartOptions, cwd string, spec *app.Spec) error {
	for _, name := range o.EnvFiles {
		file := join(cwd, name)
		if err := readableFile(file); err != nil {
			return fmt.Errorf("--env-file %q: %w", name, err)
		}
		if _, err := dotenv.Read(file); err != nil {
			return fmt.Errorf("--env-file %q: %w", name, err)
		}
		spec.EnvFiles = append(spec.EnvFiles, file)
	}
	return nil
}

// defaultLog names the combined log file of an app in dir.
func defaultLog(dir, name string) string {
	return filepath.Join(dir, logWord(name)+".log")
}

// logWord makes a file's name of an app's, as PM2 does.
func logWord(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '\\':
			return r
		}
		return '-'
	}, name)
}
