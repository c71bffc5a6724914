package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Mode says how an app's instances get their work.
type Mode string

// The modes, with PM2's names.
const (
	Fork    Mode = "fork"    // each instance is on its own
	Cluster Mode = "cluster" // the instances share what they listen on
)

// Balance is the policy by which new connections are dealt to the instances.
type Balance string

// The policies of this version.
const (
	RoundRobin Balance = "round-robin" // in turn, blocked instances left out
	Shared     Balance = "shared"      // one queue, whoever is free accepts
	IPHash     Balance = "ip-hash"     // by the client's address, the same instance each time
	// None: each instance is on its own. Nothing is shared; what they listen on
	// is theirs.
	None Balance = "none"
)

// Balances lists all of them, for help and completion.
func Balances() []Balance { return []Balance{RoundRobin, Shared, IPHash, None} }

// RemapLoopback is the one value of Spec.Remap.
const RemapLoopback = "127.0.0.1:0"

// RuntimeNode marks an app whose program is node itself, so that the channel
// and the cluster protocol of Node reach the app's own code.
const RuntimeNode = "node"

// RuntimeSDK marks an app whose program is linked with Paceline's package cluster, which
// speaks on that channel.
const RuntimeSDK = "paceline"

// Spec is what the user wants: one app. It is a plain value, complete once
// validated: nothing in it is looked up again when a process starts.
type Spec struct {
	Name      string `json:"name"`                // what the user calls it; see ValidName
	Namespace string `json:"namespace,omitempty"` // "" means "default"

	// Exec is the absolute path of the script or program. With an Interpreter
	// it is the script that the interpreter runs, else it is executed itself.
	Exec            string   `json:"exec"`
	Args            []string `json:"args,omitempty"`
	Interpreter     string   `json:"interpreter,omitempty"`      // absolute path; "" runs Exec itself
	InterpreterArgs []string `json:"interpreter_args,omitempty"` // stand before the script (PM2's node_args)
	Runtime         string   `json:"runtime,omitempty"`          // RuntimeNode, RuntimeSDK or ""
	// Wrapper names the tool (npm, npx, tsx, node --watch) that starts the real
	// program and swallows the Node channel; "" if there is none.
	Wrapper string `json:"wrapper,omitempty"`

	Cwd string `json:"cwd"` // absolute
	// Env are the variables of the processes: what they inherit from the caller,
	// and what the app's own configuration sets, whose names are in EnvOwn.
	Env    map[string]string `json:"env,omitempty"`
	EnvOwn []string          `json:"env_own,omitempty"` // sorted
	// EnvFiles are .env files, absolute, read at each start of a process, so that
	// their values are kept nowhere else. A later file goes before an earlier one,
	// EnvOwn before both, and all before what is inherited.
	EnvFiles []string `json:"env_files,omitempty"`
	EnvName  string   `json:"env_name,omitempty"` // --env: which env_<name> of the app file is in Env
	// FilterEnv says what was not inherited: variables whose names hold one of the
	// words; "*" alone: none was.
	FilterEnv    []string `json:"filter_env,omitempty"`
	IncrementVar string   `json:"increment_var,omitempty"` // a number in Env that grows by one per instance
	Source       string   `json:"source,omitempty"`        // absolute path of the app file that it comes from
	User         *User    `json:"user,omitempty"`          // nil: the daemon's own

	Mode        Mode    `json:"mode"`
	Instances   int     `json:"instances"`              // at least 1
	Balance     Balance `json:"balance,omitempty"`      // "" picks by mode and kernel
	InstanceVar string  `json:"instance_var,omitempty"` // "" means NODE_APP_INSTANCE
	// Sockets are addresses that Paceline opens and hands over as LISTEN_FDS, to
	// programs that know it; see ParseSocket. At most MaxSockets.
	Sockets []string `json:"sockets,omitempty"`
	// Remap is RemapLoopback for a copy of an app that must not be in the way of
	// it: whatever TCP address the program binds, it gets a port of the kernel's
	// choice on 127.0.0.1 instead. "" leaves its addresses alone.
	Remap string `json:"remap,omitempty"`

	NoAutostart   bool     `json:"no_autostart,omitempty"` // listed as stopped at first
	NoAutorestart bool     `json:"no_autorestart,omitempty"`
	MaxRestarts   int      `json:"max_restarts"`                        // fast failures until errored; 16 by default
	MinUptime     Duration `json:"min_uptime"`                          // a shorter life is a fast failure; 1 s by default
	RestartDelay  Duration `json:"restart_delay,omitempty"`             // wait before each restart
	ExpBackoff    Duration `json:"exp_backoff_restart_delay,omitempty"` // first wait, then x1.5 up to 15 s
	StopExitCodes []int    `json:"stop_exit_codes,omitempty"`           // these exit codes mean "done", no restart
	NoRetry       bool     `json:"no_retry,omitempty"`                  // once errored it stays so, see SlowRetry

	// MaxMemoryBytes is the resident memory of an instance's whole process tree
	// above which it is reloaded; 0: no bound.
	MaxMemoryBytes int64  `json:"max_memory_restart,omitempty"`
	CronRestart    string `json:"cron_restart,omitempty"` // when what runs is restarted: a cron pattern, seconds allowed
	// Job makes the app one that is run at the times of a cron pattern, once each
	// and never twice at the same time, rather than kept up.
	Job       string       `json:"job,omitempty"`
	Watch     *Watch       `json:"watch,omitempty"`
	DependsOn []Dependency `json:"depends_on,omitempty"`
	Health    *Health      `json:"health,omitempty"`
	Limits    *Limits      `json:"limits,omitempty"`
	// OnHang is what is done about an instance that accepts no connections for
	// HangAfter although some wait: HangReport, which "" means, or HangReplace.
	OnHang    HangPolicy `json:"on_hang,omitempty"`
	HangAfter Duration   `json:"hang_after,omitempty"` // 0 means DefaultHangAfter; at least 1 s
	Hooks     []Hook     `json:"hooks,omitempty"`      // what is done when something happens; at most MaxHooks

	KillSignal          string   `json:"kill_signal"`  // stop signal, "SIGINT" by default
	KillTimeout         Duration `json:"kill_timeout"` // from the stop signal to SIGKILL; 1.6 s by default
	NoTreekill          bool     `json:"no_treekill,omitempty"`
	ShutdownWithMessage bool     `json:"shutdown_with_message,omitempty"` // send "shutdown" on the channel instead of the stop signal
	WaitReady           bool     `json:"wait_ready,omitempty"`            // ready at process.send('ready')
	ListenTimeout       Duration `json:"listen_timeout"`                  // how long an instance may take to be ready; 3 s by default

	// Log files; "" means the default in the home folder, os.DevNull none.
	OutFile   string `json:"out_file,omitempty"`
	ErrFile   string `json:"error_file,omitempty"`
	LogFile   string `json:"log_file,omitempty"` // both streams as well; "" means none
	PIDFile   string `json:"pid_file,omitempty"` // "" means the default in the home folder
	MergeLogs bool   `json:"merge_logs,omitempty"`
	LogTime   bool   `json:"time,omitempty"` // prefix each line with its time
	// LogDateFormat is how that time is written, in the tokens of day.js; "" means
	// YYYY-MM-DDTHH:mm:ss. It implies LogTime.
	LogDateFormat string `json:"log_date_format,omitempty"`
	LogJSON       bool   `json:"log_json,omitempty"`     // a JSON object per line instead of the line
	DisableLogs   bool   `json:"disable_logs,omitempty"` // nothing is stored
	// LogMaxBytes is the size at which a log file is rotated, LogKeep how many
	// old ones stay. Zero means 10 MB and 10; negative means never and none.
	LogMaxBytes int64 `json:"log_max_bytes,omitempty"`
	LogKeep     int   `json:"log_keep,omitempty"`
	// LogForward is where log lines go besides their files, as ParseForward reads it; ""
	// is nowhere.
	LogForward string `json:"log_forward,omitempty"`
	// Print has what the processes write go to the output of the daemon, beside the
	// log files; "" does not. Only a daemon in the foreground can do it.
	Print Print `json:"print,omitempty"`

	// PostUpdate are commands for after an update of the code; see `pace deploy`.
	PostUpdate []string `json:"post_update,omitempty"`
	// PM2 says that the app was started by the command pm2: its processes find the
	// variables that PM2 gives to its own.
	PM2 bool `json:"pm2,omitempty"`
}

