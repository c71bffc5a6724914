// Package ecosystem turns what a user writes about an app into validated specs.
package ecosystem

import "paceline/internal/app"

// StartOptions is one `pace start` as the user typed it. Texts are as typed:
// "" means that the flag was not given, and FromArgs parses the rest.
type StartOptions struct {
	// Target is a script, a program (a path or a name on PATH), or a whole
	// command line such as "node --max-old-space-size=200 server.js --port 80".
	Target string
	Args   []string // what stood after "--"

	// Dir is the caller's directory; "" asks the system, so that a directory
	// that has been deleted meanwhile is told from one that is not given.
	Dir     string
	Environ []string   // the caller's environment, "KEY=value"; its PATH finds programs
	CPUs    func() int // usable CPUs, for -i max; nil counts as one

	Name      string // --name
	Namespace string // --namespace
	Cwd       string // --cwd, relative to Dir

	// Interpreter is --interpreter: a program on PATH, a path, or "none" to run
	// the target itself. Flags may follow ("node --harmony").
	Interpreter     string
	InterpreterArgs string // --interpreter-args and --node-args: split as a shell would

	Instances   string // -i, --instances: a number, "max" or "0" for every CPU, "-1" for all but one
	InstanceVar string // --instance-var
	Balance     string // --balance: round-robin, shared, ip-hash, none
	ForkMode    bool   // -x, --execute-command: no cluster, also with -i
	// Sockets are --socket: what app.ParseSocketIn reads, paths relative to the
	// app's directory.
	Sockets []string

	// Env are variables that go before those of Environ: what the app file sets.
	Env       map[string]string
	EnvName   string   // --env: which env_<name> of the app file is in Env
	EnvFiles  []string // --env-file: .env files, relative to the app's directory
	FilterEnv []string // --filter-env: what is not inherited; see app.Spec
	// IncrementVar is the name of a variable that grows by one per instance.
	IncrementVar string
	Source       string // the app file that this is from, absolute; "" is the command line

	User string // -u, --user and --uid: an account's name or number
	GID  string // --gid: a group's name or number; "" is the account's own

	DependsOn []string // --depends-on: "db", "db:started", "db:completed"; see ParseDependency
	Health    *app.Health
	OnHang    string // of an app file: report or replace
	HangAfter string // of an app file: a duration
	Hooks     []app.Hook
	Limits    LimitFlags
	Watch     WatchFlags

	Restart RestartFlags
	Stop    StopFlags
	Log     LogFlags

	PostUpdate []string // commands for after an update of the code

	lookups *lookups // what starts that belong together need to look up only once
}

// LimitFlags are the flags on what the kernel lets an instance have.
type LimitFlags struct {
	Memory string // --limit-memory: "512M"
	CPU    string // --limit-cpu: cores, "0.5"
	Pids   string // of an app file: processes and threads
}

// WatchFlags are the flags on restarts at changed files. Paths are relative to
// the app's directory.
type WatchFlags struct {
	On        bool     // --watch
	Paths     []string // --watch PATH; implies On
	Ignore    []string // --ignore-watch
	IgnoreSet bool     // Ignore was given, though it may be empty: not even dotfiles are ignored
	Delay     string   // --watch-delay: a duration
}

// RestartFlags are the flags on when and how an app is started again.
type RestartFlags struct {
	NoAutorestart bool   // --no-autorestart
	MaxRestarts   string // --max-restarts
	MinUptime     string // --min-uptime
	Delay         string // --restart-delay
	ExpBackoff    string // --exp-backoff-restart-delay
	StopExitCodes string // --stop-exit-codes, apart by blanks or commas: "0 130,143"
	NoRetry       bool   // --no-retry
	NoAutostart   bool   // --no-autostart
	MaxMemory     string // --max-memory-restart: "300M", "1G", bytes; "0" is none
	Cron          string // --cron, --cron-restart: a cron pattern; "0" is none
	Schedule      string // of an app file: the app is a job, run at the times of this pattern
}

// StopFlags are the flags on how an instance becomes ready and how it ends.
type StopFlags struct {
	KillSignal          string // --kill-signal
	KillTimeout         string // --kill-timeout
	NoTreekill          bool   // --no-treekill
	ShutdownWithMessage bool   // --shutdown-with-message
	WaitReady           bool   // --wait-ready
	ListenTimeout       string // --listen-timeout
}

// LogFlags are the flags on log files. Paths are relative to the app's
// directory; "NULL" means that nothing is kept, as in PM2.
type LogFlags struct {
	Out  string // -o, --output
	Err  string // -e, --error
	Both string // -l, --log: the combined file
	PID  string // -p, --pid
	// Dir is where the file of "-l" without a name is; "" makes that an error.
	Dir        string
	Default    bool   // -l without a name: a combined file in Dir
	Merge      bool   // --merge-logs
	Time       bool   // --time
	DateFormat string // --log-date-format, in the tokens of day.js
	Type       string // --log-type: "json" or "raw"
	Disable    bool   // --disable-logs
	MaxSize    string // --log-max-size: "10M", "512K", bytes, or "off"
	Forward    string // --log-forward: where lines go besides their files
	Keep       string // --log-keep: how many rotated files stay, "0" for none
}
