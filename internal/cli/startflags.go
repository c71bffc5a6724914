package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"paceline/internal/ecosystem"
)

// startFlags declares the options of start. The values stay texts: package
// ecosystem reads them, and says what is wrong with them.
func startFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVarP(&o.Name, "name", "n", "", "what to call the app: a `word` (default: the script's name without extension)")
	f.StringVar(&o.Namespace, "namespace", "", "a `word` that groups apps as a target (default \"default\")")
	programFlags(f, o)

	f.StringVarP(&o.Instances, "instances", "i", "", "instances, which share what they listen on: a `count` from 1, max or 0 for one per usable CPU, -1 for one less than that (default: one, on its own)")
	f.BoolVarP(&o.ForkMode, "execute-command", "x", false, "no sharing, even with --instances: each instance on its own")
	f.StringVar(&o.Balance, "balance", "", "`policy` for new connections: round-robin, shared (whoever is free), ip-hash (by the client's address), or none: nothing is shared, as with -x (default round-robin where the kernel does it or the app is Node, else shared)")
	f.StringArrayVar(&o.Sockets, "socket", nil, "`address` that Paceline opens and hands over as LISTEN_FDS, to programs that know it: 8080, 127.0.0.1:8080, [::1]:8080, /run/x.sock or @abstract, with NAME= before it for LISTEN_FDNAMES; may be repeated (default: none)")
	f.StringVar(&o.InstanceVar, "instance-var", "", "`name` of the variable that tells an instance its number (default NODE_APP_INSTANCE)")

	restartFlags(f, o)
	stopFlags(f, o)
	logFlags(f, o)
	surroundingFlags(f, o)
	idleFlags(f)
}

// programFlags declares how the program is run.
func programFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVar(&o.Cwd, "cwd", "", "`folder` in which the app runs (default: this one)")
	f.StringVar(&o.Interpreter, "interpreter", "", "`program` that runs the script, or none to run the file itself (default: by extension and #! line)")
	f.StringVar(&o.InterpreterArgs, "interpreter-args", "", "`words` for the interpreter, before the script; quotes as in a shell")
	f.StringVar(&o.InterpreterArgs, "node-args", "", "the same, as PM2 calls it: `words`")
}

// restartFlags declares when the app is started again.
func restartFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.BoolVar(&o.Restart.NoAutorestart, "no-autorestart", false, "do not start it again when it ends")
	f.StringVar(&o.Restart.MaxRestarts, "max-restarts", "", "`count` of fast failures in a row after which it is errored (default 16)")
	f.StringVar(&o.Restart.MinUptime, "min-uptime", "", "`duration` of a life below which its end is a fast failure (default 1s)")
	f.StringVar(&o.Restart.Delay, "restart-delay", "", "`duration` to wait before each restart (default 0)")
	f.StringVar(&o.Restart.ExpBackoff, "exp-backoff-restart-delay", "", "first `duration` to wait; grows by half with each failure, to 15s (default 0: none)")
	f.StringVar(&o.Restart.StopExitCodes, "stop-exit-codes", "", "exit `codes` that mean done, no restart: \"0 130,143\" (default: none)")
	f.BoolVar(&o.Restart.NoAutostart, "no-autostart", false, "list it as stopped, do not start it yet")
	f.BoolVar(&o.Restart.NoRetry, "no-retry", false, "once errored it stays so; otherwise it is tried again every few minutes")
	f.StringVar(&o.Restart.MaxMemory, "max-memory-restart", "", "`size` of an instance's process tree above which it is reloaded: 300M, 1G, bytes (default: none)")
	f.StringVarP(&o.Restart.Cron, "cron-restart", "c", "", "cron `pattern` in local time, seconds allowed: what runs is restarted then; 0 for none (default: none)")
	f.StringVar(&o.Restart.Cron, "cron", "", "the same: `pattern` (default: none)")
	f.Var(&pathsFlag{on: &o.Watch.On, list: &o.Watch.Paths}, "watch", "restart when files change: with a `path` that one, else the app's folder; may be repeated (default: off)")
	optional(f, "watch")
	f.Var(&blanksFlag{list: &o.Watch.Ignore}, "ignore-watch", "`names`, globs and /regular expressions/ that --watch leaves out, apart by blanks; may be repeated (default: dotfiles and node_modules)")
	f.Var(&secondsFlag{text: &o.Watch.Delay}, "watch-delay", "`duration` from a change to the restart, in seconds if it is a number alone (default 0)")
}

