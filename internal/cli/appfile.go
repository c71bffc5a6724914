package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// fileWords is what the help of commands that take app files says about them.
const fileWords = `An app file stands for all apps in it: apps that are not there yet are started, the
others get what the file says and are acted on. It is JavaScript (ecosystem.config.js),
JSON, YAML or TOML; "-" is JSON on the standard input. See docs/app-file.md.`

// folder is the caller's directory.
func (c *cli) folder() (string, error) {
	if c.Dir != "" {
		return c.Dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", errors.New("the current folder has been deleted; cd to one that exists")
	}
	return dir, nil
}

// loadOptions are those of an app file that the user names.
func (c *cli) loadOptions(file string, o ecosystem.StartOptions, x fileOptions) (ecosystem.LoadOptions, error) {
	dir, err := c.folder()
	if err != nil {
		return ecosystem.LoadOptions{}, err
	}
	stdin := c.Stdin
	if stdin == nil {
		stdin = os.Stdin
	}
	return ecosystem.LoadOptions{
		File: file, Stdin: stdin, Dir: dir, Environ: c.Environ, Exe: c.Exe, CPUs: c.CPUs,
		KeepGoing: c.asPM2(), LogDir: c.logDir(), Log: c.consoleLog(), EnvName: x.env, Only: x.names(), Override: o,
	}, nil
}

// logDir is where log files are that have no place of their own.
func (c *cli) logDir() string { return filepath.Join(c.Home, "logs") }

// consoleLog is where a JavaScript app file prints.
func (c *cli) consoleLog() io.Writer {
	if c.silent {
		return nil
	}
	return c.Stderr
}

// load reads an app file and tells its warnings.
func (c *cli) load(ctx context.Context, file string, o ecosystem.StartOptions, x fileOptions) (*ecosystem.File, error) {
	with, err := c.loadOptions(file, o, x)
	if err != nil {
		return nil, err
	}
	f, err := ecosystem.Load(ctx, with)
	if f == nil {
		return nil, err
	}
	for _, w := range f.Warnings {
		c.warn(w)
	}
	return f, err
}

// applyFile brings the apps of a file to what it says: start, restart and reload of
// an app file are this one routine. each has the last word on each app; it may be nil.
func (c *cli) applyFile(
	ctx context.Context, file string, action api.ApplyAction, o ecosystem.StartOptions, x fileOptions, each func(*app.Spec),
) (api.ActionReply, error) {
	f, err := c.load(ctx, file, o, x)
	if c.nothingMeant(err) {
		return api.ActionReply{}, nil
	}
	var broken *ecosystem.Problems // of other apps than those in f
	if err != nil && (f == nil || !errors.As(err, &broken)) {
		return api.ActionReply{}, err
	}
	if len(f.Apps) == 0 && c.asPM2() {
		c.warn(file + " has no apps")
		return api.ActionReply{}, nil
	}
	if len(f.Apps) == 0 {
		return api.ActionReply{}, fmt.Errorf("%s has no apps", file)
	}
	for i := range f.Apps {
		f.Apps[i].PM2 = c.forPM2()
		c.daemonSettings(&f.Apps[i])
		if each != nil {
			each(&f.Apps[i])
		}
	}
	reply, err := c.apply(ctx, api.ApplyRequest{Specs: f.Apps, Action: action, Parallel: x.parallel})
	if err == nil && broken != nil {
		err = broken
	}
	return reply, err
}

// nothingMeant tells that --only has left nothing of a file, which PM2 takes for
// having done all there is to do.
func (c *cli) nothingMeant(err error) bool {
	if !c.asPM2() || !errors.Is(err, ecosystem.ErrNoSuchApp) {
		return false
	}
	c.warn(err.Error())
	return true
}

// apply sends specs and tells what they change.
func (c *cli) apply(ctx context.Context, q api.ApplyRequest) (api.ActionReply, error) {
	var progress func(string)
	if _, terminal := c.Terminal(c.Stderr); terminal && !c.silent && q.Action == api.ApplyReload {
		progress = c.step
	}
	reply, err := c.client.Apply(ctx, q, progress)
	c.tellChanges(reply.Changes)
	return reply, err
}

// tellChanges prints a line per app: "api: instances 2 -> 4, env.PORT changed".
func (c *cli) tellChanges(list []app.Change) {
	var order []string
	texts := map[string][]string{}
	for _, change := range list {
		if !slices.Contains(order, change.App) {
			order = append(order, change.App)
		}
		texts[change.App] = append(texts[change.App], change.String())
	}
	for _, name := range order {
		c.say("%s: %s", name, oneLine(strings.Join(texts[name], ", ")))
	}
}

