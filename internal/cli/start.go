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

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
)

func (c *cli) startCommand() *cobra.Command {
	s := c.newStarting()
	var noDaemon bool
	cmd := &cobra.Command{
		Use:   "start [target...] [-- args...]",
		Short: "Start an app, those of a file, or one that is stopped",
		Long: `start runs a script, a program or a whole command line as an app, keeps it up, and
returns when it is ready. The interpreter follows from the file's extension and
its #! line. Options may stand anywhere before "--"; what follows it goes to the
app.

The id or name of an app that exists, its namespace, all, or a /regular
expression/ on the name starts that again, with the changes that options ask for. A
script that runs under its name already is refused, unless --force replaces it;
under the name pm2 --force adds instances to it.

` + fileWords + `
Without a target it is the ecosystem.config.js (.cjs, .mjs, .json, .yaml, .toml) of
this folder.

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
  pace start ecosystem.config.js --env production --only api,worker
  pace start api                  # an app that was stopped`,
		Args: atLeast(0, ""),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			apps, _ := c.completeTargets(cmd, args, word)
			return apps, cobra.ShellCompDirectiveDefault // and files
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				args, s.args = args[:at], args[at:]
			}
			if len(args) == 0 && s.args != nil {
				return errors.New(`name what to start before "--"`)
			}
			s.tellIdle(cmd.Flags())
			if err := s.gather(cmd.Flags()); err != nil {
				return err
			}
			if len(args) == 0 {
				dir, err := c.folder()
				if err != nil {
					return err
				}
				file, err := ecosystem.FindDefault(dir)
				if err != nil {
					return err
				}
				args = []string{file}
			}
			if len(args) > 1 && s.options.Name != "" {
				return fmt.Errorf("--name %s cannot name %d apps; start them one by one", s.options.Name, len(args))
			}
			if noDaemon {
				return c.foreground(false, func() error {
					f := front{starting: s, print: c.printNames(), autoExit: true}
					return f.run(cmd.Context(), args)
				})
			}
			return s.all(cmd.Context(), args)
		},
	}
	f := cmd.Flags()
	startFlags(f, &s.options)
	fileFlags(f, &s.files)
	f.StringVar(&s.files.ext, "ext", "", "`extensions` of files that --watch looks at, apart by commas: js,json (default: all)")
	f.BoolVarP(&s.files.write, "write", "w", false, "write NAME-pm2.json, an app file with these options, into this folder")
	mustComplete(cmd, "balance", texts(app.Balances()))
	mustComplete(cmd, "instances", []string{"max"})
	f.BoolVarP(&s.force, "force", "f", false, "replace an app of that name even if it runs")
	f.BoolVar(&noDaemon, "no-daemon", false, "stay in the foreground, print the output with names, and end with the apps or, with them, at Ctrl-C")
	return cmd
}

// starting is one execution of start.
type starting struct {
	changing
	force  bool
	each   func(*app.Spec) // has the last word on each app; may be nil
	quiet  bool            // prints warnings only
	insist bool            // tries again if the daemon dies; with force
	reply  api.ActionReply
}

func (c *cli) newStarting() starting {
	return starting{changing: changing{cli: c, action: api.ApplyRestart, plain: c.client.Restart}}
}

// all starts target after target and stops at the first that fails, as PM2
// does: those before it stay started.
func (s *starting) all(ctx context.Context, targets []string) error {
	for _, target := range targets {
		if err := s.one(ctx, target); err != nil {
			if len(targets) > 1 {
				err = fmt.Errorf("%s: %w", target, err)
			}
			return s.tellAll(err)
		}
	}
	return s.tellAll(nil)
}

// tellAll prints what was started.
func (s *starting) tellAll(err error) error {
	if s.quiet {
		s.reply.Instances = nil
	}
	return s.done(s.reply, err, nil)
}