// HangPolicy says what is done about an instance that hangs.
type HangPolicy string

// What can be done. Either way a report is saved, and an event says so.
const (
	HangReport  HangPolicy = "report"  // nothing is done to it
	HangReplace HangPolicy = "replace" // a successor takes its place; its stacks are saved before it is ended
)

// DefaultHangAfter is the HangAfter of a spec that has none.
const DefaultHangAfter = 10 * time.Second

// HangLimit is how long an instance may accept nothing.
func (s *Spec) HangLimit() time.Duration {
	if s.HangAfter > 0 {
		return time.Duration(s.HangAfter)
	}
	return DefaultHangAfter
}

// SlowRetry is how long an instance that was given up stays errored before it is
// tried once more, unless NoRetry.
const SlowRetry = 3 * time.Minute

// Print is the form in which output is printed.
type Print string

// The forms.
const (
	PrintRaw     Print = "raw"     // as it is, standard error to standard error
	PrintJSON    Print = "json"    // an object for each line: message, timestamp, type, process_id, app_name
	PrintFormat  Print = "format"  // timestamp=... app=... id=... type=out|error message=...
	PrintNames   Print = "names"   // id|name | before each line
	PrintColours Print = "colours" // the same for a terminal
)

// Prints lists all of them.
func Prints() []Print { return []Print{PrintRaw, PrintJSON, PrintFormat, PrintNames, PrintColours} }

