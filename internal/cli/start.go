package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
)

func (c *cli) startCommand() *cobra.Command {
	var o ecosystem.StartOptions
	var force bool
	cmd := &cobra.Command{
		Use:   "start target... [-- args...]",
		Short: "Start an app, or one that is stopped",
		Long: `start runs a script, a program or a whole command line as an app, keeps it up, and
returns when it is ready. The interpreter follows from the file's extension and
its #! line. Options may stand anywhere before "--"; what follows it goes to the
app.

The id or name of an app that exists, its namespace, all, or a /regular
expression/ on the name starts that again as it was configured. A script that
runs under its name already is refused, unless --force replaces it.

With -i the instances share what they listen on, whatever the program is: it needs
no change. --balance says who gets a new connection.

Durations are milliseconds or texts such as 500ms, 1.6s, 5m, 1h.`,
		Example: `  pace start server.js
  pace start server.js -i max --name api
  pace start ./server -i 4        # any program: four copies, one port
  pace start app.py --interpreter python3.12 -- --port 3000
  pace start ./server --kill-signal SIGTERM --kill-timeout 10s
  pace start "python3 -m http.server 8000"
  pace start app --socket 127.0.0.1:8080
  pace start api                  # an app that was stopped`,
		Args: atLeast(1, "what to start: a script, a program, a command line, or an app that exists"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			apps, _ := c.completeTargets(cmd, args, word)
			return apps, cobra.ShellCompDirectiveDefault // and files
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Dir, o.Environ, o.CPUs = c.Dir, c.Environ, c.CPUs
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args, o.Args = args[:at], args[at:]
			}
			if len(args) == 0 {
				return errors.New(`name what to start before "--"`)
			}
			if len(args) > 1 && o.Name != "" {
				return fmt.Errorf("--name %s cannot name %d apps; start them one by one", o.Name, len(args))
			}
			s := starting{cli: c, options: o, force: force, given: given(cmd.Flags())}
			return s.all(cmd.Context(), args)
		},
	}
	startFlags(cmd.Flags(), &o)
	mustComplete(cmd, "balance", texts(app.Balances()))
	mustComplete(cmd, "instances", []string{"max"})
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace an app of that name even if it runs")
	return cmd
}

// startFlags declares the options of start. The values stay texts: package
// ecosystem reads them, and says what is wrong with them.
func startFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVarP(&o.Name, "name", "n", "", "what to call the app: a `word`, no number (default: the script's name without extension)")
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
}

// stopFlags declares how an instance becomes ready, and how it ends.
func stopFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVar(&o.Stop.KillSignal, "kill-signal", "", "`signal` that asks it to end: SIGTERM, term or 15 (default SIGINT)")
	f.StringVar(&o.Stop.KillTimeout, "kill-timeout", "", "`duration` from that signal to SIGKILL (default 1.6s)")
	f.BoolVar(&o.Stop.NoTreekill, "no-treekill", false, "end only the process itself, not its descendants")
	f.BoolVar(&o.Stop.ShutdownWithMessage, "shutdown-with-message", false, "Node: send the message \"shutdown\" instead of the signal")
	f.BoolVar(&o.Stop.WaitReady, "wait-ready", false, "Node: ready only at process.send('ready')")
	f.StringVar(&o.Stop.ListenTimeout, "listen-timeout", "", "`duration` it may take to be ready (default 3s)")
}

// logFlags declares where its output goes.
func logFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	f.StringVarP(&o.Log.Out, "output", "o", "", "`file` for its standard output, NULL for none (default: in Paceline's home)")
	f.StringVarP(&o.Log.Err, "error", "e", "", "`file` for its standard error, NULL for none (default: in Paceline's home)")
	f.StringVarP(&o.Log.Both, "log", "l", "", "`file` for both streams, as well (default: none)")
	f.BoolVar(&o.Log.Merge, "merge-logs", false, "one file for all instances, not one for each id")
	f.BoolVar(&o.Log.Time, "time", false, "write the time before each line")
	f.StringVar(&o.Log.MaxSize, "log-max-size", "", "`size` at which a log file is rotated: 512K, 10M, 1G or off (default 10M)")
	f.StringVar(&o.Log.Keep, "log-keep", "", "`count` of rotated files that stay (default 10)")
}

