package ecosystem

func programFields() []field {
	return []field{
		{
			name: "script", aliases: []string{"exec", "cmd", "command"}, group: "Program", shape: shapeText, def: "required",
			doc: "What runs: a path, a program on PATH, or a whole command line. A relative path is looked for in `cwd`, then in the folder in which pace was called, never beside the app file: write `cwd: __dirname` in JavaScript for that.",
			set: texted(func(o *StartOptions) *string { return &o.Target }),
		},
		{
			name: "name", group: "Program", shape: shapeText, flag: "--name", def: "the script's name without extension", doc: "What the app is called.",
			set: texted(func(o *StartOptions) *string { return &o.Name }),
		},
		{
			name: "name_prefix", group: "Program", shape: shapeText, def: "none", doc: "Stands before the name, with a colon between.",
			set: func(d *draft, v value) (err error) { d.prefix, err = textOf(v); return err },
		},
		{
			name: "namespace", group: "Program", shape: shapeText, flag: "--namespace", def: "default", doc: "Groups apps as a target.",
			set: texted(func(o *StartOptions) *string { return &o.Namespace }),
		},
		{
			name: "cwd", group: "Program", shape: shapeText, flag: "--cwd", def: "the folder in which pace was called", doc: "Folder in which the app runs; relative paths of the app are below it.",
			set: texted(func(o *StartOptions) *string { return &o.Cwd }),
		},
		{
			name: "args", group: "Program", shape: shapeWords, def: "none", doc: "Arguments of the script. A text is split at blanks; quotes keep words together and stay.",
			set: listed(splitQuoted, func(o *StartOptions) *[]string { return &o.Args }),
		},
		{
			name: "interpreter", aliases: []string{"exec_interpreter"}, group: "Program", shape: shapeText, flag: "--interpreter", def: "by extension and #! line", doc: "Program that runs the script; `none` runs the file itself.",
			set: texted(func(o *StartOptions) *string { return &o.Interpreter }),
		},
		{
			name: "node_args", aliases: []string{"interpreter_args", "interpreterArgs"}, group: "Program", shape: shapeWords, flag: "--interpreter-args", def: "none", doc: "Words for the interpreter, before the script.",
			set: interpreterArgs,
		},
		{
			name: "user", aliases: []string{"uid"}, group: "Program", shape: shapeText, flag: "--user", def: "the caller", doc: "Account that the app runs as, by name or number, with all its groups; needs root. HOME, USER and LOGNAME are set to match.",
			set: texted(func(o *StartOptions) *string { return &o.User }),
		},
		{
			name: "gid", group: "Program", shape: shapeText, flag: "--gid", def: "the account's", doc: "Group that the app runs as, by name or number.",
			set: texted(func(o *StartOptions) *string { return &o.GID }),
		},
	}
}

func environmentFields() []field {
	return []field{
		{
			name: "env", group: "Environment", shape: shapeEnv, def: "none", doc: "Variables. Numbers and truths become texts, objects and lists JSON. `null` leaves a variable out.",
			set: func(d *draft, v value) (err error) { d.env, err = envOf(v); return err },
		},
		{
			name: "env_file", aliases: []string{"envFile"}, group: "Environment", shape: shapeWords, flag: "--env-file", def: "none", doc: "`.env` files, read at each start of a process and kept nowhere else. A later one goes before an earlier one, `env` before all.",
			set: listed(whole, func(o *StartOptions) *[]string { return &o.EnvFiles }),
		},
		{
			name: "port", group: "Environment", shape: shapeNumber, def: "none", doc: "The variable PORT, unless `env` has one.",
			set: func(d *draft, v value) (err error) {
				if v.kind != number && v.kind != text {
					return wrongKind("a number", v)
				}
				d.port = v.text
				return nil
			},
		},
		{name: "filter_env", group: "Environment", shape: shapeSwitch, flag: "--filter-env", def: "none", doc: "What is not inherited: true for everything, or words; a variable whose name holds one is left out.", set: filterEnv},
		{
			name: "append_env_to_name", group: "Environment", shape: shapeBool, def: "false", doc: "With `--env x` the app is called name-x.",
			set: func(d *draft, v value) (err error) { d.appendEnv, err = truth(v); return err },
		},
	}
}