// stopFlags declares how an instance becomes ready, and how it ends.
func stopFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVar(&o.Stop.KillSignal, "kill-signal", "", "`signal` that asks it to end: SIGTERM, term or 15 (default SIGINT)")
	f.StringVarP(&o.Stop.KillTimeout, "kill-timeout", "k", "", "`duration` from that signal to SIGKILL (default 1.6s)")
	f.BoolVar(&o.Stop.NoTreekill, "no-treekill", false, "ask only the process itself to end; descendants that are left at --kill-timeout are ended by force")
	f.BoolVar(&o.Stop.ShutdownWithMessage, "shutdown-with-message", false, "Node: send the message \"shutdown\" instead of the signal")
	f.BoolVar(&o.Stop.WaitReady, "wait-ready", false, "Node: ready only at process.send('ready')")
	f.StringVar(&o.Stop.ListenTimeout, "listen-timeout", "", "`duration` it may take to be ready (default 3s)")
}

// logFlags declares where its output goes.
func logFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVarP(&o.Log.Out, "output", "o", "", "`file` for its standard output, NULL for none (default: in Paceline's home)")
	f.StringVarP(&o.Log.Err, "error", "e", "", "`file` for its standard error, NULL for none (default: in Paceline's home)")
	f.VarP(&logFlag{file: &o.Log.Both, usual: &o.Log.Default}, "log", "l", "`file` for both streams, as well; without one NAME.log in Paceline's home (default: none)")
	optional(f, "log")
	f.StringVarP(&o.Log.PID, "pid", "p", "", "`file` for its process id (default: in Paceline's home)")
	f.StringVar(&o.Log.DateFormat, "log-date-format", "", "write the time before each line, in the `tokens` of day.js: \"YYYY-MM-DD HH:mm:ss\" (default: none)")
	f.StringVar(&o.Log.Type, "log-type", "", "`shape` of lines: json or raw (default raw)")
	f.BoolVar(&o.Log.Disable, "disable-logs", false, "store no output at all")
	f.BoolVar(&o.Log.Merge, "merge-logs", false, "one file for all instances, not one for each id")
	f.BoolVar(&o.Log.Time, "time", false, "write the time before each line")
	f.StringVar(&o.Log.MaxSize, "log-max-size", "", "`size` at which a log file is rotated: 512K, 10M, 1G or off (default 10M)")
	f.StringVar(&o.Log.Forward, "log-forward", "", "send each line to a `target` as well: journald, syslog, syslog://host:514, syslog+tcp://host:601 (default: none)")
	f.StringVar(&o.Log.Keep, "log-keep", "", "`count` of rotated files that stay (default 10)")
}

// surroundingFlags declares what an app has around it: variables, user, others.
func surroundingFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringArrayVar(&o.EnvFiles, "env-file", nil, ".env `file`, read at each start of a process; may be repeated (default: none)")
	f.StringArrayVar(&o.FilterEnv, "filter-env", nil, "`word`: variables whose names hold it are not inherited; may be repeated (default: none)")
	f.StringVarP(&o.User, "user", "u", "", "`account` to run as, by name or number; needs root (default: yours)")
	f.StringVar(&o.User, "uid", "", "the same: `account` (default: yours)")
	f.StringVar(&o.GID, "gid", "", "`group` to run as, by name or number; needs root (default: the account's)")
	f.StringArrayVar(&o.DependsOn, "depends-on", nil, "`app` that has to be ready first; NAME:started and NAME:completed wait for that; may be repeated (default: none)")
	f.StringVar(&o.Limits.Memory, "limit-memory", "", "`size` that the kernel lets an instance have at most, where there is cgroup v2: 512M (default: none)")
	f.StringVar(&o.Limits.CPU, "limit-cpu", "", "`cores` that an instance may use at most: 0.5, 2 (default: none)")
}