// given lists the options that describe a new app, as they were typed.
func given(f *pflag.FlagSet) []string {
	var names []string
	f.Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"force", "silent", "no-color"}, f.Name) {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// starting is one execution of start.
type starting struct {
	*cli
	options ecosystem.StartOptions
	force   bool
	given   []string // options that only a new app can have
	reply   api.ActionReply
}

// all starts target after target and stops at the first that fails, as PM2
// does: those before it stay started.
func (s *starting) all(ctx context.Context, targets []string) error {
	for _, target := range targets {
		if err := s.one(ctx, target); err != nil {
			if len(targets) > 1 {
				err = fmt.Errorf("%s: %w", target, err)
			}
			return s.done(s.reply, err, nil)
		}
	}
	return s.done(s.reply, nil, nil)
}

func (s *starting) one(ctx context.Context, target string) error {
	if err := notThereYet(target); err != nil {
		return err
	}
	if found, err := s.existing(ctx, target); found || err != nil {
		return err
	}
	o := s.options
	o.Target = target
	spec, warnings, err := ecosystem.FromArgs(ctx, o)
	if err != nil {
		return err
	}
	s.reply.Warnings = append(s.reply.Warnings, warnings...)
	spec.PM2 = s.asPM2()
	reply, err := s.client.Start(ctx, api.StartRequest{Specs: []app.Spec{spec}, Force: s.force})
	s.add(reply)
	return err
}

// existing starts what target names among the apps that exist. Found tells that
// it names some.
func (s *starting) existing(ctx context.Context, target string) (found bool, err error) {
	selector := isSelector(target)
	another := s.options.Name != "" && s.options.Name != target // asks for an app of its own
	if !selector && (s.force || another || !s.nameLike(target)) {
		return false, nil
	}
	list, err := s.client.Instances(ctx, api.InstancesQuery{Targets: []string{target}, Brief: true})
	if e, ok := errors.AsType[*api.Error](err); ok && !selector && (e.Code == api.CodeNotFound || e.Code == api.CodeInvalid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(list) == 0 {
		return false, nil
	}
	options := s.given
	if len(s.options.Args) > 0 {
		options = append(options, "--")
	}
	if len(options) > 0 {
		return true, fmt.Errorf("%s exists, and %s cannot change it; delete it first, or start the script by its path with --force",
			list[0].Name, strings.Join(options, ", "))
	}
	reply, err := s.client.Restart(ctx, api.TargetsRequest{Targets: []string{target}})
	s.add(reply)
	return true, err
}

func (s *starting) add(reply api.ActionReply) {
	s.reply.Instances = append(s.reply.Instances, reply.Instances...)
	s.reply.Warnings = append(s.reply.Warnings, reply.Warnings...)
}

// isSelector tells words that can only mean instances that exist.
func isSelector(target string) bool {
	if target == "all" || len(target) > 2 && target[0] == '/' && strings.HasSuffix(target, "/") {
		return true
	}
	return strings.Trim(target, "0123456789") == ""
}

// nameLike tells whether target is looked for among the names first: as in PM2
// if it has neither slash nor extension, and here also if there is no such file.
func (s *starting) nameLike(target string) bool {
	if strings.Contains(target, "/") || strings.ContainsAny(target, "\t\n\x00") {
		return false
	}
	if filepath.Ext(target) == "" {
		return true
	}
	_, err := os.Stat(filepath.Join(s.Dir, target))
	return err != nil
}

// notThereYet refuses what PM2 starts and this version would misread.
func notThereYet(target string) error {
	if target == "-" {
		return errors.New("apps as JSON on the standard input are not there yet; start scripts, programs or command lines")
	}
	if strings.ContainsAny(target, " \t") {
		return nil
	}
	name := strings.ToLower(filepath.Base(target))
	for _, ending := range []string{".config.js", ".config.cjs", ".config.mjs", ".json", ".yml", ".yaml", ".toml"} {
		if strings.HasSuffix(name, ending) {
			return fmt.Errorf("%s is a file of apps, which cannot be read yet; start the script itself with its options", target)
		}
	}
	return nil
}