// present returns those of the names of a file's apps that exist, in their order.
func (c *cli) present(ctx context.Context, file string, x fileOptions) ([]string, error) {
	o, err := c.loadOptions(file, ecosystem.StartOptions{}, x)
	if err != nil {
		return nil, err
	}
	names, err := ecosystem.Names(ctx, o)
	if err != nil {
		return nil, err
	}
	list, err := c.client.Instances(ctx, api.InstancesQuery{Brief: true})
	if err != nil {
		return nil, err
	}
	var here []string
	for _, name := range names {
		switch {
		case slices.ContainsFunc(list, func(s app.Status) bool { return s.Name == name }):
			here = append(here, name)
		default:
			c.warn(name + " is in the file but not in the list")
		}
	}
	if len(here) == 0 {
		return nil, fmt.Errorf("none of the apps of %s exists; `pace list` shows what there is", file)
	}
	return here, nil
}

// targets puts the names of a file's apps in the place of the file.
func (c *cli) targets(ctx context.Context, words []string, x fileOptions) ([]string, error) {
	var out []string
	for _, word := range words {
		if !ecosystem.IsFile(word) {
			if err := c.withoutFile(word, x); err != nil {
				return nil, err
			}
			out = append(out, word)
			continue
		}
		names, err := c.present(ctx, word, x)
		if err != nil {
			return nil, err
		}
		out = append(out, names...)
	}
	return out, nil
}

// withoutFile is onlyForFiles, but PM2's start and stop take --env without a file.
func (c *cli) withoutFile(word string, x fileOptions) error {
	if x.env != "" && c.asPM2() {
		c.warn(fmt.Sprintf("--env %s means nothing: %s is no app file", x.env, word))
		x.env = ""
	}
	return x.onlyForFiles(word)
}

// onlyForFiles refuses what means nothing without an app file.
func (x *fileOptions) onlyForFiles(word string) error {
	switch {
	case x.env != "":
		return fmt.Errorf("--env %s needs an app file, which %s is not; variables of this shell: --update-env", x.env, word)
	case x.only != "":
		return fmt.Errorf("--only %s needs an app file, which %s is not", x.only, word)
	}
	return nil
}

// startOrCommand builds PM2's commands for app files alone.
func (c *cli) startOrCommand(name string, action api.ApplyAction, aliases ...string) *cobra.Command {
	var o ecosystem.StartOptions
	var x fileOptions
	what := "restart"
	if action == api.ApplyReload {
		what = "reload"
	}
	cmd := &cobra.Command{
		Use:     name + " file",
		Aliases: aliases,
		Short:   "Start the apps of a file, " + what + " those that are there",
		Long: name + ` starts the apps of an app file; those that are there get what the
file says and are ` + what + `ed. It is the same as ` + what + ` with the file.`,
		Example: "  pace " + name + " ecosystem.config.js\n  pace " + name + " apps.yaml --env production --only api",
		Args:    atLeast(1, "an app file"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("takes one app file")
			}
			if !ecosystem.IsFile(args[0]) {
				return fmt.Errorf("%s is no app file by its name; want .config.js, .json, .yaml, .toml or the like", args[0])
			}
			c.tellIdle(cmd.Flags())
			reply, err := c.applyFile(cmd.Context(), args[0], action, o, x, nil)
			return c.done(reply, err, nil)
		},
	}
	fileFlags(cmd.Flags(), &x)
	overrideFlags(cmd.Flags(), &o)
	idleFlags(cmd.Flags())
	return cmd
}

// overrideFlags declares those options of apps that go before what a file says.
func overrideFlags(f *pflag.FlagSet, o *ecosystem.StartOptions) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	startFlags(all, o)
	for _, name := range overriding() {
		f.AddFlag(all.Lookup(name))
	}
}

// overriding are the options that mean something beside an app file.
func overriding() []string {
	return []string{"namespace", "cwd", "instances", "user", "uid", "gid", "watch", "ignore-watch"}
}

// tellIdle notes the options that are taken and do nothing.
func (c *cli) tellIdle(f *pflag.FlagSet) {
	var names []string
	f.Visit(func(f *pflag.Flag) {
		if slices.Contains(idleFlagNames(), f.Name) {
			names = append(names, "--"+f.Name)
		}
	})
	if len(names) > 0 && !c.silent {
		c.errorf("note: no effect here: %s", strings.Join(names, ", "))
	}
}