func instanceFields() []field {
	return []field{
		{
			name: "instances", group: "Instances", shape: shapeCount, flag: "--instances", def: "one, on its own", doc: "How many: a number, `max` or 0 for one per usable CPU, -1 for one less than that. They share what they listen on, whatever the program is.",
			set: numbered(`a number or "max"`, func(o *StartOptions) *string { return &o.Instances }),
		},
		{name: "exec_mode", group: "Instances", shape: shapeText, words: []string{"fork", "cluster", "fork_mode", "cluster_mode"}, def: "cluster if `instances` is given, else fork", doc: "Whether the instances share what they listen on.", set: execMode},
		{
			name: "execute_command", group: "Instances", shape: shapeBool, flag: "--execute-command", def: "false", doc: "The same as exec_mode fork.",
			set: func(d *draft, v value) error {
				b, err := truth(v)
				d.ForkMode = d.ForkMode || b
				return err
			},
		},
		{
			name: "balance", group: "Instances", shape: shapeText, flag: "--balance", words: []string{"round-robin", "shared", "ip-hash", "none"}, def: "round-robin where the kernel does it or the app is Node, else shared", doc: "Who gets a new connection.",
			set: texted(func(o *StartOptions) *string { return &o.Balance }),
		},
		{
			name: "instance_var", group: "Instances", shape: shapeText, flag: "--instance-var", def: "NODE_APP_INSTANCE", doc: "Variable that tells an instance its number.",
			set: texted(func(o *StartOptions) *string { return &o.InstanceVar }),
		},
		{
			name: "increment_var", group: "Instances", shape: shapeText, def: "none", doc: "Variable of `env` that grows by one per instance.",
			set: texted(func(o *StartOptions) *string { return &o.IncrementVar }),
		},
		{
			name: "sockets", aliases: []string{"socket"}, group: "Instances", shape: shapeWords, flag: "--socket", def: "none", doc: "Addresses that Paceline opens and hands over as LISTEN_FDS: 8080, 127.0.0.1:8080, /run/x.sock, @abstract, with NAME= before it for LISTEN_FDNAMES.",
			set: listed(splitQuoted, func(o *StartOptions) *[]string { return &o.Sockets }),
		},
	}
}

func restartFields() []field {
	return []field{
		{
			name: "autostart", group: "Restarts", shape: shapeBool, flag: "--no-autostart", def: "true", doc: "false lists the app as stopped at first.",
			set: switched(false, func(o *StartOptions) *bool { return &o.Restart.NoAutostart }),
		},
		{
			name: "autorestart", group: "Restarts", shape: shapeBool, flag: "--no-autorestart", def: "true", doc: "Start it again when it ends.",
			set: switched(false, func(o *StartOptions) *bool { return &o.Restart.NoAutorestart }),
		},
		{
			name: "max_restarts", group: "Restarts", shape: shapeNumber, flag: "--max-restarts", def: "16", doc: "Fast failures in a row after which it is errored.",
			set: numbered("a number", func(o *StartOptions) *string { return &o.Restart.MaxRestarts }),
		},
		{
			name: "min_uptime", group: "Restarts", shape: shapeDuration, flag: "--min-uptime", def: "1s", doc: "A shorter life is a fast failure.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Restart.MinUptime }),
		},
		{
			name: "restart_delay", group: "Restarts", shape: shapeDuration, flag: "--restart-delay", def: "0", doc: "Wait before each restart.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Restart.Delay }),
		},
		{
			name: "exp_backoff_restart_delay", group: "Restarts", shape: shapeDuration, flag: "--exp-backoff-restart-delay", def: "0: none", doc: "First wait; grows by half with each failure, to 15 s.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Restart.ExpBackoff }),
		},
		{name: "stop_exit_codes", group: "Restarts", shape: shapeNumbers, flag: "--stop-exit-codes", def: "none", doc: "Exit codes that mean done: no restart.", set: exitCodesOf},
		{
			name: "retry", group: "Restarts", shape: shapeBool, flag: "--no-retry", def: "true", doc: "An errored app is tried again every few minutes; false leaves it.",
			set: switched(false, func(o *StartOptions) *bool { return &o.Restart.NoRetry }),
		},
		{
			name: "max_memory_restart", group: "Restarts", shape: shapeSize, flag: "--max-memory-restart", def: "none", doc: "Memory of an instance's process tree above which it is reloaded.",
			set: numbered("a size such as 300M", func(o *StartOptions) *string { return &o.Restart.MaxMemory }),
		},
		{name: "cron_restart", aliases: []string{"cron"}, group: "Restarts", shape: shapeText, flag: "--cron-restart", def: "none", doc: "Cron pattern, seconds allowed: what runs is restarted then. 0 is none.", set: cronRestart},
		{
			name: "schedule", aliases: []string{"job"}, group: "Restarts", shape: shapeText, flag: "--schedule", def: "none", doc: "Cron pattern that makes the app a job: run once each time, never twice at once. Apps under `jobs:` need it.",
			set: texted(func(o *StartOptions) *string { return &o.Restart.Schedule }),
		},
		{name: "watch", group: "Restarts", shape: shapeSwitch, flag: "--watch", def: "false", doc: "Restart when files change: true for everything in `cwd`, or files, folders and globs.", set: watchPaths},
		{name: "ignore_watch", group: "Restarts", shape: shapeWords, flag: "--ignore-watch", def: "dotfiles and node_modules", doc: "What `watch` leaves out: names, globs and /regular expressions/.", set: ignoreWatch},
		{
			name: "watch_delay", group: "Restarts", shape: shapeDuration, flag: "--watch-delay", def: "0", doc: "From the change to the restart.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Watch.Delay }),
		},
	}
}

