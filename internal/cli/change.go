package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"paceline/internal/api"
	"paceline/internal/app"
	"paceline/internal/ecosystem"
)

// changing is a restart or a reload, which may change the apps that it acts on.
type changing struct {
	*cli
	action  api.ApplyAction
	options ecosystem.StartOptions
	files   fileOptions
	given   []string // options that change an app, without dashes
	args    []string // what stood after "--"; nil if nothing
	plain   func(context.Context, api.TargetsRequest) (api.ActionReply, error)
	request api.TargetsRequest
}

// declare adds the options to a command.
func (ch *changing) declare(cmd *cobra.Command) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	startFlags(all, &ch.options)
	fileFlags(all, &ch.files)
	all.VisitAll(func(f *pflag.Flag) {
		if cmd.Flags().Lookup(f.Name) == nil {
			cmd.Flags().AddFlag(f)
		}
	})
}

// run acts on the words of the command: files, and targets.
func (ch *changing) run(cmd *cobra.Command, args []string) error {
	if at := cmd.ArgsLenAtDash(); at >= 0 {
		args, ch.args = args[:at], args[at:]
	}
	ch.tellIdle(cmd.Flags())
	if err := ch.gather(cmd.Flags()); err != nil {
		return err
	}
	var files, targets []string
	for _, word := range args {
		if ecosystem.IsFile(word) {
			files = append(files, word)
			continue
		}
		if err := ch.files.onlyForFiles(word); err != nil {
			return err
		}
		targets = append(targets, word)
	}
	var reply api.ActionReply
	if len(targets) > 0 {
		r, err := ch.act(cmd.Context(), targets)
		reply = r
		if err != nil {
			return ch.done(reply, err, nil)
		}
	}
	for _, file := range files {
		r, err := ch.applyFile(cmd.Context(), file, ch.action, ch.options, ch.files, nil)
		reply.Instances = append(reply.Instances, r.Instances...)
		reply.Warnings = append(reply.Warnings, r.Warnings...)
		reply.Verified = append(reply.Verified, r.Verified...)
		if err != nil {
			return ch.done(reply, err, nil)
		}
	}
	return ch.done(reply, nil, nil)
}

// gather notes the options that change an app. The word null takes one back to its
// default, as in PM2.
func (ch *changing) gather(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		if slices.Contains(idleFlagNames(), f.Name) || slices.Contains(otherFlags(), f.Name) {
			return
		}
		ch.given = append(ch.given, f.Name)
		if text := f.Value.String(); text == "null" {
			err = f.Value.Set("")
		} else if list, ok := f.Value.(pflag.SliceValue); ok && slices.Equal(list.GetSlice(), []string{"null"}) {
			err = list.Replace(nil)
		}
	})
	if ch.options.Log.Both == "null" {
		ch.options.Log.Both = ""
	}
	ch.options.Dir, ch.options.Environ, ch.options.CPUs = ch.Dir, ch.Environ, ch.CPUs
	return err
}

// given lists the options that were given, as they are typed.
func given(flags *pflag.FlagSet) []string {
	var names []string
	flags.Visit(func(f *pflag.Flag) {
		if !slices.Contains([]string{"force", "silent", "no-color", "no-daemon"}, f.Name) {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// otherFlags are options of restart, reload and start that say nothing about an app.
func otherFlags() []string {
	return []string{"force", "silent", "no-color", "env", "only", "parallel", "update-env", "write", "ext", "verify", "verbose", "no-daemon"}
}

// act restarts or reloads what exists, after the changes that are asked for.
func (ch *changing) act(ctx context.Context, targets []string) (api.ActionReply, error) {
	if len(ch.given) == 0 && ch.args == nil && !ch.files.updateEnv {
		q := ch.request
		q.Parallel = ch.files.parallel
		return byPath(ch.cli, targets, func(targets []string) (api.ActionReply, error) {
			q.Targets = targets
			return ch.plain(ctx, q)
		})
	}
	list, err := byPath(ch.cli, targets, func(targets []string) ([]api.AppInfo, error) {
		return ch.client.Apps(ctx, api.AppsQuery{Targets: targets, Env: true})
	})
	if err != nil {
		return api.ActionReply{}, err
	}
	if len(list) == 0 {
		return api.ActionReply{}, fmt.Errorf("there is no app that %s could mean", strings.Join(targets, ", "))
	}
	rename := ""
	if slices.Contains(ch.given, "name") {
		if len(list) != 1 {
			return api.ActionReply{}, fmt.Errorf("--name %s is one name, for %d apps", ch.options.Name, len(list))
		}
		if rename = list[0].Spec.Name; rename == ch.options.Name {
			rename = ""
		}
	}
	specs := make([]app.Spec, 0, len(list))
	for i := range list {
		spec := list[i].Spec
		o := ch.options
		o.Args, o.Log.Dir = ch.args, ch.logDir()
		if err := ecosystem.Change(&spec, o, ch.given); err != nil {
			return api.ActionReply{}, err
		}
		if ch.files.updateEnv {
			ecosystem.UpdateEnv(&spec, ch.Environ)
		}
		if slices.Contains(ch.given, "watch") {
			ecosystem.ToggleWatch(&spec, o.Watch.Paths)
		}
		specs = append(specs, spec)
	}
	return ch.apply(ctx, api.ApplyRequest{
		Specs: specs, Action: ch.action, Parallel: ch.files.parallel, Verify: ch.request.Verify, Rename: rename,
	})
}