func (s *starting) one(ctx context.Context, target string) error {
	if ecosystem.IsFile(target) {
		for _, name := range s.given {
			if !slices.Contains(overriding(), name) {
				s.reply.Warnings = append(s.reply.Warnings, fmt.Sprintf("--%s says nothing to an app file; write it into %s", name, target))
			}
		}
		reply, err := s.file(ctx, target)
		s.add(reply)
		return err
	}
	if err := s.withoutFile(target, s.files); err != nil {
		return err
	}
	if found, err := s.existing(ctx, target); found || err != nil {
		return err
	}
	o := s.options
	o.Target, o.Args, o.Log.Dir = target, s.args, s.logDir()
	if s.files.ext != "" && len(o.Watch.Paths) == 0 {
		o.Watch.Paths = extensions(s.files.ext)
	}
	spec, warnings, err := ecosystem.FromArgs(ctx, o)
	if err != nil {
		return err
	}
	s.reply.Warnings = append(s.reply.Warnings, warnings...)
	spec.PM2 = s.forPM2()
	s.daemonSettings(&spec)
	if s.each != nil {
		s.each(&spec)
	}
	reply, more, err := s.another(ctx, spec)
	if !more && err == nil {
		reply, err = s.ask(ctx, spec)
	}
	s.add(reply)
	if err == nil && s.files.write {
		err = s.writeFile(spec)
	}
	return err
}

// file starts the apps of an app file.
func (s *starting) file(ctx context.Context, name string) (api.ActionReply, error) {
	for {
		reply, err := s.applyFile(ctx, name, s.action, s.options, s.files, s.each)
		if !s.insist || !errors.Is(err, api.ErrLost) {
			return reply, err
		}
	}
}

// ask has the daemon start an app. Where there is nobody to try again, that is done
// here if the daemon dies meanwhile and the next one does not know all of the app.
func (s *starting) ask(ctx context.Context, spec app.Spec) (api.ActionReply, error) {
	for {
		reply, err := s.client.Start(ctx, api.StartRequest{Specs: []app.Spec{spec}, Force: s.force})
		if !s.insist || !errors.Is(err, api.ErrLost) {
			return reply, err
		}
		list, err := s.client.Instances(ctx, api.InstancesQuery{Targets: []string{spec.Name}})
		if e, ok := errors.AsType[*api.Error](err); err != nil && (!ok || e.Code != api.CodeNotFound) {
			return api.ActionReply{}, err
		}
		if err == nil && len(list) == spec.Instances {
			return api.ActionReply{Instances: list}, nil
		}
	}
}

// another is what --force means to PM2 if the program runs under that name already:
// as many further instances of it. More tells that this is the case.
func (s *starting) another(ctx context.Context, spec app.Spec) (reply api.ActionReply, more bool, err error) {
	if !s.asPM2() || !s.force {
		return reply, false, nil
	}
	list, err := s.client.Apps(ctx, api.AppsQuery{Targets: []string{spec.Name}})
	switch {
	case isNotFound(err):
		return reply, false, nil
	case err != nil:
		return reply, false, err
	case len(list) != 1 || list[0].Spec.Name != spec.Name || list[0].Spec.Exec != spec.Exec:
		return reply, false, nil
	}
	reply, err = s.client.Scale(ctx, api.ScaleRequest{App: spec.Name, Instances: fmt.Sprintf("+%d", spec.Instances)})
	return reply, true, err
}

// extensions makes globs of --ext.
func extensions(text string) []string {
	var globs []string
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		globs = append(globs, "**/*."+strings.TrimPrefix(word, "."))
	}
	return globs
}

// writeFile writes an app file of one app, for --write. One that is there is
// replaced, as PM2 does.
func (s *starting) writeFile(spec app.Spec) error {
	dir, err := s.folder()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, spec.Name+"-pm2.json")
	if err := os.WriteFile(file, ecosystem.FormatJSON([]app.Spec{spec}), 0o644); err != nil {
		return fmt.Errorf("write the app file: %w", err)
	}
	s.say("wrote %s", file)
	return nil
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
	reply, err := s.act(ctx, []string{target})
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
func (c *cli) nameLike(target string) bool {
	if strings.Contains(target, "/") || strings.ContainsAny(target, "\t\n\x00") {
		return false
	}
	if filepath.Ext(target) == "" {
		return true
	}
	_, err := os.Stat(filepath.Join(c.Dir, target))
	return err != nil
}