func stopFields() []field {
	return []field{
		{
			name: "kill_signal", group: "Ready and stop", shape: shapeText, flag: "--kill-signal", def: "SIGINT", doc: "Signal that asks it to end.",
			set: texted(func(o *StartOptions) *string { return &o.Stop.KillSignal }),
		},
		{
			name: "kill_timeout", group: "Ready and stop", shape: shapeDuration, flag: "--kill-timeout", def: "1.6s", doc: "From that signal to SIGKILL.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Stop.KillTimeout }),
		},
		{
			name: "treekill", group: "Ready and stop", shape: shapeBool, flag: "--no-treekill", def: "true", doc: "End its descendants as well.",
			set: switched(false, func(o *StartOptions) *bool { return &o.Stop.NoTreekill }),
		},
		{
			name: "shutdown_with_message", group: "Ready and stop", shape: shapeBool, flag: "--shutdown-with-message", def: "false", doc: "Node: send the message \"shutdown\" instead of the signal.",
			set: switched(true, func(o *StartOptions) *bool { return &o.Stop.ShutdownWithMessage }),
		},
		{
			name: "wait_ready", group: "Ready and stop", shape: shapeBool, flag: "--wait-ready", def: "false", doc: "Node: ready only at process.send('ready').",
			set: switched(true, func(o *StartOptions) *bool { return &o.Stop.WaitReady }),
		},
		{
			name: "listen_timeout", group: "Ready and stop", shape: shapeDuration, flag: "--listen-timeout", def: "3s", doc: "How long it may take to be ready.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.Stop.ListenTimeout }),
		},
		{name: "health", group: "Ready and stop", shape: shapeObject, def: "none", doc: "Checks: `startup`, `readiness` and `liveness`, each with one of `http`, `tcp`, `exec`, and `interval` (10s), `timeout` (2s), `delay` (0), `retries` (3). Without those three words it is the readiness check.", set: health},
		{
			name: "on_hang", group: "Ready and stop", shape: shapeText, words: []string{"report", "replace"}, def: "report", doc: "What is done about an instance that accepts no connections for `hang_after` although some wait: a report of what it is doing, or also a successor in its place.",
			set: texted(func(o *StartOptions) *string { return &o.OnHang }),
		},
		{
			name: "hang_after", group: "Ready and stop", shape: shapeDuration, def: "10s", doc: "How long that is, at least 1s.",
			set: numbered("a duration", func(o *StartOptions) *string { return &o.HangAfter }),
		},
	}
}

