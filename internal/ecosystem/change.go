package ecosystem

import (
	"fmt"
	"maps"
	"slices"

	"paceline/internal/app"
)

// changers take over from a spec that was made of options what one option says, by
// the option's name.
var changers = map[string]func(to, from *app.Spec){
	"namespace":                 func(to, from *app.Spec) { to.Namespace = from.Namespace },
	"instances":                 func(to, from *app.Spec) { to.Instances = from.Instances },
	"balance":                   func(to, from *app.Spec) { to.Balance = from.Balance },
	"socket":                    func(to, from *app.Spec) { to.Sockets = from.Sockets },
	"instance-var":              func(to, from *app.Spec) { to.InstanceVar = from.InstanceVar },
	"no-autorestart":            func(to, from *app.Spec) { to.NoAutorestart = from.NoAutorestart },
	"no-autostart":              func(to, from *app.Spec) { to.NoAutostart = from.NoAutostart },
	"no-retry":                  func(to, from *app.Spec) { to.NoRetry = from.NoRetry },
	"max-restarts":              func(to, from *app.Spec) { to.MaxRestarts = from.MaxRestarts },
	"min-uptime":                func(to, from *app.Spec) { to.MinUptime = from.MinUptime },
	"restart-delay":             func(to, from *app.Spec) { to.RestartDelay = from.RestartDelay },
	"exp-backoff-restart-delay": func(to, from *app.Spec) { to.ExpBackoff = from.ExpBackoff },
	"stop-exit-codes":           func(to, from *app.Spec) { to.StopExitCodes = from.StopExitCodes },
	"max-memory-restart":        func(to, from *app.Spec) { to.MaxMemoryBytes = from.MaxMemoryBytes },
	"cron":                      func(to, from *app.Spec) { to.CronRestart = from.CronRestart },
	"cron-restart":              func(to, from *app.Spec) { to.CronRestart = from.CronRestart },
	"kill-signal":               func(to, from *app.Spec) { to.KillSignal = from.KillSignal },
	"kill-timeout":              func(to, from *app.Spec) { to.KillTimeout = from.KillTimeout },
	"no-treekill":               func(to, from *app.Spec) { to.NoTreekill = from.NoTreekill },
	"shutdown-with-message":     func(to, from *app.Spec) { to.ShutdownWithMessage = from.ShutdownWithMessage },
	"wait-ready":                func(to, from *app.Spec) { to.WaitReady = from.WaitReady },
	"listen-timeout":            func(to, from *app.Spec) { to.ListenTimeout = from.ListenTimeout },
	"output":                    func(to, from *app.Spec) { to.OutFile = from.OutFile },
	"error":                     func(to, from *app.Spec) { to.ErrFile = from.ErrFile },
	"log":                       func(to, from *app.Spec) { to.LogFile = from.LogFile },
	"pid":                       func(to, from *app.Spec) { to.PIDFile = from.PIDFile },
	"merge-logs":                func(to, from *app.Spec) { to.MergeLogs = from.MergeLogs },
	"time":                      func(to, from *app.Spec) { to.LogTime = from.LogTime },
	"log-date-format":           func(to, from *app.Spec) { to.LogDateFormat, to.LogTime = from.LogDateFormat, from.LogTime },
	"log-type":                  func(to, from *app.Spec) { to.LogJSON = from.LogJSON },
	"disable-logs":              func(to, from *app.Spec) { to.DisableLogs = from.DisableLogs },
	"log-max-size":              func(to, from *app.Spec) { to.LogMaxBytes = from.LogMaxBytes },
	"log-keep":                  func(to, from *app.Spec) { to.LogKeep = from.LogKeep },
	"log-forward":               func(to, from *app.Spec) { to.LogForward = from.LogForward },
	"depends-on":                func(to, from *app.Spec) { to.DependsOn = from.DependsOn },
	"limit-memory":              func(to, from *app.Spec) { limit(to, from, func(t, f *app.Limits) { t.MemoryBytes = f.MemoryBytes }) },
	"limit-cpu":                 func(to, from *app.Spec) { limit(to, from, func(t, f *app.Limits) { t.CPU = f.CPU }) },
	"env-file":                  func(to, from *app.Spec) { to.EnvFiles = from.EnvFiles },
	"watch-delay":               func(to, from *app.Spec) { rule(to, from, func(t, f *app.Watch) { t.Delay = f.Delay }) },
	"ignore-watch":              func(to, from *app.Spec) { rule(to, from, func(t, f *app.Watch) { t.Ignore = f.Ignore }) },
}

// limit changes one of the limits, of which there may be none before or after.
func limit(to, from *app.Spec, take func(to, from *app.Limits)) {
	var was, is app.Limits
	if to.Limits != nil {
		was = *to.Limits
	}
	if from.Limits != nil {
		is = *from.Limits
	}
	take(&was, &is)
	if to.Limits = &was; was == (app.Limits{}) {
		to.Limits = nil
	}
}