// fileOptions are options of start and its kin that are none of an app.
type fileOptions struct {
	env       string
	only      string
	parallel  int
	updateEnv bool
	write     bool
	ext       string
}

// fileFlags declares them. What has them all is start; the others leave out write
// and ext.
func fileFlags(f *pflag.FlagSet, x *fileOptions) {
	f.StringVar(&x.env, "env", "", "with an app file: `name` of the env_<name> that is used (default: none)")
	f.StringVar(&x.only, "only", "", "with an app file: `names` of the apps that are meant, apart by commas or blanks (default: all)")
	f.IntVar(&x.parallel, "parallel", 0, "`count` of instances of an app to act on at once (default 0: the daemon decides)")
	f.BoolVarP(&x.updateEnv, "update-env", "a", false, "bring the variables of this shell into an app that exists; with an app file that is always done")
}

// names splits --only.
func (x *fileOptions) names() []string {
	return strings.FieldsFunc(x.only, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// idleFlags are options of PM2's monitoring, git and terminal parts. Commands that
// have them must go on working.
func idleFlags(f *pflag.FlagSet) {
	for _, name := range idleFlagNames() {
		f.Bool(name, false, "no effect: an option of PM2's")
		f.Lookup(name).Hidden = true
	}
}

func idleFlagNames() []string {
	return strings.Fields(`no-vizion no-pmx no-automation trace disable-trace v8 event-loop-inspector deep-monitoring
		source-map-support disable-source-map-support fresh`)
}

// mayBeAlone marks options whose value is optional; normalise gives them the next
// word if it is one. With the value "greedy" also if there is no other word.
const mayBeAlone = "may be alone"

func optional(f *pflag.FlagSet, name string) {
	flag := f.Lookup(name)
	flag.NoOptDefVal = alone
	flag.Annotations = map[string][]string{mayBeAlone: nil}
}

// alone is the value of an optional flag without one. No user types it.
const alone = "\x00"

// pathsFlag is --watch [path].
type pathsFlag struct {
	on   *bool
	list *[]string
}

// String is empty: there is no default to show.
func (p *pathsFlag) String() string { return "" }

// Type is the word that help shows.
func (p *pathsFlag) Type() string { return "paths" }

// Set takes the value that was typed.
func (p *pathsFlag) Set(text string) error {
	switch *p.on = true; text {
	case alone, "true":
	case "false":
		*p.on = false
	default:
		*p.list = append(*p.list, text)
	}
	return nil
}

// logFlag is --log [file].
type logFlag struct {
	file  *string
	usual *bool
}

// String is empty: there is no default to show.
func (l *logFlag) String() string { return "" }

// Type is the word that help shows.
func (l *logFlag) Type() string { return "file" }

// Set takes the value that was typed.
func (l *logFlag) Set(text string) error {
	if *l.usual = text == alone; !*l.usual {
		*l.file = text
	}
	return nil
}

// blanksFlag takes several words in one, and may be repeated.
type blanksFlag struct{ list *[]string }

// String is empty: there is no default to show.
func (b *blanksFlag) String() string { return "" }

// Type is the word that help shows.
func (b *blanksFlag) Type() string { return "words" }

// Set takes the value that was typed.
func (b *blanksFlag) Set(text string) error {
	*b.list = append(*b.list, strings.Fields(text)...)
	return nil
}

// secondsFlag is a duration whose bare number counts seconds, as PM2's --watch-delay.
type secondsFlag struct{ text *string }

// String is empty: there is no default to show.
func (s *secondsFlag) String() string { return "" }

// Type is the word that help shows.
func (s *secondsFlag) Type() string { return "duration" }

// Set takes the value that was typed.
func (s *secondsFlag) Set(text string) error {
	if *s.text = text; text != "" && strings.Trim(text, "0123456789.") == "" {
		*s.text = text + "s"
	}
	return nil
}