func logFields() []field {
	return []field{
		{
			name: "out_file", aliases: []string{"out", "output", "out_log"}, group: "Logs", shape: shapeText, flag: "--output", def: "in Paceline's home", doc: "File for standard output; NULL for none.",
			set: texted(func(o *StartOptions) *string { return &o.Log.Out }),
		},
		{
			name: "error_file", aliases: []string{"error", "err", "err_file", "err_log"}, group: "Logs", shape: shapeText, flag: "--error", def: "in Paceline's home", doc: "File for standard error; NULL for none.",
			set: texted(func(o *StartOptions) *string { return &o.Log.Err }),
		},
		{name: "log_file", aliases: []string{"log"}, group: "Logs", shape: shapeLog, flag: "--log", def: "none", doc: "File for both streams, as well; true for name.log in Paceline's home.", set: logFile},
		{
			name: "pid_file", aliases: []string{"pid"}, group: "Logs", shape: shapeText, flag: "--pid", def: "in Paceline's home", doc: "File with the process's number; the instance's id goes before its extension.",
			set: texted(func(o *StartOptions) *string { return &o.Log.PID }),
		},
		{
			name: "merge_logs", aliases: []string{"combine_logs"}, group: "Logs", shape: shapeBool, flag: "--merge-logs", def: "false", doc: "One file for all instances, not one for each id.",
			set: switched(true, func(o *StartOptions) *bool { return &o.Log.Merge }),
		},
		{
			name: "disable_logs", group: "Logs", shape: shapeBool, flag: "--disable-logs", def: "false", doc: "Store nothing.",
			set: switched(true, func(o *StartOptions) *bool { return &o.Log.Disable }),
		},
		{
			name: "log_type", group: "Logs", shape: shapeText, flag: "--log-type", words: []string{"json", "raw"}, def: "raw", doc: "json writes an object per line.",
			set: texted(func(o *StartOptions) *string { return &o.Log.Type }),
		},
		{
			name: "log_date_format", group: "Logs", shape: shapeText, flag: "--log-date-format", def: "none", doc: "Write the time before each line, in the tokens of day.js: `YYYY-MM-DD HH:mm:ss`.",
			set: func(d *draft, v value) error {
				if b, err := truth(v); err == nil {
					d.Log.Time = d.Log.Time || b
					return nil
				}
				return texted(func(o *StartOptions) *string { return &o.Log.DateFormat })(d, v)
			},
		},
		{
			name: "time", group: "Logs", shape: shapeBool, flag: "--time", def: "false", doc: "Write the time before each line.",
			set: func(d *draft, v value) error {
				b, err := truth(v)
				d.Log.Time = d.Log.Time || b
				return err
			},
		},
		{
			name: "log_max_size", group: "Logs", shape: shapeSize, flag: "--log-max-size", def: "10M", doc: "Size at which a log file is rotated; off for never.",
			set: numbered("a size such as 10M", func(o *StartOptions) *string { return &o.Log.MaxSize }),
		},
		{
			name: "log_keep", group: "Logs", shape: shapeNumber, flag: "--log-keep", def: "10", doc: "How many rotated files stay.",
			set: numbered("a number", func(o *StartOptions) *string { return &o.Log.Keep }),
		},
		{
			name: "log_forward", group: "Logs", shape: shapeText, flag: "--log-forward", def: "none", doc: "Send each line on as well: `journald`, `syslog`, `syslog://host:514`, `syslog+tcp://host:601`.",
			set: texted(func(o *StartOptions) *string { return &o.Log.Forward }),
		},
	}
}

func relationFields() []field {
	return []field{
		{name: "depends_on", group: "Order and limits", shape: shapeDepends, flag: "--depends-on", def: "none", doc: "Apps that come first: names, `{app, condition}`, or an object of name and condition. Conditions: started, ready (the default), completed.", set: dependsOn},
		{name: "limits", group: "Order and limits", shape: shapeObject, def: "none", doc: "What the kernel lets an instance have, where there is cgroup v2: `memory` (512M), `cpu` (cores: 0.5), `pids`.", set: limitsOf},
	}
}

func otherFields() []field {
	return []field{
		{name: "hooks", group: "Hooks", shape: shapeHooks, def: "none", doc: "What is done when something happens: objects of `on` (crash, errored, reload_failed, memory, hang, ...), `exec` or `webhook`, `timeout` and `retries`. See events.md.", set: hooks},
		{name: "post_update", group: "Deployment", shape: shapeWords, def: "none", doc: "Commands for after an update of the code.", set: postUpdate},
	}
}

// idleFields are keys of PM2's that say nothing to Paceline.
func idleFields() []field {
	const monitoring = "PM2's own monitoring; `pace` has what it needs from the kernel"
	var out []field
	idle := func(note string, names ...string) {
		for _, name := range names {
			out = append(out, field{name: name, group: "Taken, without effect", shape: shapeAny, note: note, doc: note})
		}
	}
	idle(monitoring, "pmx", "automation", "trace", "disable_trace", "v8", "event_loop_inspector", "deep_monitoring", "io", "monitor", "km_link")
	idle("no look at the app's git folder is taken", "vizion", "vizion_running", "versioning")
	idle("a matter of Node: NODE_OPTIONS=--enable-source-maps", "source_map_support", "disable_source_map_support")
	idle("for Windows", "windowsHide")
	idle("the user of the process is `user`", "username")
	idle("a process is seen to end at once, not polled for", "kill_retry_time")
	idle("a matter of the command line", "force", "write")
	idle("changes are told by the kernel; see watch, ignore_watch and watch_delay", "watch_options")
	idle("PM2's modules are not there", "install_url")
	return out
}
