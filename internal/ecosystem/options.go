// Package ecosystem turns what a user writes about an app into validated specs.
package ecosystem

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

	Restart RestartFlags
	Stop    StopFlags
	Log     LogFlags
}

// RestartFlags are the flags on when and how an app is started again.
type RestartFlags struct {
	NoAutorestart bool   // --no-autorestart
	MaxRestarts   string // --max-restarts
	MinUptime     string // --min-uptime
	Delay         string // --restart-delay
	ExpBackoff    string // --exp-backoff-restart-delay
	StopExitCodes string // --stop-exit-codes, apart by blanks or commas: "0 130,143"
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
	Out     string // -o, --output
	Err     string // -e, --error
	Both    string // -l, --log: the combined file
	Merge   bool   // --merge-logs
	Time    bool   // --time
	Date    string // --log-date-format, in the tokens of day.js
	Type    string // --log-type: "json", or "" for lines as they are
	Disable bool   // --disable-logs
	MaxSize string // --log-max-size: "10M", "512K", bytes, or "off"
	Keep    string // --log-keep: how many rotated files stay, "0" for none
}