// NodeWorkers reports whether the app's processes are workers of Node's cluster
// module: those ask their primary to listen for them. A Node program that is handed
// its sockets is none, as a worker cannot listen on a descriptor of its own.
func (s *Spec) NodeWorkers() bool {
	return s.Mode == Cluster && s.Runtime == RuntimeNode && s.Wrapper == "" && len(s.Sockets) == 0
}

// SDKWorkers reports whether the app's processes are workers of Paceline by package
// cluster: they have a channel, on which they ask for sockets that cannot be adopted. What
// else they listen on is shared like that of any other program.
func (s *Spec) SDKWorkers() bool {
	return s.Mode == Cluster && s.Runtime == RuntimeSDK && len(s.Sockets) == 0
}

// Defaults returns a Spec with every default that is not its zero value:
// PM2 7's, where it has one.
func Defaults() Spec {
	return Spec{
		Mode:          Fork,
		Instances:     1,
		MaxRestarts:   16,
		MinUptime:     Duration(time.Second),
		KillSignal:    "SIGINT",
		KillTimeout:   Duration(1600 * time.Millisecond),
		ListenTimeout: Duration(3 * time.Second),
	}
}

// MaxInstances bounds Instances, so that a typing error cannot exhaust a machine.
const MaxInstances = 4096

// ErrInvalid is wrapped by every error that Validate returns.
var ErrInvalid = errors.New("invalid app")