// rule changes how an app is watched, if it is at all.
func rule(to, from *app.Spec, take func(to, from *app.Watch)) {
	if to.Watch == nil || from.Watch == nil {
		return
	}
	w := *to.Watch
	take(&w, from.Watch)
	to.Watch = &w
}

// Change brings the options that are given, by their names without dashes, into the
// spec of an app that exists; options that are not among them stay as they are. An
// option whose text is empty goes back to its default. Args, if not nil, are the new
// arguments. It is an error if an option cannot be changed, or its value is bad: spec
// is not touched then.
func Change(spec *app.Spec, o StartOptions, given []string) error {
	if o.lookups == nil {
		o.lookups = newLookups()
	}
	from, to := app.Defaults(), *spec
	from.Env, from.Name = map[string]string{}, spec.Name
	places := places{dir: o.Dir, cwd: spec.Cwd, path: pathOf(o.Environ), lookups: o.lookups}
	if slices.Contains(given, "cwd") {
		var err error
		if places, err = newPlaces(o.Dir, o.Cwd, places.path); err != nil {
			return err
		}
		to.Cwd = places.cwd
		to.Env = maps.Clone(to.Env)
		if to.Env == nil {
			to.Env = map[string]string{}
		}
		to.Env["PWD"] = to.Cwd
	}
	if slices.Contains(given, "ignore-watch") || slices.Contains(given, "watch-delay") {
		o.Watch.On = true // so that they are read
	}
	if err := policy(&o, &from); err != nil {
		return err
	}
	for _, read := range []func(*StartOptions, string, *app.Spec) error{logFiles, sockets, watch, envFiles} {
		if err := read(&o, to.Cwd, &from); err != nil {
			return err
		}
	}
	if o.Log.Default && o.Log.Dir != "" {
		from.LogFile = defaultLog(o.Log.Dir, spec.Name)
	}
	for _, name := range given {
		switch name {
		case "name":
			to.Name = o.Name
		case "cwd", "watch": // done above; see ToggleWatch
		case "interpreter", "interpreter-args", "node-args":
			if err := reinterpret(&to, &o, places, given); err != nil {
				return err
			}
		case "user", "uid", "gid":
			s := start{options: &o, spec: to}
			s.spec.Env = maps.Clone(to.Env)
			if err := s.runAs(); err != nil {
				return err
			}
			to.User, to.Env = s.spec.User, s.spec.Env
		default:
			change, ok := changers[name]
			if !ok {
				return fmt.Errorf("--%s cannot change %s, which exists; delete it first, or start its script with --force", name, spec.Name)
			}
			change(&to, &from)
		}
	}
	if o.Args != nil {
		to.Args = o.Args
	}
	if err := to.Validate(); err != nil {
		return err
	}
	*spec = to
	return nil
}

// UpdateEnv brings the caller's environment over that of the spec, as PM2 does:
// variables that are gone from it stay.
func UpdateEnv(spec *app.Spec, environ []string) {
	env, _ := inherit(environ, spec.FilterEnv)
	delete(env, "PWD")
	if spec.User != nil {
		for _, name := range []string{"HOME", "USER", "LOGNAME"} {
			delete(env, name)
		}
	}
	merged := maps.Clone(spec.Env)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, env)
	spec.Env = merged
}

// ToggleWatch switches the watching of files on or off; with paths it is on, and
// those are watched.
func ToggleWatch(spec *app.Spec, paths []string) {
	w := app.Watch{Off: true}
	if spec.Watch != nil {
		w = *spec.Watch
	}
	if w.Off = !w.Off; len(paths) > 0 {
		w.Off, w.Paths = false, nil
		for _, p := range paths {
			w.Paths = append(w.Paths, join(spec.Cwd, p))
		}
	}
	spec.Watch = &w
}

// reinterpret changes how the script is run.
func reinterpret(to *app.Spec, o *StartOptions, p places, given []string) error {
	words, _, err := splitWords(o.InterpreterArgs)
	if err != nil {
		return flagError("--interpreter-args", o.InterpreterArgs, "words with every quote closed")
	}
	args := to.InterpreterArgs
	if slices.Contains(given, "interpreter-args") || slices.Contains(given, "node-args") {
		args = texts(words)
	}
	if o.Interpreter == "" {
		if to.Interpreter == "" && len(args) > 0 {
			return fmt.Errorf("--interpreter-args: %s runs without an interpreter", to.Name)
		}
		to.InterpreterArgs = args
		return nil
	}
	r, err := p.chosen(to.Exec, o.Interpreter, args)
	if err != nil {
		return err
	}
	r.apply(to, to.Exec)
	switch to.Runtime = ""; {
	case r.interpreter != "" && isNode(r.interpreter) && to.Wrapper == "":
		to.Runtime = app.RuntimeNode
	case r.interpreter == "" && usesSDK(to.Exec):
		to.Runtime = app.RuntimeSDK
	}
	return nil
}