// Validate reports the first thing that is wrong with the spec. A spec that
// passes can be stored and run without further checks of its shape.
func (s *Spec) Validate() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, a...))
	}
	if err := ValidName(s.Name); err != nil {
		return err
	}
	abs := []struct{ field, path string }{{"exec", s.Exec}, {"cwd", s.Cwd}}
	for _, f := range []struct{ field, path string }{
		{"interpreter", s.Interpreter},
		{"out_file", s.OutFile},
		{"error_file", s.ErrFile},
		{"log_file", s.LogFile},
		{"pid_file", s.PIDFile},
		{"source", s.Source},
	} {
		if f.path != "" {
			abs = append(abs, f)
		}
	}
	for _, f := range abs {
		switch {
		case !filepath.IsAbs(f.path):
			return bad("%s %q is not an absolute path", f.field, f.path)
		case strings.ContainsRune(f.path, 0):
			return bad("%s holds a NUL byte", f.field)
		}
	}
	if _, err := ParseForward(s.LogForward); err != nil {
		return bad("%v", err)
	}
	if s.LogForward != "" && s.DisableLogs {
		return bad("log_forward sends what is in the log files, and disable_logs keeps none")
	}
	if s.Mode != Fork && s.Mode != Cluster {
		return bad("mode %q is neither fork nor cluster", s.Mode)
	}
	if s.Instances < 1 || s.Instances > MaxInstances {
		return bad("instances %d is not between 1 and %d", s.Instances, MaxInstances)
	}
	if err := s.validateSharing(); err != nil {
		return bad("%v", err)
	}
	if s.Runtime != "" && s.Runtime != RuntimeNode && s.Runtime != RuntimeSDK {
		return bad("runtime %q is not known", s.Runtime)
	}
	if s.Print != "" && !slices.Contains(Prints(), s.Print) {
		return bad("print %q is none of raw, json, format, names, colours", s.Print)
	}
	if s.MaxRestarts < 0 {
		return bad("max_restarts %d is negative", s.MaxRestarts)
	}
	for _, d := range []struct {
		field string
		value Duration
	}{
		{"min_uptime", s.MinUptime},
		{"restart_delay", s.RestartDelay},
		{"exp_backoff_restart_delay", s.ExpBackoff},
		{"kill_timeout", s.KillTimeout},
		{"listen_timeout", s.ListenTimeout},
	} {
		if d.value < 0 {
			return bad("%s %s is negative", d.field, d.value)
		}
	}
	for _, code := range s.StopExitCodes {
		if code < 0 || code > 255 {
			return bad("stop_exit_codes: %d is not between 0 and 255", code)
		}
	}
	if _, err := ParseSignal(s.KillSignal); err != nil {
		return bad("kill_signal: %v", err)
	}
	if err := s.validateParts(); err != nil {
		return bad("%v", err)
	}
	for key, value := range s.Env {
		if key == "" || strings.ContainsAny(key, "=\x00") || strings.ContainsRune(value, 0) {
			return bad("env: %q cannot be a variable", key)
		}
	}
	for _, arg := range slices.Concat(s.Args, s.InterpreterArgs) {
		if strings.ContainsRune(arg, 0) {
			return bad("args: %q holds a NUL byte", arg)
		}
	}
	return nil
}

// validateParts checks what has its own types, and what goes with them.
func (s *Spec) validateParts() error {
	for _, path := range s.EnvFiles {
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return fmt.Errorf("env_file: %q is not an absolute path", path)
		}
	}
	switch {
	case s.MaxMemoryBytes < 0:
		return fmt.Errorf("max_memory_restart %d is negative", s.MaxMemoryBytes)
	case s.OnHang != "" && s.OnHang != HangReport && s.OnHang != HangReplace:
		return fmt.Errorf("on_hang %q is neither report nor replace", s.OnHang)
	case s.HangAfter != 0 && time.Duration(s.HangAfter) < time.Second:
		return fmt.Errorf("hang_after %s is below 1s", s.HangAfter)
	case s.Job != "" && s.CronRestart != "":
		return errors.New("job and cron_restart: an app is either run at times or restarted at times")
	case s.Job != "" && s.Instances > 1:
		return fmt.Errorf("job: it runs once each time, so it cannot have %d instances", s.Instances)
	}
	return errors.Join(s.Watch.validate(), s.Health.validate(), s.Limits.validate(), validateDepends(s.Name, s.DependsOn), validateHooks(s.Hooks))
}

// validateSharing checks what says which addresses the instances have, and how
// they share them.
func (s *Spec) validateSharing() error {
	if s.Balance != "" && !slices.Contains(Balances(), s.Balance) {
		return fmt.Errorf("balance %q is none of round-robin, shared, ip-hash, none", s.Balance)
	}
	if s.Balance == None && s.Mode == Cluster {
		return errors.New("balance none shares nothing, so the mode cannot be cluster")
	}
	normal, err := NormaliseSockets(s.Sockets)
	if err != nil {
		return err
	}
	for i, text := range s.Sockets {
		if text != normal[i] {
			return fmt.Errorf("socket %q must be written %q here", text, normal[i])
		}
	}
	if len(s.Sockets) > 0 && s.Mode == Fork && s.Instances > 1 {
		return fmt.Errorf("%d instances that share nothing cannot have the same sockets; let them share: mode cluster", s.Instances)
	}
	if s.Remap != "" && s.Remap != RemapLoopback {
		return fmt.Errorf("remap %q is not %s", s.Remap, RemapLoopback)
	}
	return nil
}

// ValidName reports whether name can name an app: 1 to 128 bytes, printable, no
// slash (it becomes part of file names), not "all" and not a number (both are
// targets of their own).
func ValidName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: name %q %s", ErrInvalid, name, why) }
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > 128:
		return bad("is longer than 128 bytes")
	case name == "all":
		return bad("is the word for every app")
	case name == "." || name == "..":
		return bad("is a folder")
	case strings.HasPrefix(name, "-"):
		return bad("begins with a dash")
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '/' || r == 0xfffd {
			return bad("holds a slash or an unprintable character")
		}
	}
	return nil
}

// Command returns the argv that runs the app and the path to execute.
func (s *Spec) Command() (path string, argv []string) {
	if s.Interpreter == "" {
		return s.Exec, append([]string{s.Exec}, s.Args...)
	}
	argv = append([]string{s.Interpreter}, s.InterpreterArgs...)
	if s.Exec != s.Interpreter { // a command line such as "node --test" has no script
		argv = append(argv, s.Exec)
	}
	return s.Interpreter, append(argv, s.Args...)
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "TERM": syscall.SIGTERM, "ABRT": syscall.SIGABRT,
	"CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP, "ALRM": syscall.SIGALRM, "WINCH": syscall.SIGWINCH,
	"PIPE": syscall.SIGPIPE, "SEGV": syscall.SIGSEGV, "BUS": syscall.SIGBUS, "FPE": syscall.SIGFPE,
	"ILL": syscall.SIGILL, "TRAP": syscall.SIGTRAP, "SYS": syscall.SIGSYS, "XCPU": syscall.SIGXCPU,
	"XFSZ": syscall.SIGXFSZ, "TTIN": syscall.SIGTTIN, "TTOU": syscall.SIGTTOU, "TSTP": syscall.SIGTSTP,
}

// ParseSignal reads "SIGTERM", "term" or "15".
func ParseSignal(text string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if sig, ok := signals[name]; ok {
		return sig, nil
	}
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err == nil && n > 0 && n < 65 && fmt.Sprint(n) == text {
		return syscall.Signal(n), nil
	}
	return 0, fmt.Errorf("%q is not a signal such as SIGINT, TERM or 15", text)
}

// SignalName returns "SIGTERM" for a known signal, else "signal N".
func SignalName(sig syscall.Signal) string {
	for name, s := range signals {
		if s == sig {
			return "SIG" + name
		}
	}
	return fmt.Sprintf("signal %d", int(sig))
}
